"""The picture with its spots; and what is wrong where a photo cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from spotscan.errors import PhotoError, ReferenceNotFoundError, SpotScanError, UsageError
from spotscan.findings import image_quality
from spotscan.flags import FLAGS
from spotscan.page import spots, viewer
from spotscan.page.parts import back, bullets, button, choices, hourglass, note, one_of, paragraph, title
from spotscan.page.visit import Visit
from spotscan.page.words import flag, plain, say
from spotscan.types import RGBArray, Scan


def working(visit: Visit) -> None:
    """Say how the photo is coming on."""
    if visit.upload is None:
        return
    if visit.job is not None:
        hourglass(say("picture.working"))
    else:
        note(say("picture.ready") if usable(visit) else say("problem.short"))


def usable(visit: Visit) -> bool:
    """Whether a photo was measured, and can be believed."""
    return visit.scan is not None and image_quality(visit.scan.quality) != "unusable"


def picture(visit: Visit) -> None:
    """The picture with its spots."""
    if visit.upload is None:
        visit.go("questions")
        st.rerun()
    if visit.job is not None:
        title(say("picture.title"))
        working(visit)
    elif visit.error is not None:
        _problem(visit, visit.error)
    elif not usable(visit):
        _unusable(visit)
    else:
        _found(visit)
    st.divider()
    if visit.job is not None or usable(visit):
        button(say("picture.forward"), visit.go, "questions", type="primary")
    button(say("picture.another"), visit.another)
    back(say("picture.back"), visit.go, "signs")


# ---- a photo with spots ----


def _found(visit: Visit) -> None:
    scan = visit.scan
    assert scan is not None
    with st.container(key="wide"):
        spots.summary(scan)
        _notes(scan)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _viewer(visit, scan)
            _put_right(visit)
        with right:
            spots.one_spot(visit)
        spots.all_spots(visit)


def _viewer(visit: Visit, scan: Scan) -> None:
    ways = choices("colour_by")
    if scan.classes is None:
        ways.pop("class")
    colour_by = one_of("picture.colour_by", ways, "colour_by")
    name = ("view", colour_by)
    if name not in visit.keep:
        visit.keep[name] = viewer.view_data(scan, colour_by, visit.keep["photo"])
    viewer.show(visit.keep[name], visit.selected, visit.tool, lambda: _on_event(visit))


def _on_event(visit: Visit) -> None:
    event = viewer.event()
    what = event.get("what")
    if what == "look":
        visit.selected = int(event["id"])
    elif what == "add":
        _try(lambda: _add(visit, event))
    elif what == "scale":
        visit.points = [(float(x), float(y)) for x, y in event["points"]]
        visit.keep["click_err_px"] = float(event["click_err_px"])


def _add(visit: Visit, event: dict[str, Any]) -> None:
    x, y = map(float, event["at"])
    if not spots.add(visit, (x, y), float(event["click_err_px"])):
        st.session_state["message"] = say("fix.already")


def _put_right(visit: Visit) -> None:
    """Tools to add what was missed and to set the size; what was put right so far."""
    words = choices("tools")
    if message := st.session_state.pop("message", None):
        st.warning(plain(message), icon=":material/info:")
    spots.corrected(visit)
    with st.expander(say("fix.title"), expanded=visit.tool != "look"):
        st.session_state["tool"] = visit.tool
        st.radio(
            say("fix.tap"), list(words), format_func=words.__getitem__, key="tool", on_change=_take_tool, args=(visit,)
        )
        if visit.tool == "scale":
            _ask_length(visit)


def _take_tool(visit: Visit) -> None:
    visit.tool, visit.points = st.session_state["tool"], []


def _ask_length(visit: Visit) -> None:
    if len(visit.points) < 2:
        paragraph(say("fix.two_points"))
        return
    length = st.number_input(say("fix.length"), min_value=0.1, max_value=2000.0, value=None, key="length")
    button(say("fix.set"), _set_scale, visit, length, disabled=length is None, type="primary", key="set_scale")


def _set_scale(visit: Visit, length: float) -> None:
    c, (first, second) = visit.corrections, visit.points
    err = float(visit.keep.get("click_err_px", 1.0))
    _try(lambda: visit.correct(replace(c, scale=(first, second, length), click_err_px=err)))
    visit.tool, visit.points = "look", []


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except UsageError as error:
        st.session_state["message"] = f"{_sentence(error.what)} {_sentence(error.todo)}"


def _notes(scan: Scan) -> None:
    """What is wrong with the photo, and what to do."""
    names = [*scan.quality.flags, *(scan.scale.flags if scan.scale else ())]
    found = [flag(name) for name in dict.fromkeys(names) if name != "no_scale"]
    if found:
        with st.expander(say("picture.notes", n=len(found)), expanded=image_quality(scan.quality) == "poor"):
            bullets(found)


# ---- a photo that cannot be used ----


def _problem(visit: Visit, error: SpotScanError) -> None:
    """One sentence what is wrong, one what to do, and the photo where it can be shown."""
    title(say("problem.title"))
    if isinstance(error, ReferenceNotFoundError):
        paragraph(say("problem.several") if len(error.candidates) > 1 else say("problem.reference"))
        paragraph(choices("how_to_lay")[visit.reference.partition(":")[0]])
        st.image(_preview(visit, error), alt=say("problem.preview"), width="stretch")
        button(say("problem.no_scale"), _measure_again, visit, "none")
    else:
        paragraph(say("problem.unreadable") if isinstance(error, PhotoError) else "")
        paragraph(f"{_sentence(error.what)} {_sentence(error.todo)}")
    button(say("problem.without"), visit.go, "questions", type="primary")


def _measure_again(visit: Visit, reference: str) -> None:
    assert visit.upload is not None
    visit.start(visit.upload, visit.name, reference)


def _preview(visit: Visit, error: ReferenceNotFoundError) -> RGBArray:
    """The photo, with numbered outlines of what could have been the reference."""
    from spotscan.overlay import draw_candidates
    from spotscan.photo import read_photo

    if "preview" not in visit.keep:
        assert visit.upload is not None
        visit.keep["preview"] = draw_candidates(read_photo(visit.upload), error.candidates, 1200)
    found: RGBArray = visit.keep["preview"]
    return found


def _unusable(visit: Visit) -> None:
    scan = visit.scan
    assert scan is not None
    title(say("problem.title"))
    bullets(flag(name) for name in sorted(scan.quality.flags, key=lambda name: not FLAGS[name].unusable))
    paragraph(say("problem.not_judged"))
    st.html(f'<div class="figure"><img alt="{say("problem.preview")}" src="{visit.keep["photo"]}"></div>')
    button(say("problem.without"), visit.go, "questions", type="primary")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
