import json
import os
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotscan.card_layout import CARD_SIZE_MM, MARKERS, card_image
from spotscan.colour import SRGB_TO_LINEAR
from spotscan.errors import ReferenceNotFoundError, UsageError
from spotscan.flags import FLAGS
from spotscan.references import find_scale, parse_reference
from spotscan.references.detect import FAMILIES, find_markers
from spotscan.types import Photo, Scale

DATA = Path(os.environ.get("SPOTSCAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHAPE = (480, 640)
SIDE = 20.0


# --- drawing: what a camera would see of a flat print, independent of the code under test


def pose(
    px_per_mm: float,
    tilt: float = 0.0,
    about: float = 0.0,
    spin: float = 0.0,
    at: tuple[float, float] = (310.0, 250.0),
    shape: tuple[int, int] = SHAPE,
) -> np.ndarray:
    """Homography mm -> px of a plane tilted by `tilt` degrees, its origin seen at `at`."""
    height, width = shape
    focal = 0.62 * np.hypot(height, width)
    t, a, s = np.radians([tilt, about, spin])

    def roll(x: float) -> np.ndarray:
        return np.array([(np.cos(x), -np.sin(x), 0), (np.sin(x), np.cos(x), 0), (0, 0, 1)])

    lean = np.array([(1, 0, 0), (0, np.cos(t), -np.sin(t)), (0, np.sin(t), np.cos(t))])
    turn = roll(a) @ lean @ roll(s - a)
    distance = focal / px_per_mm
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    place = np.append((np.array(at) - middle) / px_per_mm, distance)
    camera = np.array([(focal, 0, middle[0]), (0, focal, middle[1]), (0, 0, 1)])
    homography = camera @ np.column_stack([turn[:, :2], place])
    return homography / homography[2, 2]


def see(
    light: np.ndarray,
    texel_mm: float,
    corner_mm: tuple[float, float],
    homography: np.ndarray,
    shape: tuple[int, int] = SHAPE,
    around: float = 0.35,
) -> np.ndarray:
    """Linear light on the sensor of a print given as texels, each pixel averaged over nine points."""
    fine = 3
    to_mm = np.array(
        [
            (texel_mm, 0, corner_mm[0] + texel_mm / 2),
            (0, texel_mm, corner_mm[1] + texel_mm / 2),
            (0, 0, 1.0),
        ]
    )
    finer = np.array([(fine, 0, (fine - 1) / 2), (0, fine, (fine - 1) / 2), (0, 0, 1.0)])
    size = (shape[1] * fine, shape[0] * fine)
    seen = cv2.warpPerspective(
        light.astype(np.float32), finer @ homography @ to_mm, size, flags=cv2.INTER_LINEAR, borderValue=around
    )
    return cv2.resize(seen, shape[::-1], interpolation=cv2.INTER_AREA)


def expose(light: np.ndarray, blur_px: float, noise: float, rng: np.random.Generator) -> Photo:
    if blur_px > 0:
        light = cv2.GaussianBlur(light, (0, 0), blur_px)
    light = np.clip(light + rng.normal(0, noise, light.shape), 0, 1)
    codes = np.searchsorted((SRGB_TO_LINEAR[1:] + SRGB_TO_LINEAR[:-1]) / 2, light).astype(np.uint8)
    return Photo(np.ascontiguousarray(np.repeat(codes[..., None], 3, axis=2)), "")


def marker_light(family: str, marker_id: int, texels: int = 24) -> tuple[np.ndarray, float]:
    """A marker of `SIDE` with one module of white around it, drawn by OpenCV; and the size of a texel, mm."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{family}"))
    modules = dictionary.markerSize + 2
    black_and_white = cv2.aruco.generateImageMarker(dictionary, marker_id, modules * texels) > 127
    padded = np.pad(black_and_white, texels, constant_values=True)
    return np.where(padded, 0.85, 0.04), SIDE / modules / texels


def one_marker(family: str, marker_id: int, homography: np.ndarray, blur: float, noise: float, seed: int):
    light, texel = marker_light(family, marker_id)
    corner = -len(light) * texel / 2
    rng = np.random.default_rng(seed)
    return expose(see(light, texel, (corner, corner), homography), blur, noise, rng)


@lru_cache
def card_light(px_per_mm: float) -> np.ndarray:
    return SRGB_TO_LINEAR[card_image(px_per_mm)[..., 1]].astype(np.float64)


def card_photo(
    homography: np.ndarray,
    shape: tuple[int, int],
    keep: tuple[int, ...] = tuple(MARKERS),
    bend_mm: float = 0.0,
) -> Photo:
    """The card, other markers covered by skin, bent over a cylinder of radius `bend_mm` if given."""
    px_per_mm = 18.0
    light = card_light(px_per_mm).copy()
    for marker_id, corners in MARKERS.items():
        if marker_id not in keep:
            (x0, y0), (x1, y1) = (corners[0] - 2) * px_per_mm, (corners[2] + 2) * px_per_mm
            light[int(y0) : int(y1), int(x0) : int(x1)] = 0.35
    if bend_mm:  # seen from far above: the arc's length is foreshortened to its sine
        x = (np.arange(light.shape[1]) / px_per_mm - CARD_SIZE_MM[0] / 2) / bend_mm
        arc = np.arcsin(np.clip(x, -1, 1)) * bend_mm + CARD_SIZE_MM[0] / 2
        grid = np.meshgrid(arc * px_per_mm, np.arange(light.shape[0]))
        light = cv2.remap(
            light.astype(np.float32),
            *(g.astype(np.float32) for g in grid),
            cv2.INTER_LINEAR,
            borderValue=0.35,
        )
    middle = np.array([(1, 0, CARD_SIZE_MM[0] / 2), (0, 1, CARD_SIZE_MM[1] / 2), (0, 0, 1.0)])
    seen = see(light, 1 / px_per_mm, (0.0, 0.0), homography @ np.linalg.inv(middle), shape)
    return expose(seen, 0.8, 0.01, np.random.default_rng(5))


def true_px_per_mm(homography: np.ndarray, at_px: np.ndarray) -> float:
    """Root of the area ratio, by projecting a small square back: independent of `Scale`."""
    half = 0.5
    square = at_px + half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1.0)])
    mm = cv2.perspectiveTransform(square[None], np.linalg.inv(homography))[0]
    return float(1 / np.sqrt(cv2.contourArea(mm.astype(np.float32) * 1000) / 1e6))


def random_err(scale: Scale) -> float:
    """Relative 1-sigma error without the printing."""
    return float(np.sqrt((scale.px_per_mm_err / scale.px_per_mm) ** 2 - scale.systematic**2))


# --- markers of a known side


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_and_measured(family):
    count = len(cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{family}")).bytesList)
    homography = pose(5.0, tilt=25, about=40, spin=115)
    for marker_id in (1, count - 1):
        photo = one_marker(family, marker_id, homography, 0.8, 0.01, marker_id)
        found = find_markers(photo)
        assert [(m.family, m.id) for m in found] == [(family, marker_id)]
        scale = find_scale(photo, f"aruco:{SIDE:g}")
        assert scale.px_per_mm == pytest.approx(true_px_per_mm(homography, scale.centre_px), rel=3e-3)
        # The marker's own corners, in its own order, are a square of its side.
        corners = cv2.perspectiveTransform(SIDE / 2 * np.array([[(-1, -1), (1, -1), (1, 1), (-1, 1.0)]]), homography)
        np.testing.assert_allclose(scale.outline_px, corners[0], atol=0.5)
        np.testing.assert_allclose(scale.to_mm(scale.outline_px)[2], (SIDE / 2, SIDE / 2), atol=1e-6)


def test_the_small_dictionaries_are_the_heads_of_the_large_ones():
    for size in (4, 5, 6, 7):
        large = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{size}X{size}_1000")).bytesList
        for count in (50, 100, 250):
            name = f"DICT_{size}X{size}_{count}"
            small = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name)).bytesList
            np.testing.assert_array_equal(small, large[:count])


def test_the_stated_error_is_the_real_error():
    """At the marker and two sides away, with blur, noise and tilt; without and with the print's error."""
    rng = np.random.default_rng(11)
    near, far, printed, relative = [], [], [], []
    families = list(FAMILIES)
    for case in range(100):
        side_px = rng.uniform(50, 200)
        px_per_mm = side_px / SIDE
        tilt, about, spin = rng.uniform(0, 50), rng.uniform(0, 360), rng.uniform(0, 360)
        at = (rng.uniform(210, 430), rng.uniform(180, 300))
        homography = pose(px_per_mm, tilt, about, spin, at)
        blur, noise = rng.uniform(0.4, min(2.5, side_px / 35)), rng.uniform(0.002, 0.02)
        photo = one_marker(families[case % 10], int(rng.integers(30)), homography, blur, noise, case)
        scale = find_scale(photo, f"aruco:{SIDE:g}")
        error = scale.px_per_mm / true_px_per_mm(homography, scale.centre_px) - 1
        relative.append(abs(error))
        near.append(error / random_err(scale))
        printed.append((error + rng.normal(0, scale.systematic)) * scale.px_per_mm / scale.px_per_mm_err)
        away = scale.centre_px + np.array([2 * side_px, 0])
        stated = np.sqrt(scale.relative_err_at(away[None])[0] ** 2 - scale.systematic**2)
        far.append((scale.px_per_mm_at(away[None])[0] / true_px_per_mm(homography, away) - 1) / stated)
    for pulls in (near, far, printed):
        assert 0.90 <= np.mean(np.abs(pulls) < 2) <= 0.99
    assert np.median(relative) < 5e-4
    assert np.percentile(relative, 95) < 3e-3


def test_blur_does_not_change_the_scale():
    homography = pose(6.0, tilt=10, spin=30)
    for blur in (0.4, 1.0, 2.0, 4.0):
        scale = find_scale(one_marker("6X6_1000", 7, homography, blur, 0.005, 3), "aruco:20")
        assert scale.px_per_mm == pytest.approx(true_px_per_mm(homography, scale.centre_px), rel=2e-3)


@pytest.mark.parametrize("gamma", [0.7, 1.4])
def test_a_wrong_tone_curve_moves_edges_but_not_the_scale(gamma):
    homography = pose(6.0, spin=30)
    rgb = one_marker("6X6_1000", 7, homography, 1.2, 0.005, 3).rgb
    bent = np.round(255 * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
    scale = find_scale(Photo(bent[rgb], ""), "aruco:20")
    assert scale.px_per_mm == pytest.approx(true_px_per_mm(homography, scale.centre_px), rel=3e-3)


@pytest.mark.parametrize("tilt", [0.0, 15.0, 45.0, 60.0])
def test_tilt_is_told_and_flagged(tilt):
    homography = pose(6.0, tilt=tilt, about=70, at=(319.5, 239.5))
    scale = find_scale(one_marker("APRILTAG_36h11", 33, homography, 0.8, 0.005, 4), "aruco:20")
    assert scale.tilt_deg == pytest.approx(tilt, abs=4 if tilt < 10 else 2)
    assert ("tilted" in scale.flags) == (tilt > 30)


def test_several_squares_of_one_plane_tell_its_perspective():
    homography = pose(1.4, tilt=25, about=20, spin=10)
    texel = marker_light("5X5_1000", 0, 12)[1]
    sheet = np.full((1200, 1600), 0.85)
    placed = [(60, 80, 0), (700, 130, 1), (1250, 90, 3), (150, 800, 2), (760, 700, 1), (1270, 780, 0)]
    for marker_id, (x, y, turns) in enumerate(placed):
        light = np.rot90(marker_light("5X5_1000", marker_id, 12)[0], turns)
        sheet[y : y + light.shape[0], x : x + light.shape[1]] = light
    corner = (-800 * texel, -600 * texel)
    photo = expose(see(sheet, texel, corner, homography), 0.7, 0.01, np.random.default_rng(1))
    scale = find_scale(photo, "aruco:20")
    assert len(scale.keep_out_px) == 6
    for at in ((100.0, 100.0), (320.0, 240.0), (540.0, 400.0)):
        true = true_px_per_mm(homography, np.array(at))
        assert scale.px_per_mm_at(np.array([at]))[0] == pytest.approx(true, rel=4e-3)


def test_squares_of_two_planes_are_not_mixed():
    left, right = pose(6.0, tilt=5, at=(160, 240)), pose(3.0, tilt=45, about=90, at=(480, 240))
    light, texel = marker_light("6X6_1000", 3)
    corner = (-len(light) * texel / 2,) * 2
    seen = see(light, texel, corner, left)
    seen[:, 320:] = see(marker_light("6X6_1000", 9)[0], texel, corner, right)[:, 320:]
    scale = find_scale(expose(seen, 0.8, 0.01, np.random.default_rng(2)), "aruco:20")
    assert len(scale.keep_out_px) == 1
    assert scale.px_per_mm == pytest.approx(true_px_per_mm(left, scale.centre_px), rel=3e-3)


def test_a_small_marker_is_flagged():
    scale = find_scale(one_marker("6X6_1000", 5, pose(0.9, tilt=20, spin=20), 0.7, 0.03, 3), "aruco:20")
    assert "reference_small" in scale.flags


def test_keep_out_covers_the_white_zone():
    scale = find_scale(one_marker("6X6_1000", 3, pose(6.0, tilt=20), 0.8, 0.01, 1), "aruco:20")
    (polygon,) = scale.keep_out_px
    grown = scale.to_mm(polygon)
    np.testing.assert_allclose(np.abs(grown), SIDE / 2 * 10 / 8, rtol=0.01)


# --- no marker where there is none


def skin_like(rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, 1, (420, 610))
    texture = sum(cv2.GaussianBlur(noise, (0, 0), s) * s * a for s, a in ((1, 9), (4, 14), (15, 16)))
    return np.clip(170 + texture, 0, 255).astype(np.uint8)


def text_like(rng: np.random.Generator) -> np.ndarray:
    page = np.full((420, 610), 230, np.uint8)
    for _ in range(60):
        words = "".join(rng.choice(list("ABDOQ08B#@%&RP"), 5))
        at = int(rng.integers(0, 580)), int(rng.integers(20, 410))
        thick = int(rng.integers(1, 6))
        cv2.putText(page, words, at, int(rng.integers(0, 4)), float(rng.uniform(0.5, 2.5)), 20, thick)
    return cv2.GaussianBlur(page, (0, 0), 0.7)


def checks_like(rng: np.random.Generator) -> np.ndarray:
    cells = rng.integers(0, 2, (30, 44)) * 180 + 30
    return np.kron(cells, np.ones((14, 14))).astype(np.uint8)[:420, :610]


@pytest.mark.parametrize("scene", [skin_like, text_like, checks_like])
def test_nothing_is_found_where_there_is_no_marker(scene):
    for seed in range(6):
        grey = scene(np.random.default_rng(seed))
        photo = Photo(np.repeat(grey[..., None], 3, axis=2), "")
        assert find_scale(photo, "auto") is None
        with pytest.raises(ReferenceNotFoundError, match="photograph the whole marker"):
            find_scale(photo, "aruco:20")


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (60, 3), (40, 57)])
def test_tiny_photos_are_no_trouble(shape):
    photo = Photo(np.full((*shape, 3), 128, np.uint8), "")
    assert find_scale(photo, "auto") is None


# --- the card


SUBSETS = [subset for n in (1, 2, 3, 4) for subset in combinations(MARKERS, n)]


@pytest.mark.parametrize("keep", SUBSETS)
def test_any_of_the_cards_markers_will_do(keep):
    shape = (600, 850)
    homography = pose(7.0, tilt=18, about=30, spin=25, at=(430, 300), shape=shape)
    scale = find_scale(card_photo(homography, shape, keep), "auto")
    for at in scale.centre_px, np.array([300.0, 420.0]):
        error = scale.px_per_mm_at(at[None])[0] / true_px_per_mm(homography, at) - 1
        assert abs(error) < 3 * scale.relative_err_at(at[None])[0]
    assert scale.px_per_mm == pytest.approx(true_px_per_mm(homography, scale.centre_px), rel=0.01)
    assert scale.flags == ()
    width, height = CARD_SIZE_MM
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([width, height]) / 2
    seen = cv2.perspectiveTransform(corners[None], homography)[0]
    np.testing.assert_allclose(scale.outline_px, seen, atol=1.0 if len(keep) > 1 else 10.0)


def test_more_markers_give_a_smaller_error():
    shape = (600, 850)
    homography = pose(7.0, tilt=18, about=30, spin=25, at=(430, 300), shape=shape)
    errors = [random_err(find_scale(card_photo(homography, shape, tuple(MARKERS)[:n]), "auto")) for n in (1, 2, 4)]
    assert errors[0] > errors[1] > errors[2]


def test_a_bent_card_is_flagged_and_a_flat_one_is_not():
    shape = (600, 850)
    homography = pose(7.0, spin=12, at=(430, 300), shape=shape)
    assert find_scale(card_photo(homography, shape), "auto").flags == ()
    assert "bent" in find_scale(card_photo(homography, shape, bend_mm=60.0), "auto").flags


def test_other_tags_of_the_family_are_not_the_card():
    photo = one_marker("APRILTAG_36h11", 569, pose(6.0), 0.8, 0.01, 1)
    assert find_scale(photo, "auto") is None


def test_a_turned_photo_gives_the_same_scale():
    shape = (600, 850)
    rgb = card_photo(pose(7.0, tilt=15, spin=25, at=(430, 300), shape=shape), shape).rgb
    upright = find_scale(Photo(rgb, ""), "auto").px_per_mm
    turned = find_scale(Photo(np.ascontiguousarray(np.rot90(rgb)), ""), "auto").px_per_mm
    assert turned == pytest.approx(upright, rel=2e-4)


def test_a_large_photo_is_searched_small_and_measured_full():
    """Four times the pixels: found in the reduced photo, as exact as at full resolution."""
    shape = (1700, 2200)
    homography = pose(12.0, tilt=10, spin=25, at=(1100, 850), shape=shape)
    scale = find_scale(card_photo(homography, shape), "auto")
    assert scale.px_per_mm == pytest.approx(true_px_per_mm(homography, scale.centre_px), rel=5e-4)


# --- the door


BLANK = Photo(np.full((30, 50, 3), 200, np.uint8), "", "arm.jpg")


def test_none_and_px_per_mm():
    assert find_scale(BLANK, "none") is None
    scale = find_scale(BLANK, "px-per-mm:31.5")
    assert scale.px_per_mm == pytest.approx(31.5)
    assert scale.px_per_mm_err == pytest.approx(0.05 / np.sqrt(3))
    assert scale.tilt_deg is None
    np.testing.assert_allclose(scale.to_mm(np.array([(31.5, 63.0)])), [(1, 2)])
    assert scale.outline_px.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unknown reference"),
        ("marker:20", "unknown reference"),
        ("aruco", "value is missing"),
        ("aruco:", "value is missing"),
        ("aruco:abc", "'abc' cannot be the value"),
        ("aruco:nan", "cannot be the value"),
        ("aruco:-3", "cannot be the value"),
        ("aruco:0", "cannot be the value"),
        ("aruco:inf", "cannot be the value"),
        ("aruco:1_0", "cannot be the value"),
        ("aruco:²0", "cannot be the value"),
        ("aruco:0.02", "from 1 to 1000 mm"),
        ("px-per-mm:0", "from 0.1 to 2000 px per mm"),
        ("px-per-mm", "value is missing"),
        ("auto:3", "takes no value"),
        ("none:", "takes no value"),
        ("coin:eur-11", "not in the table"),
        ("ruler:3", "takes no value"),
    ],
)
def test_wrong_references_are_refused_with_what_is_allowed(text, says):
    with pytest.raises(UsageError, match=says) as refusal:
        find_scale(BLANK, text)
    assert refusal.value.todo


