"""Segmentation: what is a mark, what is none, on drawn skin of known truth."""

import cv2
import numpy as np
import pytest

from spotscan.segment import SegmentParams, find_spots
from spotscan.synth import SceneParams, draw_scene
from spotscan.types import Photo, Scale, Skin, View
from spotscan.view import view_for_skin, view_for_spots

SKIN = {"light": (0.62, 0.42, 0.32), "medium": (0.42, 0.26, 0.18), "dark": (0.16, 0.09, 0.06)}
BLOOD = np.array([0.15, 1.0, 0.8])
MELANIN = np.array([0.6, 1.0, 1.2])
BLACK = np.array([1.0, 1.0, 1.0])


def draw(marks, tone="light", size=(300, 420), noise=0.004, blur=1.0, seed=0):
    """Skin (h, w) with marks (x, y, radius, absorbance) in linear light, blurred, with noise in absorbance."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(float)
    added = np.zeros((height, width, 3))
    for cx, cy, radius, absorbance in marks:
        inside = np.clip(radius + 0.5 - np.hypot(x - cx, y - cy), 0, 1)
        added = np.maximum(added, inside[..., None] * absorbance)
    light = SKIN[tone] * 10**-added
    light = cv2.GaussianBlur(light, (0, 0), blur)
    rng = np.random.default_rng(seed)
    light *= 10 ** (noise * rng.standard_normal((height, width, 1)) + 0.5 * noise * rng.standard_normal(light.shape))
    return encode(light)


def encode(light):
    light = np.clip(light, 0, 1)
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )


def everywhere(rgb):
    return Skin(np.ones(rgb.shape[:2], bool), 1.0, 1.0, None)


def segment(rgb, skin=None, scale=None):
    return find_spots(View(rgb, 1.0), skin or everywhere(rgb), scale)


def centres(spots):
    return np.array([np.argwhere(spots.labels == i).mean(axis=0)[::-1] for i in range(1, len(spots) + 1)]).reshape(
        -1, 2
    )


def all_found(spots, marks, within=1.5):
    apart = np.hypot(*(centres(spots)[:, None] - np.array([m[:2] for m in marks])[None]).transpose(2, 0, 1))
    return len(spots) == len(marks) and (apart.min(axis=0) < within).all()


@pytest.mark.parametrize("tone", SKIN)
@pytest.mark.parametrize("colour", [BLOOD, MELANIN], ids=["blood", "melanin"])
def test_every_mark_once_on_every_tone(tone, colour):
    marks = [
        (60, 50, 4, 0.12 * colour),
        (140, 60, 8, 0.12 * colour),
        (240, 120, 15, 0.1 * colour),
        (350, 220, 30, 0.1 * colour),
    ]
    assert all_found(segment(draw(marks, tone)), marks)


@pytest.mark.parametrize("colour", [BLACK, np.array([1.1, 0.9, 0.5])], ids=["black", "blue"])
def test_black_and_blue_marks_are_found(colour):
    marks = [(120, 100, 18, 0.35 * colour), (300, 200, 26, 0.3 * colour)]
    assert all_found(segment(draw(marks)), marks, within=3)


@pytest.mark.parametrize("tone", SKIN)
@pytest.mark.parametrize("seed", range(4))
def test_plain_skin_has_no_marks(tone, seed):
    assert len(segment(draw([], tone, seed=seed, noise=0.008))) == 0


def test_shading_and_a_soft_flush_are_no_marks():
    height, width = 300, 420
    light = draw([]).astype(float) / 255
    x = np.linspace(0, 1, width)[None, :, None]
    flush = np.exp(
        -((np.mgrid[0:height, 0:width][1] - 200) ** 2 + (np.mgrid[0:height, 0:width][0] - 150) ** 2) / 2 / 60**2
    )
    shaded = np.clip(light**2.2 * (1 - 0.7 * x) * 10 ** -(0.06 * flush[..., None] * BLOOD), 0, 1) ** (1 / 2.2)
    assert len(segment(np.rint(255 * shaded).astype(np.uint8))) == 0


def test_hairs_are_no_marks():
    rgb = draw([])
    rng = np.random.default_rng(1)
    for _ in range(12):
        x, y = rng.uniform(20, 400), rng.uniform(20, 280)
        angle = rng.uniform(0, np.pi)
        end = (round(x + 70 * np.cos(angle)), round(y + 70 * np.sin(angle)))
        cv2.line(rgb, (round(x), round(y)), end, (60, 45, 40), 1, cv2.LINE_AA)
    assert len(segment(cv2.GaussianBlur(rgb, (0, 0), 0.8))) <= 1


def test_a_hair_across_a_mark_does_not_hide_it():
    marks = [(200, 150, 14, 0.15 * BLOOD)]
    rgb = draw(marks)
    cv2.line(rgb, (120, 100), (290, 205), (60, 45, 40), 1, cv2.LINE_AA)
    assert all_found(segment(rgb), marks, within=3)


def test_glints_and_the_gaps_between_them_are_no_marks():
    rgb = draw([])
    rng = np.random.default_rng(2)
    for x, y in rng.uniform((40, 40), (380, 260), (120, 2)):
        cv2.line(rgb, (round(x), round(y)), (round(x) + 5, round(y) + 1), (250, 245, 240), 1, cv2.LINE_AA)
    assert len(segment(rgb)) <= 1


@pytest.mark.parametrize("overlap", [0.0, 0.1])
def test_touching_marks_are_parted(overlap):
    radius = 10
    apart = 2 * radius * (1 - overlap)
    marks = [(200 - apart / 2, 150, radius, 0.15 * BLOOD), (200 + apart / 2, 150, radius, 0.15 * BLOOD)]
    assert all_found(segment(draw(marks)), marks, within=3)


def test_texture_inside_a_large_mark_is_part_of_it():
    rng = np.random.default_rng(3)
    marks = [(200, 150, 50, 0.3 * MELANIN)]
    marks += [(200 + x, 150 + y, 5, 0.4 * MELANIN) for x, y in rng.uniform(-30, 30, (12, 2))]
    assert all_found(segment(draw(marks)), marks[:1], within=5)


def test_a_crowd_of_small_marks_is_not_one_large_one():
    marks = [(140 + 22 * i, 90 + 22 * j, 5, 0.15 * BLOOD) for i in range(6) for j in range(5)]
    assert all_found(segment(draw(marks)), marks)


def test_labels_are_numbered_without_gaps_and_cover_half_the_contrast():
    marks = [(100, 90, 12, 0.2 * BLOOD), (300, 200, 20, 0.2 * BLOOD)]
    spots = segment(draw(marks))
    assert sorted(np.unique(spots.labels)) == [0, 1, 2]
    areas = sorted((spots.labels == i).sum() for i in (1, 2))
    np.testing.assert_allclose(areas, [np.pi * 12**2, np.pi * 20**2], rtol=0.08)


def test_turning_the_photo_turns_the_labels():
    marks = [(60, 50, 5, 0.15 * BLOOD), (240, 120, 12, 0.15 * BLOOD), (350, 220, 25, 0.15 * BLOOD)]
    rgb = draw(marks)
    turned = centres(segment(np.ascontiguousarray(rgb.transpose(1, 0, 2))))[:, ::-1]
    straight = centres(segment(rgb))
    assert len(turned) == len(straight) == 3
    np.testing.assert_allclose(turned[np.argsort(turned[:, 0])], straight[np.argsort(straight[:, 0])], atol=1)


@pytest.mark.parametrize("gain", [0.5, 0.8])
def test_exposure_does_not_change_what_is_found(gain):
    marks = [(60, 50, 5, 0.15 * BLOOD), (240, 120, 12, 0.15 * BLOOD)]
    light = (draw(marks) / 255.0) ** 2.2 * gain
    assert all_found(segment(np.rint(255 * light ** (1 / 2.2)).astype(np.uint8)), marks)


def test_outside_the_skin_nothing_is_found():
    marks = [(100, 150, 12, 0.2 * BLOOD), (320, 150, 12, 0.2 * BLOOD)]
    rgb = draw(marks)
    mask = np.ones(rgb.shape[:2], bool)
    mask[:, 210:] = False
    assert all_found(segment(rgb, Skin(mask, 1.0, 0.5, None)), marks[:1])


def test_the_dark_rim_of_a_limb_is_no_row_of_marks():
    rgb = draw([(200, 150, 12, 0.2 * BLOOD)])
    mask = np.zeros(rgb.shape[:2], bool)
    mask[60:240] = True
    light = (rgb / 255.0) ** 2.2
    depth = np.minimum(np.arange(300) - 60, 239 - np.arange(300))[:, None, None]
    light *= 10 ** -(0.25 * np.exp(-np.maximum(depth, 0) / 4.0) * MELANIN)
    light[~mask] = (0.05, 0.08, 0.2)
    spots = segment(np.rint(255 * light ** (1 / 2.2)).astype(np.uint8), Skin(mask, 1.0, 0.6, None))
    assert all_found(spots, [(200, 150)])


def test_pores_are_too_small_in_millimetres():
    scale = Scale("px-per-mm:20", np.diag([1 / 20, 1 / 20, 1.0]), np.zeros(2))
    pores = [(60 + 60 * i, 60 + 50 * j, 2.2, 0.25 * BLOOD) for i in range(6) for j in range(4)]  # 0.22 mm across
    marks = [(210, 135, 8, 0.2 * BLOOD)]
    assert all_found(segment(draw(pores + marks), scale=scale), marks)
    assert len(segment(draw(pores + marks))) > 10  # without a scale they may be marks seen from afar


def test_no_skin_gives_an_empty_value():
    rgb = draw([])
    spots = segment(rgb, Skin(np.zeros(rgb.shape[:2], bool), 1.0, 0.0, None))
    assert len(spots) == 0
    assert spots.labels.shape == rgb.shape[:2]
    assert not spots.labels.any()


@pytest.mark.parametrize("shape", [(32, 40), (33, 700), (64, 64)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_and_tiny_photos_are_no_trouble(shape, value):
    assert len(segment(np.full((*shape, 3), value, np.uint8))) == 0


def test_the_same_photo_gives_the_same_labels():
    scene = draw_scene(SceneParams(width_px=700, height_px=500, px_per_mm=20, n_spots=15, n_hairs=6, reference=None), 3)
    first, second = segment(scene.rgb), segment(scene.rgb)
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize(("tone", "least"), [("light", 0.95), ("medium", 0.95), ("dark", 0.85)])
def test_drawn_scenes_of_every_tone(tone, least):
    hits = false = missed = 0
    for seed in range(3):
        params = SceneParams(
            width_px=900, height_px=650, px_per_mm=20, n_spots=25, n_hairs=5, skin_tone=tone, reference=None
        )
        scene = draw_scene(params, seed)
        found = centres(segment(scene.rgb, scale=Scale("px-per-mm:20", scene.px_to_mm, np.array([450.0, 325.0]))))
        apart = np.hypot(*(found[:, None] - scene.centre_px[None]).transpose(2, 0, 1))
        hit = (apart < 0.5 * scene.diameter_px[None]).any(axis=0).sum()
        hits, missed, false = hits + hit, missed + len(scene) - hit, false + len(found) - hit
    assert 2 * hits / (2 * hits + missed + false) >= least


def test_a_view_keeps_places():
    photo = Photo(np.zeros((610, 1203, 3), np.uint8), "")
    photo.rgb[300:306, 600:606] = 255
    scale = Scale("px-per-mm:30", np.diag([1 / 30, 1 / 30, 1.0]), np.zeros(2))
    view = view_for_spots(photo, scale)
    assert view.factor == 3
    y, x = np.nonzero(view.rgb[..., 0])
    np.testing.assert_allclose(view.to_photo(np.array([[x.mean(), y.mean()]])), [[602.5, 302.5]])
    np.testing.assert_allclose(view.from_photo(view.to_photo(np.array([[7.0, 9.0]]))), [[7.0, 9.0]])
    assert view_for_skin(view).factor % 3 == 0
    assert view_for_spots(photo, None).factor == 1


def test_parameters_are_one_frozen_set():
    with pytest.raises(AttributeError):
        SegmentParams().min_snr = 1.0  # type: ignore[misc]
