"""Quality: ladders of known blur, light and size."""

import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotscan.flags import FLAGS
from spotscan.quality import blur_sigma, judge_quality
from spotscan.types import Photo, Quality, Scale, Skin

DATA = Path(os.environ.get("SPOTSCAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
H, W = 480, 680
LIGHT, DARK = (0.60, 0.40, 0.30), (0.10, 0.055, 0.035)


def draw(
    sigma: float = 0.7,
    base: tuple[float, ...] = LIGHT,
    gain: float = 1.0,
    noise: float = 1.5,
    jpeg: int | None = None,
    contrast: float = 0.65,
    seed: int = 0,
) -> Photo:
    """Skin with sharp-edged marks of 10 to 30 px radius, blurred in linear light; noise in codes."""
    rng = np.random.default_rng(seed)
    fine = 4 if sigma < 1.2 else 2
    light = np.ones((H * fine, W * fine), np.float32)
    for _ in range(30):
        x, y = int(rng.uniform(0, W * fine)), int(rng.uniform(0, H * fine))
        cv2.circle(light, (x, y), int(rng.uniform(10, 30) * fine), contrast, -1)
    light = cv2.GaussianBlur(light, (0, 0), sigma * fine)
    light = cv2.resize(light, (W, H), interpolation=cv2.INTER_AREA)
    linear = np.clip(gain * light[..., None] * np.array(base), 0, 1)
    code = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb = np.clip(code + rng.normal(0, noise, code.shape), 0, 255).round().astype(np.uint8)
    if jpeg is not None:
        rgb = cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1], cv2.IMREAD_COLOR)
    return Photo(np.ascontiguousarray(rgb), "")


def skin(fraction: float = 1.0, ita: float | None = 50.0, factor: float = 2.0) -> Skin:
    mask = np.zeros((round(H / factor), round(W / factor)), np.bool_)
    mask[:, : round(fraction * mask.shape[1])] = True
    return Skin(mask, factor, float(mask.mean()), ita if mask.any() else None)


def scale(px_per_mm: float, flags: tuple[str, ...] = ()) -> Scale:
    return Scale("px-per-mm", np.diag([1 / px_per_mm, 1 / px_per_mm, 1.0]), np.array([W / 2, H / 2]), flags=flags)


def judge(photo: Photo, at: Scale | None = None, on: Skin | None = None) -> Quality:
    return judge_quality(photo, on or skin(), at)


SIGMAS = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@pytest.mark.parametrize("base", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("noise", "jpeg"), [(0.0, None), (1.5, None), (1.5, 85), (3.0, 70)])
def test_blur_is_measured_through_noise_and_jpeg(base: tuple[float, ...], noise: float, jpeg: int | None) -> None:
    found = [blur_sigma(draw(s, base, noise=noise, jpeg=jpeg), skin()) for s in SIGMAS]
    assert None not in found
    ratio = np.array(found) / SIGMAS
    assert np.median(np.abs(ratio - 1)) < 0.15
    assert np.all((ratio > 0.6) & (ratio < 1.3))
    # A coarser pyramid level may repeat a value within the error, never turn the order over.
    assert all(b > 0.95 * a for a, b in itertools.pairwise(found))


def test_blur_does_not_depend_on_contrast_or_light() -> None:
    values = [blur_sigma(draw(1.5, contrast=c, gain=g), skin()) for c, g in ((0.5, 1.0), (0.8, 1.0), (0.65, 0.5))]
    assert np.ptp(values) < 0.25


def test_blur_scales_with_the_photo() -> None:
    small = draw(1.5, noise=0.5)
    large = Photo(cv2.resize(small.rgb, (3 * W, 3 * H), interpolation=cv2.INTER_CUBIC), "")
    ratio = blur_sigma(large, skin(factor=2.0)) / blur_sigma(small, skin())  # type: ignore[operator]
    assert ratio == pytest.approx(3, rel=0.15)


