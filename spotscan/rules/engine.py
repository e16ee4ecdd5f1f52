"""Rules over facts: which hold, how urgent that is, and which answers would change it. It knows no medicine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

from spotscan.rules.conditions import Compares, Condition
from spotscan.rules.loading import rulebook
from spotscan.rules.reading import derived
from spotscan.rules.tables import Question, Rule, Rulebook, fires, work_out


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

    def worked_out(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The facts, with the truth of every term."""
        return work_out(self._terms, derived(self.book, dict(known)))

    def firing(self, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[Rule]]:
        """The facts with their terms, and the rules that hold: most urgent first, else in the rulebook's order.

        A fallback is among them only where no other rule asks for as much, and rules that ask for nothing only where
        nothing is asked for.
        """
        facts = self.worked_out(known)
        found = sorted((rule for rule in self.book.rules if fires(rule, facts)), key=lambda rule: -rule.urgency)
        if not found:
            return facts, []
        top = found[0].urgency
        reasons = [rule for rule in found if not rule.fallback and (rule.urgency or not top)]
        enough = reasons and reasons[0].urgency == top
        return facts, reasons if enough else [found[0], *reasons]

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
        unanswered = [question for key, question in self.book.questions.items() if known.get(key) is None]
        best = self._trial({**known, **self._calmest(known, unanswered)})
        found = []
        for place, question in enumerate(unanswered):
            key = question.key
            reached = {self._urgency_with(here, key, value) for value in answers_of(self.book, key)}
            if best[2] < here[2] and self._urgency_with(best, key, None) > best[2]:
                reached.add(best[2])
            reached.discard(here[2])
            if reached:
                found.append((-max(reached), min(reached), place, key, sorted(reached)))
        return [(key, levels) for _, _, _, key, levels in sorted(found)]

    def _calmest(self, known: Mapping[str, Any], unanswered: Sequence[Question]) -> dict[str, Any]:
        """Answers that speak for waiting, to all unanswered questions; where others speak more for it, those."""
        calm = {question.key: _as_value(question.calm) for question in unanswered if question.calm is not None}
        trial = self._trial({**known, **calm})
        for key in [key for key in calm if self.book.facts[key].kind in ("choice", "regions")]:
            levels = [(self._urgency_with(trial, key, value), place, value)
                      for place, value in enumerate(answers_of(self.book, key))]  # fmt: skip
            level, _, value = min(levels, key=lambda entry: entry[:2])
            if level < trial[2]:
                calm[key] = value
                trial = self._trial({**known, **calm})
        return calm

    def applies(self, question: Question, facts: Mapping[str, Any]) -> bool:
        """Whether a question has to be asked, for facts that have their terms."""
        return question.ask_if is None or question.ask_if.truth(facts) is not False

    def _trial(self, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[bool], int]:
        """Facts with terms, which rules hold, and the urgency."""
        facts = self.worked_out(known)
        holds = [fires(rule, facts) for rule in self.book.rules]
        return facts, holds, self._highest(holds)

    def _highest(self, holds: Sequence[bool]) -> int:
        return max((rule.urgency for rule, is_so in zip(self.book.rules, holds, strict=True) if is_so), default=0)

    def _urgency_with(self, trial: tuple[dict[str, Any], list[bool], int], key: str, value: Any) -> int:
        """The urgency if this one fact were different; only what depends on it is worked out again."""
        before, holds = trial[0], list(trial[1])
        facts = derived(self.book, {**before, key: value, **_UNDERIVED.get(key, {})})
        changed = [name for name in self._reach if facts.get(name) != before.get(name)]
        for place in sorted({place for name in changed for place in self._reach[name][0]}):
            facts[self._terms[place].name] = self._terms[place].means.truth(facts)
        for place in {place for name in changed for place in self._reach[name][1]}:
            holds[place] = fires(self.book.rules[place], facts)
        return self._highest(holds)


# Facts that follow from an answer, to be worked out anew when it is tried.
_UNDERIVED: dict[str, dict[str, Any]] = {"age_years": {"infant_under_1": None}}


@cache
def standard_engine() -> Engine:
    """The engine of the rules that come with the package."""
    return Engine(rulebook())


def used(rule: Rule, facts: Mapping[str, Any]) -> list[str]:
    """The known facts that make a rule hold, each once, in the order in which the rule asks."""
    return list(dict.fromkeys(rule.when.used(facts)))


def answers_of(book: Rulebook, key: str) -> list[Any]:
    """Answers worth trying: every value; of a number one on each side of all that it is compared with."""
    fact = book.facts[key]
    if fact.kind == "yes_no":
        return [True, False]
    if fact.kind == "choice":
        return list(fact.values)
    if fact.kind == "regions":
        return [*(frozenset([value]) for value in fact.values), frozenset(fact.values)]
    return _numbers_of(book, key)


@cache
def _compared_with(book: Rulebook) -> Mapping[str, tuple[float, ...]]:
    """Number -> the thresholds that conditions compare it with."""
    conditions = [part for rule in book.rules for part in (rule.when, rule.unless) if part]
    found: dict[str, set[float]] = {}
    for condition in conditions:
        for leaf, _, _ in condition.leaves():
            if isinstance(leaf, Compares):
                found.setdefault(leaf.fact, set()).add(leaf.threshold)
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _numbers_of(book: Rulebook, key: str) -> list[float]:
    low, high = book.facts[key].limits
    edges = [low, *_compared_with(book).get(key, ()), high]
    return [(a + b) / 2 for a, b in pairwise(edges)]


def _as_value(answer: Any) -> Any:
    return frozenset(answer) if isinstance(answer, list) else answer


def _facts_of(parts: Sequence[Condition]) -> set[str]:
    return {leaf.fact for part in parts for leaf, _, _ in part.leaves()}
