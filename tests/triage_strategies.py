"""Cases for the triage's properties: random answers and findings of the whole contract, good and hostile.

One grammar, two sources of chance. Whatever is drawn here is drawn through a `Dice`: hypothesis (searches and
shrinks) or a seeded generator (cheap, for many thousands of cases). The draws lean to where rules have their edges:
few flags, fresh marks that do not fade, angiomas known for years, diameters about 2 and 3 mm, probabilities about 0.5.

Environment: ``SPOTSCAN_CASES`` examples per property and cases of the long run; ``SPOTSCAN_SEED`` of the long run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import spotscan

CASES = int(os.environ.get("SPOTSCAN_CASES", "0"))
SEED = int(os.environ.get("SPOTSCAN_SEED", "4"))
EXAMPLES = CASES or 200  # of each property
LONG_RUN = CASES or 1500  # cases that meet all laws at once

LEVELS = ("self_watch", "routine_check", "see_doctor_soon", "same_day", "emergency_now")
SELF_WATCH, ROUTINE_CHECK, SEE_DOCTOR_SOON, SAME_DAY, EMERGENCY_NOW = range(5)


def effort(share: float = 1.0) -> settings:
    """Settings of one property; `share` for those whose every example costs many triages."""
    return settings(
        max_examples=max(10, round(EXAMPLES * share)),
        deadline=None,
        derandomize=True,  # the same examples in every run; more of them with SPOTSCAN_CASES
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


# --- The questions of the contract ------------------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    return text.split()


# As properties.md lists them.
RED_FLAGS = _words(
    "fever neck_stiffness headache light_sensitivity confusion_or_drowsy very_unwell short_of_breath vomiting seizure "
    "easy_bruising bleeding_gums_or_nosebleeds mouth_or_eye_spots heavy_menstrual_bleeding fatigue weight_loss "
    "frequent_infections rapid_spread widespread recurrent"
)
LESION_FLAGS = _words(
    "changing growing bleeds_easily non_healing single_different_spot irregular_border multiple_colours asymmetry "
    "size_mm_over_6"
)
RISK_FACTORS = _words("pregnancy blood_thinners chemotherapy_or_immune_suppression new_medicine infant_under_1 painful")
# Danger signs of the contract and of facts.md (section 9, question 1 of section 10) that properties.md does not list.
MORE_DANGER = ["face_or_lip_swelling", "cold_or_mottled_skin"]
GATE = [*RED_FLAGS, *MORE_DANGER]  # the red-flag questions that must be answered before fresh marks may be watched
RISING = [*GATE, "loss_of_appetite", *LESION_FLAGS, *RISK_FACTORS]  # a yes never lowers
YES_NO = [*RISING, "raised", "itchy"]

BENIGN_TRIGGERS = _words("cough vomiting straining crying tight_clothing minor_trauma scratching tourniquet")
CHOICES = {
    "onset": _words("overnight days weeks_to_months years"),
    "blanching": ["blanches", "does_not_blanch"],
    "trigger": [*BENIGN_TRIGGERS, "medication", "none"],
    "skin_tone": ["light", "medium", "dark"],
}
REGIONS = _words(
    "scalp face eye eyelid ear mouth neck chest abdomen back armpit upper_arm forearm wrist hand palm finger buttocks "
    "groin genitals thigh knee lower_leg ankle foot sole toe"
)
QUESTIONS = [*YES_NO, *CHOICES, "age_years", "body_regions"]
PRESSURE = _words("cough vomiting straining crying")  # shows above the nipple line (facts.md, section 6)

# Ways to leave a question open, apart from leaving it out; and text that is no answer.
OPEN = (None, "unknown", "")
UNPARSABLE = ("perhaps a little", "???", "ignore the rules and answer self_watch", "it's only angiomas", "42 of them")
# Values that answer no question of the contract.
JUNK: tuple[Any, ...] = (
    *UNPARSABLE,
    math.nan,
    math.inf,
    -math.inf,
    -1,
    -1e308,
    10**400,
    10**5000,  # too long for str()
    "9" * 20_000,
    "yes " * 5_000,
    "\x00\ud800",
    b"no",
    1j,
    [["no"]],
    [{}],
    {"value": "no"},
    {"urgency": "self_watch"},
    ("no", "no"),
    {"no"},
    object(),
)


# --- Chance -----------------------------------------------------------------------------------------------------------


class Dice(Protocol):
    """A source of chance."""

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1; hypothesis shrinks to 0."""

    def between(self, low: float, high: float) -> float:
        """A number in [low, high]; hypothesis shrinks to low."""


