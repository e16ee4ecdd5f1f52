"""The picture with its spots, as a component of our own: `viewer.html`, `.css` and `.js` beside this file."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import cv2
import numpy as np
import streamlit as st

from spotscan.groups import group_marks
from spotscan.page.words import number, say, texts
from spotscan.types import FloatArray, RGBArray, Scan

ColourBy = Literal["cluster", "class", "size"]
KEY = "viewer"
_PARTS = ("html", "css", "js")
_LONG_SIDE_PX = 2000  # enough for a phone's zoom; the enlarged spot is cut from the photo itself
_JPEG_QUALITY = 85
_DASHES = (None, "7 3.5", "2 2.5", "9 3 2 3", "4 2", "1 4")  # groups differ by their line, too, not by colour alone


@cache
def _component() -> Any:
    html, css, js = (files("spotscan.page").joinpath(f"viewer.{kind}").read_text("utf-8") for kind in _PARTS)
    return st.components.v2.component("spotscan.viewer", html=html, css=css, js=js)


def photo_uri(rgb: RGBArray) -> str:
    """The photo as a data URI, small enough for a phone."""
    factor = min(1.0, _LONG_SIDE_PX / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else rgb
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def view_data(scan: Scan, colour_by: ColourBy, photo: str) -> dict[str, Any]:
    """What the browser draws: positions in px of the photo."""
    groups = group_marks(scan, colour_by)
    of_spot: dict[int, tuple[str, str | None]] = {}
    for place, group in enumerate(groups):
        look = group.hex, _DASHES[place % len(_DASHES)]
        of_spot |= dict.fromkeys(np.flatnonzero(group.member).tolist(), look)
    words = {**texts()["groups"], **texts()["classes"]}
    return {
        "photo": photo,
        "width": scan.photo.width_px,
        "height": scan.photo.height_px,
        "spots": [_spot(scan, i, *of_spot[i]) for i in range(len(scan.spots))],
        "outlines": [_path(scan.scale.outline_px)] if scan.scale is not None and len(scan.scale.outline_px) else [],
        "legend": [
            {
                "words": say("picture.legend", name=words.get(group.name, group.name), n=int(group.member.sum())),
                "colour": group.hex,
                "dash": _DASHES[place % len(_DASHES)],
                "halo": _halo(group.hex),
            }
            for place, group in enumerate(groups)
        ],
        "words": texts()["viewer"],
    }


def show(data: dict[str, Any], selected: int | None, tool: str, on_event: Callable[[], None]) -> None:
    """Show the picture; `on_event` is called on a choice or a placed point, see `event`."""
    _component()(key=KEY, data={**data, "selected": selected, "tool": tool}, on_event_change=on_event)


def event() -> dict[str, Any]:
    """What was done in the picture, inside `on_event`."""
    return dict(st.session_state[KEY].get("event") or {})


def _spot(scan: Scan, i: int, colour: str, dash: str | None) -> dict[str, Any]:
    marks = scan.spots
    (x, y), contour = marks.centre_px[i], marks.contours_px[i]
    diameter = marks.diameter_px[i]
    return {
        "id": int(marks.ids[i]),
        "x": round(float(x), 1),
        "y": round(float(y), 1),
        "r": round(float(diameter) / 2, 1) if np.isfinite(diameter) else 12.0,
        "path": _path(contour) if len(contour) >= 3 else None,
        "colour": colour,
        "dash": dash,
        "halo": _halo(colour),
        "words": say("spot.name", id=int(marks.ids[i])) + ", " + size_words(scan, i),
    }


def _halo(colour: str) -> str:
    """Black or white around a line, whichever it stands out from."""
    r, g, b = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#000000" if 0.299 * r + 0.587 * g + 0.114 * b > 130 else "#ffffff"


def size_words(scan: Scan, i: int) -> str:
    """How large a spot is, in mm where that is known."""
    marks = scan.spots
    if np.isfinite(marks.diameter_mm[i]):
        return number(float(marks.diameter_mm[i]), "mm", float(marks.diameter_mm_err[i]))
    if np.isfinite(marks.diameter_px[i]):
        return number(float(marks.diameter_px[i]), "px")
    return say("spot.unmeasured")


def _path(xy: FloatArray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy.tolist()) + "Z"
