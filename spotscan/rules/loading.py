"""The rules' YAML as tables, checked as it is read; a wrong rule is refused with its line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from spotscan.rules.tables import BRANCHES, URGENCIES, Fact, Question, Rule, Rulebook, Text, UrgencyText, witness
from spotscan.rules.yaml_lines import Lined, RulesError, load

_TABLES = ("sources", "thresholds", "findings", "questions", "terms", "texts", "explanations", *BRANCHES)
_NONE: frozenset[Any] = frozenset()
# What of each kind may only raise an urgency, and what only lower it.
_UPWARD: dict[str, tuple[frozenset[Any], frozenset[Any]]] = {
    "yes_no": (frozenset([True]), _NONE),
    "number": (frozenset(["from", "above"]), frozenset(["below"])),
    "regions": (frozenset(["any"]), frozenset(["only"])),
    "choice": (_NONE, _NONE),
}


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
        self.used_numbers: set[str] = set()
        self.used_guidelines: set[str] = set()
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
        explanations = tuple(
            self._text(entry, entry["when"], entry.get("not_above", URGENCIES[-1]))
            for entry in raw["explanations"]["explanations"]
        )
        self.file = "texts.yaml"
        also = tuple(self._also(entry) for entry in texts["also"])
        urgency_texts = tuple(self._urgency_text(texts["urgencies"][name]) for name in URGENCIES)
        self._all_used()
        return Rulebook(
            facts=self.facts,
            questions=questions,
            groups=raw["questions"]["groups"],
            terms=self.terms,
            rules=rules,
            explanations=explanations,
            also=also,
            photo_advice=tuple(self._text(entry) for entry in texts["photo_advice"]),
            red_flags=tuple(
                self._text(entry, not_above=entry.get("not_above", URGENCIES[-1])) for entry in texts["red_flags"]
            ),
            urgency_texts=urgency_texts,
            photo_notes=texts["photo_notes"],
            areas=tuple(frozenset(area) for area in raw["thresholds"]["areas"]),
            numbers=self.numbers,
            sources=raw["sources"],
            emergency_number=texts["default_emergency_number"],
            help_first=texts["help_first"],
            disclaimer=texts["disclaimer"].strip(),
            version=version,
        )

    def _all_used(self) -> None:
        """Refuse numbers, lists and guidelines that nothing uses: they would look as if they mattered."""
        direct = {name for name, entry in self.numbers.items() if entry.get("used_in") == "reading"}
        idle = (set(self.numbers) | set(self.regions)) - self.used_numbers - direct
        idle |= set(self.guidelines) - self.used_guidelines
        if idle:
            raise RulesError(f"nothing uses {', '.join(sorted(idle))}", "thresholds.yaml or sources.yaml")

    def _facts(self) -> Iterator[tuple[str, Fact]]:
        for key, body in self.raw["questions"]["questions"].items():
            where = f"questions.yaml, line {body.line}"
            _only(body, {"group", "kind", "raises", "lowers", "calm", "ask", "help", "choices", "ask_if", "else",
                         "limits", "never_in_rules", "quick"}, where)  # fmt: skip
            yield key, self._answer(key, body, where)
        raises, lowers = _UPWARD["number"]
        yield "areas", Fact("areas", "number", limits=(0, 99), raises=raises, lowers=lowers, shown_as="body_regions")
        for key, body in self.raw["findings"].items():
            _only(body, {"kind", "limits", "shown_as", "meaning"}, f"findings.yaml, line {body.line}")
            raises, lowers = _UPWARD[body["kind"]]
            yield (
                key,
                Fact(
                    name=key,
                    kind=body["kind"],
                    limits=tuple(body.get("limits", (0.0, 0.0))),
                    raises=raises,
                    lowers=lowers,
                    shown_as=body["shown_as"],
                    from_photo=True,
                ),
            )

    def _answer(self, key: str, body: Lined, where: str) -> Fact:
        kind, values = body["kind"], tuple(body.get("choices", ()))
        if kind not in _UPWARD:
            raise RulesError(f"'{kind}' is no kind of answer", where)
        if kind == "yes_no" and body.get("raises") is not True:
            raise RulesError(f"'{key}' does not say that a yes raises: every yes/no answer must", where)
        raises, lowers = _UPWARD[kind]
        if kind == "number":  # an age is neither good nor bad
            raises, lowers = _NONE, _NONE
        if kind == "choice":
            raises, lowers = (self._values_of(key, body, name, where) for name in ("raises", "lowers"))
        return Fact(
            name=key,
            kind=kind,
            values=values,
            limits=tuple(body.get("limits", (0.0, 0.0))),
            shown_as=key,
            in_rules=not body.get("never_in_rules", False),
            raises=raises,
            lowers=lowers,
        )

    @staticmethod
    def _values_of(key: str, body: Lined, name: str, where: str) -> frozenset[Any]:
        """The values of a choice that it says raise, or lower."""
        marked, values = body.get(name, []), list(body["choices"])
        if not isinstance(marked, list) or not set(marked) <= set(values):
            raise RulesError(f"'{name}' of '{key}' names what it cannot be", where, f"use {', '.join(values)}")
        return frozenset(marked)

    def _question(self, key: str, body: Lined) -> Question:
        if body["group"] not in self.raw["questions"]["groups"]:
            raise RulesError(f"the question '{key}' is in no group", f"questions.yaml, line {body.line}")
        return Question(
            key=key,
            group=body["group"],
            ask=body["ask"],
            help=self._with_numbers(body.get("help", "")),
            choices=body.get("choices", {}),
            calm=body.get("calm"),
            ask_if=self.condition(body["ask_if"], key) if "ask_if" in body else None,
            otherwise=body.get("else"),
            quick=bool(body.get("quick", False)),
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

    def _also(self, body: Lined) -> Text:
        _only(body, {"when", "advice", "not_above"}, f"texts.yaml, line {body.line}")
        return self._text(body["advice"], body["when"], body.get("not_above", URGENCIES[-1]))

    def _urgency_text(self, body: Lined) -> UrgencyText:
        _only(body, {"headline", "recheck", "advice"}, f"texts.yaml, line {body.line}")
        advice = tuple(self._text(entry) for entry in body["advice"])
        return UrgencyText(body["headline"], self._with_numbers(body["recheck"]), advice)

    def _text(self, body: Lined, when: Any = None, not_above: str = URGENCIES[-1]) -> Text:
        where = f"{self.file}, line {body.line}"
        _only(body, {"id", "when", "text", "sources", "not_above"}, where)
        condition = None if when is None else self.condition(when, where)
        if not_above not in URGENCIES:
            raise RulesError(f"'{not_above}' is no urgency", where, f"use one of {', '.join(URGENCIES)}")
        return Text(self._with_numbers(body["text"]), self._sources(body, where), condition, URGENCIES.index(not_above))

    def _with_numbers(self, text: str) -> str:
        """Put the thresholds into a text that names them in braces."""

        def value(found: re.Match[str]) -> str:
            self.used_numbers.add(found[1])
            return f"{self.numbers[found[1]]['value']:g}" if found[1] in self.numbers else found[0]

        return re.sub(r"{(\w+)}", value, text)

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
            self.used_guidelines.add(guideline)
        return sources

    def _only_upward(self, rule: Rule) -> None:
        """Refuse a rule in which something could lower an urgency that may only raise it, or the other way round.

        Kleene's connectives and `may` keep the order no < unknown < yes, so it is enough to look at every leaf, at
        the sign with which it enters, and at the ways in which not knowing could count for more than knowing.
        """
        entries = [(*entry, False) for entry in rule.when.leaves()]
        entries += [(*entry, True) for entry in rule.unless.leaves(positive=False)] if rule.unless else []
        for leaf, positive, maybe, excuses in entries:
            fact = self.facts[leaf.fact]
            if not fact.in_rules:
                raise RulesError(f"no rule may ask about '{leaf.fact}'", rule.line)
            if fact.from_photo and (maybe or excuses or not positive):
                what = f"a photo may only add: '{leaf.fact}' must stand in `when`, without `not` and `may`"
                raise RulesError(what, rule.line)
            direction = _direction(leaf, fact)
            if direction is None:
                what = f"in the rule '{rule.id}' the test of '{leaf.fact}' mixes what raises with what does not"
                raise RulesError(what, rule.line)
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
            if set(value) != {"n", "of"} or not 1 <= value["n"] <= len(value["of"]):
                raise RulesError("at_least needs n and of, and n of 1 to their number", f"{self.file}, {where}")
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
            self.used_numbers.add(name)
            return Compares(fact.name, how, float(self.numbers[name]["value"]), fact.limits)
        if fact.kind == "regions" and how in ("any", "only") and name in self.regions:
            self.used_numbers.add(name)
            members = frozenset(self.regions[name]["members"])
            if not members <= set(fact.values):
                raise RulesError(f"the list '{name}' names no regions of the contract", place)
            return Overlaps(fact.name, members, how == "only", fact.values)
        raise RulesError(f"'{fact.name}' cannot be tested by {how}: {name}", place)


def _direction(leaf: Leaf, fact: Fact) -> int | None:
    """+1 where the leaf being True may only raise, -1 where it may only lower, 0 for either; None where it mixes.

    A choice has values that raise, values that lower, and others in between, with the unknown. A test of it works
    upward only if no value that passes lies below one that does not.
    """
    if isinstance(leaf, Known):
        return None if fact.raises or fact.lowers else 0
    if isinstance(leaf, IsYes):
        return 1
    if isinstance(leaf, IsOneOf):
        return _direction_of_choice(leaf.values, fact)
    tested = leaf.how if isinstance(leaf, Compares) else "only" if isinstance(leaf, Overlaps) and leaf.only else "any"
    return (tested in fact.raises) - (tested in fact.lowers)


def _direction_of_choice(passing: frozenset[str], fact: Fact) -> int | None:
    if not fact.raises and not fact.lowers:
        return 0

    def upward(values: frozenset[str]) -> bool:
        between = frozenset(fact.values) - fact.raises - fact.lowers
        above_between = not values & between or fact.raises <= values
        above_lowers = not values & fact.lowers or between | fact.raises <= values
        return above_between and above_lowers

    if upward(passing):
        return 1
    return -1 if upward(frozenset(fact.values) - passing) else None


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