def test_a_reference_keeps_its_words():
    assert parse_reference("aruco:12.50").text == "aruco:12.50"
    assert parse_reference("aruco:12.50").value == 12.5


def test_not_found_names_the_photo_and_the_reference():
    with pytest.raises(ReferenceNotFoundError, match=r"aruco:20 in arm\.jpg"):
        find_scale(BLANK, "aruco:20")


def test_flags_are_of_the_registry():
    assert {"bent", "tilted", "reference_small"} <= set(FLAGS)


# --- real photos


@pytest.mark.skipif(not (DATA / "eval" / "scale" / "gt.json").exists(), reason="no eval data here (SPOTSCAN_DATA)")
def test_real_tags_are_read_up_to_sixty_degrees():
    truths = json.loads((DATA / "eval" / "scale" / "gt.json").read_text())
    tilts = {name: t["tilt_deg"] for name, t in truths.items() if t.get("tilt_deg", 99) <= 60}
    assert len(tilts) == 7
    for name, tilt in tilts.items():
        bgr = cv2.imread(str(DATA / "eval" / "scale" / name))
        scale = find_scale(Photo(np.ascontiguousarray(bgr[..., ::-1]), ""), "aruco:65")
        fx, fy, cx, cy = truths[name]["K"]
        rays = np.linalg.inv([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]) @ np.linalg.inv(scale.px_to_mm)
        normal = np.cross(rays[:, 0], rays[:, 1])
        sight = rays @ [*scale.to_mm(scale.centre_px[None])[0], 1]
        # The stand's marks, true to a few degrees, tell the angle at which the tag is seen.
        seen = abs(normal @ sight) / np.linalg.norm(normal) / np.linalg.norm(sight)
        assert np.degrees(np.arccos(seen)) == pytest.approx(tilt, abs=4), name
        # Ours is the angle to the camera's axis, without knowing its lens (here one of 118 degrees).
        to_axis = np.degrees(np.arccos(abs(normal[2]) / np.linalg.norm(normal)))
        assert scale.tilt_deg == pytest.approx(to_axis, abs=5), name
