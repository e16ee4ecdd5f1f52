"""The rules' YAML as frozen tables, checked as they are read; a wrong rule is refused with its line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from spotscan.rules.conditions import (
    AtLeast,
    Compares,
    Condition,
    IsOneOf,
    IsYes,
    Known,
    Leaf,
    May,
    Not,
    Overlaps,
    Term,
    anyone,
    everyone,
)
from spotscan.rules.yaml_lines import Lined, RulesError, load

URGENCIES = ("self_watch", "routine_check", "see_doctor_soon", "same_day", "emergency_now")
"""From least to most urgent."""
BRANCHES = ("illness", "rash", "lesion")
_TABLES = ("sources", "thresholds", "findings", "questions", "terms", "texts", "explanations", *BRANCHES)
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
        Values that may only raise, or only lower, an urgency.
    shown_as : str
        The answer or finding that a reason names.
    in_rules : bool
        False: no rule may ask about it.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()
    limits: tuple[float, float] = (0.0, 0.0)
    raises: frozenset[Any] = frozenset()
    lowers: frozenset[Any] = frozenset()
    shown_as: str = ""
    in_rules: bool = True


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
    """

    key: str
    group: str
    ask: str
    help: str
    choices: Mapping[str, str]
    calm: Any
    ask_if: Condition | None
    otherwise: Any


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
    urgency_texts: tuple[Mapping[str, Any], ...]
    photo_notes: Mapping[str, Mapping[str, str]]
    areas: tuple[frozenset[str], ...]
    numbers: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, Mapping[str, Any]]
    emergency_number: str
    disclaimer: str
    version: str


@cache
def rulebook() -> Rulebook:
    """The rules that come with the package.

    Raises
    ------
    RulesError
        Something in them is wrong.
    """
    folder = files("spotscan.rules") / "data"
    return read_rulebook({name: (folder / f"{name}.yaml").read_text(encoding="utf-8") for name in _TABLES})


def read_rulebook(texts: Mapping[str, str]) -> Rulebook:
    """Read and check the tables, given as YAML texts by name.

    Raises
    ------
    RulesError
        Duplicate or unknown keys, unknown facts, terms, lists, sources; a rule without source; one that can
        never hold; one in which a fact that may only raise could lower. With file and line.
    """
    raw = {name: load(text, f"{name}.yaml") for name, text in texts.items()}
    reader = _Reader(raw)
    digest = hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()
    return reader.book(f"{raw['texts']['version']}+{digest[:8]}")


