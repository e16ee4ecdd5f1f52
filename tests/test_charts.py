"""The histogram: every mark counted once, 2 mm between two bars, the drawing true to the numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotscan.charts import Histogram, diameter_histogram, histogram_svg
from spotscan.types import Scan
from tests.test_overlay import PX_PER_MM, scan_of, textured

SVG = "{http://www.w3.org/2000/svg}"


def with_mm(mm: list[float], scaled: bool = True) -> Scan:
    n = len(mm)
    places = np.column_stack([np.linspace(20, 380, n), np.full(n, 100.0)])
    return scan_of(textured(400, 200), places, PX_PER_MM * np.array(mm), scaled=scaled)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.05, 80.0) | st.just(float("nan")), max_size=60), st.booleans())
def test_every_mark_is_counted_once(mm: list[float], scaled: bool) -> None:
    h = diameter_histogram(with_mm(mm, scaled))
    assert h.counts.sum() + h.n_unmeasured == len(mm)
    assert len(h.edges) == len(h.counts) + 1 <= 21
    assert h.n_unmeasured == np.isnan(mm).sum()
    assert sum(n for _, n in h.rows()) == h.counts.sum()
    sizes = np.array(mm) * (1 if scaled else PX_PER_MM)
    for low, high, n in zip(h.edges[:-1], h.edges[1:], h.counts, strict=True):
        assert n == np.count_nonzero((sizes >= low - 1e-9) & (sizes < high - 1e-9)) or n == np.count_nonzero(
            (sizes >= low) & (sizes < high)
        )


@pytest.mark.parametrize("largest", [0.4, 1.99, 3.0, 9.0, 19.0, 39.0])
def test_two_millimetres_stand_between_two_bars(largest: float) -> None:
    h = diameter_histogram(with_mm([0.3, 1.999, 2.0, largest]))
    assert h.limit == 2.0
    if largest >= 2:
        assert 2.0 in h.edges
        below = h.counts[h.edges[:-1] < 2.0].sum()
        assert below == 2


def test_without_a_scale_there_is_no_line() -> None:
    h = diameter_histogram(with_mm([1.0, 2.0], scaled=False))
    assert (h.unit, h.limit) == ("px", None)
    assert "2 mm" not in histogram_svg(h)


@pytest.mark.parametrize("dark", [False, True])
def test_bars_are_as_high_as_their_counts(dark: bool) -> None:
    h = diameter_histogram(with_mm([0.6] * 3 + [1.1] * 9 + [2.2] * 6))
    tree = ET.fromstring(histogram_svg(h, dark))
    bars = [re.findall(r"-?[\d.]+", p.get("d", "")) for p in tree.iter(f"{SVG}path") if p.get("fill")]
    heights = [float(b[1]) - float(b[2]) for b in bars]
    assert np.allclose(np.array(heights) / heights[0], [1, 3, 2], atol=0.02)
    lefts = [float(b[0]) for b in bars]
    assert (np.diff(lefts) > 0).all()


def test_the_drawing_says_in_words_what_it_shows() -> None:
    tree = ET.fromstring(histogram_svg(diameter_histogram(with_mm([0.6, 0.6, 3.1])), title="Größe <b>&"))
    assert tree.get("role") == "img"
    assert tree.findtext(f"{SVG}title") == tree.get("aria-label") == "Größe <b>&"
    described = tree.findtext(f"{SVG}desc") or ""
    assert "0.5 to 0.75 mm: 2" in described
    assert "2 mm" in described


def test_nothing_measured_is_drawn_as_nothing() -> None:
    empty = diameter_histogram(with_mm([]))
    assert empty.rows() == []
    assert "No mark was measured." in histogram_svg(empty)
    assert histogram_svg(Histogram(np.zeros(1), np.zeros(0, int), "px", None, 3)).endswith("</svg>")
