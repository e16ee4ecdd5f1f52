"""The rules as a page, for a clinician to read: `spotscan rules list` and docs/rules.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spotscan.rules.conditions import AtLeast, Compares, Condition, IsOneOf, IsYes, Known, May, Not, Overlaps, Term
from spotscan.rules.tables import BRANCHES, URGENCIES, Rule, Rulebook

_TITLES = {"illness": "General illness", "rash": "The rash", "lesion": "The single spot"}


def rules_markdown(book: Rulebook) -> str:
    """Every rule, word, number, question and source, as Markdown."""
    return "\n".join([*_head(book), *_rules(book), *_terms(book), *_numbers(book), *_questions(book), *_sources(book)])


def _head(book: Rulebook) -> Iterator[str]:
    yield f"""# The rules of the triage

Version {book.version}. Written from the rules themselves by `spotscan rules list`; a test checks that
docs/rules.md is current. **No clinician has reviewed them.**

The urgency is that of the most urgent rule that holds: {" > ".join(reversed(URGENCIES))}. "May be" holds unless it
is known not to be so; every other condition has to be known. An answer that is missing is not a no.
"""


def _rules(book: Rulebook) -> Iterator[str]:
    for branch in BRANCHES:
        yield f"## {_TITLES[branch]}\n"
        yield "| rule | urgency | holds when | because | sources | since |\n|---|---|---|---|---|---|"
        rules = [rule for rule in book.rules if rule.id.startswith(f"{branch}.")]
        for rule in sorted(rules, key=lambda rule: -rule.urgency):
            yield _row(rule)
        yield ""


def _row(rule: Rule) -> str:
    when = in_words(rule.when)
    if rule.unless is not None:
        when += f", unless {in_words(rule.unless)}"
    sources = ", ".join((*rule.sources, *rule.guidelines))
    return f"| `{rule.id}` | {URGENCIES[rule.urgency]} | {when} | {rule.because} | {sources} | {rule.since} |"


def _terms(book: Rulebook) -> Iterator[str]:
    yield "## Words that the rules share\n\n| word | means |\n|---|---|"
    for term in book.terms.values():
        yield f"| {_plain(term.name)} | {in_words(term.means)} |"
    yield ""


def _numbers(book: Rulebook) -> Iterator[str]:
    yield "## Numbers\n\n| number | value | why | sources |\n|---|---|---|---|"
    for name, number in book.numbers.items():
        sources = ", ".join((*number["sources"], *number.get("guidelines", ())))
        yield f"| {_plain(name)} | {number['value']:g} {number['unit']} | {number['why']} | {sources} |"
    yield ""


def _questions(book: Rulebook) -> Iterator[str]:
    yield "## Questions, in order\n\n| answer | question | not asked unless it may be that |\n|---|---|---|"
    for question in book.questions.values():
        condition = in_words(question.ask_if) if question.ask_if else ""
        yield f"| `{question.key}` | {question.ask} | {condition} |"
    yield ""


def _sources(book: Rulebook) -> Iterator[str]:
    cited = {source for rule in book.rules for source in rule.sources}
    cited |= {source for text in (*book.explanations, *book.also) for source in text.sources}
    cited |= {source for number in book.numbers.values() for source in number["sources"]}
    yield "## What the sources say, in our words\n"
    yield from (f"- {name}: {title}" for name, title in book.sources["documents"].items())
    yield "\n| fact | says |\n|---|---|"
    facts: Mapping[str, Any] = {**book.sources["facts"], **book.sources["disagreements"]}
    yield from (f"| {name} | {text} |" for name, text in facts.items() if name in cited)
    yield "\n| guidance | title | how far we saw it |\n|---|---|---|"
    for name, entry in book.sources["guidelines"].items():
        yield f"| {name} | {entry['title']} | {entry['seen']} |"
    yield ""


def in_words(condition: Condition) -> str:
    """A condition as a person reads it."""
    match condition:
        case Term(name=name) | IsYes(fact=name):
            return _plain(name)
        case IsOneOf(fact=fact, values=values):
            return f"{_plain(fact)}: {' or '.join(sorted(map(_plain, values)))}"
        case Compares(fact=fact, how=how, threshold=threshold):
            return f"{_plain(fact)} {how} {threshold:g}"
        case Overlaps(fact=fact, members=members, only=only):
            return f"{_plain(fact)} {'only' if only else 'any'} of {', '.join(sorted(map(_plain, members)))}"
        case Known(fact=fact):
            return f"{_plain(fact)} is known"
        case Not(part=part):
            return f"not ({in_words(part)})"
        case May(part=part):
            return f"may be ({in_words(part)})"
        case AtLeast(n=n, parts=parts):
            return _several(n, [in_words(part) for part in parts])
    raise TypeError(f"no words for {condition!r}")


def _several(n: int, parts: list[str]) -> str:
    if not parts:
        return "always"
    if n == len(parts):
        return " and ".join(f"({part})" if " or " in part else part for part in parts)
    if n == 1:
        return " or ".join(f"({part})" if " and " in part else part for part in parts)
    return f"at least {n} of: {', '.join(parts)}"


def _plain(name: str) -> str:
    return name.replace("_", " ")
