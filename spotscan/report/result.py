"""What the report tells of the triage: how urgent, why, what it rests on, what would change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from spotscan.drawings import URGENCY_LOOKS
from spotscan.report.html import bullets, facts, guess, paragraph, raw_bullets, section, words
from spotscan.rules import URGENCIES, cited
from spotscan.rules.loading import rulebook
from spotscan.rules.reading import read_answers

Triage = Mapping[str, Any]


def result(triage: Triage | None, earlier: Triage | None) -> Iterator[str]:
    """The urgency and what to do, its reasons, and all that belongs to it."""
    w = words()
    if triage is None:
        yield section(w["result"], paragraph(w["no_result"]))
        return
    urgency = triage["urgency"]
    emergency = urgency == URGENCIES[-1]
    yield section(w["result"], _banner(urgency, triage["headline"]), _earlier(triage, earlier))
    yield section(w["advice"], bullets(triage["advice"]), level=3)
    first = [reason for reason in triage["reasons"] if reason["urgency"] == urgency]
    others = [reason for reason in triage["reasons"] if reason["urgency"] != urgency]
    yield section(w["reasons"], _reasons(first), level=3)
    yield section(w["recheck"], paragraph(triage["recheck"]), level=3)
    yield section(w["red_flags_emergency" if emergency else "red_flags"], bullets(triage["red_flags"]), level=3)
    yield section(w["other_reasons"], _reasons(others), level=3)
    yield section(
        w["explanations"],
        raw_bullets(f"{escape(entry['text'])} {_ids(entry['sources'])}" for entry in triage["explanations"]),
        level=3,
    )
    open_questions = {entry["question"] for entry in triage["would_change"]}
    judged = [entry for entry in triage["not_judged"] if not any(entry["what"].endswith(q) for q in open_questions)]
    yield section(w["not_judged"], bullets(f"{_sentence(entry['what'])} {entry['how']}" for entry in judged), level=3)


def _banner(urgency: str, headline: str) -> str:
    look = URGENCY_LOOKS[urgency]
    return (
        f'<div class="banner" style="background:{look.colour};color:{look.ink};border-color:{look.ink}">{look.symbol}'
        f"<div><small>{escape(look.word)}</small>{escape(headline)}</div></div>"
    )


def _earlier(triage: Triage, earlier: Triage | None) -> str:
    """The result before this one, where that was more urgent."""
    if earlier is None or URGENCIES.index(earlier["urgency"]) <= URGENCIES.index(triage["urgency"]):
        return ""
    return paragraph(words()["earlier"].format(headline=earlier["headline"]), "earlier")


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    return raw_bullets(
        f"{escape(reason['because'])} {_ids([*reason['sources'], *reason['guidelines']])}{_used(reason['used'])}"
        for reason in reasons
    )


def _used(used: Mapping[str, Any]) -> str:
    said = "; ".join(f"{_asked(key)} {_answered(key, value)}" for key, value in used.items())
    note = f". {words()['guess']}" if "class_mix" in used else ""
    return f'<br><span class="from">{escape(words()["used"])}: {escape(said + note)}</span>' if said else ""


def _ids(ids: Sequence[str]) -> str:
    """Ids that lead to the texts they cite, below."""
    links = ", ".join(f'<a href="#{escape(c.id)}">{escape(c.id)}</a>' for c in cited(ids))
    return f"[{links}]" if links else ""


def _would_change(entries: Sequence[Mapping[str, Any]]) -> str:
    headlines = {name: rulebook().urgency_texts[level].headline for level, name in enumerate(URGENCIES)}

    def said(entry: Mapping[str, Any]) -> str:
        urgencies = ", ".join(headlines[name] for name in reversed(entry["could_become"]))
        note = words()["could_become"].format(urgencies=urgencies)
        return f'{escape(entry["question"])} <span class="from">({escape(note)})</span>'

    return raw_bullets(said(entry) for entry in entries)


def answers_given(triage: Triage | None, answers: Mapping[Any, Any] | None) -> str:
    """The answers that were understood, as they were asked and chosen, and the questions left open that matter."""
    if triage is None:
        return ""
    w = words()
    shown = read_answers(rulebook(), answers or {}).shown
    pairs = [(_asked(key), _answered(key, value)) for key, value in shown.items()]
    missing = section(w["would_change"], _would_change(triage["would_change"]), level=3)
    return section(w["answers"], facts(pairs) or paragraph(w["no_answers"]), missing)


def _asked(key: str) -> str:
    question = rulebook().questions.get(key)
    return question.ask if question else words()["findings"].get(key, key.replace("_", " ")) + ":"


def _answered(key: str, value: Any) -> str:
    question = rulebook().questions.get(key)
    if isinstance(value, Mapping):
        return ", ".join(guess(name, share) for name, share in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_answered(key, one) for one in value)
    if question and value in question.choices:
        return question.choices[value]
    return f"{value:g}" if isinstance(value, float) else words()["yes_no"].get(value, str(value))


def sources(triage: Triage | None) -> str:
    """The text of every source that was cited."""
    w = words()
    entries = [*triage["reasons"], *triage["explanations"]] if triage else []
    ids = [name for entry in entries for name in (*entry["sources"], *entry.get("guidelines", ()))]
    inner = "".join(
        f'<dt id="{escape(c.id)}">{escape(c.id)}: {escape(c.document)}</dt><dd>{escape(c.text)}</dd>'
        for c in cited(ids)
    )
    return (
        section(w["sources"], paragraph(w["sources_note"], "what"), f'<dl class="sources">{inner}</dl>')
        if inner
        else ""
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
