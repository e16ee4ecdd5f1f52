"""Scale from a bank card: on drawn scenes of known truth, on other things in its place, and on real photos.

`found` is the share of 120 drawn scenes in which the card is found (the first 60 gave 0.917, the next 60 0.983):
every skin tone; skin, cloth and table; tilts up to 35 degrees, lying and on end, all prints, two in five held by one
or two fingers. `error` is that of `px_per_mm` at the card against the skin's plane (the card drawn 0.76 mm above it),
`within_2_sigma` the share of them within twice the stated error. `wrong` counts other things taken for a card (phone,
sticky note, book, photo print, business and poker cards, envelope, a card with sharp corners; each drawn as long as a
card), `alike` things of so nearly its shape that they cannot be told (bridge cards, trackpads, blister packs, round
business cards), and `auto` the same where a card was not asked for. `alarms` counts photos of skin without a card in
which one is seen, asked for and not. `real` are the photos of `eval/scale` against sides clicked by hand on enlarged
crops (two points to a side, on the card's face, less its thickness). The peer is the usual card scanner in OpenCV:
Canny, `findContours`, `approxPolyDP` to four corners, the ratio of `minAreaRect` between 1.4 and 1.8, and their
homography.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from benchmarks.data import folder
from spotscan.errors import ReferenceNotFoundError
from spotscan.references.bank_card import scale_from_bank_card
from spotscan.references.bank_card_shape import CARD_MM
from spotscan.synth import Scene, SceneParams, draw_scene, random_params
from spotscan.types import FloatArray, Photo, RGBArray, Scale

SEEDS = range(9000, 9120)
WRONG = {
    "phone": (146.7, 71.5, 9.0),
    "sticky_note": (76.0, 76.0, 0.0),
    "book": (195.0, 130.0, 0.0),
    "photo_print": (150.0, 100.0, 0.0),
    "postcard": (148.0, 105.0, 0.0),
    "business_card": (85.0, 55.0, 0.0),
    "us_business_card": (88.9, 50.8, 0.0),
    "playing_card": (88.0, 63.0, 3.5),
    "envelope": (220.0, 110.0, 0.0),
    "sharp_card": (85.6, 53.98, 0.0),
}
# Of so nearly the card's shape that nothing but what is printed could tell them apart, and that is not read.
ALIKE = {
    "bridge_card": (88.9, 57.15, 3.5),
    "trackpad": (130.0, 82.0, 5.5),
    "blister_pack": (92.0, 58.0, 5.0),
    "round_business_card": (85.0, 55.0, 3.2),
}
# px/mm of the skin below the card, from sides clicked by hand.
CLICKED = {"card_default_sample.jpg": 13.84, "card_test_sample3.jpg": 26.50, "card_test_sample4.jpg": 19.02}


def params(seed: int) -> SceneParams:
    """A scene with a bank card."""
    rng = np.random.default_rng([seed, 77])
    width, height = [(1200, 900), (900, 1200), (1280, 800)][rng.integers(3)]
    return replace(
        random_params(seed, ("light", "medium", "dark")[seed % 3], "bank_card", (width, height)),
        px_per_mm=float(min(width, height) / rng.uniform(115, 190)),
        tilt_deg=float(rng.uniform(0, 35)),
        reference_turn_deg=float(rng.uniform(-30, 30) + 90 * rng.integers(4)),
        fingers=int(rng.choice([0, 1, 2], p=[0.6, 0.2, 0.2])),
        background=str(rng.choice(["skin", "cloth", "table"], p=[0.6, 0.2, 0.2])),
        n_spots=12,
    )


def scene(seed: int, card_mm: tuple[float, float, float] | None = None) -> Scene:
    """The scene, or the same with something else in the card's place; smaller where it would not fit."""
    asked = params(seed)
    if card_mm is not None:
        asked = replace(asked, card_mm=card_mm, fingers=0)
    for shrink in (1.0, 0.9, 0.8, 0.7):
        try:
            return draw_scene(replace(asked, px_per_mm=shrink * asked.px_per_mm), seed)
        except ValueError:
            continue
    raise ValueError(f"no room in scene {seed}")