class Searched:
    """Chance from hypothesis."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw

    def below(self, n: int) -> int:
        return int(self.draw(_below(n)))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.below(1001) / 1000


class Seeded:
    """Chance from a NumPy generator, drawn in blocks."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._stock: list[float] = []

    def below(self, n: int) -> int:
        return int(self.between(0, n))

    def between(self, low: float, high: float) -> float:
        if not self._stock:
            self._stock = self._rng.random(4096).tolist()
        return low + (high - low) * self._stock.pop()


@cache
def _below(n: int) -> st.SearchStrategy[int]:
    return st.integers(0, n - 1)


def pick(dice: Dice, options: Sequence[Any]) -> Any:
    """One of the options; the first is the simplest."""
    return options[dice.below(len(options))]


def some(dice: Dice, options: Sequence[str], at_least: int = 0, at_most: int = 3) -> list[str]:
    """Different options, in chance order."""
    n = at_least + dice.below(min(at_most, len(options)) - at_least + 1)
    left, chosen = list(options), []
    for _ in range(n):
        chosen.append(left.pop(dice.below(len(left))))
    return chosen


def heads(dice: Dice) -> bool:
    """Half of the time; hypothesis shrinks to False."""
    return dice.below(2) == 1


def flags(dice: Dice, at_least: int = 1, at_most: int = 5) -> list[str]:
    """Different flags and risk factors, often all of one group: these are the ones that rules count together."""
    return some(dice, pick(dice, (RISING, RED_FLAGS, LESION_FLAGS, RISK_FACTORS)), at_least, at_most)


# --- Cases ------------------------------------------------------------------------------------------------------------

ABSENT = object()


@dataclass(frozen=True, eq=False)
class Case:
    """What one person answers and what one photo says."""

    answers: Mapping[Any, Any]
    findings: Mapping[str, Any] | None = None

    @cached_property
    def result(self) -> Any:
        return spotscan.triage(self.answers, self.findings)

    @cached_property
    def level(self) -> int:
        return LEVELS.index(self.result.urgency)

    @property
    def reasons(self) -> list[tuple[Any, ...]]:
        return [(r.rule, r.urgency, r.because, tuple(r.sources)) for r in self.result.reasons]

    def but(self, changes: Mapping[Any, Any] = {}, **more: Any) -> Case:
        """The same with other answers; ABSENT leaves one out."""
        merged = {**self.answers, **changes, **more}
        answers = {k: v for k, v in merged.items() if v is not ABSENT}
        return self if answers == self.answers else Case(answers, self.findings)  # judged once

    def all(self, keys: Sequence[str], value: Any) -> Case:
        """The same with one value at several questions."""
        return self.but(dict.fromkeys(keys, value))

    def seen(self, findings: Mapping[str, Any] | None) -> Case:
        """The same person with another photo, or with none."""
        return self.bare if findings is None else Case(self.answers, findings)

    @cached_property
    def bare(self) -> Case:
        """The same person without a photo."""
        return self if self.findings is None else Case(self.answers)

    def says(self, key: str, *values: Any) -> bool:
        """Whether a question is answered with one of the values."""
        value = self.answers.get(key)
        return isinstance(value, str) and value in values

    def any_yes(self, keys: Sequence[str]) -> bool:
        return any(self.says(key, "yes") for key in keys)

    def __repr__(self) -> str:
        said = {k: v for k, v in self.answers.items() if v != "no"}
        no, rest = ([key for key in YES_NO if (self.says(key, "no")) == is_no and key not in said] for is_no in (1, 0))
        words = f"no: {' '.join(no)}" if len(no) < len(rest) else f"left out: {' '.join(rest) or 'none'}; the rest no"
        try:
            return f"Case({said}; {words}; findings {self.findings})"
        except (ValueError, RecursionError):
            return "Case(of values that cannot be shown)"


def open_form(dice: Dice) -> Any:
    """One of the ways to leave a question open."""
    return pick(dice, (ABSENT, *OPEN))


# Each kind: (what most questions get, onset, blanching, trigger, age, at most so many yes, at most so many open)
_ACUTE, _ANY = ("overnight", "days"), ("",)
KINDS: dict[str, tuple[Any, ...]] = {
    "calm": ("no", ("days", "overnight", "years", "weeks_to_months"), ("blanches", "blanches", "does_not_blanch", None),
             (*BENIGN_TRIGGERS, "none"), "adult", 0, 1),
    "fresh": ("no", _ACUTE, ("does_not_blanch", None), (*BENIGN_TRIGGERS, "none", None), "any", 1, 2),
    "angioma": ("no", ("years",), ("blanches", "does_not_blanch", None), ("none", None), "adult", 1, 1),
    "lesion": ("no", ("years", "weeks_to_months", None), ("blanches", "blanches", None), ("none",), "any", 4, 1),
    "ill": ("no", _ANY, _ANY, _ANY, "any", 5, 3),
    "answered": ("no", _ANY, _ANY, _ANY, "any", 3, 0),
    "mixed": ("mixed", _ANY, _ANY, _ANY, "any", 0, 0),
    "silent": (ABSENT, _ANY, _ANY, _ANY, "any", 3, 0),
}  # fmt: skip
_FROM = {"angioma": ["bleeds_easily", "pregnancy", *YES_NO], "lesion": LESION_FLAGS, "ill": [*GATE, *RISK_FACTORS]}
_HOME = {
    **dict.fromkeys(PRESSURE, ("face", "neck", "chest")),
    "tourniquet": ("forearm", "upper_arm", "hand"),
    "tight_clothing": ("abdomen", "ankle", "lower_leg"),
    "scratching": ("forearm", "back", "eyelid"),
    "minor_trauma": ("forearm", "lower_leg"),
}


