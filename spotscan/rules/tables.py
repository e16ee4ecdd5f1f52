"""The tables of the triage: facts, questions, rules, texts; plain frozen data and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from spotscan.rules.conditions import Condition, Term

URGENCIES = ("self_watch", "routine_check", "see_doctor_soon", "same_day", "emergency_now")
"""From least to most urgent."""
BRANCHES = ("illness", "rash", "lesion")
_WITNESSES = 2000  # assignments tried before a rule is said never to hold


@dataclass(frozen=True)
class Fact:
    """What a condition may ask about: an answer, a finding, or a number made of answers.

    Attributes
    ----------
    name : str
        As conditions write it.
    kind : {"yes_no", "choice", "number", "regions"}
        What its value is: bool, str, float, frozenset of str.
    values : tuple of str
        Of a choice or of regions.
    limits : (low, high)
        Of a number.
    raises, lowers : frozenset
        What may only raise, or only lower, an urgency: values of a choice, comparisons of a number, ``any`` and
        ``only`` of regions, True of a yes/no fact.
    shown_as : str
        The answer or finding that a reason names.
    in_rules : bool
        False: no rule may ask about it.
    from_photo : bool
        True for findings.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()
    limits: tuple[float, float] = (0.0, 0.0)
    raises: frozenset[Any] = frozenset()
    lowers: frozenset[Any] = frozenset()
    shown_as: str = ""
    in_rules: bool = True
    from_photo: bool = False


@dataclass(frozen=True)
class Question:
    """One question of the questionnaire.

    Attributes
    ----------
    key : str
        The answer's key in the contract.
    group, ask, help : str
        Heading, plain wording, how to find out.
    choices : mapping of value to wording
        Empty for yes/no and numbers.
    calm : Any
        The answer that speaks for waiting; None where there is none.
    ask_if : Condition or None
        Need not be asked once this is known to be false.
    otherwise : Any
        The answer that then stands.
    quick : bool
        Found out in a minute: asked even where the result is an emergency, if it could settle it.
    """

    key: str
    group: str
    ask: str
    help: str
    choices: Mapping[str, str]
    calm: Any
    ask_if: Condition | None
    otherwise: Any
    quick: bool


@dataclass(frozen=True)
class Rule:
    """One text rule: the urgency holds where `when` is True, unless `unless` is True.

    A `fallback` is no reason of its own: it is named only where no other rule asks for as much.
    """

    id: str
    urgency: int
    when: Condition
    unless: Condition | None
    because: str
    sources: tuple[str, ...]
    guidelines: tuple[str, ...]
    since: date
    fallback: bool
    line: str


@dataclass(frozen=True)
class Text:
    """Something that is said where a condition holds, up to an urgency."""

    text: str
    sources: tuple[str, ...]
    when: Condition | None = None
    not_above: int = len(URGENCIES) - 1


@dataclass(frozen=True)
class UrgencyText:
    """What is said at an urgency, whatever the reasons."""

    headline: str
    recheck: str
    advice: tuple[Text, ...]


@dataclass(frozen=True, eq=False)
class Rulebook:
    """Everything that the triage knows, as data."""

    facts: Mapping[str, Fact]
    questions: Mapping[str, Question]
    groups: Mapping[str, str]
    terms: Mapping[str, Term]
    rules: tuple[Rule, ...]
    explanations: tuple[Text, ...]
    also: tuple[Text, ...]
    photo_advice: tuple[Text, ...]
    red_flags: tuple[Text, ...]
    urgency_texts: tuple[UrgencyText, ...]
    photo_notes: Mapping[str, Mapping[str, str]]
    areas: tuple[frozenset[str], ...]
    numbers: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, Mapping[str, Any]]
    emergency_number: str
    help_first: str
    disclaimer: str
    version: str


def fires(rule: Rule, facts: Mapping[str, Any]) -> bool:
    """Whether a rule holds for facts that have their terms worked out."""
    return bool(rule.when.truth(facts)) and not (rule.unless is not None and rule.unless.truth(facts))


def work_out(terms: Iterable[Term], facts: dict[str, Any]) -> dict[str, Any]:
    """Add the truth of every term, in the order in which they are defined."""
    for term in terms:
        facts[term.name] = term.means.truth(facts)
    return facts


def witness(rule: Rule, terms: Mapping[str, Term]) -> dict[str, Any] | None:
    """Facts under which the rule fires, as few as the search finds; None where it finds none."""
    for tried, way in enumerate(rule.when.ways(wanted=True)):
        if fires(rule, work_out(terms.values(), dict(way))):
            return way
        if tried > _WITNESSES:
            break
    return None
