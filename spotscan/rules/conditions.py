"""Three-valued conditions over named facts: True, False, or None where unknown (Kleene 1952).

A condition in the rules' YAML is one of::

    fever                                   a yes/no answer, or a term defined in terms.yaml
    {onset: overnight}                      a choice; a list of choices means any of them
    {age_years: {below: child_age}}         a number: below, from (>=) or above a threshold
    {body_regions: {any: some_list}}        a set: any of a list, or only of a list
    {not: C}  {all: [C, ...]}  {any: [C, ...]}  {none: [C, ...]}
    {at_least: {n: 2, of: [C, ...]}}
    {may: C}                                True unless C is known to be False
    {known: fact}                           True where the fact is known

Nothing here knows what a fact means.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Truth = bool | None
Facts = Mapping[str, Any]  # fact -> value; None or absent is unknown
Assignment = dict[str, Any]

UNCLEAR = "?"  # a member of a set that was named but not understood: it could be any

_WAYS = 64  # assignments tried per condition when one that makes it hold is looked for


class Condition:
    """A node of a condition; every node is immutable and pure."""

    def truth(self, facts: Facts) -> Truth:
        """Whether it holds for these facts."""
        raise NotImplementedError

    def used(self, facts: Facts) -> Iterator[str]:
        """The known facts that make it hold, or fail, as it does."""
        raise NotImplementedError

    def leaves(self, positive: bool = True, maybe: bool = False) -> Iterator[tuple[Leaf, bool, bool]]:
        """Every test of a fact in it, whether it enters positively, and whether below a `may`."""
        raise NotImplementedError

    def ways(self, wanted: bool) -> Iterator[Assignment]:
        """Assignments of facts that make it True, or False; not all of them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Leaf(Condition):
    """A test of one fact."""

    fact: str

    def test(self, value: Any) -> bool:
        """Whether a known value passes."""
        raise NotImplementedError

    def examples(self, wanted: bool) -> Iterator[Any]:
        """Values that pass, or do not."""
        raise NotImplementedError

    def truth(self, facts: Facts) -> Truth:
        value = facts.get(self.fact)
        return None if value is None else self.test(value)

    def used(self, facts: Facts) -> Iterator[str]:
        if facts.get(self.fact) is not None:
            yield self.fact

    def leaves(self, positive: bool = True, maybe: bool = False) -> Iterator[tuple[Leaf, bool, bool]]:
        yield self, positive, maybe

    def ways(self, wanted: bool) -> Iterator[Assignment]:
        for value in self.examples(wanted):
            yield {self.fact: value}


@dataclass(frozen=True)
class IsYes(Leaf):
    """A yes/no fact is yes."""

    def truth(self, facts: Facts) -> Truth:
        value: Truth = facts.get(self.fact)
        return value

    def examples(self, wanted: bool) -> Iterator[bool]:
        yield wanted


@dataclass(frozen=True)
class IsOneOf(Leaf):
    """A choice is one of some values, of all that it can be."""

    values: frozenset[str]
    all_values: tuple[str, ...]

    def test(self, value: Any) -> bool:
        return value in self.values

    def examples(self, wanted: bool) -> Iterator[str]:
        for value in self.all_values:
            if (value in self.values) is wanted:
                yield value


@dataclass(frozen=True)
class Compares(Leaf):
    """A number lies below, from (at or above) or above a threshold."""

    how: str
    threshold: float
    limits: tuple[float, float]

    def test(self, value: Any) -> bool:
        if self.how == "below":
            return bool(value < self.threshold)
        return bool(value >= self.threshold if self.how == "from" else value > self.threshold)

    def examples(self, wanted: bool) -> Iterator[float]:
        low, high = self.limits
        near = (self.threshold * 0.999, self.threshold, self.threshold * 1.001, low, high)
        for value in near:
            if low <= value <= high and self.test(value) is wanted:
                yield value


@dataclass(frozen=True)
class Overlaps(Leaf):
    """A set has any of some members, or only such."""

    members: frozenset[str]
    only: bool
    all_members: tuple[str, ...]

    def truth(self, facts: Facts) -> Truth:
        value = facts.get(self.fact)
        if value is None:
            return None
        understood = value - {UNCLEAR}
        decided = not understood <= self.members if self.only else bool(understood & self.members)
        if not decided and UNCLEAR in value:
            return None
        return decided is not self.only

    def examples(self, wanted: bool) -> Iterator[frozenset[str]]:
        for member in self.all_members:
            if (member in self.members) is wanted:
                yield frozenset([member])