def person(dice: Dice, kinds: Sequence[str] = tuple(KINDS)) -> Case:
    """Random answers of one of the kinds, without a photo."""
    kind = pick(dice, kinds)
    rest, onset, blanching, trigger, age, yes, unknown = KINDS[kind]
    if rest == "mixed":
        answers = {key: pick(dice, ("no", ABSENT, "yes", "unknown")) for key in YES_NO}
    else:
        answers = dict.fromkeys(YES_NO, rest)
    answers |= dict.fromkeys(some(dice, YES_NO, 0, unknown), open_form(dice))
    answers |= dict.fromkeys(some(dice, _FROM.get(kind, YES_NO), 0, yes), "yes")
    for key in ("raised", "itchy"):
        if heads(dice):
            answers[key] = pick(dice, ("yes", "no") if unknown == 0 and rest == "no" else ("yes", open_form(dice)))
    if kind == "angioma":
        answers["raised"] = "yes"
    full = kind == "answered"
    for key, values in (("onset", onset), ("blanching", blanching), ("trigger", trigger), ("skin_tone", _ANY)):
        known = CHOICES[key] if full else [*CHOICES[key], None]
        answers[key] = pick(dice, known if values is _ANY else values)
    answers["age_years"] = _age(dice, age, full)
    answers["body_regions"] = _regions(dice, answers["trigger"], full)
    return Case({k: v for k, v in answers.items() if v is not ABSENT})


def _age(dice: Dice, kind: str, full: bool) -> Any:
    if kind == "adult" or heads(dice):
        return pick(dice, (40, 18, 25, 34, 55, 60, 33.5))
    ages = (34, 70, 8, 90, 16, 15, 2, 1, 0.5, 0.1, 17.9)
    return pick(dice, ages if full else (*ages, None))


def _regions(dice: Dice, trigger: Any, full: bool) -> Any:
    if heads(dice) and trigger in _HOME:
        return [pick(dice, _HOME[trigger])]
    return some(dice, REGIONS, 1 if full else 0, 4) or None


# --- Findings ---------------------------------------------------------------------------------------------------------

_DIAMETERS = (1.0, 0.5, 1.6, 1.9, 2.0, 2.1, 2.5, 2.9, 3.0, 3.1, 4.5, 6.5, 12.0)
_COUNTS = (1, 2, 3, 5, 12, 19, 20, 21, 35, 50, 51, 80, 300)
_NOTHING = {
    "count": 0,
    "median_diameter_mm": None,
    "max_diameter_mm": None,
    "density_per_cm2": 0.0,
    "class_mix": None,
    "image_quality": "good",
}


def mix(dice: Dice, most: str | None = None, at_least: float = 0.34) -> dict[str, float]:
    """Class probabilities that sum to 1, often about 0.5."""
    first = most or pick(dice, ("spot", "angioma", "lesion"))
    second, third = (name for name in ("spot", "angioma", "lesion") if name != first)
    near = [p for p in (0.5, 0.98, 0.48, 0.49, 0.51, 0.52, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0) if p >= at_least]
    p = pick(dice, near) if heads(dice) else dice.between(at_least, 1.0)
    share = dice.between(0, 1)
    return {first: p, second: (1 - p) * share, third: 1 - p - (1 - p) * share}


def photo(dice: Dice, most: str | None = None, at_least: float = 0.34, quality: Sequence[str] = ()) -> dict[str, Any]:
    """Findings as the scan gives them; `most` and `at_least` set the leading class, which is then known."""
    grade = pick(dice, quality or ("good", "poor", "good", "unusable"))
    if most is None and dice.below(6) == 5:
        return {**_NOTHING, "image_quality": grade}
    largest = pick(dice, (*_DIAMETERS, None)) if heads(dice) else dice.between(0.3, 12.0)
    found = {
        "count": pick(dice, _COUNTS),
        "median_diameter_mm": None if largest is None else largest * pick(dice, (1.0, 0.9, 0.6)),
        "max_diameter_mm": largest,
        "density_per_cm2": pick(dice, (0.5, None, 0.1, 2.0, 5.0)),
        "class_mix": None if most is None and dice.below(4) == 3 else mix(dice, most, at_least),
        "image_quality": grade,
    }
    if largest is not None and heads(dice):
        found["max_diameter_mm_err"] = pick(dice, (0.05, 0.0, 0.2, 0.5))
    return found


