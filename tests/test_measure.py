"""Tests of the measures: drawn marks of known size, colour and blur, and what the errors promise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from spotscan import synth_geometry
from spotscan.flags import FLAGS
from spotscan.measure import MeasureParams, colour_name, measure_spots
from spotscan.synth import SceneParams, draw_scene
from spotscan.types import BoolArray, FloatArray, Measurements, Photo, Scale, Skin, Spots

SKIN = np.array([0.45, 0.28, 0.20])
BLOOD = np.array([0.2, 1.0, 0.8])
MM = 0.05  # per px


def per_px(mm: float = MM) -> Scale:
    return Scale("px-per-mm", np.diag([mm, mm, 1.0]), np.zeros(2))


def ellipse(centre: tuple[float, float], diameter: float, ratio: float = 1.0, angle: float = 0.0) -> FloatArray:
    """Outline (k, 2) of an ellipse with the area of that disc, in px."""
    t = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    long, short = diameter / 2 * np.sqrt(ratio), diameter / 2 / np.sqrt(ratio)
    x, y = long * np.cos(t), short * np.sin(t)
    return np.c_[centre[0] + x * np.cos(angle) - y * np.sin(angle), centre[1] + x * np.sin(angle) + y * np.cos(angle)]


def coverage(outline: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Share of every pixel inside a polygon, exact."""
    return synth_geometry.coverage([outline], (slice(0, shape[0]), slice(0, shape[1]))).astype(float)


def photograph(light: FloatArray, blur: float, noise: float, seed: int = 0) -> Photo:
    """Blur, noise and sRGB."""
    light = cv2.GaussianBlur(light, (0, 0), blur) if blur else light
    light = light + noise * np.random.default_rng(seed).standard_normal(light.shape)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return Photo(np.clip(255 * code + 0.5, 0, 255).astype(np.uint8), "")


