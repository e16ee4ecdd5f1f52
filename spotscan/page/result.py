"""The result: how urgent, what to do, why, and what is not known."""

from __future__ import annotations

from typing import Any

import streamlit as st

from spotscan.page.parts import banner, bullets, button, glass, hourglass, note, paragraph, title
from spotscan.page.picture import usable
from spotscan.page.save import save
from spotscan.page.visit import EMERGENCY, Visit
from spotscan.page.words import answered, asked, plain, say

_QUESTIONS_SHOWN = 4


def result(visit: Visit) -> None:
    """Everything about the result, most important first."""
    found = visit.verdict()
    visit.remember()
    emergency = found["urgency"] == EMERGENCY
    banner(found)
    if earlier := visit.earlier():
        _earlier(visit, earlier)
    if visit.job is not None:
        hourglass(say("result.measuring"))
    elif visit.upload is not None and not usable(visit):
        note(say("result.unusable"))
    title(say("result.do"), 2)
    bullets(found["advice"])
    if emergency:
        _quick(visit)
    else:
        _open(visit, found)
    title(say("result.why"), 2)
    _reasons(found)
    title(say("result.watch_emergency") if emergency else say("result.watch"), 2)
    bullets(found["red_flags"])
    title(say("result.again"), 2)
    paragraph(found["recheck"])
    if not emergency:
        _not_judged(visit, found)
    _more(visit, found)
    save(visit)
    note(found["disclaimer"])
    _ways(visit, emergency)


def _earlier(visit: Visit, earlier: dict[str, Any]) -> None:
    """The more urgent result before, and what was changed since."""
    banner(earlier, small=True, lead=say("result.earlier"))
    before, now = visit.urgent_answers, visit.answers
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    paragraph(say("result.earlier_means"))
    if changed:
        with st.expander(say("result.what_changed")):
            bullets(
                say("result.changed", question=asked(key), before=_said(before, key), now=_said(now, key))
                for key in changed
            )


def _said(answers: dict[str, Any], key: str) -> str:
    return answered(key, answers[key]) if key in answers else say("result.not_answered")


def _quick(visit: Visit) -> None:
    """The one question that could settle an emergency within a minute."""
    for question in visit.questions():
        paragraph(say("result.quick", question=question.ask))
        button(say("result.answer_quick"), visit.go, "questions")


def _open(visit: Visit, found: dict[str, Any]) -> None:
    """The questions that could still change the result."""
    matter = {entry["answer"] for entry in found["would_change"]}
    left = [question for question in visit.questions() if question.key in matter]
    if not left:
        return
    with st.container(border=True):
        st.markdown(f"**{plain(say('result.open', n=len(left)) if len(left) > 1 else say('result.open_one'))}**")
        bullets(question.ask for question in left[:_QUESTIONS_SHOWN])
        if len(left) > _QUESTIONS_SHOWN:
            st.caption(say("result.open_more", n=len(left) - _QUESTIONS_SHOWN))
        button(say("result.go_on"), visit.go, "questions", type="primary")


def _reasons(found: dict[str, Any]) -> None:
    """What asks for this urgency, and, folded up, what asks for less."""
    urgent = [reason for reason in found["reasons"] if reason["urgency"] == found["urgency"]]
    others = [reason for reason in found["reasons"] if reason["urgency"] != found["urgency"]]
    for reason in urgent:
        _reason(reason)
    if others:
        with st.expander(say("result.also", n=len(others))):
            for reason in others:
                _reason(reason)


def _reason(reason: dict[str, Any]) -> None:
    from spotscan.rules import cited

    paragraph(reason["because"])
    rests = "; ".join(f"{asked(key)} {answered(key, value)}" for key, value in reason["used"].items())
    if rests:
        st.caption(plain(say("result.rests", what=rests)))
    with st.popover(say("result.sources"), icon=":material/menu_book:", key=f"sources.{reason['rule']}"):
        for source, document, text in cited([*reason["sources"], *reason["guidelines"]]):
            st.markdown(f"**{plain(source)}** {plain(text)}  \n:small[{plain(document)}]")


def _not_judged(visit: Visit, found: dict[str, Any]) -> None:
    """What could not be assessed, and what the person was not sure of."""
    judged = [entry for entry in found["not_judged"] if not entry["what"].startswith("not answered")]
    unsure = [entry for entry in found["would_change"] if entry["answer"] in visit.answers]
    if judged or unsure:
        title(say("result.not_judged"), 2)
        bullets(f"{entry['what'][:1].upper()}{entry['what'][1:]}. {entry['how']}" for entry in judged)
    if unsure:
        with st.expander(say("result.unsure", n=len(unsure))):
            for entry in unsure:
                key = entry["answer"]
                button(entry["question"], _again, visit, key, key=f"unsure.{key}", icon=":material/help:")


def _more(visit: Visit, found: dict[str, Any]) -> None:
    if found["explanations"]:
        with st.expander(say("result.can_be")):
            bullets(entry["text"] for entry in found["explanations"])
    with st.expander(say("glass.title")):
        glass()
    with st.expander(say("result.answers", n=len(visit.answers))):
        for key, value in visit.answers.items():
            words = f"{asked(key)} {answered(key, value)}"
            button(words, _again, visit, key, key=f"change.{key}", icon=":material/edit:", help=say("result.change"))


def _again(visit: Visit, key: str) -> None:
    """Put one question again."""
    visit.again = key
    visit.go("questions")


def _ways(visit: Visit, emergency: bool) -> None:
    st.divider()
    if emergency:
        button(say("result.mistake"), visit.go, "signs")
    if visit.upload is not None:
        button(say("result.picture"), visit.go, "picture")
        button(say("picture.another"), visit.another)
    else:
        button(say("result.add_photo"), visit.go, "begin")
    button(say("result.over"), _over)


def _over() -> None:
    """Forget everything: another person."""
    moves = st.session_state["visit"].moves
    st.session_state.clear()
    st.session_state["visit"] = Visit(moves=moves + 1)