class _Reader:
    """Reads one set of tables; what is read first is known to what is read later."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        sources = raw["sources"]
        self.known_sources = {**sources["facts"], **sources["disagreements"]}
        self.guidelines: Lined = sources["guidelines"]
        self.numbers: Lined = raw["thresholds"]["numbers"]
        self.regions: Lined = raw["thresholds"]["regions"]
        for table in (self.numbers, self.regions):
            for name, entry in table.items():
                self._sources(entry, f"thresholds.yaml, {name}")
        self.facts = dict(self._facts())
        self.terms: dict[str, Term] = {}
        self.file = "terms.yaml"
        for name, body in raw["terms"]["terms"].items():
            if name in self.facts:
                raise RulesError(f"'{name}' is a fact already", self.file)
            self.terms[name] = Term(name, self.condition(body, name))

    def book(self, version: str) -> Rulebook:
        raw, texts = self.raw, self.raw["texts"]
        self.file = "questions.yaml"
        questions = {key: self._question(key, body) for key, body in raw["questions"]["questions"].items()}
        rules = tuple(rule for branch in BRANCHES for rule in self._rules(branch))
        twice = {rule.id for rule in rules if sum(other.id == rule.id for other in rules) > 1}
        if twice:
            raise RulesError(f"two rules are called {', '.join(sorted(twice))}", "rules")
        self.file = "explanations.yaml"
        explanations = tuple(self._text(entry, entry["when"]) for entry in raw["explanations"]["explanations"])
        self.file = "texts.yaml"
        also = tuple(
            self._text(entry["advice"], entry["when"], entry.get("not_above", URGENCIES[-1])) for entry in texts["also"]
        )
        urgency_texts = tuple(texts["urgencies"][name] for name in URGENCIES)
        for entry in urgency_texts:
            for advice in entry["advice"]:
                self._text(advice)
        return Rulebook(
            facts=self.facts,
            questions=questions,
            groups=raw["questions"]["groups"],
            terms=self.terms,
            rules=rules,
            explanations=explanations,
            also=also,
            photo_advice=tuple(self._text(entry) for entry in texts["photo_advice"]),
            red_flags=tuple(self._text(entry) for entry in texts["red_flags"]),
            urgency_texts=urgency_texts,
            photo_notes=texts["photo_notes"],
            areas=tuple(frozenset(area) for area in raw["thresholds"]["areas"]),
            numbers=self.numbers,
            sources=raw["sources"],
            emergency_number=texts["default_emergency_number"],
            disclaimer=texts["disclaimer"].strip(),
            version=version,
        )

    def _facts(self) -> Iterator[tuple[str, Fact]]:
        for key, body in self.raw["questions"]["questions"].items():
            _only(body, {"group", "kind", "raises", "lowers", "calm", "ask", "help", "choices", "ask_if", "else",
                         "limits", "never_in_rules"}, f"questions.yaml, {key}")  # fmt: skip
            raises = body.get("raises", ())
            yield (
                key,
                Fact(
                    name=key,
                    kind=body["kind"],
                    values=tuple(body.get("choices", ())),
                    limits=tuple(body.get("limits", (0.0, 0.0))),
                    raises=frozenset([True] if raises is True else raises),
                    lowers=frozenset(body.get("lowers", ())),
                    shown_as=key,
                    in_rules=not body.get("never_in_rules", False),
                ),
            )
        yield "areas", Fact("areas", "number", limits=(0, 99), shown_as="body_regions")
        for key, body in self.raw["findings"].items():
            limits = tuple(body.get("limits", (0.0, 0.0)))
            only_up = frozenset([True]) if body["kind"] == "yes_no" else frozenset(["from", "above"])
            yield key, Fact(key, body["kind"], limits=limits, raises=only_up, shown_as=body["shown_as"])

    def _question(self, key: str, body: Lined) -> Question:
        if body["group"] not in self.raw["questions"]["groups"]:
            raise RulesError(f"the question '{key}' is in no group", f"questions.yaml, line {body.line}")
        return Question(
            key=key,
            group=body["group"],
            ask=body["ask"],
            help=body.get("help", ""),
            choices=body.get("choices", {}),
            calm=body.get("calm"),
            ask_if=self.condition(body["ask_if"], key) if "ask_if" in body else None,
            otherwise=body.get("else"),
        )

    def _rules(self, branch: str) -> Iterator[Rule]:
        self.file = f"{branch}.yaml"
        for body in self.raw[branch]["rules"]:
            where = f"{self.file}, line {body.line}"
            _only(body, {"id", "urgency", "when", "unless", "because", "sources", "guidelines", "since",
                         "fallback"}, where)  # fmt: skip
            missing = {"id", "urgency", "when", "because", "sources", "since"} - set(body)
            if missing:
                raise RulesError(f"the rule has no {', '.join(sorted(missing))}", where)
            if body["urgency"] not in URGENCIES:
                raise RulesError(f"'{body['urgency']}' is no urgency", where, f"use one of {', '.join(URGENCIES)}")
            if not re.fullmatch(rf"{branch}\.[a-z0-9-]+", body["id"]):
                raise RulesError(f"the id '{body['id']}' is not {branch}.some-words", where)
            if not isinstance(body["since"], date):
                raise RulesError(f"the rule '{body['id']}' has no date in 'since'", where)
            rule = Rule(
                id=body["id"],
                urgency=URGENCIES.index(body["urgency"]),
                when=self.condition(body["when"], where),
                unless=self.condition(body["unless"], where) if "unless" in body else None,
                because=body["because"],
                sources=self._sources(body, where),
                guidelines=tuple(body.get("guidelines", ())),
                since=body["since"],
                fallback=bool(body.get("fallback", False)),
                line=where,
            )
            if rule.urgency:  # what asks for nothing can lower nothing
                self._only_upward(rule)
            if witness(rule, self.terms) is None:
                raise RulesError(f"the rule '{rule.id}' can never hold", where)
            yield rule

    def _text(self, body: Lined, when: Any = None, not_above: str = URGENCIES[-1]) -> Text:
        where = f"{self.file}, line {body.line}"
        condition = None if when is None else self.condition(when, where)
        return Text(body["text"], self._sources(body, where), condition, URGENCIES.index(not_above))

    def _sources(self, body: Mapping[str, Any], where: str) -> tuple[str, ...]:
        sources = tuple(body.get("sources", ()))
        if not sources:
            raise RulesError("no source is given", where)
        for source in sources:
            if source not in self.known_sources:
                raise RulesError(f"'{source}' is no fact of sources.yaml", where)
        for guideline in body.get("guidelines", ()):
            if guideline not in self.guidelines:
                raise RulesError(f"'{guideline}' is no guideline of sources.yaml", where)
        return sources

    def _only_upward(self, rule: Rule) -> None:
        """Refuse a rule in which a fact that may only raise could lower an urgency, or the other way round."""
        entries = list(rule.when.leaves())
        entries += rule.unless.leaves(positive=False) if rule.unless else []
        for leaf, positive in entries:
            fact = self.facts[leaf.fact]
            if not fact.in_rules:
                raise RulesError(f"no rule may ask about '{leaf.fact}'", rule.line)
            direction = _direction(leaf, fact)
            if direction and (direction > 0) is not positive:
                raise RulesError(f"in the rule '{rule.id}' the fact '{leaf.fact}' works the wrong way", rule.line)

    def condition(self, body: Any, where: str) -> Condition:
        """Read a condition of the language in `spotscan.rules.conditions`."""
        if isinstance(body, str):
            return self._name(body, where)
        if not isinstance(body, Mapping) or len(body) != 1:
            raise RulesError(f"a condition is a name or one key, not {body!r}", f"{self.file}, {where}")
        ((key, value),) = body.items()
        combine: dict[str, Callable[[Sequence[Condition]], Condition]] = {
            "all": everyone,
            "any": anyone,
            "none": lambda parts: everyone([Not(part) for part in parts]),
        }
        if key in combine:
            return combine[key]([self.condition(part, where) for part in value])
        if key == "not":
            return Not(self.condition(value, where))
        if key == "may":
            return May(self.condition(value, where))
        if key == "at_least":
            return AtLeast(value["n"], tuple(self.condition(part, where) for part in value["of"]))
        if key == "known":
            return Known(value, _example(self._fact(value, where)))
        return self._leaf(self._fact(key, where), value, where)

    def _fact(self, name: str, where: str) -> Fact:
        if name not in self.facts:
            raise RulesError(f"nobody defines the fact '{name}'", f"{self.file}, {where}")
        return self.facts[name]

    def _name(self, name: str, where: str) -> Condition:
        if name == "always":
            return everyone([])
        if name in self.terms:
            return self.terms[name]
        fact = self._fact(name, where)
        if fact.kind != "yes_no":
            raise RulesError(f"'{name}' is not a yes/no fact: say which value", f"{self.file}, {where}")
        return IsYes(name)

    def _leaf(self, fact: Fact, value: Any, where: str) -> Leaf:
        place = f"{self.file}, {where}"
        if fact.kind == "choice":
            values = frozenset([value] if isinstance(value, str) else value)
            if not values or not values <= set(fact.values):
                raise RulesError(f"'{fact.name}' cannot be {value}", place, f"use {', '.join(fact.values)}")
            return IsOneOf(fact.name, values, fact.values)
        if not isinstance(value, Mapping) or len(value) != 1:
            raise RulesError(f"'{fact.name}' needs a test", place)
        ((how, name),) = value.items()
        if fact.kind == "number" and how in ("below", "from", "above") and name in self.numbers:
            return Compares(fact.name, how, float(self.numbers[name]["value"]), fact.limits)
        if fact.kind == "regions" and how in ("any", "only") and name in self.regions:
            members = frozenset(self.regions[name]["members"])
            if not members <= set(fact.values):
                raise RulesError(f"the list '{name}' names no regions of the contract", place)
            return Overlaps(fact.name, members, how == "only", fact.values)
        raise RulesError(f"'{fact.name}' cannot be tested by {how}: {name}", place)


def _direction(leaf: Leaf, fact: Fact) -> int:
    """+1 where the leaf being True may only raise an urgency, -1 where it may only lower one, 0 for either."""
    if isinstance(leaf, IsYes):
        tested: frozenset[Any] = frozenset([True])
    elif isinstance(leaf, IsOneOf):
        tested = leaf.values
    elif isinstance(leaf, Compares):
        if not fact.raises:
            return 0
        return 1 if leaf.how in fact.raises else -1
    else:
        return 0
    if tested <= fact.raises:
        return 1
    return -1 if tested <= fact.lowers else 0


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


def _example(fact: Fact) -> Any:
    if fact.kind == "yes_no":
        return True
    if fact.kind == "number":
        return fact.limits[1]
    return fact.values[0] if fact.kind == "choice" else frozenset(fact.values[:1])


def _only(body: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = set(body) - allowed
    if unknown:
        raise RulesError(f"unknown key {', '.join(sorted(unknown))}", where)
