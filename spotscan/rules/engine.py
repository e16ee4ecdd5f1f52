"""Rules over facts: which hold, how urgent that is, and which answers would change it. It knows no medicine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from spotscan.rules.conditions import Condition
from spotscan.rules.tables import URGENCIES, Fact, Question, Rule, Rulebook, fires, work_out


class Engine:
    """A rulebook ready to be asked; it keeps nothing of what it was asked.

    Parameters
    ----------
    book : Rulebook
        The rules.
    """

    def __init__(self, book: Rulebook) -> None:
        self.book = book
        self._terms = tuple(book.terms.values())

    @cached_property
    def _reach(self) -> Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Fact -> places of the terms and of the rules that depend on it."""
        of_terms = [_facts_of([term.means]) for term in self._terms]
        of_rules = [_facts_of([part for part in (rule.when, rule.unless) if part]) for rule in self.book.rules]
        return {
            name: (
                tuple(place for place, facts in enumerate(of_terms) if name in facts),
                tuple(place for place, facts in enumerate(of_rules) if name in facts),
            )
            for name in self.book.facts
        }

    def firing(self, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[Rule]]:
        """The facts with their terms, and the rules that hold: most urgent first, else in the rulebook's order.

        Fallback rules are among them only above all others.
        """
        facts = work_out(self._terms, dict(known))
        found = sorted((rule for rule in self.book.rules if fires(rule, facts)), key=lambda rule: -rule.urgency)
        highest = max((rule.urgency for rule in found if not rule.fallback), default=-1)
        return facts, [rule for rule in found if not rule.fallback or rule.urgency > highest]

    def would_change(self, known: Mapping[str, Any]) -> list[tuple[str, list[int]]]:
        """The unanswered questions whose answer could change the urgency.

        Found by trying: every answer to every unanswered question as things stand; and, since waiting takes
        many answers together, whether a question left open would matter if all others were answered calmly.

        Parameters
        ----------
        known : Mapping
            Facts, without terms.

        Returns
        -------
        list of (key, urgencies)
            Those that could result, ascending. Most important first: the highest urgency that an answer could
            lead to, then the lowest, then the questionnaire's order.
        """
        here = self._trial(known)
        asked = [question for question in self.book.questions.values() if self.is_open(question, here[0])]
        calm = {question.key: self.calm_answer(question) for question in asked}
        best = self._trial({**known, **self._with_areas({k: v for k, v in calm.items() if v is not None})})
        found = []
        for place, question in enumerate(asked):
            key = question.key
            reached = {self._urgency_with(here, key, value) for value in answers_of(self.book.facts[key])}
            if calm[key] is not None and best[2] < here[2] and self._urgency_with(best, key, None) > best[2]:
                reached.add(best[2])
            reached.discard(here[2])
            if reached:
                found.append((-max(reached), min(reached), place, key, sorted(reached)))
        return [(key, levels) for _, _, _, key, levels in sorted(found)]

    def is_open(self, question: Question, facts: Mapping[str, Any]) -> bool:
        """Whether a question is unanswered and has to be asked."""
        if facts.get(question.key) is not None:
            return False
        return question.ask_if is None or question.ask_if.truth(facts) is not False

    def calm_answer(self, question: Question) -> Any:
        """The answer that speaks for waiting; None where there is none."""
        if question.calm is None:
            return None
        return frozenset(question.calm) if isinstance(question.calm, list) else question.calm

    def _with_areas(self, known: dict[str, Any]) -> dict[str, Any]:
        regions = known.get("body_regions")
        if regions is not None:
            known["areas"] = float(sum(bool(area & regions) for area in self.book.areas))
        return known

    def _trial(self, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[bool], int]:
        """Facts with terms, which rules hold, and the urgency."""
        facts = work_out(self._terms, dict(known))
        holds = [fires(rule, facts) for rule in self.book.rules]
        return facts, holds, self._highest(holds)

    def _highest(self, holds: Sequence[bool]) -> int:
        return max((rule.urgency for rule, is_so in zip(self.book.rules, holds, strict=True) if is_so), default=0)

    def _urgency_with(self, trial: tuple[dict[str, Any], list[bool], int], key: str, value: Any) -> int:
        """The urgency if this one fact were different; only what depends on it is worked out again."""
        facts, holds = dict(trial[0]), list(trial[1])
        changed = {key: value}
        if key == "body_regions":
            changed = {**self._with_areas({key: value})} if value else {key: None, "areas": None}
        facts.update(changed)
        for place in sorted({place for name in changed for place in self._reach[name][0]}):
            facts[self._terms[place].name] = self._terms[place].means.truth(facts)
        for place in {place for name in changed for place in self._reach[name][1]}:
            holds[place] = fires(self.book.rules[place], facts)
        return self._highest(holds)


def used(rule: Rule, facts: Mapping[str, Any]) -> list[str]:
    """The known facts that make a rule hold, each once, in the order in which the rule asks."""
    return list(dict.fromkeys(rule.when.used(facts)))


def answers_of(fact: Fact) -> Iterator[Any]:
    """Answers worth trying: every value; of numbers one to each side of wherever it could matter."""
    if fact.kind == "yes_no":
        yield from (True, False)
    elif fact.kind == "choice":
        yield from fact.values
    elif fact.kind == "regions":
        yield from (frozenset([value]) for value in fact.values)
    else:
        low, high = fact.limits
        yield from (value for value in (0.1, 0.5, 5.0, 34.0, 70.0) if low <= value <= high)


def _facts_of(parts: Sequence[Condition]) -> set[str]:
    return {leaf.fact for part in parts for leaf, _ in part.leaves()}


def urgency_name(level: int) -> str:
    """The contract's name of a level."""
    return URGENCIES[level]