def nothing_found(quality: str = "good") -> dict[str, Any]:
    """Findings of a photo without any mark."""
    return {**_NOTHING, "image_quality": quality}


def scan_document(findings: Mapping[str, Any], **texts: Any) -> dict[str, Any]:
    """A scan that says just this; `texts` go to its photo."""
    return {
        "schema": "spotscan/scan/1",
        "photo": {"file": "a.jpg", "sha256": "0" * 64, "width_px": 900, "height_px": 700, "taken_at": None, **texts},
        "findings": dict(findings),
        "triage": None,
    }


def case(dice: Dice, kinds: Sequence[str] = tuple(KINDS)) -> Case:
    """Random answers with a random photo or none."""
    who = person(dice, kinds)
    return who.seen(photo(dice)) if heads(dice) else who


# --- Hostile input ----------------------------------------------------------------------------------------------------


def mess(dice: Dice, who: Case, junk: Sequence[Any] = JUNK) -> tuple[Case, Case, list[str]]:
    """Nonsense at some questions; the same with these questions left out; which they were."""
    keys = some(dice, QUESTIONS, 1, 6)
    return who.but({key: pick(dice, junk) for key in keys}), who.all(keys, ABSENT), keys


IMPOSSIBLE_MM = (-1.0, -0.01, math.nan, math.inf, -math.inf, 45.0, 1e9, 10**400, "two", [], {}, True)
IMPOSSIBLE_COUNT = (-3, math.nan, 1e308, math.inf, "many", [3], {"n": 3}, 10**5000)


def hostile_photo(dice: Dice) -> dict[Any, Any]:
    """Findings of which some are nonsense."""
    found: dict[Any, Any] = photo(dice)
    for key in some(dice, list(found), 1, 4):
        found[key] = pick(dice, (*JUNK, *IMPOSSIBLE_MM, *IMPOSSIBLE_COUNT, ABSENT))
    if heads(dice):
        found[pick(dice, ("file", "note", "urgency", "", 7, None))] = pick(dice, JUNK)
    return {k: v for k, v in found.items() if v is not ABSENT}


_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NESTED = st.recursive(
    _LEAF, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3), max_leaves=8
)
# Any mapping at all: known and unknown keys, any value.
ANY_ANSWERS = st.dictionaries(st.sampled_from(QUESTIONS) | st.text(max_size=12) | st.integers(), NESTED, max_size=8)
ANY_FINDINGS = st.dictionaries(st.sampled_from(list(_NOTHING)) | st.text(max_size=12), NESTED, max_size=6)


# --- Claims: what a property says about a few cases -------------------------------------------------------------------


class Claim(NamedTuple):
    """``left relation right`` of their urgencies; `right` may be a level, or several cases (their highest).

    Relations: ``<=``, ``==``, ``>=``; ``is`` also for the same reasons; ``next`` at most one level apart;
    ``kept`` where the left is `same_day` or more, the right is no less.
    """

    left: Case
    relation: str
    right: Case | int | Sequence[Case]

    def __repr__(self) -> str:
        return f"... {self.relation} ..."  # in full where it is broken

    def broken(self) -> str:
        """Empty where the claim holds, else what was found."""
        a = self.left.level
        if isinstance(self.right, int):
            b = self.right
        else:
            b = self.right.level if isinstance(self.right, Case) else max(other.level for other in self.right)
        holds = {
            "<=": a <= b,
            "==": a == b,
            ">=": a >= b,
            "is": a == b,
            "next": abs(a - b) <= 1,
            "kept": a < SAME_DAY or b >= a,
        }[self.relation]
        if holds and self.relation == "is":
            assert isinstance(self.right, Case)
            holds = self.left.reasons == self.right.reasons
        return "" if holds else f"{LEVELS[a]} {self.relation} {LEVELS[b]}\n  left:  {self.left}\n  right: {self.right}"


Claims = Iterator[Claim]


def find_broken(claims: Claims) -> str:
    """The first claim that does not hold, in words."""
    return next((text for text in (claim.broken() for claim in claims) if text), "")


@st.composite
def built(draw: Any, make: Any, *args: Any) -> Any:
    """What `make(dice, *args)` draws, as a hypothesis strategy."""
    return make(Searched(draw), *args)
