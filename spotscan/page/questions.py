"""The questions: the warning signs on one page, all others one by one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from spotscan.page.parts import back, button, glass, paragraph, title
from spotscan.page.picture import working
from spotscan.page.visit import Visit
from spotscan.page.words import plain, say, texts
from spotscan.rules.loading import rulebook
from spotscan.rules.questionnaire import UNKNOWN
from spotscan.rules.tables import Question

_SIGNS = "emergency"


def signs(visit: Visit) -> None:
    """The emergency questions, all at once, while the photo is measured."""
    title(say("signs.title"))
    paragraph(say("signs.what"))
    working(visit)
    questions = [question for question in rulebook().questions.values() if question.group == _SIGNS]
    for question in questions:
        _sign(visit, question)
    left = [question.key for question in questions if question.key not in visit.answers]
    if left:
        words = say("signs.none") if len(left) == len(questions) else say("signs.rest", n=len(left))
        button(words, _no_to, visit, left, type="primary")
        button(say("signs.later"), _after_signs, visit)
    else:
        button(say("page.forward"), _after_signs, visit, type="primary")
    back(say("page.back"), visit.go, "begin")


def _sign(visit: Visit, question: Question) -> None:
    words = {name: texts()["replies"][name] for name in ("yes", "no", UNKNOWN)}
    key = f"sign.{question.key}.{visit.moves}"
    with st.container(key=f"row-{question.key}"):
        left, right = st.columns([5, 3], vertical_alignment="center", gap="small")
        left.markdown(f"**{plain(question.ask)}**  \n:small[{plain(question.help)}]")
        right.segmented_control(
            question.ask, list(words), default=visit.answers.get(question.key), format_func=words.__getitem__, key=key,
            on_change=_take, args=(visit, question.key, key), label_visibility="collapsed", width="stretch",
        )  # fmt: skip


def _take(visit: Visit, key: str, widget: str) -> None:
    visit.answer(key, st.session_state[widget])


def _no_to(visit: Visit, keys: list[str]) -> None:
    for key in keys:
        visit.answer(key, "no")
    if visit.step == "signs":
        _after_signs(visit)


def _after_signs(visit: Visit) -> None:
    visit.go("picture" if visit.upload is not None else "questions")


# ---- one by one ----


def one_by_one(visit: Visit) -> None:
    """The next question that can still matter; the result where there is none."""
    left = visit.questions()
    # What is shown stays until the page moves: a scan that comes in must not change it under a finger.
    shown = visit.asking[1] if visit.asking is not None and visit.asking[0] == visit.moves else None
    key = visit.again or shown or (left[0].key if left else None)
    if key is None:
        visit.go("result")
        st.rerun()
    visit.asking, question = (visit.moves, key), rulebook().questions[key]
    how_many = "left" if len(left) > 1 else "last"
    st.caption(plain(say(f"questions.{how_many}", group=rulebook().groups[question.group], n=len(left))))
    title(question.ask)
    if question.help:
        paragraph(question.help)
    if question.key == "blanching":
        glass()
    _ask(visit, question)
    st.divider()
    button(say("questions.enough"), _enough, visit, type="tertiary", icon=":material/skip_next:", width="content")
    back(say("questions.back") if visit.asked else say("page.back"), _back, visit)


def _ask(visit: Visit, question: Question) -> None:
    words = texts()["replies"]
    kind = rulebook().facts[question.key].kind
    options = dict(question.choices) or {"yes": words["yes"], "no": words["no"]}
    if kind in ("number", "regions"):
        said = _years(question) if kind == "number" else _places(question)
        button(say("page.forward"), _reply, visit, question.key, said, disabled=said in (None, []), type="primary")
        options = {}
    with st.container(key="replies"):
        for value, text in {**options, UNKNOWN: words[UNKNOWN]}.items():
            button(text, _reply, visit, question.key, value, key=f"{question.key}.{value}")


def _years(question: Question) -> float | None:
    low, high = map(float, rulebook().facts[question.key].limits)
    return st.number_input(say("questions.years"), low, high, value=None, step=1.0, format="%g", key=question.key)


def _places(question: Question) -> list[str]:
    names = question.choices
    return st.pills(
        say("questions.regions"), list(names), selection_mode="multi", format_func=names.__getitem__, key=question.key
    )


def _reply(visit: Visit, key: str, value: Any) -> None:
    if visit.again is None:
        visit.asked.append(key)
        visit.moves += 1
    else:
        visit.again = None
        visit.go("result")
    visit.answer(key, value)


def _back(visit: Visit) -> None:
    """Ask the last question again; before the first one, the step before."""
    if visit.again is not None:
        _enough(visit)
    elif visit.asked:
        visit.answers.pop(visit.asked.pop(), None)
        visit.moves += 1
    else:
        visit.go("picture" if visit.upload is not None else "signs")


def _enough(visit: Visit) -> None:
    visit.again = None
    visit.go("result")
