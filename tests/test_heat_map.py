"""The map of density: marks over skin, whatever the skin's edge, the tilt of its plane, or the scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spotscan.heat_map import density_map
from spotscan.types import Scan, Skin
from tests.test_overlay import PX_PER_MM, scan_of, textured

W, H = 900, 600


def even(step: float = 30.0, tone: str = "medium", scaled: bool = True) -> Scan:
    """Marks on a grid, one every `step` px."""
    x, y = np.meshgrid(np.arange(step / 2, W, step), np.arange(step / 2, H, step))
    return scan_of(textured(W, H, tone), np.column_stack([x.ravel(), y.ravel()]), 8.0, scaled=scaled)


def test_even_marks_have_one_density() -> None:
    found = density_map(even())
    assert found is not None
    per_cm2 = 100 * (PX_PER_MM / 30.0) ** 2
    assert found.unit == "per cm2"
    assert found.mean == pytest.approx(per_cm2, rel=1e-6)
    assert found.highest == pytest.approx(per_cm2, rel=0.15)


def test_the_edge_of_the_skin_makes_nothing_denser_or_thinner() -> None:
    scan = even()
    mask = np.zeros((H // 2, W // 2), bool)
    mask[30:200, 100:330] = True
    xy = scan.spots.centre_px
    on = mask[(xy[:, 1] // 2).astype(int), (xy[:, 0] // 2).astype(int)]
    part = scan_of(scan.photo.rgb, xy[on], 8.0)
    found = density_map(replace(part, skin=Skin(mask, 2.0, 0.3, 30.0)))
    assert found is not None
    assert found.mean == pytest.approx(100 * on.sum() / (4 * mask.sum() / PX_PER_MM**2), rel=0.01)
    assert found.highest == pytest.approx(found.mean, rel=0.25)


def test_tilt_makes_nothing_denser() -> None:
    scan = even()
    assert scan.scale is not None
    # Marks even on a plane that recedes to the right: seen from the front they crowd there.
    h = np.array([[1 / PX_PER_MM, 0, 0], [0, 1 / PX_PER_MM, 0], [-0.0004, 0, 1.0]])
    x, y = np.meshgrid(np.arange(0.75, 75, 2.0), np.arange(0.75, 50, 2.0))
    mm = np.column_stack([x.ravel(), y.ravel(), np.ones(x.size)])
    px = mm @ np.linalg.inv(h).T
    px = px[:, :2] / px[:, 2:]
    px = px[(px[:, 0] < W) & (px[:, 1] < H)]
    tilted = scan_of(scan.photo.rgb, px, 8.0)
    found = density_map(replace(tilted, scale=replace(scan.scale, px_to_mm=h, centre_px=np.array([50.0, 50.0]))))
    flat = density_map(tilted)
    assert found is not None
    assert flat is not None
    assert found.mean == pytest.approx(25.0, rel=0.05)  # one in 2 x 2 mm
    assert found.highest / found.mean < 1.4 < 1.7 < flat.highest / flat.mean


def test_a_crowd_is_the_brightest_place_on_every_skin() -> None:
    rng = np.random.default_rng(0)
    places = np.vstack([rng.normal([650, 200], 25, (40, 2)), rng.uniform([0, 0], [W, H], (25, 2))])
    for tone in ("light", "medium", "dark"):
        found = density_map(scan_of(textured(W, H, tone), places, 8.0), max_side_px=W)
        assert found is not None
        blue = found.rgb[:H, :, 2].astype(float)
        yellow = found.rgb[:H, :, 0].astype(float) - blue
        y, x = np.unravel_index(np.argmax(yellow), yellow.shape)
        assert np.hypot(x - 650, y - 200) < 80


def test_dark_and_light_skin_give_the_same_colours() -> None:
    pictures = [density_map(even(tone=tone), W).rgb[:H].astype(float) for tone in ("light", "dark")]  # type: ignore[union-attr]
    assert np.abs(pictures[0] - pictures[1]).mean() < 6


def test_without_a_scale_it_is_told_in_times_the_mean() -> None:
    with_scale, without = density_map(even()), density_map(even(scaled=False))
    assert with_scale is not None
    assert without is not None
    assert (without.unit, without.mean, without.bandwidth_mm) == ("times the mean", pytest.approx(1.0), None)
    assert without.highest == pytest.approx(with_scale.highest / with_scale.mean)


def test_the_legend_rises_evenly_from_nothing_to_the_highest() -> None:
    found = density_map(even())
    assert found is not None
    values = [value for _, value in found.legend]
    assert values[0] == 0
    assert values[-1] == found.highest
    assert np.allclose(np.diff(values), values[1])
    # Perceptually even: lightness rises by about equal steps.
    rgb = np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name, _ in found.legend], float) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert (np.diff(lightness) > 10).all()
    assert np.ptp(np.diff(lightness)) < 8


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_marks_make_no_map(n: int) -> None:
    assert density_map(scan_of(textured(W, H), np.full((n, 2), 100.0), 8.0)) is None


def test_no_skin_makes_no_map() -> None:
    assert density_map(replace(even(), skin=Skin(np.zeros((60, 90), bool), 10.0, 0.0, None))) is None


def test_print_on_a_card_is_not_shown() -> None:
    right = even().spots.centre_px
    scan = scan_of(textured(W, H), right[right[:, 0] > 500], 8.0)
    assert scan.scale is not None
    card = np.array([(100.0, 100.0), (400, 100), (400, 300), (100, 300)])
    off = Skin(np.zeros((H, W), bool), 1.0, 1.0, 30.0)
    off.mask[:, 500:] = True
    rgb = scan.photo.rgb.copy()
    rgb[120:280, 120:380] = np.random.default_rng(0).integers(0, 255, (160, 260, 3))
    scan = replace(scan, skin=off, photo=replace(scan.photo, rgb=rgb), scale=replace(scan.scale, private_px=(card,)))
    found = density_map(scan, W)
    assert found is not None
    assert len(np.unique(found.rgb[150:250, 150:350].reshape(-1, 3), axis=0)) == 1
