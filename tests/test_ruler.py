"""The ruler as the reference: drawn scenes of known truth, things that are no ruler, and real photos."""

import json
import math
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotscan.errors import ReferenceNotFoundError
from spotscan.references import find_scale
from spotscan.references.ruler import scale_from_ruler
from spotscan.references.ruler_chains import fit_places
from spotscan.synth import Scene, SceneParams, draw_scene, random_params
from spotscan.synth_ruler import MARKS, WRONG
from spotscan.types import Photo, Scale

DATA = Path(os.environ.get("SPOTSCAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
PLAIN = SceneParams(
    width_px=900,
    height_px=660,
    px_per_mm=12.0,
    n_spots=6,
    reference="ruler",
    ruler_mm=52.0,
    reference_at=(0.5, 0.5),
    reference_turn_deg=20.0,
    jpeg_quality=92,
)


@lru_cache(maxsize=32)
def scene(seed: int = 3, **changes: object) -> Scene:
    return draw_scene(replace(PLAIN, **changes), seed)


def read(rgb: np.ndarray) -> Scale | None:
    return scale_from_ruler(Photo(rgb, ""))


def direction(scale: Scale) -> np.ndarray:
    points = scale.outline_px - scale.outline_px.mean(axis=0)
    return np.linalg.svd(points, full_matrices=False)[2][0]


def along(px_to_mm: np.ndarray, at: np.ndarray, way: np.ndarray) -> float:
    """Px per mm at a place along a direction, by projecting two points."""
    mm = cv2.perspectiveTransform((at + 0.5 * np.outer([-1, 1], way))[None], px_to_mm)[0]
    return float(1 / np.linalg.norm(mm[1] - mm[0]))


def true_px_per_mm(drawn: Scene, at: np.ndarray) -> float:
    square = at + 0.5 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1.0)])
    mm = cv2.perspectiveTransform(square[None], drawn.px_to_mm)[0]
    return float(1 / np.sqrt(cv2.contourArea((mm * 1000).astype(np.float32)) / 1e6))


def error_along(scale: Scale, drawn: Scene) -> float:
    way, at = direction(scale), scale.centre_px
    return along(scale.px_to_mm, at, way) / along(drawn.px_to_mm, at, way) - 1


# --- rulers


@pytest.mark.parametrize("turn", [-170.0, -95.0, -45.0, 0.0, 61.0, 90.0])
def test_any_direction(turn):
    drawn = scene(reference_turn_deg=turn, ruler_mm=46.0)
    assert abs(error_along(read(drawn.rgb), drawn)) < 2e-3


@pytest.mark.parametrize("kind", ["paper", "black", "steel", "clear"])
def test_dark_on_light_light_on_dark_and_clear_over_skin(kind):
    drawn = scene(ruler_kind=kind, ruler_contrast=0.7)
    assert abs(error_along(read(drawn.rgb), drawn)) < 2e-3


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_clear_on_light_and_dark_skin(tone):
    drawn = scene(ruler_kind="clear", skin_tone=tone, ruler_contrast=0.9)
    assert abs(error_along(read(drawn.rgb), drawn)) < 2e-3


def test_half_millimetres_are_told():
    drawn = scene(ruler_marks="half_mm", px_per_mm=16.0, ruler_mm=45.0)
    assert abs(error_along(read(drawn.rgb), drawn)) < 2e-3


def test_mm_on_one_edge_and_inches_on_the_other():
    drawn = scene(ruler_marks="mm+inch")
    assert abs(error_along(read(drawn.rgb), drawn)) < 2e-3


def test_close_ticks_of_a_large_photo():
    drawn = scene(width_px=2100, height_px=1300, px_per_mm=9.0, ruler_mm=170.0, n_spots=0, ruler_kind="paper")
    assert abs(error_along(read(drawn.rgb), drawn)) < 1e-3


def test_a_finger_and_worn_ticks_leave_a_whole_number_of_ticks():
    """The two halves are counted through: one tick too many would be 2 %."""
    drawn = scene(ruler_hidden=0.2, ruler_wear=0.5, ruler_kind="paper", n_spots=0)
    scale = read(drawn.rgb)
    assert abs(error_along(scale, drawn)) < 2e-3
    span = np.ptp((scale.outline_px - scale.centre_px) @ direction(scale)) / 12.0
    assert span > 45  # both sides of the finger


def test_perspective_along_the_ruler_is_seen():
    drawn = scene(tilt_deg=25.0, azimuth_deg=20.0, focal_px=800.0)
    scale = read(drawn.rgb)
    way = direction(scale)
    seen, true = [], []
    for step in (-200.0, 0.0, 200.0):
        at = scale.centre_px + step * way
        seen.append(along(scale.px_to_mm, at, way))
        true.append(along(drawn.px_to_mm, at, way))
    assert abs(true[2] / true[0] - 1) > 0.1
    np.testing.assert_allclose(seen, true, rtol=4e-3)