def test_pure_noise_has_no_blur_to_measure() -> None:
    rng = np.random.default_rng(3)
    noise = np.clip(np.array([200, 160, 140]) + rng.normal(0, 4, (H, W, 3)), 0, 255).astype(np.uint8)
    quality = judge(Photo(noise, ""))
    assert quality.blur_px is None
    assert quality.sharpness is None
    assert quality.smallest_px is None
    assert not {"blurred", "too_blurred", "too_noisy"} & set(quality.flags)


@pytest.mark.parametrize("code", [0, 128, 255])
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_where_no_edge_tells_blur_and_sharpness_are_unknown(code: int, fraction: float) -> None:
    quality = judge(Photo(np.full((H, W, 3), code, np.uint8), ""), on=skin(fraction))
    assert quality.blur_px is None
    assert quality.sharpness is None
    assert not {"blurred", "too_blurred", "too_noisy"} & set(quality.flags)
    assert ("focus_unknown" in quality.flags) == (fraction == 1.0)
    # Light is judged over the whole photo where there is no skin.
    assert ("too_dark" in quality.flags, "too_bright" in quality.flags) == (code == 0, code == 255)


def test_without_skin_light_is_judged_but_not_shine_or_colour() -> None:
    rgb = np.full((H, W, 3), (40, 160, 60), np.uint8)  # a lawn with a little shine
    rgb[:40] = 255
    assert judge(Photo(rgb, ""), on=skin(0.0)).flags == ("no_scale", "no_skin")


@pytest.mark.parametrize("shape", [(600, 801), (1500, 2001)])
@pytest.mark.parametrize("px_per_mm", [None, 12.0, 60.0])
def test_a_photo_of_nothing_but_noise_is_unusable(shape: tuple[int, int], px_per_mm: float | None) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    quality = judge(Photo(rgb, ""), px_per_mm and scale(px_per_mm))
    assert "too_noisy" in quality.flags
    assert not quality.usable
    assert quality.smallest_px is None


def test_noise_is_too_much_where_it_hides_two_millimetres() -> None:
    photo = draw(0.7, noise=35.0)  # hides discs below about 10 px
    assert "too_noisy" not in judge(photo, scale(15.0)).flags
    assert "too_noisy" in judge(photo, scale(3.0)).flags
    assert "too_noisy" not in judge(draw(0.7, noise=6.0), scale(1.5)).flags  # too few pixels, not too much noise


def test_sharpness_falls_with_blur_and_stays_in_its_range() -> None:
    values = [judge(draw(s)).sharpness for s in (0.5, 1.0, 2.0, 4.0)]
    assert values == sorted(values, reverse=True)
    assert all(v is not None and 0 <= v <= 1 for v in values)
    assert values[0] > 0.8
    assert values[-1] < 0.25


def test_blur_is_judged_in_mm_when_the_scale_is_known() -> None:
    photo = draw(4.0)
    # 3 sigma are 12 px: 0.4 mm at 30 px/mm, 1.5 mm at 8, 3 mm at 4.
    assert not {"blurred", "too_blurred"} & set(judge(photo, scale(30)).flags)
    assert "blurred" in judge(photo, scale(8)).flags
    worst = judge(photo, scale(4))
    assert "too_blurred" in worst.flags
    assert not worst.usable
    assert worst.smallest_px is None
    assert worst.smallest_mm is None


def test_smallest_mark_grows_with_blur_noise_and_melanin() -> None:
    sharp, soft = judge(draw(0.7)), judge(draw(4.0))
    assert sharp.smallest_px == pytest.approx(4)
    assert soft.smallest_px == pytest.approx(12, rel=0.2)
    clean, noisy = (judge(draw(0.7, noise=n)).smallest_px for n in (1.0, 12.0))
    assert noisy > clean  # type: ignore[operator]
    on_light, on_dark = (judge(draw(0.7, DARK, noise=6.0), on=skin(ita=i)).smallest_px for i in (50.0, -30.0))
    assert on_dark > 1.5 * on_light  # type: ignore[operator]


def test_smallest_mm_is_smallest_px_over_the_scale() -> None:
    one, two = (judge(draw(3.0), scale(s)) for s in (10.0, 20.0))
    assert one.smallest_mm == pytest.approx(one.smallest_px / 10)  # type: ignore[operator]
    assert two.smallest_mm == pytest.approx(one.smallest_mm / 2)  # type: ignore[operator]
    assert judge(draw(3.0)).smallest_mm is None


