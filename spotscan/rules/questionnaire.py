"""The questionnaire: which question comes next, and when there is nothing left to ask.

Data decide: order, wording and conditions are in questions.yaml. The app and `spotscan ask` use this alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from spotscan.rules.engine import answers_of, standard_engine
from spotscan.rules.loading import rulebook
from spotscan.rules.reading import read_answers, read_findings
from spotscan.rules.tables import URGENCIES, Question

UNKNOWN = "unknown"
_NOT_KNOWN = {"", "?", UNKNOWN, "not sure", "unsure", "don't know", "i don't know", "dont know", "no idea"}
_YES_NO = {"y": "yes", "yep": "yes", "yeah": "yes", "n": "no", "nope": "no"}
_MONTHS, _WEEKS, _DAYS = 12.0, 52.18, 365.25  # in a year
_PER_YEAR = {"y": 1.0, "m": _MONTHS, "w": _WEEKS, "d": _DAYS}


def open_questions(answers: Mapping[Any, Any]) -> Iterator[Question]:
    """The questions still to be asked, in order.

    A question that was answered, with ``unknown`` too, is not asked again; one that does not apply is left out.
    """
    facts = standard_engine().worked_out(read_answers(rulebook(), answers).known)
    for question in rulebook().questions.values():
        if (
            question.key not in answers
            and facts.get(question.key) is None
            and standard_engine().applies(question, facts)
        ):
            yield question


def next_question(answers: Mapping[Any, Any], findings: Mapping[Any, Any] | None = None) -> Question | None:
    """The next question; None where there is nothing left to ask.

    At an emergency nothing more is asked, but for a question that can be answered within a minute and could settle
    it: whether the spots fade under a glass. Signs that are an emergency in any case end the questions at once.
    """
    book, engine = rulebook(), standard_engine()
    known = {**read_answers(book, answers).known, **read_findings(book, findings).known}

    def level(facts: Mapping[str, Any]) -> int:
        return engine.firing(facts)[1][0].urgency

    emergency = len(URGENCIES) - 1
    if level(known) < emergency:
        return next(open_questions(answers), None)
    for question in open_questions(answers):
        if question.quick and any(
            level({**known, question.key: value}) < emergency for value in answers_of(book, question.key)
        ):
            return question
    return None


def questions_that_matter(answers: Mapping[Any, Any], findings: Mapping[Any, Any] | None = None) -> list[Question]:
    """The questions still worth asking, in order: those whose answer could change the urgency, or what is said with it.

    At an emergency the one of `next_question`, if any.
    """
    book, engine = rulebook(), standard_engine()
    known = {**read_answers(book, answers).known, **read_findings(book, findings).known}
    if engine.firing(known)[1][0].urgency == len(URGENCIES) - 1:
        quick = next_question(answers, findings)
        return [] if quick is None else [quick]
    matter = {key for key, _ in engine.would_change(known)}
    return [q for q in open_questions(answers) if q.key in matter or not book.facts[q.key].in_rules]


def with_implied(answers: Mapping[Any, Any]) -> dict[Any, Any]:
    """The answers, with those added that need not be asked: a person of 70 is not pregnant."""
    facts = standard_engine().worked_out(read_answers(rulebook(), answers).known)
    implied = {
        question.key: "no" if question.otherwise is False else question.otherwise
        for question in rulebook().questions.values()
        if question.otherwise is not None
        and answers.get(question.key) in (None, "")
        and not standard_engine().applies(question, facts)
    }
    return {**answers, **implied}


def read_reply(question: Question, text: str) -> Any:
    """What somebody typed, as an answer.

    Parameters
    ----------
    question : Question
        What was asked.
    text : str
        yes or no; a number, with a unit of time for an age; the place or the words of a choice, several with commas
        for regions; empty, ``?`` or the like for not known.

    Returns
    -------
    Any
        An answer of the contract; None where it cannot be understood.
    """
    book = rulebook()
    text = re.sub(r"\s+", " ", text.replace("’", "'")).strip(" .!").casefold()
    if text in _NOT_KNOWN:
        return UNKNOWN
    kind = book.facts[question.key].kind
    reply: Any = _YES_NO.get(text, text)
    if kind == "number":
        reply = _years(text)
    elif kind == "choice":
        reply = _choice(question, text)
    elif kind == "regions":
        reply = [_choice(question, part) for part in _parts(question, text)]
    read = read_answers(book, {question.key: reply})
    return read.shown.get(question.key) if not read.problems else None


def _years(text: str) -> float | None:
    """An age with or without a unit: 6 months, 5 weeks, 0,5."""
    found = re.fullmatch(r"(\d+(?:[.,]\d+)?) ?(y|m|w|d)?[a-z]*(?: old)?", text)
    if not found:
        return None
    return round(float(found[1].replace(",", ".")) / _PER_YEAR[found[2] or "y"], 3)


def _choice(question: Question, text: str) -> str | None:
    """A choice by its place in the list, its name or its wording."""
    names = list(question.choices)
    if text.isascii() and text.isdigit():
        return names[int(text) - 1] if 1 <= int(text) <= len(names) else None
    for name, wording in question.choices.items():
        if text in (name, name.replace("_", " "), wording.casefold()):
            return name
    return None


def _parts(question: Question, text: str) -> list[str]:
    """Several choices, between commas or `and`; bare numbers and single words between blanks, too."""
    parts = [part.strip() for part in re.split(r",|;|\band\b", text) if part.strip()]
    return [piece for part in parts for piece in ([part] if _choice(question, part) is not None else part.split())]
