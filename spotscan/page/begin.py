"""The first step: a photo, and what shows its size."""

from __future__ import annotations

import io
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from spotscan.page.parts import bullets, button, choices, download, glass, note, one_of, paragraph, title
from spotscan.page.visit import Visit, emergency_number
from spotscan.page.words import plain, say, texts
from spotscan.rules.loading import rulebook

_KINDS = ("image", "heic", "heif")  # the last two where a browser does not know that they are images


def begin(visit: Visit) -> None:
    """Ask for a photo, a camera picture or the sample; or go on without."""
    title(say("begin.title"))
    paragraph(say("begin.what"))
    with st.container(border=True, key="urgent"):
        st.markdown(f"**{plain(say('begin.ill', number=emergency_number() or rulebook().emergency_number))}**")
        button(say("begin.no_photo"), visit.go, "signs", key="no_photo")
    title(say("begin.photo"), 2)
    source = one_of("begin.source", choices("sources"), "source", width="stretch")
    if source == "sample":
        paragraph(say("begin.sample_what"))
        button(say("begin.sample"), _use_sample, visit, type="primary")
    else:
        _ask_photo(visit, source, _reference())
    note(say("begin.privacy"))
    with st.expander(say("begin.how")):
        bullets(texts()["begin"]["tips"])
        download("card", card_pdf, "spotscan-card.pdf", "application/pdf")
    with st.expander(say("glass.title")):
        glass()
    if visit.answers:
        button(say("begin.keep_going"), visit.go, "questions")


def _ask_photo(visit: Visit, source: str, reference: str | None) -> None:
    key, off = f"{source}.{visit.photos}", reference is None  # a new key for each photo: the old widget goes
    if source == "camera":
        file = st.camera_input(say("begin.camera"), key=key, disabled=off, resolution="1080p")
        st.caption(say("begin.camera_note"))
    else:
        file = st.file_uploader(say("begin.upload"), _KINDS, key=key, disabled=off)
        st.caption(say("begin.kinds"))
    if file is not None and reference is not None:
        visit.start(file.getvalue(), "" if source == "camera" else file.name, reference)
        _forget(file)
        visit.go("signs")
        st.rerun()


def _forget(file: Any) -> None:
    """Take an upload out of Streamlit's memory, where it would stay until the session ends."""
    context = get_script_run_ctx()
    remove = getattr(getattr(context, "uploaded_file_mgr", None), "remove_file", None)
    if context is not None and remove is not None:
        remove(session_id=context.session_id, file_id=file.file_id)


def _use_sample(visit: Visit) -> None:
    visit.start(files("spotscan.page").joinpath("sample.jpg").read_bytes(), "sample.jpg", "auto")
    visit.go("signs")


def _reference() -> str | None:
    """What lies beside the spots, as a REF of the contract; None while its size is missing."""
    from spotscan.references.coins_table import coin_table

    words, why = choices("references"), say("begin.reference_help")
    kind = st.selectbox(
        say("begin.reference"), list(words), format_func=words.__getitem__, key="reference", help=why
    )  # fmt: skip
    if kind == "coin":
        coins = {name: f"{coin.currency}: {coin.words}" for name, coin in coin_table().items()}
        coin = st.selectbox(
            say("begin.coin"), list(coins), format_func=coins.__getitem__, index=None, key="coin",
            placeholder=say("begin.coin_hint"),
        )  # fmt: skip
        return f"coin:{coin}" if coin else None
    if kind in ("aruco", "px-per-mm"):
        value = st.number_input(say(f"begin.{kind}"), min_value=0.01, value=None, key=f"value.{kind}")
        return f"{kind}:{value:g}" if value else None
    return str(kind)


@cache
def card_pdf() -> bytes:
    """The printable card."""
    from spotscan.card import write_card

    target = io.BytesIO()
    write_card(target)
    return target.getvalue()