def test_a_turned_photo_gives_the_same_scale():
    rgb = scene().rgb
    turned = read(np.ascontiguousarray(np.rot90(rgb)))
    assert turned.px_per_mm == pytest.approx(read(rgb).px_per_mm, rel=1e-3)


@pytest.mark.parametrize("azimuth", [20.0, 65.0, 110.0])
def test_the_fan_of_the_ticks_tells_the_tilt_about_the_ruler(azimuth):
    drawn = scene(tilt_deg=25.0, azimuth_deg=azimuth, focal_px=692.0, ruler_kind="paper")  # a phone's focal length
    scale = read(drawn.rgb)
    assert scale.tilt_deg == pytest.approx(25.0, abs=4)
    assert scale.px_per_mm == pytest.approx(true_px_per_mm(drawn, scale.centre_px), rel=0.02)
    assert "tilted" not in scale.flags
    steep = scene(tilt_deg=42.0, azimuth_deg=azimuth, focal_px=692.0, ruler_kind="paper", ruler_mm=30.0)
    assert "tilted" in read(steep.rgb).flags


def test_what_cannot_be_seen_is_in_the_error():
    """Along the ruler the scale is sure; how the plane leans is less so, and farther away it matters more."""
    drawn = scene()
    scale = read(drawn.rgb)
    assert scale.reference == "ruler"
    way, at = direction(scale), scale.centre_px
    spread = np.std([math.log(along(h, at, way)) for h in scale.draws], ddof=1)
    assert spread < 1e-3
    across = np.array([-way[1], way[0]])
    far = scale.relative_err_at(at + np.outer([0, 300, 700], across))
    assert scale.systematic < far[0] < far[1] < far[2]
    few = scene(ruler_mm=17.0, ruler_kind="paper", tilt_deg=10.0, blur_px=2.0)
    short = read(few.rgb)
    assert short.relative_err_at(short.centre_px[None])[0] > far[0]


def test_the_outline_follows_the_ticks_and_the_keep_out_covers_them():
    drawn = scene(n_spots=0)
    scale = read(drawn.rgb)
    feet = cv2.perspectiveTransform(scale.outline_px[None, ::4], drawn.px_to_mm)[0]
    steps = np.linalg.norm(np.diff(feet, axis=0), axis=1)
    np.testing.assert_allclose(steps, np.rint(steps), atol=0.06)
    assert len(feet) > 45
    (area,) = scale.keep_out_px
    for point in scale.outline_px:
        assert cv2.pointPolygonTest(area.astype(np.float32), point.tolist(), False) > 0


@pytest.mark.parametrize("turn", [0.0, 140.0])
def test_marks_beside_the_edge_are_not_kept_out(turn):
    """Digits are covered; the skin at the edge, where a person lays the ruler, is free from 2 mm on."""
    drawn = scene(n_spots=0, reference_turn_deg=turn, tilt_deg=12.0)
    scale = read(drawn.rgb)
    comb = cv2.perspectiveTransform(scale.outline_px[None], drawn.px_to_mm)[0]
    feet, tips = comb[::4], comb[1::4]
    inward = np.median(tips - feet, axis=0)
    inward /= np.linalg.norm(inward)
    area = cv2.perspectiveTransform(scale.keep_out_px[0][None], drawn.px_to_mm)[0]
    across = (area - feet.mean(axis=0)) @ inward
    longest = np.quantile(np.linalg.norm(tips - feet, axis=1), 0.95)
    low, high = sorted((across.min(), across.max()), key=abs)
    assert 0.2 < abs(low) < 2.0
    assert abs(high) > longest


@pytest.mark.slow
def test_the_stated_error_is_the_real_error():
    rng = np.random.default_rng(5)
    pulls, errors, sizes = [], [], []
    for seed in range(700, 711):
        drawn = draw_scene(random_params(seed, None, "ruler", (1100, 830)), seed)
        scale = read(drawn.rgb)
        if scale is None:
            continue
        error = scale.px_per_mm / true_px_per_mm(drawn, scale.centre_px) - 1
        pulls.append((error + rng.normal(0, scale.systematic)) * scale.px_per_mm / scale.px_per_mm_err)
        errors.append(abs(error_along(scale, drawn)))
        sizes.append(abs(error))
    assert len(pulls) >= 9
    assert np.mean(np.abs(pulls) < 2) >= 0.87
    assert np.median(errors) < 1e-3
    assert max(errors) < 0.01
    assert np.median(sizes) < 5e-3


# --- things that are no ruler of mm


