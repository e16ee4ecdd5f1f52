"""Coins as the reference, on drawn scenes (seeds 9000 on) and on two real photos of euro coins on A4 paper.

Drawn: every tone, background, metal and shine, tilts to 25 degrees, coins of 3 to 48 % of the photo's shorter side, 1.4
to 2.4 mm thick. `found` is the share of scenes with a scale from the coin, `wrong` that with one from anything else
(its centre more than 0.3 radii off, or its size by a quarter), the rest is refused. `error` is that of px_per_mm at
the coin against the skin's own, `within_2_sigma` the share of errors less than twice the stated one. `taken` are other
things where the coin should be: a button, a crown cap, a sticker, a large mole; `guessed` are pairs of coins of which
one was taken. Real: `seen` of ten coins are among the candidates; `real_error` is their root mean square axis against
the mint's diameter through the sheet's homography; `coin:eur-1` has to be refused there. The peer is
`cv2.HoughCircles` on a reduced photo: the strongest circle.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.data import folder
from spotscan.errors import ReferenceNotFoundError
from spotscan.geometry import jacobian, project
from spotscan.references import coins
from spotscan.references.coins_pose import scale_from_rim
from spotscan.synth import draw_scene, random_params
from spotscan.types import FloatArray, Photo, Scale

_SCENES = range(9000, 9042)
_OTHERS = {"button": 9042, "bottle_cap": 9045, "sticker": 9048, "mole": 9051, "two": 9054}  # three seeds each
_EUROS: dict[str, dict[str, tuple[int, int]]] = {  # where they lie, px
    "eurocoins_A4_recta.jpeg": {
        "5c": (349, 648), "2e": (591, 780), "1e": (415, 890), "20c": (338, 1086), "10c": (671, 1131),
    },
    "eurocoins_A4_juntas.jpeg": {
        "5c": (697, 985), "10c": (938, 955), "1e": (745, 1257), "20c": (885, 1235), "2e": (848, 1383),
    },
}  # fmt: skip
# What the table says of the drawn metals; a dark coin may be of any.
_METALS = {
    "copper": "copper", "brass": "brass", "silver": "silver", "dark": "",
    "ring_brass": "silver-in-gold", "ring_silver": "gold-in-silver",
}  # fmt: skip
_EURO_MM = {"5c": 21.25, "10c": 19.75, "20c": 22.25, "1e": 23.25, "2e": 25.75}


def _px_per_mm(px_to_mm: FloatArray, at: FloatArray) -> float:
    return float(1 / np.sqrt(abs(np.linalg.det(jacobian(px_to_mm, np.atleast_2d(at))[0]))))


def _scale(photo: Photo, diameter_mm: float, metal: str) -> Scale | None:
    """The scale from a coin of any diameter, also one that is not in the table, of one of `synth_coin.METALS`."""
    discs = coins.find_discs(photo.rgb, _METALS[metal])
    if len(discs) != 1 or not discs[0].sure:
        return None
    return scale_from_rim(photo, "drawn", diameter_mm, discs[0].rim)


def _peer(photo: Photo) -> tuple[FloatArray, float] | None:
    """Centre and radius of the strongest circle."""
    factor = 600 / min(photo.rgb.shape[:2])
    grey = cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.GaussianBlur(cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    found = cv2.HoughCircles(small, cv2.HOUGH_GRADIENT, 1, 60, param1=80, param2=25, minRadius=8, maxRadius=180)
    if found is None:
        return None
    x, y, radius = np.reshape(found, (-1, 3))[0] / factor
    return np.array([x, y]), float(radius)


def _drawn(result: dict[str, float]) -> None:
    outcome: dict[str, list[float]] = defaultdict(list)
    for seed in _SCENES:
        params = random_params(seed, reference="coin")
        scene = draw_scene(params, seed)
        photo = Photo(scene.rgb, "")
        middle, radius = scene.reference_px.mean(axis=0), np.ptp(scene.reference_px, axis=0).mean() / 2
        scale = _scale(photo, params.coin_mm, params.coin_metal)
        peer = _peer(photo)
        for who, centre, size in (
            ("", None, 0.0) if scale is None else ("", scale.centre_px, scale.px_per_mm),
            ("hough_", None, 0.0) if peer is None else ("hough_", peer[0], 2 * peer[1] / params.coin_mm),
        ):
            if centre is None:
                outcome[f"{who}found"].append(0)
                outcome[f"{who}wrong"].append(0)
                continue
            error = size / _px_per_mm(scene.px_to_mm, centre) - 1
            wrong = np.linalg.norm(centre - middle) > 0.3 * radius or abs(error) > 0.25
            outcome[f"{who}found"].append(not wrong)
            outcome[f"{who}wrong"].append(wrong)
            if not wrong:
                outcome[f"{who}error"].append(abs(error))
                if scale is not None and not who:
                    outcome["sigma"].append(scale.px_per_mm_err / scale.px_per_mm)
                    outcome["within"].append(abs(error) < 2 * outcome["sigma"][-1])
    for who in ("", "hough_"):
        for what in ("found", "wrong"):
            result[f"{who}{what}_%"] = round(100 * float(np.mean(outcome[who + what])), 1)
        errors = outcome[f"{who}error"]
        result[f"{who}error_median_%"] = round(100 * float(np.median(errors)), 2)
        result[f"{who}error_p90_%"] = round(100 * float(np.percentile(errors, 90)), 2)
    result["sigma_median_%"] = round(100 * float(np.median(outcome["sigma"])), 2)
    result["within_2_sigma_%"] = round(100 * float(np.mean(outcome["within"])), 1)


def _other_things(result: dict[str, float]) -> None:
    for kind, first in _OTHERS.items():
        taken = 0
        for seed in range(first, first + 3):
            params = random_params(seed, reference="coin")
            if kind == "two":
                params = replace(params, coin_beside="coin", px_per_mm=0.55 * params.px_per_mm)
            else:
                params = replace(params, coin_kind=kind)
            taken += _scale(Photo(draw_scene(params, seed).rgb, ""), params.coin_mm, params.coin_metal) is not None
        result["guessed_of_3_pairs" if kind == "two" else f"taken_of_3_{kind}"] = taken


def _sheet(rgb: NDArray[np.uint8]) -> FloatArray:
    """Homography px -> mm of the A4 sheet: lines through its sides, which are bright in blue on wood."""
    _, bright = cv2.threshold(cv2.GaussianBlur(rgb[..., 2], (0, 0), 2), 0, 255, cv2.THRESH_OTSU)
    outline = max(cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)[:, 0]
    hull = cv2.convexHull(outline)
    corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)[:, 0].astype(float)
    lines = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = np.linalg.norm(b - a)
        along = (b - a) / length
        at, off = (outline - a) @ along, (outline - a) @ [-along[1], along[0]]
        side = outline[(np.abs(off) < 15) & (at > 0.06 * length) & (at < 0.94 * length)].astype(float)
        for _ in range(5):
            middle = side.mean(axis=0)
            normal = np.linalg.svd(side - middle, full_matrices=False)[2][1]
            away = np.abs((side - middle) @ normal)
            side = side[away < max(1.0, 2 * np.median(away))]
        lines.append(np.append(normal, -normal @ middle))
    met = [np.cross(lines[i - 1], lines[i]) for i in range(4)]
    points = np.array([p[:2] / p[2] for p in met], np.float32)
    wide = np.linalg.norm(points[1] - points[0]) > np.linalg.norm(points[2] - points[1])
    w, h = (297, 210) if wide else (210, 297)
    return cv2.getPerspectiveTransform(points, np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)).astype(float)


def _real(result: dict[str, float]) -> None:
    errors, refused = [], 0
    for name, places in _EUROS.items():
        rgb = np.asarray(cv2.imread(str(folder("eval", "scale") / name)), np.uint8)[..., ::-1].copy()
        px_to_mm, discs = _sheet(rgb), coins.find_discs(rgb)
        for coin, place in places.items():
            radius = _EURO_MM[coin] / 2
            for disc in discs:
                mm = project(px_to_mm, disc.rim.outline())
                if np.linalg.norm(disc.rim.ellipse[:2] - place) < 0.3 * disc.rim.radius_px:
                    errors.append(np.sqrt(((mm - mm.mean(axis=0)) ** 2).sum(axis=1).mean()) / radius - 1)
        try:
            coins.scale_from_coin(Photo(rgb, "", name), "eur-1")
        except ReferenceNotFoundError:
            refused += 1
    result["real_seen_of_10"] = len(errors)
    result["real_error_median_%"] = round(100 * float(np.median(np.abs(errors))), 2)
    result["real_error_max_%"] = round(100 * float(np.max(np.abs(errors))), 2)
    result["real_refused_of_2"] = refused


def run() -> dict[str, float]:
    """The figures said above, in per cent, or counts."""
    result: dict[str, float] = {}
    _drawn(result)
    _other_things(result)
    _real(result)
    return result


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
