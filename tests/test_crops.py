"""Crops: the mark in the middle at the stated size, the light taken out, nothing beyond the photo."""

import cv2
import numpy as np
import pytest

from spotscan.crops import CROP_PX, TIGHT, WIDE, crop_box, mark_crops

SKIN, MARK = np.array([0.55, 0.34, 0.26]), np.array([0.40, 0.10, 0.10])  # linear light


def encoded(light):
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.clip(light, 1e-9, 1) ** (1 / 2.4) - 0.055)
    return np.clip(np.rint(code * 255), 0, 255).astype(np.uint8)


def photo(centre=(70.25, 51.5), diameter=20.0, size=(160, 110), light=(1.0, 1.0, 1.0), zoom=1):
    """A disc on skin, drawn at 8 times the resolution."""
    fine = 8
    w, h = size[0] * zoom, size[1] * zoom
    y, x = (np.mgrid[: h * fine, : w * fine] + 0.5) / fine - 0.5
    cx, cy = ((c + 0.5) * zoom - 0.5 for c in centre)
    inside = np.hypot(x - cx, y - cy) < diameter * zoom / 2
    cover = cv2.resize(inside.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)[..., None]
    return encoded((SKIN * (1 - cover) + MARK * cover) * np.array(light))


def absorbance_of_mark():
    return -np.log10(MARK / SKIN)


def test_the_mark_lies_in_the_middle_at_its_size():
    centre, diameter = (70.25, 51.5), 20.0
    crop = mark_crops(photo(centre, diameter), [centre], [diameter])[0]
    y, x = np.mgrid[:CROP_PX, :CROP_PX]
    for part, side in ((crop[1], TIGHT), (crop[4], WIDE)):
        share = part / absorbance_of_mark()[1]
        assert (share * x).sum() / share.sum() == pytest.approx((CROP_PX - 1) / 2, abs=0.06)
        assert (share * y).sum() / share.sum() == pytest.approx((CROP_PX - 1) / 2, abs=0.06)
        across = 2 * np.sqrt(np.clip(share, 0, 1).sum() / np.pi) * side / CROP_PX  # diameters
        assert across == pytest.approx(1, abs=0.05)


def test_values_are_what_the_mark_absorbs_above_its_skin():
    crop = mark_crops(photo(), [(70.25, 51.5)], [20.0])[0]
    middle = crop[:3, 18:22, 18:22].mean(axis=(1, 2))
    assert middle == pytest.approx(absorbance_of_mark(), abs=0.02)
    assert np.abs(crop[:3, :2]).max() < 0.01  # skin


@pytest.mark.parametrize("light", [(0.5, 0.5, 0.5), (1.1, 0.9, 0.6), (0.8, 1.0, 1.3)])
def test_the_light_is_taken_out(light):
    plain = mark_crops(photo(), [(70.25, 51.5)], [20.0])
    lit = mark_crops(photo(light=light), [(70.25, 51.5)], [20.0])
    assert np.abs(plain - lit).max() < 0.06  # 8-bit codes of dark light


def test_a_larger_photo_of_the_same_gives_the_same_crop():
    small = mark_crops(photo(), [(70.25, 51.5)], [20.0])
    large = mark_crops(photo(zoom=3), [((70.25 + 0.5) * 3 - 0.5, (51.5 + 0.5) * 3 - 0.5)], [60.0])
    assert np.abs(small - large).mean() < 0.01


def test_a_mirrored_photo_gives_the_mirrored_crop():
    rgb = photo()
    crop = mark_crops(rgb, [(70.25, 51.5)], [20.0])
    mirrored = mark_crops(np.ascontiguousarray(rgb[:, ::-1]), [(rgb.shape[1] - 1 - 70.25, 51.5)], [20.0])
    assert np.abs(crop - mirrored[..., ::-1]).max() < 0.02


def test_beyond_the_photo_is_nothing():
    rgb = photo(centre=(2.0, 51.5))
    crop = mark_crops(rgb, [(2.0, 51.5)], [20.0])[0]
    first = 2.0 - WIDE * 20 / 2
    beyond = first + WIDE * 20 / CROP_PX * (np.arange(CROP_PX) + 0.5) < -0.5
    assert beyond.sum() > 15
    assert not crop[3:, :, beyond].any()
    assert crop[4, CROP_PX // 2, ~beyond].max() > 0.3


def test_a_close_up_has_its_skin_from_the_tight_crop():
    # The photo ends 0.15 diameters beside the mark: of the wide crop next to nothing is left.
    crop = mark_crops(photo(centre=(65.0, 65.0), diameter=100.0, size=(131, 131)), [(65.0, 65.0)], [100.0])[0]
    assert crop[1, 20, 20] == pytest.approx(absorbance_of_mark()[1], abs=0.03)


def test_no_marks_give_no_crops():
    assert mark_crops(photo(), np.zeros((0, 2)), []).shape == (0, 6, CROP_PX, CROP_PX)


def test_the_box_of_the_tight_crop():
    assert crop_box(np.array([50.0, 30.0]), 10.0) == (38.0, 18.0, 24.0, 24.0)


def test_tiny_huge_and_cut_marks_are_finite():
    rgb = photo()
    crops = mark_crops(rgb, [(0, 0), (159, 109), (80, 55), (80, 55)], [0.5, 3, 5000, 400])
    assert np.isfinite(crops).all()
    assert crops.min() >= -1
    assert crops.max() <= 1.5