def draw(
    outlines: list[FloatArray],
    shape: tuple[int, int] = (90, 120),
    blur: float = 0.8,
    noise: float = 0.0,
    contrast: float = 0.25,
    seed: int = 0,
    hair: BoolArray | None = None,
) -> tuple[Photo, Spots, Skin]:
    """Marks on plain skin, with the labels that a segmentation at half the resolution would give."""
    light = np.broadcast_to(SKIN, (*shape, 3)).copy()
    labels = np.zeros((shape[0] // 2, shape[1] // 2), np.int32)
    for i, outline in enumerate(outlines):
        share = coverage(outline, shape)
        light *= 1 - share[..., None] * (1 - 10 ** (-contrast * BLOOD))
        half = cv2.resize(share, labels.shape[::-1], interpolation=cv2.INTER_AREA)
        labels[(half > 0.4) & (labels == 0)] = i + 1
    if hair is not None:
        light[hair] = 0.03
    skin = Skin(np.ones((shape[0] // 3, shape[1] // 3), bool), 3.0, 1.0, None)
    return photograph(light, blur, noise, seed), Spots(labels, 2.0, np.ones(len(outlines))), skin


def measure(outlines: list[FloatArray], scale: Scale | None = None, **how: object) -> Measurements:
    return measure_spots(*draw(outlines, **how), scale or per_px())  # type: ignore[arg-type]


def area(outline: FloatArray) -> float:
    x, y = (outline - outline.mean(axis=0)).T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def scene_marks(params: SceneParams, seed: int) -> tuple[FloatArray, FloatArray, Measurements, tuple[str, ...]]:
    """True and measured diameters (mm) of a drawn scene; the labels are wrong by up to a fifth."""
    scene = draw_scene(params, seed)
    rng = np.random.default_rng(seed)
    height, width = scene.rgb.shape[:2]
    labels = np.zeros((height // 2, width // 2), np.int32)
    for i, (outline, centre) in enumerate(zip(scene.outlines_px, scene.centre_px, strict=True)):
        wrong = centre + (outline - centre) * rng.uniform(0.8, 1.2)
        cv2.fillPoly(labels, [np.rint((wrong + 0.5) / 2 - 0.5).astype(np.int32)], i + 1)
    scale = Scale("truth", scene.px_to_mm, np.array([width / 2, height / 2]))
    skin = Skin(np.ascontiguousarray(scene.skin_mask[::4, ::4]), 4.0, 1.0, None)
    found = measure_spots(Photo(scene.rgb, ""), Spots(labels, 2.0, np.ones(len(scene))), skin, scale)
    return scene.diameter_mm, scene.longest_mm, found, scene.kind


# Size


@pytest.mark.parametrize("diameter", [10.0, 14.0, 25.0, 60.0, 150.0])
@pytest.mark.parametrize("blur", [0.4, 0.8, 1.5])
def test_a_disc_has_its_diameter_at_any_blur_and_place(diameter: float, blur: float) -> None:
    side = int(2.4 * diameter + 40)
    for shift in (0.0, 0.25, 0.5):
        outline = ellipse((side / 2 + 4 + shift, side / 2 - shift / 2), diameter)
        found = measure([outline], shape=(side, side + 16), blur=blur)
        assert found.diameter_px[0] == pytest.approx(diameter, rel=0.012)
        assert found.diameter_mm[0] == pytest.approx(diameter * MM, rel=0.012)
        assert abs(found.diameter_mm[0] - diameter * MM) < 2 * found.diameter_mm_err[0]
        assert found.longest_mm[0] == pytest.approx(diameter * MM, rel=0.02)
        assert found.circularity[0] > 0.98
        assert found.centre_px[0] == pytest.approx(outline.mean(axis=0), abs=0.1)


@pytest.mark.parametrize("blur", [0.5, 1.0])
def test_the_bias_of_the_smallest_discs_is_bounded(blur: float) -> None:
    for diameter in (5.0, 6.0, 8.0):
        found = [
            measure([ellipse((30 + k / 4, 22 - k / 5), diameter)], shape=(44, 62), blur=blur).diameter_px[0]
            for k in range(4)
        ]
        assert np.mean(found) == pytest.approx(diameter, rel=0.03)


def test_an_ellipse_has_its_diameter_length_and_circularity() -> None:
    outline = ellipse((60.3, 44.6), 36.0, ratio=1.6, angle=0.6)
    found = measure([outline])
    long, short = 18 * np.sqrt(1.6), 18 / np.sqrt(1.6)
    h = ((long - short) / (long + short)) ** 2
    perimeter = np.pi * (long + short) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))  # Ramanujan
    assert found.diameter_mm[0] == pytest.approx(36 * MM, rel=0.01)
    assert found.area_mm2[0] == pytest.approx(np.pi / 4 * (36 * MM) ** 2, rel=0.02)
    assert found.longest_mm[0] == pytest.approx(2 * long * MM, rel=0.015)
    assert found.circularity[0] == pytest.approx(4 * np.pi * np.pi * long * short / perimeter**2, abs=0.02)
    x, y, w, h = found.bbox_px[0]
    assert (x, y) == pytest.approx(outline.min(axis=0), abs=0.5)
    assert (x + w, y + h) == pytest.approx(outline.max(axis=0), abs=0.5)


def test_the_boundary_lies_at_half_contrast_by_an_independent_count() -> None:
    """A lobed shape, its area counted in the drawing itself: the sum of every pixel's share of the contrast."""
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = 24 * (1 + 0.12 * np.cos(3 * t + 1) + 0.06 * np.cos(5 * t))
    outline = np.c_[64 + radius * np.cos(t), 46 + radius * np.sin(t)]
    photo, spots, skin = draw([outline], shape=(92, 130), blur=1.0)
    green = ((photo.rgb[..., 1] / 255 + 0.055) / 1.055) ** 2.4
    level = green[:6].mean(), green[40:52, 58:70].mean()
    counted = ((level[0] - green) / (level[0] - level[1])).sum()
    found = measure_spots(photo, spots, skin, per_px())
    assert found.diameter_px[0] == pytest.approx(2 * np.sqrt(counted / np.pi), rel=0.01)
    assert area(found.contours_px[0]) == pytest.approx(counted, rel=0.02)


def test_contrast_is_that_of_green_absorbance() -> None:
    for contrast in (0.1, 0.3, 0.6):
        found = measure([ellipse((60, 45), 40)], contrast=contrast)
        assert found.contrast[0] == pytest.approx(contrast, rel=0.05)


# Invariants


def test_twice_the_px_per_mm_is_half_the_mm_and_twice_the_px_the_same_mm() -> None:
    outline = ellipse((60.2, 44.7), 24.0, 1.3, 0.4)
    once = measure([outline])
    other_scale = measure([outline], scale=per_px(MM / 2))
    assert other_scale.diameter_mm == pytest.approx(once.diameter_mm / 2, rel=1e-6)
    assert other_scale.longest_mm == pytest.approx(once.longest_mm / 2, rel=1e-6)
    assert other_scale.area_mm2 == pytest.approx(once.area_mm2 / 4, rel=1e-6)
    assert other_scale.diameter_px == pytest.approx(once.diameter_px, rel=0.005)
    twice = measure([2 * outline + 0.5], shape=(180, 240), blur=1.6, scale=per_px(MM / 2))
    assert twice.diameter_px == pytest.approx(2 * once.diameter_px, rel=0.01)
    assert twice.diameter_mm == pytest.approx(once.diameter_mm, rel=0.01)


def test_swapped_axes_and_quarter_turns_change_nothing() -> None:
    outlines = [ellipse((34.2, 40.7), 22.0, 1.5, 0.4), ellipse((88.4, 30.1), 14.0)]
    photo, spots, skin = draw(outlines, noise=0.004)
    upright = measure_spots(photo, spots, skin, per_px())

    def moved(array: np.ndarray, k: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.ascontiguousarray(np.swapaxes(array, 0, 1) if k == 0 else np.rot90(array, k))

    for k in range(4):
        other = measure_spots(
            Photo(moved(photo.rgb, k), ""),
            Spots(moved(spots.labels, k), spots.factor, spots.snr),
            Skin(moved(skin.mask, k), skin.factor, skin.fraction, None),
            per_px(),
        )
        assert other.diameter_mm == pytest.approx(upright.diameter_mm, rel=0.01)
        assert other.longest_mm == pytest.approx(upright.longest_mm, rel=0.02)
    assert other.colour == upright.colour


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.1])
def test_a_turned_mark_has_the_same_measures(angle: float) -> None:
    found = measure([ellipse((60, 45), 30.0, 1.5, angle)])
    assert found.diameter_mm[0] == pytest.approx(30 * MM, rel=0.01)
    assert found.longest_mm[0] == pytest.approx(30 * np.sqrt(1.5) * MM, rel=0.015)


def test_tilt_is_taken_out() -> None:
    to_mm = np.array([[0.05, 0.004, -2.0], [0.002, 0.062, -3.0], [0.0004, 0.0012, 1.0]])
    to_px = np.linalg.inv(to_mm)
    for centre in ((1.0, -0.4), (3.0, 1.5)):
        circle = np.c_[ellipse(centre, 1.6), np.ones(360)] @ to_px.T
        found = measure(
            [circle[:, :2] / circle[:, 2:]], shape=(120, 150), scale=Scale("truth", to_mm, np.array([70.0, 60.0]))
        )
        assert found.diameter_mm[0] == pytest.approx(1.6, rel=0.01)
        assert found.longest_mm[0] == pytest.approx(1.6, rel=0.02)


# What is in the way


def test_a_hair_across_a_mark_does_not_change_its_diameter() -> None:
    outline = ellipse((62, 45), 32.0)
    y, x = np.mgrid[:90, :120]
    bare = measure([outline], noise=0.004)
    for offset in (0.0, 8.0, 15.0):
        hair = np.abs(0.45 * (x - 62) - (y - 45) - offset) < 1.4
        found = measure([outline], noise=0.004, hair=hair)
        assert found.diameter_mm[0] == pytest.approx(bare.diameter_mm[0], rel=0.05)
        assert found.longest_mm[0] == pytest.approx(bare.longest_mm[0], rel=0.08)


def test_glints_do_not_cut_the_outline() -> None:
    outline = ellipse((62, 45), 34.0)
    photo, spots, skin = draw([outline], noise=0.004)
    rng = np.random.default_rng(1)
    for x, y in rng.uniform((48, 32), (76, 60), (9, 2)).astype(int):
        photo.rgb[y : y + 3, x : x + 4] = 255
    found = measure_spots(photo, spots, skin, per_px())
    assert found.diameter_mm[0] == pytest.approx(34 * MM, rel=0.05)
    assert "saturated" in found.flags[0]


def test_a_label_of_a_quarter_of_a_mark_finds_all_of_it() -> None:
    photo, spots, skin = draw([ellipse((120, 90), 90.0)], shape=(180, 240), noise=0.004)
    spots.labels[:45] = 0
    spots.labels[:, :60] = 0
    found = measure_spots(photo, spots, skin, per_px())
    assert found.diameter_mm[0] == pytest.approx(90 * MM, rel=0.02)


def test_touching_marks_share_a_fence() -> None:
    outlines = [ellipse((46, 45), 30.0), ellipse((75, 45), 30.0)]
    found = measure(outlines, shape=(90, 124), noise=0.004)
    assert all("touching" in flags for flags in found.flags)
    assert found.diameter_mm == pytest.approx(30 * MM, rel=0.08)
    apart = measure([ellipse((34, 45), 30.0), ellipse((90, 45), 30.0)], shape=(90, 124))
    assert not any("touching" in flags for flags in apart.flags)


def test_no_boundary_falls_back_to_the_label_and_says_so() -> None:
    photo, spots, skin = draw([ellipse((60, 45), 24.0)], contrast=0.0, noise=0.01)
    spots.labels[16:28, 24:36] = 1
    found = measure_spots(photo, spots, skin, per_px())
    assert "low_contrast" in found.flags[0]
    assert 12 < found.diameter_px[0] < 44
    assert found.diameter_mm_err[0] > 0.1 * found.diameter_mm[0]


# Flags


def test_a_mark_cut_by_the_edge_is_flagged() -> None:
    sides = {(3.0, 45.0): True, (60.0, 2.0): True, (117.0, 45.0): True, (60.0, 88.0): True, (60.0, 45.0): False}
    for centre, cut in sides.items():
        found = measure([ellipse(centre, 24.0)])
        assert ("at_edge" in found.flags[0]) is cut
        assert found.contours_px[0].min() >= -0.5 - 1e-6 or not cut
    # What is left of it is measured.
    outline = ellipse((0.0, 45.0), 40.0)
    seen = area(np.maximum(outline, [-0.5, -1e9]))
    assert measure([outline]).diameter_px[0] == pytest.approx(2 * np.sqrt(seen / np.pi), rel=0.05)


def test_too_small_is_counted_not_measured() -> None:
    photo, spots, skin = draw([ellipse((60.5, 44.5), 2.6)], blur=0.6, contrast=0.4)
    spots.labels[22, 30] = 1
    found = measure_spots(photo, spots, skin, per_px())
    assert "too_small" in found.flags[0]
    for sizes in (found.diameter_px, found.diameter_mm, found.diameter_mm_err, found.longest_mm, found.area_mm2):
        assert np.isnan(sizes[0])
    assert np.isfinite(found.centre_px).all()
    assert found.centre_px[0] == pytest.approx((60.5, 44.5), abs=1.5)
    measured = measure_spots(photo, spots, skin, per_px(), MeasureParams(smallest_px=1.0))
    assert "too_small" not in measured.flags[0]


def test_far_from_the_reference_is_flagged() -> None:
    px_to_mm = np.diag([MM, MM, 1.0])
    draws = np.repeat(px_to_mm[None], 24, axis=0)
    draws[:, 2, 0] = np.random.default_rng(0).normal(0, 4e-4, 24)  # perspective in doubt: sure at x = 0
    scale = Scale("aruco:20", px_to_mm, np.zeros(2), draws=draws, systematic=0.001)
    found = measure([ellipse((18, 45), 20.0), ellipse((150, 45), 20.0)], shape=(90, 190), scale=scale)
    assert ["off_reference_plane" in flags for flags in found.flags] == [False, True]
    assert found.diameter_mm_err[1] > 2 * found.diameter_mm_err[0]


def test_without_a_scale_there_are_px_only() -> None:
    found = measure_spots(*draw([ellipse((60, 45), 24.0)]), None)
    assert np.isnan([found.diameter_mm[0], found.diameter_mm_err[0], found.longest_mm[0], found.area_mm2[0]]).all()
    assert found.diameter_px[0] == pytest.approx(24, rel=0.012)
    assert 0.98 < found.circularity[0] <= 1


def test_nothing_in_nothing_out() -> None:
    photo, spots, skin = draw([])
    found = measure_spots(photo, spots, skin, per_px())
    assert len(found) == 0
    assert found.centre_px.shape == (0, 2)
    assert found.bbox_px.shape == (0, 4)
    assert found.diameter_mm.shape == (0,)


# Errors and colours, on drawn scenes


@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_the_stated_error_is_the_real_one(tone: str) -> None:
    params = SceneParams(
        width_px=1100, height_px=800, px_per_mm=24.0, tilt_deg=20.0, azimuth_deg=70.0, skin_tone=tone, n_spots=45,
        diameter_mm=(0.5, 4.0), n_hairs=6, relief=0.035, edge_mm=(0.0, 0.05), unevenness=0.05, blur_px=0.9,
        kinds=(("petechia", 0.7), ("naevus", 0.15), ("purpura", 0.15)), jpeg_quality=92,
    )  # fmt: skip
    true, longest, found, _ = scene_marks(params, 11)
    error = found.diameter_mm - true
    assert len(true) > 25
    assert np.median(np.abs(error) / true) < 0.02
    assert np.quantile(np.abs(error) / true, 0.9) < 0.08
    assert np.mean(np.abs(error) < 2 * found.diameter_mm_err) >= 0.9
    # An honest error is not a generous one either.
    assert np.median(found.diameter_mm_err / true) < 0.03
    assert np.mean(np.abs(error) < 0.5 * found.diameter_mm_err) < 0.75
    assert np.median(np.abs(found.longest_mm - longest) / longest) < 0.03


def test_more_noise_more_error() -> None:
    outline = ellipse((60, 45), 24.0)
    stated = [measure([outline], noise=noise).diameter_mm_err[0] for noise in (0.0, 0.01, 0.03)]
    assert stated == sorted(stated)
    assert stated[2] > 1.5 * stated[0]


@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_colours_have_the_names_people_give_them(tone: str) -> None:
    names = {"petechia": "red", "angioma": "red", "purpura": "purple", "naevus": "brown", "black": "black"}
    params = SceneParams(
        width_px=800, height_px=600, px_per_mm=16.0, skin_tone=tone, n_spots=24, diameter_mm=(1.2, 3.0),
        contrast=(0.25, 0.5), kinds=tuple((kind, 1.0) for kind in names if kind != "black"),
    )  # fmt: skip
    *_, found, kinds = scene_marks(params, 5)
    right = [colour == names[kind] for colour, kind in zip(found.colour, kinds, strict=True)]
    assert np.mean(right) >= 0.9


def test_black_and_pink() -> None:
    params = SceneParams(
        width_px=500, height_px=400, px_per_mm=16.0, n_spots=8, kinds=(("black", 1.0),), diameter_mm=(1, 3)
    )
    *_, found, _ = scene_marks(params, 3)
    assert set(found.colour) == {"black"}
    assert measure([ellipse((60, 45), 40)], contrast=0.05).colour == ("pink",)
    assert colour_name(np.array([0.01, 0.06, 0.05])) == "pink"


def test_every_flag_is_in_the_registry() -> None:
    found = measure([ellipse((3.0, 45.0), 24.0), ellipse((60.5, 44.5), 2.6), ellipse((90, 45), 20)], contrast=0.3)
    for flags in found.flags:
        assert all(FLAGS[flag].concerns == "spot" for flag in flags)
