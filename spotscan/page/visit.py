"""What one visitor has shown and said so far. It lives in the session's memory and nowhere else."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import streamlit as st

import spotscan
from spotscan.cli_triage import NUMBER_VARIABLE
from spotscan.errors import SpotScanError
from spotscan.page.words import say
from spotscan.rules.tables import URGENCIES, Question
from spotscan.types import Scan

Step = Literal["begin", "signs", "picture", "questions", "result"]
STEPS: tuple[Step, ...] = ("begin", "signs", "picture", "questions", "result")
EMERGENCY = URGENCIES[-1]
URGENT = URGENCIES.index("same_day")  # from here on an earlier result is kept in sight
_POOL = ThreadPoolExecutor(2, thread_name_prefix="spotscan")  # scans of all sessions: a photo uses every core anyhow
_SLOW = (
    "spotscan.page.result",
    "spotscan.pipeline",
    "skimage.segmentation",
    "scipy.spatial",
    "pandas",
    "spotscan.close_up",
)


@cache
def warm_up() -> None:
    """Import what is slow to import once, while the first visitor reads the first page."""
    _POOL.submit(lambda: [importlib.import_module(name) for name in _SLOW])


@dataclass(frozen=True)
class Corrections:
    """What was put right by hand, all of it since the scan as it was found."""

    removed: tuple[int, ...] = ()
    added: tuple[tuple[float, ...], ...] = ()
    scale: tuple[tuple[float, float], tuple[float, float], float] | None = None
    click_err_px: float = 1.0


@dataclass
class Visit:
    """One visitor's way through the page.

    Attributes
    ----------
    step, moves
        Where the page stands, and how often it moved: so that the browser scrolls up.
    upload, name, reference
        The photo's bytes, the name of its file, and what gives the scale.
    job, found, scan, error
        The scan that runs; as found; as corrected; or what is wrong with the photo.
    history
        Corrections before the last one, to undo.
    answers, asked, again
        What was answered; in which order, to go back; and what is to be answered again.
    asking
        The question that is shown, and `moves` when it came.
    urgent, urgent_answers
        The most urgent result that was shown, with the answers it rests on.
    selected, tool, points
        The spot that is shown, what a tap on the picture does, and where a length begins and ends.
    keep
        Pictures worked out for the scan at hand, by name.
    """

    step: Step = "begin"
    moves: int = 0
    upload: bytes | None = None
    name: str = ""
    reference: str = "auto"
    photos: int = 0
    job: Future[tuple[Scan, str]] | None = None
    found: Scan | None = None
    scan: Scan | None = None
    error: SpotScanError | None = None
    corrections: Corrections = Corrections()
    history: list[Corrections] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    again: str | None = None
    asking: tuple[int, str] | None = None
    urgent: dict[str, Any] | None = None
    urgent_answers: dict[str, Any] = field(default_factory=dict)
    selected: int | None = None
    tool: str = "look"
    points: list[tuple[float, float]] = field(default_factory=list)
    keep: dict[Any, Any] = field(default_factory=dict)
    judged: tuple[str, Scan | None, dict[str, Any]] | None = None

    # ---- the way ----

    def go(self, step: Step) -> None:
        """Show another step, from its top."""
        self.step, self.moves = step, self.moves + 1

    # ---- the photo ----

    def start(self, upload: bytes, name: str, reference: str) -> None:
        """Begin with a photo: it is measured while the person answers."""
        self.drop_photo()
        self.upload, self.name, self.reference, self.photos = upload, name, reference, self.photos + 1
        self.job = _POOL.submit(_measure, upload, name, reference)

    def another(self) -> None:
        """Back to the choice of a photo; the answers stay."""
        self.drop_photo()
        self.go("begin")

    def drop_photo(self) -> None:
        """Forget the photo and all that came of it."""
        if self.job is not None:
            self.job.cancel()
        self.upload = self.job = self.found = self.scan = self.error = self.selected = self.judged = None
        self.corrections, self.history, self.points, self.tool = Corrections(), [], [], "look"
        self.keep = {}
        gc.collect()  # here, for Streamlit is told not to after every run: see `spotscan.cli_app.SETTINGS`

    def look(self) -> bool:
        """Take the scan over once it is there; True where something is new."""
        if self.job is None or not self.job.done():
            return False
        job, self.job, before = self.job, None, self.is_emergency()
        try:
            self.found, self.keep["photo"] = job.result()
            self.scan = self.found
        except SpotScanError as error:
            self.error = error
        except Exception:  # a fault of ours: the person gets a sentence, and the questions go on
            logging.getLogger(__name__).exception("a photo could not be measured")
            self.error = SpotScanError(say("problem.ours"), "", say("problem.ours_todo"))
        self._alarm(before)
        return True

    def correct(self, corrections: Corrections) -> None:
        """Work the scan out anew with these corrections; they are refused by an error that says why."""
        before = self.is_emergency()
        self._revise(corrections)
        self.history.append(self.corrections)
        self.corrections = corrections
        self._alarm(before)

    def undo(self) -> None:
        """Take the last correction back."""
        if self.history:
            before, last = self.is_emergency(), self.history.pop()
            self._revise(last)
            self.corrections = last
            self._alarm(before)

    def _revise(self, c: Corrections) -> None:
        from spotscan.revision import revise

        assert self.found is not None
        self.scan = (
            self.found
            if c == Corrections()
            else revise(self.found, removed=c.removed, added=c.added, scale=c.scale, click_err_px=c.click_err_px)
        )
        self.keep = {name: kept for name, kept in self.keep.items() if name == "photo"}

    # ---- the judgement ----

    def answer(self, key: str, value: Any) -> None:
        """Note an answer; None takes it back. An emergency is shown at once."""
        before = self.verdict()["urgency"]
        if value is None:
            self.answers.pop(key, None)
        else:
            self.answers[key] = value
        if self.verdict()["urgency"] == EMERGENCY and (before != EMERGENCY or value == "yes"):
            self.go("result")

    def findings(self) -> dict[str, Any] | None:
        """The scan as its document, for the rules."""
        if self.scan is None:
            return None
        if "document" not in self.keep:
            self.keep["document"] = self.scan.to_dict()
        return dict(self.keep["document"])

    def verdict(self) -> dict[str, Any]:
        """How urgent it is, from all that is known now."""
        from spotscan.rules.questionnaire import with_implied

        key = json.dumps(self.answers, sort_keys=True)
        if self.judged is None or self.judged[0] != key or self.judged[1] is not self.scan:
            result = spotscan.triage(
                with_implied(self.answers), self.findings(), emergency_number=emergency_number()
            ).to_dict()
            self.judged = key, self.scan, result
        return self.judged[2]

    def is_emergency(self) -> bool:
        """Whether what is known now is an emergency."""
        return bool(self.verdict()["urgency"] == EMERGENCY)

    def _alarm(self, before: bool) -> None:
        """Show at once what the photo has made an emergency, and keep it in sight."""
        if self.is_emergency() and not before:
            self.remember()
            self.go("result")

    def remember(self) -> None:
        """Keep the result that is being shown, if it is the most urgent so far."""
        result = self.verdict()
        level = URGENCIES.index(result["urgency"])
        if level >= URGENT and (self.urgent is None or level > URGENCIES.index(self.urgent["urgency"])):
            self.urgent, self.urgent_answers = result, dict(self.answers)

    def earlier(self) -> dict[str, Any] | None:
        """A more urgent result that was shown before; None where there is none."""
        if self.urgent is None or URGENCIES.index(self.urgent["urgency"]) <= URGENCIES.index(self.verdict()["urgency"]):
            return None
        return self.urgent

    def questions(self) -> list[Question]:
        """What is still worth asking."""
        from spotscan.rules.questionnaire import questions_that_matter

        return questions_that_matter(self.answers, self.findings())


def _measure(upload: bytes, name: str, reference: str) -> tuple[Scan, str]:
    """Scan a photo and make its picture for the browser; in a thread, while the person answers."""
    from spotscan.page.viewer import photo_uri

    scan = spotscan.scan(upload, reference)
    return replace(scan, photo=replace(scan.photo, file=name or None)), photo_uri(scan.photo.rgb)


def visit() -> Visit:
    """The visit of this session."""
    if "visit" not in st.session_state:
        st.session_state["visit"] = Visit()
    return st.session_state["visit"]  # type: ignore[no-any-return]


def emergency_number() -> str | None:
    """The number to call, where whoever started the page gave one."""
    return os.environ.get(NUMBER_VARIABLE) or None
