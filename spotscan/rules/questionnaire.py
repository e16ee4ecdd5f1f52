"""The questionnaire: which question comes next, and when there is nothing left to ask.

Data decide: order, wording and conditions are in questions.yaml. The app and `spotscan ask` use this alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spotscan.rules.engine import Engine
from spotscan.rules.reading import read_answers
from spotscan.rules.tables import Question, Rulebook, rulebook

UNKNOWN = "unknown"


def open_questions(answers: Mapping[Any, Any]) -> Iterator[Question]:
    """The questions still to be asked, in order.

    A question that was answered, with ``unknown`` too, is not asked again; one that does not apply is left out.
    """
    book = rulebook()
    facts = _facts(book, answers)
    engine = Engine(book)
    for question in book.questions.values():
        if question.key not in answers and engine.is_open(question, facts):
            yield question


def with_implied(answers: Mapping[Any, Any]) -> dict[Any, Any]:
    """The answers, with those added that need not be asked: a person of 70 is not pregnant."""
    book = rulebook()
    complete = dict(answers)
    for question in book.questions.values():
        if question.ask_if is None or complete.get(question.key) not in (None, ""):
            continue
        if question.ask_if.truth(_facts(book, complete)) is False:
            complete[question.key] = question.otherwise
    return complete


def read_reply(question: Question, text: str) -> Any:
    """What somebody typed, as an answer.

    Parameters
    ----------
    question : Question
        What was asked.
    text : str
        yes, no, a number, the number or the name of a choice, several with commas for regions; empty or ``?``
        for not known.

    Returns
    -------
    Any
        An answer of the contract; None where it cannot be understood.
    """
    text = text.strip().casefold()
    if text in ("", "?", UNKNOWN, "not sure", "don't know"):
        return UNKNOWN
    book = rulebook()
    fact = book.facts[question.key]
    reply: Any = {"y": "yes", "n": "no"}.get(text, text)
    if question.choices:
        names = list(question.choices)
        chosen = [names[int(part) - 1] if _is_place(part, names) else part for part in text.replace(",", " ").split()]
        reply = chosen if fact.kind == "regions" else (chosen[0] if len(chosen) == 1 else None)
    read = read_answers(book, {question.key: reply})
    return read.shown.get(question.key) if not read.problems else None


def _is_place(part: str, names: list[str]) -> bool:
    return part.isascii() and part.isdigit() and 1 <= int(part) <= len(names)


def _facts(book: Rulebook, answers: Mapping[Any, Any]) -> dict[str, Any]:
    facts = dict(read_answers(book, answers).known)
    for term in book.terms.values():
        facts[term.name] = term.means.truth(facts)
    return facts
