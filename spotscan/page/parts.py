"""Pieces that every step of the page is made of. What is set as HTML is escaped here, in one place."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import streamlit as st

from spotscan.drawings import URGENCY_LOOKS, glass_test
from spotscan.page.visit import EMERGENCY, STEPS, Visit, emergency_number
from spotscan.page.words import plain, say, texts

_LOOK_EVERY_S = 0.5


@cache
def _scroll() -> Any:
    script = files("spotscan.page").joinpath("scroll.js").read_text("utf-8")
    return st.components.v2.component("spotscan.scroll", js=script)


def _file(name: str) -> str:
    return str(files("spotscan.page").joinpath(name))


def open_page(visit: Visit) -> None:
    """What stands above every step."""
    st.set_page_config(page_title=say("page.title"), page_icon=_file("icon.svg"), layout="wide")
    st.html(Path(_file("page.css")))
    if visit.step != "begin":
        _steps(visit)
    if visit.step != "result":
        _alarm(visit)


def _alarm(visit: Visit) -> None:
    """An emergency, on every step: the one that is, or the one that was shown before."""
    earlier = visit.earlier()
    if visit.is_emergency():
        visit.remember()
        banner(visit.verdict(), small=True)
    elif earlier is not None and earlier["urgency"] == EMERGENCY:
        banner(earlier, small=True, lead=say("result.earlier"))
    else:
        return
    button(say("result.show"), visit.go, "result", type="primary")


def _steps(visit: Visit) -> None:
    """Where the person is on the way."""
    here: dict[str, str] = {visit.step: ' aria-current="step"'}
    names = "".join(
        f"<li{here.get(step, '')}>{place}. <span>{escape(say(f'steps.{step}'))}</span></li>"
        for place, step in enumerate(STEPS, start=1)
    )
    label = escape(say("steps.label"))
    st.html(f'<nav aria-label="{label}"><ol class="steps">{names}</ol></nav>')


def close_page(visit: Visit) -> None:
    """What stands below every step."""
    if visit.step != "result":  # which has the rules' own
        st.caption(say("page.disclaimer"))
    _scroll()(key="scroll", data={"move": visit.moves}, height=1)


def watch(visit: Visit) -> None:
    """While a photo is measured, draw the page anew by itself as soon as it is: on every step."""
    if visit.job is not None:
        st.fragment(_wait, run_every=_LOOK_EVERY_S)(visit)


def _wait(visit: Visit) -> None:
    if visit.look():
        st.rerun()


def title(text: str, level: int = 1) -> None:
    """A heading."""
    (st.title if level == 1 else st.header)(plain(text), anchor=False)


def paragraph(text: str) -> None:
    """Text that is shown as it is."""
    st.markdown(plain(text))


def bullets(lines: Iterable[str]) -> None:
    """A list of texts that are shown as they are."""
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def note(text: str) -> None:
    """Something to notice, beside the way."""
    st.html(f'<div class="note">{escape(text)}</div>')


def hourglass(text: str) -> None:
    """Something that is being worked on."""
    st.markdown(f":material/hourglass_top: {plain(text)}")


def drawing(svg: str, alt: str = "", ink: str = "currentColor") -> str:
    """A drawing as an HTML image: Streamlit takes SVG itself out of a page's HTML."""
    data = base64.b64encode(svg.replace("currentColor", ink).encode()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def button(words: str, act: Callable[..., None], *args: Any, **more: Any) -> None:
    """A wide button that does something, shown with its words as they are."""
    st.button(plain(words), on_click=act, args=args, **{"width": "stretch", **more})


def banner(result: dict[str, Any], small: bool = False, lead: str = "") -> None:
    """An urgency: symbol, words and colour; whom to call, where it is an emergency."""
    look, number = URGENCY_LOOKS[result["urgency"]], emergency_number()
    head = f'<p class="head">{escape(result["headline"])}</p>'
    before = f"<p>{escape(lead)}</p>" if lead else ""
    call = ""
    if result["urgency"] == EMERGENCY and number and re.fullmatch(r"[\d+ ()-]{2,20}", number):
        call = f'<p><a href="tel:{escape(number)}">{escape(say("result.call", number=number))}</a></p>'
    kind, role = ("banner small", "status") if small else ("banner", "alert")
    st.html(
        f'<div class="{kind}" role="{role}" style="background:{look.colour};color:{look.ink}">'
        f"{drawing(look.symbol, ink=look.ink)}<div>{before}{head}{call}</div></div>"
    )


def download(name: str, make: Callable[[], bytes], file: str, mime: str) -> None:
    """A button that saves a file, made when it is pressed."""
    st.download_button(
        say(f"save.{name}"), make, file, mime, key=f"save.{name}", on_click="ignore", width="stretch",
        icon=":material/download:",
    )  # fmt: skip


def back(words: str, act: Callable[..., None], *args: Any) -> None:
    """The button that goes back, last on its step."""
    button(words, act, *args, type="tertiary", icon=":material/arrow_back:", width="content")


def glass() -> None:
    """How the glass test is done, in pictures, on light and on dark skin."""
    tones: dict[Any, str] = {"light": say("glass.light"), "dark": say("glass.dark")}
    tone = one_of("glass.tone", tones, "tone")
    steps = "".join(
        f"<figure>{drawing(step.svg, step.title)}<figcaption><strong>{escape(step.title)}</strong>"
        f"<br>{escape(step.text)}</figcaption></figure>"
        for step in glass_test(tone)
    )
    st.html(f'<div class="glass">{steps}</div>')


def one_of(label: str, options: Mapping[Any, str], key: str, **more: Any) -> Any:
    """Buttons in a row, one of them pressed, the first to begin with: the name of the one that is."""
    return st.segmented_control(
        say(label), list(options), default=next(iter(options)), format_func=options.__getitem__, required=True, key=key,
        **more,
    )  # fmt: skip


def table(rows: Iterable[Sequence[object]], head: Sequence[str]) -> None:
    """A small table that a screen reader reads."""
    cells = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    st.html(f'<table class="plain"><thead><tr>{top}</tr></thead><tbody>{cells}</tbody></table>')


def choices(section: str) -> dict[str, str]:
    """Words of a list in `texts.yaml`, by name."""
    return dict(texts()[section])