def peer(rgb: RGBArray) -> Scale | None:
    """The usual card scanner."""
    shrink = 800 / max(rgb.shape)
    small = cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    edges = cv2.Canny(cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (5, 5), 0), 50, 150)
    contours = cv2.findContours(cv2.dilate(edges, np.ones((3, 3))), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    for contour in sorted(contours, key=cv2.contourArea, reverse=True)[:5]:
        corners = cv2.approxPolyDP(contour, 0.02 * cv2.arcLength(contour, True), True)[:, 0]
        sides = cv2.minAreaRect(contour)[1]
        if len(corners) != 4 or cv2.contourArea(corners) < 0.01 * small.shape[0] * small.shape[1]:
            continue
        if not 1.4 <= max(sides) / max(min(sides), 1e-6) <= 1.8:
            continue
        quad = corners.astype(np.float32)
        if np.linalg.norm(quad[1] - quad[0]) < np.linalg.norm(quad[2] - quad[1]):
            quad = np.roll(quad, 1, axis=0)
        w, h = CARD_MM
        to_mm = cv2.getPerspectiveTransform(
            (quad + 0.5) / shrink - 0.5, np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
        )
        return Scale("peer", to_mm, np.asarray(quad.mean(axis=0) / shrink, float))
    return None


def _error(scale: Scale, px_to_mm: FloatArray) -> float:
    return scale.px_per_mm / Scale("truth", px_to_mm, scale.centre_px).px_per_mm - 1


def _photo(path: str) -> Photo:
    return Photo(cv2.imread(path, cv2.IMREAD_COLOR_RGB), "")


def _drawn() -> dict[str, float]:
    ours, sigmas, theirs, auto = [], [], [], 0
    for seed in SEEDS:
        drawn = scene(seed)
        picture = Photo(drawn.rgb, "")
        scale, other = _found(picture), peer(drawn.rgb)
        if scale is not None:
            ours.append(_error(scale, drawn.px_to_mm))
            sigmas.append(ours[-1] * scale.px_per_mm / scale.px_per_mm_err)
        if other is not None:
            theirs.append(_error(other, drawn.px_to_mm))
        auto += scale_from_bank_card(picture, beyond_doubt=True) is not None
    result = {
        "drawn_n": float(len(SEEDS)),
        "found_share": len(ours) / len(SEEDS),
        "auto_found_share": auto / len(SEEDS),
    }
    for who, errors in (("", ours), ("cv2_", theirs)):
        result[f"{who}error_median_%"] = round(100 * float(np.median(np.abs(errors))), 3)
        result[f"{who}error_p95_%"] = round(100 * float(np.percentile(np.abs(errors), 95)), 3)
    within = np.sum(np.abs(theirs) < 0.05)  # nearer than that: the card and not something printed on it
    result["cv2_found_share"] = float(within) / len(SEEDS)
    result["within_2_sigma_share"] = float(np.mean(np.abs(sigmas) < 2))
    return result


def _others() -> dict[str, float]:
    return _taken(WRONG, "wrong") | _taken(ALIKE, "alike")


def _taken(objects: dict[str, tuple[float, float, float]], name: str) -> dict[str, float]:
    """How many of these things, drawn twice each, are taken for a card: asked for, by `auto`, by the peer."""
    taken = {name: 0, f"{name}_auto": 0, f"cv2_{name}": 0}
    things = [size for size in objects.values() for _ in range(2)]
    for seed, size in zip(SEEDS, things, strict=False):
        width, height, radius = (float(side * CARD_MM[0] / max(size)) for side in size)
        drawn = scene(seed, (width, height, radius))
        picture = Photo(drawn.rgb, "")
        taken[name] += _found(picture) is not None
        taken[f"{name}_auto"] += scale_from_bank_card(picture, beyond_doubt=True) is not None
        taken[f"cv2_{name}"] += peer(drawn.rgb) is not None
    return {f"{what}_taken": float(count) for what, count in taken.items()} | {f"{name}_n": float(len(things))}


def _found(picture: Photo) -> Scale | None:
    """None also where several things could be the card."""
    try:
        return scale_from_bank_card(picture)
    except ReferenceNotFoundError:
        return None


def _real() -> dict[str, float]:
    result = {}
    for name, truth in CLICKED.items():
        picture = _photo(str(folder("eval", "scale") / name))
        scale, other = _found(picture), peer(picture.rgb)
        key = name.removesuffix(".jpg")
        result[f"{key}_error_%"] = round(100 * (scale.px_per_mm / truth - 1), 2) if scale else float("nan")
        result[f"cv2_{key}_error_%"] = round(100 * (other.px_per_mm / truth - 1), 2) if other else float("nan")
    paths = sorted(folder("eval", "dermnet_nz").rglob("*.jp*g")) + sorted(folder("eval", "skin").rglob("*.jp*g"))
    alarms = [0, 0]
    for path in paths:
        picture = _photo(str(path))
        for k, sure in enumerate((False, True)):
            alarms[k] += (scale_from_bank_card(picture, beyond_doubt=True) if sure else _found(picture)) is not None
    names = ("alarms_asked", "alarms_auto")
    return result | dict(zip(names, map(float, alarms), strict=True)) | {"alarms_n": float(len(paths))}


def run() -> dict[str, float]:
    """The figures of the module's docstring; errors in per cent."""
    return _drawn() | _others() | _real()


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
