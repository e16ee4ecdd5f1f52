"""The triage: text rules from four documents, held against answers and a photo's findings.

The rules are data (`data/*.yaml`); `loading` reads and checks them into `tables`, `conditions` is their logic, `engine`
applies them, `reading` turns answers and findings into facts, `questionnaire` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from spotscan.rules.engine import standard_engine, used
from spotscan.rules.loading import rulebook
from spotscan.rules.reading import Facts, read_answers, read_findings
from spotscan.rules.tables import URGENCIES, Rule, Rulebook, Text

__all__ = ["URGENCIES", "Cited", "Reason", "Triage", "cited", "triage"]


@dataclass(frozen=True)
class Reason:
    """Why an urgency holds.

    Attributes
    ----------
    rule : str
        Id of the rule.
    urgency : str
        That it asks for.
    because : str
        In plain words.
    sources : tuple of str
        Facts of the four documents, e.g. ``S1-27``.
    guidelines : tuple of str
        Public guidance it leans on, by name.
    used : dict
        Answers and findings that made it hold.
    """

    rule: str
    urgency: str
    because: str
    sources: tuple[str, ...]
    guidelines: tuple[str, ...]
    used: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Triage:
    """One urgency, with its reasons and all that belongs to it; fields as in the contract."""

    urgency: str
    headline: str
    advice: tuple[str, ...]
    red_flags: tuple[str, ...]
    recheck: str
    disclaimer: str
    reasons: tuple[Reason, ...]
    explanations: tuple[dict[str, Any], ...]
    not_judged: tuple[dict[str, str], ...]
    rules_version: str
    _known: Mapping[str, Any]

    @cached_property
    def would_change(self) -> tuple[dict[str, Any], ...]:
        """The unanswered questions whose answer could change the urgency, most important first.

        Each with ``answer`` (its key), ``question`` and ``could_become`` (urgencies). Worked out when asked for.
        """
        book = rulebook()
        return tuple(
            {
                "answer": key,
                "question": book.questions[key].ask,
                "could_become": [URGENCIES[level] for level in levels],
            }
            for key, levels in standard_engine().would_change(self._known)
        )

    def to_dict(self) -> dict[str, Any]:
        """The contract's triage object."""
        return {
            "urgency": self.urgency,
            "headline": self.headline,
            "advice": list(self.advice),
            "red_flags": list(self.red_flags),
            "recheck": self.recheck,
            "disclaimer": self.disclaimer,
            "reasons": [
                {
                    "rule": reason.rule,
                    "urgency": reason.urgency,
                    "because": reason.because,
                    "sources": list(reason.sources),
                    "guidelines": list(reason.guidelines),
                    "used": dict(reason.used),
                }
                for reason in self.reasons
            ],
            "explanations": [dict(entry) for entry in self.explanations],
            "not_judged": [dict(entry) for entry in (*self.not_judged, *self._unanswered())],
            "would_change": [dict(entry) for entry in self.would_change],
            "rules_version": self.rules_version,
        }

    def _unanswered(self) -> list[dict[str, str]]:
        """What the unanswered questions that matter leave open, with how to find out."""
        questions = rulebook().questions
        return [
            {
                "what": f"not answered: {questions[entry['answer']].ask}",
                "how": questions[entry["answer"]].help or "Ask the person, or look.",
            }
            for entry in self.would_change
        ]


def triage(
    answers: Mapping[Any, Any],
    findings: Mapping[Any, Any] | None = None,
    *,
    emergency_number: str | None = None,
) -> Triage:
    """Merge answers and a photo's findings into one urgency, with reasons and sources.

    Parameters
    ----------
    answers : Mapping
        Keys of the contract; every one optional. Absent, None, "" and "unknown" mean unknown, and unknown never
        means no. What cannot be understood is named in `not_judged` and counts as unknown.
    findings : Mapping, optional
        The ``findings`` of a scan, or the whole scan document. A photo may raise the urgency, never lower it.
    emergency_number : str, optional
        What to call; "your local emergency number" when not given.

    Returns
    -------
    Triage
        It informs; it is no diagnosis, and no clinician has reviewed the rules.
    """
    book = rulebook()
    said = read_answers(book, answers)
    seen = read_findings(book, findings, said.known.get("skin_tone"))
    known = {**said.known, **seen.known}
    facts, rules = standard_engine().firing(known)
    level = rules[0].urgency if rules else 0
    texts = book.urgency_texts[level]
    emergency = level == len(URGENCIES) - 1
    number = emergency_number or book.emergency_number
    photo = () if emergency else book.photo_advice
    first = f"{book.help_first} " if emergency else ""

    def said_at(entries: tuple[Text, ...]) -> list[Text]:
        return [text for text in entries if level <= text.not_above and (text.when is None or text.when.truth(facts))]

    return Triage(
        urgency=URGENCIES[level],
        headline=texts.headline,
        advice=tuple(
            text.text.replace("{emergency_number}", number) for text in (*texts.advice, *said_at(book.also), *photo)
        ),
        red_flags=tuple(text.text for text in said_at(book.red_flags)),
        recheck=texts.recheck,
        disclaimer=book.disclaimer,
        reasons=tuple(_reason(book, rule, facts, said, seen) for rule in rules),
        explanations=tuple(_explanation(text) for text in said_at(book.explanations)),
        not_judged=tuple({"what": what, "how": how} for what, how in said.problems)
        + tuple({"what": what, "how": first + how} for what, how in seen.problems),
        rules_version=book.version,
        _known=known,
    )


def _reason(book: Rulebook, rule: Rule, facts: Mapping[str, Any], said: Facts, seen: Facts) -> Reason:
    shown = {**said.shown, **seen.shown}
    names = dict.fromkeys(book.facts[name].shown_as for name in used(rule, facts))
    return Reason(
        rule=rule.id,
        urgency=URGENCIES[rule.urgency],
        because=rule.because,
        sources=rule.sources,
        guidelines=rule.guidelines,
        used={name: shown[name] for name in names if name in shown},
    )


def _explanation(text: Text) -> dict[str, Any]:
    return {"text": text.text, "sources": list(text.sources)}


class Cited(NamedTuple):
    """What an id of a reason's `sources` or `guidelines` stands for."""

    id: str
    document: str
    text: str


def cited(ids: Iterable[str]) -> list[Cited]:
    """The texts that ids such as ``S1-27``, ``D5`` and ``NG240`` cite, each once, in their order.

    A fact is given in our own words, as the rules hold it; of a guideline only its title and how it was seen. Unknown
    ids are left out.
    """
    sources = rulebook().sources
    found = []
    for name in dict.fromkeys(ids):
        if name in sources["facts"]:
            found.append(Cited(name, sources["documents"][name.partition("-")[0]], sources["facts"][name]))
        elif name in sources["disagreements"]:
            found.append(Cited(name, "Where the documents disagree", sources["disagreements"][name]))
        elif name in sources["guidelines"]:
            guideline = sources["guidelines"][name]
            found.append(Cited(name, guideline["title"], f"Seen {guideline['seen']}."))
    return found
