"""Our own drawings: told apart without colour, readable on every ground, sound SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from spotscan.drawings import GLASS_WORDS, URGENCY_LOOKS, glass_test
from spotscan.groups import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, as_hex
from spotscan.rules import URGENCIES

SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour: str) -> float:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Of WCAG 2.2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_urgency_has_a_look_of_its_own() -> None:
    assert tuple(reversed(URGENCY_LOOKS)) == URGENCIES
    looks = list(URGENCY_LOOKS.values())
    for part in ("word", "mark", "colour", "symbol"):
        assert len({getattr(look, part) for look in looks}) == len(looks)
    for look in looks:
        assert contrast(look.colour, look.ink) >= 4.5, look.word
        assert ET.fromstring(look.symbol).get("aria-hidden") == "true"


def test_waiting_is_no_all_clear() -> None:
    colour = URGENCY_LOOKS["self_watch"].colour
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    assert green <= max(red, blue)
    assert "\u2713" not in "".join(look.mark + look.word for look in URGENCY_LOOKS.values())


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_the_glass_test_shows_three_things(tone: str) -> None:
    press, fade, stay = (ET.fromstring(step.svg) for step in glass_test(tone))  # type: ignore[arg-type]

    def spots(tree: ET.Element, opacity: str) -> int:
        return sum(c.get("fill-opacity") == opacity for c in tree.iter(f"{SVG}circle"))

    def seen(tree: ET.Element) -> int:
        return len(list(tree.iter(f"{SVG}circle")))

    # "Vanish" is all of them: those that fade partly, or but for one, are shown with those that stay.
    assert seen(press) == spots(press, "1") == seen(stay)
    assert seen(fade) == spots(fade, "1") <= seen(press) - 5
    assert spots(fade, "1") + 2 <= spots(stay, "1") < seen(stay)
    for tree, (title, text) in zip((press, fade, stay), GLASS_WORDS, strict=True):
        assert tree.get("role") == "img"
        assert tree.findtext(f"{SVG}title") == title
        assert tree.findtext(f"{SVG}desc") == text


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_spots_stand_out_from_the_skin_drawn(tone: str) -> None:
    tree = ET.fromstring(glass_test(tone)[0].svg)  # type: ignore[arg-type]
    skin = next(tree.iter(f"{SVG}rect")).get("fill")
    spot = next(tree.iter(f"{SVG}circle")).get("fill")
    assert contrast(str(skin), str(spot)) >= 2  # WCAG asks for 3 where an icon has no words; these have


def test_words_of_the_drawings_are_escaped() -> None:
    words = [("<script>\"'", "a & b")] * 3
    for step in glass_test("light", words):
        assert "<script>" not in step.svg
        assert ET.fromstring(step.svg).findtext(f"{SVG}title") == "<script>\"'"


# Machado, Oliveira & Fernandes (2009), severity 1: what the three kinds of dichromats see, on linear RGB.
_SEEN = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", _SEEN)
def test_colours_of_marks_are_told_apart_with_every_kind_of_vision(kind: str) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    def seen(colour: tuple[int, int, int]) -> np.ndarray:
        rgb = np.array(colour) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        mixed = np.clip(np.array(_SEEN[kind]) @ linear, 0, 1)
        return rgb2lab(np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055))

    sets = {"size": (YELLOW, SKY, BLUE, GREY), "class": (SKY, YELLOW, GREEN, GREY),
            "cluster": (SKY, YELLOW, GREEN, BLUE, ORANGE, PURPLE, VERMILLION)}  # fmt: skip
    for name, colours in sets.items():
        apart = [float(deltaE_ciede2000(seen(a), seen(b))) for i, a in enumerate(colours) for b in colours[:i]]
        assert min(apart) > 8, (name, [as_hex(c) for c in colours])  # 2.3 is just noticeable
