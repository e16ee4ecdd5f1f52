"""Drawings of our own as SVG: the look of the five urgencies, and the glass test in three steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Tone = Literal["light", "dark"]


@dataclass(frozen=True)
class Look:
    """How an urgency looks; told by its words and the outline of its symbol, too, never by colour alone.

    Attributes
    ----------
    word : str
        The urgency in a word or two.
    mark : str
        One character that stands for the symbol in plain text.
    colour, ink : str
        Of the ground and of what is written on it, ``#rrggbb``; their contrast is 4.5 or more (WCAG 2.2, AA).
    symbol : str
        SVG in the colour of the text around it, hidden from screen readers: the words say it.
    """

    word: str
    mark: str
    colour: str
    ink: str
    symbol: str


def _symbol(shape: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="1.4em" height="1.4em" fill="none"'
        ' stroke="currentColor" stroke-width="2" stroke-linejoin="round" stroke-linecap="round" aria-hidden="true"'
        f' focusable="false">{shape}</svg>'
    )


_BANG = '<path d="M12 7.5v5.5"/><path d="M12 16.6v.1" stroke-width="2.6"/>'

# From most to least urgent; the shapes differ in outline. Waiting is no all-clear: no green, and no tick.
URGENCY_LOOKS: dict[str, Look] = {
    "emergency_now": Look(
        *("Emergency", "\u203c", "#a4001d", "#ffffff"),
        _symbol('<path d="M8 2h8l6 6v8l-6 6H8l-6-6V8z"/>' + _BANG),
    ),
    "same_day": Look(
        *("Today", "\u25b2", "#b34700", "#ffffff"),
        _symbol('<path d="M12 2.5 22.5 21h-21z"/>' + '<path d="M12 9.5v5"/><path d="M12 17.8v.1" stroke-width="2.6"/>'),
    ),
    "see_doctor_soon": Look(
        *("Within days", "\u25c6", "#ffd166", "#1f1600"),
        _symbol('<circle cx="12" cy="12" r="10"/><path d="M12 6.5V12l3.5 3"/>'),
    ),
    "routine_check": Look(
        *("In the coming weeks", "\u25a0", "#1b5a86", "#ffffff"),
        _symbol('<rect x="3" y="5" width="18" height="16" rx="1.5"/><path d="M3 10h18M8 2.5V7M16 2.5V7"/>'),
    ),
    "self_watch": Look(
        *("Watch at home", "\u25c9", "#47566b", "#ffffff"),
        _symbol(
            '<path d="M1.5 12S5.5 5 12 5s10.5 7 10.5 7-4 7-10.5 7S1.5 12 1.5 12z"/><circle cx="12" cy="12" r="3"/>'
        ),
    ),
}


@dataclass(frozen=True)
class Step:
    """One picture of the glass test, with what it says."""

    title: str
    text: str
    svg: str


GLASS_WORDS = (
    ("Press", "Press the side of a clear glass firmly on the spots, and look at them through it."),
    ("They vanish", "Under the glass all of the spots vanish."),
    ("They stay", "Some of the spots stay, or they fade only partly. One spot that stays is enough."),
)
# Skin, its shade, the spots, and the skin that a pressing glass has made pale.
_TONES = {
    "light": ("#f3d3bd", "#e2b79b", "#b3202f", "#f9e6d9"),
    "dark": ("#7b4f38", "#633c29", "#3a0713", "#93664d"),
}
# x, y, radius of the spots that come to lie under the glass, and of those beside it.
_UNDER = ((90, 98, 6), (112, 80, 5), (117, 114, 5), (139, 97, 6), (100, 122, 4), (148, 122, 4), (140, 74, 4))
_STAYS = (1, 1, 0.35, 1, 1, 0.35, 0.35)
_BESIDE = ((38, 80, 5), (24, 112, 4), (46, 136, 5), (210, 82, 4), (218, 118, 5), (204, 142, 4), (30, 52, 4))


def glass_test(tone: Tone = "light", words: Sequence[tuple[str, str]] = GLASS_WORDS) -> tuple[Step, ...]:
    """The glass test: press a clear glass on the spots; they all vanish; some stay or fade only partly.

    Parameters
    ----------
    tone : {"light", "dark"}
        Of the skin drawn.
    words : 3 of (title, text)
        To say it in another language.

    Returns
    -------
    tuple of Step
        Each with a picture of 240 x 180, whose title and description are those words.
    """
    drawings = (_pressing(tone), _pressed(tone, stays=()), _pressed(tone, stays=_STAYS))
    return tuple(
        Step(title, text, _picture(title, text, drawing))
        for (title, text), drawing in zip(words, drawings, strict=True)
    )


def _picture(title: str, text: str, drawing: Iterable[str]) -> str:
    said = escape(title, quote=True), escape(text, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 180" role="img" aria-label="{said[0]}: {said[1]}">'
        f"<title>{said[0]}</title><desc>{said[1]}</desc>{''.join(drawing)}</svg>"
    )


def _skin(tone: Tone) -> str:
    skin, shade, _, _ = _TONES[tone]
    return (
        f'<rect width="240" height="180" rx="12" fill="{skin}"/>'
        f'<path d="M0 158q60-16 120-6t120-8v24a12 12 0 0 1-12 12H12a12 12 0 0 1-12-12z" fill="{shade}"/>'
    )


def _dots(tone: Tone, seen: Iterable[tuple[int, int, int]], opacity: float = 1.0) -> str:
    return "".join(
        f'<circle cx="{x}" cy="{y}" r="{r}" fill="{_TONES[tone][2]}" fill-opacity="{opacity:g}"/>' for x, y, r in seen
    )


def _glass(transform: str) -> str:
    """A tumbler on its side: rim at the left, thick bottom at the right; so clear that colours stay as they are."""
    return (
        f'<g transform="{transform}" stroke="#31414f" stroke-width="2.5" stroke-linejoin="round">'
        '<path d="M0 -46 118 -38a8 38 0 0 1 0 76L0 46z" fill="#e4f3fc" fill-opacity=".1"/>'
        '<ellipse rx="10" ry="46" fill="#ffffff" fill-opacity=".3"/><path d="M104 -39a8 39 0 0 1 0 78" fill="none"/>'
        '<path d="M20 -36 88 -31" stroke="#ffffff" stroke-width="4" stroke-linecap="round" fill="none"/></g>'
    )


def _arrow(x: float, y: float) -> str:
    line = f'<path d="M{x} {y}v26m-9-10 9 11 9-11" fill="none" stroke-linecap="round" stroke-linejoin="round"'
    return f'{line} stroke="#ffffff" stroke-width="8"/>{line} stroke="#14202b" stroke-width="4"/>'


def _pressing(tone: Tone) -> Iterable[str]:
    yield _skin(tone)
    yield _dots(tone, (*_UNDER, *_BESIDE))
    yield _glass("translate(80 34) scale(.62)")
    yield _arrow(58, 20)
    yield _arrow(184, 20)


def _pressed(tone: Tone, stays: Iterable[float]) -> Iterable[str]:
    """The glass on the spots; `stays` is how much of each of those under it is still seen, 0 to 1."""
    yield _skin(tone)
    yield _dots(tone, _BESIDE)
    # Pressed skin is pale whether or not the spots are.
    yield f'<rect x="74" y="60" width="88" height="76" rx="30" fill="{_TONES[tone][3]}"/>'
    for spot, share in zip(_UNDER, stays, strict=False):
        yield _dots(tone, [spot], share)
    yield _glass("translate(64 98)")
