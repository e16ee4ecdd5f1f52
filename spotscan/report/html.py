"""Small parts of HTML; every text that enters them is escaped, and only here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import cv2
import numpy as np

from spotscan.types import RGBArray


@cache
def words() -> Mapping[str, Any]:
    """All words of the report."""
    import yaml

    text = files("spotscan.report").joinpath("words.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def style() -> str:
    """The style sheet."""
    return files("spotscan.report").joinpath("style.css").read_text(encoding="utf-8")


def guess(name: str, share: float | None = None) -> str:
    """A class in words, with its share: a guess is never sure."""
    told = words()["classes"].get(name, name)
    if share is None:
        return str(told)
    text = f"{share:.0%}"
    return f"{told} {({'100%': '>99%', '0%': '<1%'}).get(text, text)}"


def section(title: str, *parts: str, level: int = 2) -> str:
    """A heading with what stands below it; nothing where nothing does."""
    body = "".join(parts)
    return f"<section><h{level}>{escape(title)}</h{level}>{body}</section>" if body else ""


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of a class."""
    return f"<p{f' class={kind}' if kind else ''}>{escape(text)}</p>" if text else ""


def bullets(items: Iterable[str]) -> str:
    """A list of plain texts."""
    return raw_bullets(escape(item) for item in items)


def raw_bullets(items: Iterable[str]) -> str:
    """A list of what is HTML already."""
    inner = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{inner}</ul>" if inner else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A table of two columns: what, and its value."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in pairs)
    return f"<table>{rows}</table>" if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table with a heading that is repeated on every printed page; nothing without rows."""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return ""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    inner = f"<table>{said}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    name = escape(" ".join(filter(None, (caption, *head[:1]))))
    # On a phone a wide table scrolls by itself, with the keyboard, too.
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{inner}</div>'


def picture(rgb: RGBArray, alt: str, caption: str = "", kind: str = "") -> str:
    """A picture inside the page, as JPEG, which holds pixels only."""
    done, file = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise RuntimeError("OpenCV could not encode a picture as JPEG")
    return _figure(f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{_base64(file)}">', caption, kind)


def drawing(svg: str, caption: str = "") -> str:
    """A drawing of ours, as it is."""
    return _figure(svg, caption, "")


def _figure(inner: str, caption: str, kind: str) -> str:
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure{f' class={kind}' if kind else ''}>{inner}{said}</figure>"


def _base64(data: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(data.tobytes()).decode("ascii")