def test_exposure_ladder() -> None:
    flags = {gain: set(judge(draw(gain=gain)).flags) for gain in (0.01, 0.5, 1.0, 3.5)}
    assert "too_dark" in flags[0.01]
    assert "too_bright" in flags[3.5]
    for gain in (0.5, 1.0):
        assert not {"too_dark", "too_bright", "glare"} & flags[gain]


@pytest.mark.parametrize("reflectance", [DARK, (0.06, 0.032, 0.02)])
def test_dark_skin_in_good_light_is_not_called_too_dark(reflectance: tuple[float, ...]) -> None:
    quality = judge(draw(base=reflectance), on=skin(ita=-45.0))
    assert "too_dark" not in quality.flags
    assert "dark_skin" in quality.flags


def test_grey_white_of_the_reference_tells_underexposure_and_a_coloured_one_the_lamp() -> None:
    outline = np.array([[100, 100], [260, 100], [260, 260], [100, 260]], float)
    at = Scale("auto", np.diag([0.05, 0.05, 1.0]), outline.mean(axis=0), outline_px=outline, keep_out_px=(outline,))

    def with_paper(code: tuple[int, int, int], gain: float) -> set[str]:
        photo = draw(gain=gain)
        rgb = photo.rgb.copy()
        rgb[100:261, 100:261] = code
        rgb[130:231, 130:231] = 10
        return set(judge(Photo(rgb, ""), at).flags)

    assert not {"too_dark", "colour_cast"} & with_paper((235, 235, 232), 1.0)
    assert "too_dark" in with_paper((70, 70, 70), 0.1)
    assert "colour_cast" in with_paper((235, 200, 120), 1.0)


def test_shine_is_flagged_by_its_share() -> None:
    photo = draw()
    rgb = photo.rgb.copy()
    cv2.ellipse(rgb, (W // 2, H // 2), (110, 70), 0, 0, 360, (255, 255, 255), -1)
    assert "glare" in judge(Photo(rgb, "")).flags
    assert "glare" not in judge(photo).flags


def test_share_of_skin() -> None:
    assert "little_skin" not in judge(draw(), on=skin(0.5)).flags
    assert "little_skin" in judge(draw(), on=skin(0.1)).flags
    none = judge(draw(), on=skin(0.0))
    assert "no_skin" in none.flags
    assert not none.usable
    assert none.smallest_px is None


def test_resolution_against_half_a_millimetre() -> None:
    assert "low_resolution" in judge(draw(), scale(7.0)).flags
    assert "low_resolution" not in judge(draw(), scale(9.0)).flags


def test_flags_come_from_the_registry_in_its_order() -> None:
    quality = judge(draw(6.0, gain=0.01), scale(10.0, ("tilted",)), skin(0.1, ita=0.0))
    assert list(quality.flags) == [name for name in FLAGS if name in quality.flags]
    assert "tilted" in quality.flags
    assert "no_scale" not in quality.flags
    assert "no_scale" in judge(draw()).flags


@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (40, 23)])
def test_tiny_photos_are_taken(shape: tuple[int, int]) -> None:
    photo = Photo(np.full((*shape, 3), (190, 150, 130), np.uint8), "")
    quality = judge_quality(photo, Skin(np.ones(shape, np.bool_), 1.0, 1.0, 40.0), None)
    assert "low_resolution" in quality.flags
    assert quality.blur_px is None


@pytest.mark.skipif(not (DATA / "eval" / "dermnet_nz").is_dir(), reason="photos of eval/dermnet_nz are not here")
def test_published_clinical_photos_are_usable() -> None:
    usable = []
    for path in sorted((DATA / "eval" / "dermnet_nz").glob("*.jpg"))[::2]:
        photo = Photo(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), "")
        middle = np.zeros(photo.rgb.shape[:2], np.bool_)
        middle[80:-80, 160:-160] = True
        usable.append(judge_quality(photo, Skin(middle, 1.0, float(middle.mean()), 40.0), None).usable)
    assert all(usable)