@dataclass(frozen=True)
class Known(Leaf):
    """A fact is known; never unknown itself."""

    example: Any

    def truth(self, facts: Facts) -> Truth:
        return facts.get(self.fact) is not None

    def examples(self, wanted: bool) -> Iterator[Any]:
        yield self.example if wanted else None


@dataclass(frozen=True)
class Term(Condition):
    """A condition with a name; its truth is worked out once and looked up after."""

    name: str
    means: Condition

    def truth(self, facts: Facts) -> Truth:
        value: Truth = facts[self.name]
        return value

    def used(self, facts: Facts) -> Iterator[str]:
        return self.means.used(facts)

    def leaves(self, positive: bool = True, maybe: bool = False) -> Iterator[tuple[Leaf, bool, bool]]:
        return self.means.leaves(positive, maybe)

    def ways(self, wanted: bool) -> Iterator[Assignment]:
        return self.means.ways(wanted)


@dataclass(frozen=True)
class Not(Condition):
    """The opposite; unknown stays unknown."""

    part: Condition

    def truth(self, facts: Facts) -> Truth:
        value = self.part.truth(facts)
        return None if value is None else not value

    def used(self, facts: Facts) -> Iterator[str]:
        return self.part.used(facts)

    def leaves(self, positive: bool = True, maybe: bool = False) -> Iterator[tuple[Leaf, bool, bool]]:
        return self.part.leaves(not positive, maybe)

    def ways(self, wanted: bool) -> Iterator[Assignment]:
        return self.part.ways(not wanted)


@dataclass(frozen=True)
class May(Condition):
    """Unknown counts as True: it may be so."""

    part: Condition

    def truth(self, facts: Facts) -> Truth:
        return self.part.truth(facts) is not False

    def used(self, facts: Facts) -> Iterator[str]:
        if self.part.truth(facts) is not None:
            yield from self.part.used(facts)

    def leaves(self, positive: bool = True, maybe: bool = False) -> Iterator[tuple[Leaf, bool, bool]]:
        return self.part.leaves(positive, maybe=True)

    def ways(self, wanted: bool) -> Iterator[Assignment]:
        if wanted:
            yield {}
        yield from self.part.ways(wanted)


@dataclass(frozen=True)
class AtLeast(Condition):
    """At least n of the parts hold: `any` is n = 1, `all` is n = all of them."""

    n: int
    parts: tuple[Condition, ...]

    def truth(self, facts: Facts) -> Truth:
        needed, spare = self.n, len(self.parts) - self.n
        if not needed:
            return True
        for part in self.parts:
            value = part.truth(facts)
            if value:
                needed -= 1
                if not needed:
                    return True
            elif value is False:
                spare -= 1
                if spare < 0:
                    return False
        return None

    def used(self, facts: Facts) -> Iterator[str]:
        value = self.truth(facts)
        for part in self.parts:
            if value is not None and part.truth(facts) is value:
                yield from part.used(facts)

    def leaves(self, positive: bool = True, maybe: bool = False) -> Iterator[tuple[Leaf, bool, bool]]:
        for part in self.parts:
            yield from part.leaves(positive, maybe)

    def ways(self, wanted: bool) -> Iterator[Assignment]:
        n = self.n if wanted else len(self.parts) - self.n + 1
        found = (
            way
            for chosen in itertools.combinations(self.parts, n)
            for way in _together([list(itertools.islice(part.ways(wanted), _WAYS)) for part in chosen])
        )
        return itertools.islice(found, _WAYS)


def _together(choices: Sequence[Sequence[Assignment]]) -> Iterator[Assignment]:
    """One assignment of each, merged, wherever they do not contradict one another."""
    if not choices:
        yield {}
        return
    for rest in _together(choices[1:]):
        for first in choices[0]:
            merged = _merged(first, rest)
            if merged is not None:
                yield merged


def _merged(one: Assignment, other: Assignment) -> Assignment | None:
    merged = dict(other)
    for fact, value in one.items():
        if fact in merged and merged[fact] != value:
            if not (isinstance(value, frozenset) and isinstance(merged[fact], frozenset)):
                return None
            value = value | merged[fact]
        merged[fact] = value
    return merged


def everyone(parts: Sequence[Condition]) -> Condition:
    """All of the parts hold."""
    return AtLeast(len(parts), tuple(parts))


def anyone(parts: Sequence[Condition]) -> Condition:
    """Any of the parts holds."""
    return AtLeast(1, tuple(parts))