@pytest.mark.parametrize("marks", [*(name for name in MARKS if name not in ("mm", "half_mm")), *WRONG])
def test_other_scales_and_striped_things_are_refused(marks):
    for seed, kind in ((1, "paper"), (2, "black")):
        drawn = scene(seed, ruler_marks=marks, ruler_kind=kind, px_per_mm=11.0, width_px=640, height_px=470, n_spots=2)
        assert read(drawn.rgb) is None


def test_skin_alone_is_no_ruler():
    drawn = draw_scene(replace(PLAIN, reference=None, n_hairs=30, n_spots=20), 4)
    with pytest.raises(ReferenceNotFoundError, match="ruler"):
        find_scale(Photo(drawn.rgb, ""), "ruler")


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (60, 3), (40, 57)])
def test_tiny_photos_are_no_trouble(shape):
    rng = np.random.default_rng(1)
    assert read(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) is None


# --- the plain scales of dermoscopes


def bars(n: int, gap: float, field: bool) -> np.ndarray:
    """Equal bars on skin, drawn four times oversampled; black beyond the round field."""
    page = np.full((640 * 4, 800 * 4, 3), (200, 160, 140), np.uint8)
    for k in range(n):
        x, y = 160 + k * gap * math.cos(0.3), 130 + k * gap * math.sin(0.3)
        lean = gap * 0.25 * np.array([-math.sin(0.3), math.cos(0.3)])
        ends = [tuple(int(4 * v) for v in (x + s * lean[0], y + s * lean[1])) for s in (-1, 1)]
        cv2.line(page, ends[0], ends[1], (30, 25, 25), round(0.4 * gap), cv2.LINE_AA)
    if field:
        mask = np.zeros(page.shape[:2], np.uint8)
        cv2.circle(mask, (1600, 1280), 1440, 1, -1)
        page[mask == 0] = 8
    noise = np.random.default_rng(2).normal(0, 2, (640, 800, 3))
    return np.clip(cv2.resize(page, (800, 640), interpolation=cv2.INTER_AREA) + noise, 0, 255).astype(np.uint8)


def test_eleven_equal_bars_are_ten_millimetres_only_in_a_round_field():
    scale = read(bars(11, 40.0, field=True))
    assert scale.px_per_mm == pytest.approx(40.0, rel=5e-3)
    assert read(bars(11, 40.0, field=False)) is None
    assert read(bars(9, 40.0, field=True)) is None
    assert read(bars(14, 36.0, field=True)) is None


def test_a_round_field_is_a_centimetre_or_two_wide():
    assert read(bars(11, 9.0, field=True)) is None  # 70 mm


def test_fifths_across_an_axis_are_a_reticle_only_in_a_round_field():
    drawn = scene(ruler_marks="reticle", ruler_kind="clear", px_per_mm=50.0, ruler_mm=11.0, n_spots=0, n_hairs=0)
    rgb = drawn.rgb.copy()
    assert read(rgb) is None
    away = np.hypot(*np.meshgrid(np.arange(900) - 449.5, np.arange(660) - 329.5))
    rgb[away > 430] = 10
    assert abs(error_along(read(rgb), drawn)) < 3e-3


# --- the fit


def test_places_are_fitted_through_gaps_and_outliers():
    index = np.array([k for k in range(80) if not 30 <= k < 44])
    t = index - 39.5
    place = 500 + 12.0 * t / (1 + 0.001 * t) + np.random.default_rng(1).normal(0, 0.05, len(t))
    place[[5, 40]] += 4
    fit, scatter, good = fit_places(place, index)
    np.testing.assert_allclose(fit, (500, 12.0, 0.001), rtol=0.01)
    assert scatter < 0.1
    assert not good[[5, 40]].any()
    assert good.sum() == len(t) - 2


# --- real photos


@pytest.mark.parametrize("name", ["ruler_derm_ISIC_0261866.jpg", "ruler_derm_ISIC_8059429.jpg"])
def test_real_reticles(name):
    folder = DATA / "eval" / "scale"
    if not (folder / name).exists():
        pytest.skip(f"no {name} in {folder}")
    truth = json.loads((folder / "gt.json").read_text())[name]["px_per_mm"]
    scale = read(cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB))
    assert along(scale.px_to_mm, scale.centre_px, direction(scale)) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize(("name", "px_per_mm"), [("dnles_019.jpg", 13.0), ("dnles_021.jpg", 16.6)])
def test_real_rulers_at_the_edge_of_real_photos(name, px_per_mm):
    """What a cm is in the middle of the ruler was read off the photos by hand at the printed cm ticks."""
    path = DATA / "eval" / "dermnet_nz" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    scale = read(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
    assert along(scale.px_to_mm, scale.centre_px, direction(scale)) == pytest.approx(px_per_mm, rel=0.02)
