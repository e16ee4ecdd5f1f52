"""Scale from a ruler (`ruler`): drawn scenes of seeds kept for this page, and the two real reticles of `eval/scale`.

Drawn are rulers of all kinds (paper, plastic, wood, steel, black, clear over skin; mm, half mm, mm and inch;
worn, partly under a finger) on skin of all tones, at 5 to 40 px/mm and tilts up to 25 degrees, at any angle.
`found` is the share read; `along` the relative error of the scale along the ruler, at its middle; `px_per_mm`
that of the scale itself, whose half across the ruler is assumed from a tilt that cannot be seen; `within_2_sigma`
how often the truth lies within twice the stated error, of either, a print's error of the stated size added
(drawn rulers are exact). `wrong_taken` is the share of scenes with something else in the ruler's place (inch
and 2 mm scales, ticks of one length, combs, stripes, barcodes, text, zips, keys) in which a scale was given.

The peer, after Bhalerao and Reynolds (2014), takes profiles along the gradient through the 40 most strongly
oriented spots and believes the one with the sharpest line in its spectrum; that period it calls 1 mm (or, as
the better for it, half a mm).
"""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.data import MissingData, folder
from spotscan.errors import ReferenceNotFoundError
from spotscan.references import find_scale
from spotscan.synth import Scene, draw_scene, random_params
from spotscan.types import Photo, Scale

FIRST_SEED, SCENES = 9000, 60
TONES = ("light", "medium", "dark")
WRONG = ("inch_16", "inch_32", "two_mm", "five_mm", "equal", "comb", "stripes", "barcode", "text", "zip", "keys")


def _read(rgb: NDArray[np.uint8]) -> Scale | None:
    try:
        return find_scale(Photo(rgb, ""), "ruler")
    except ReferenceNotFoundError:
        return None


def along_px_per_mm(px_to_mm: NDArray, at: NDArray, way: NDArray) -> float:
    """Scale at a place along a direction."""
    ends = np.column_stack([at + 0.5 * np.outer([-1, 1], way), [1, 1]]) @ px_to_mm.T
    mm = ends[:, :2] / ends[:, 2:]
    return float(1 / np.linalg.norm(mm[1] - mm[0]))


def row_direction(scale: Scale) -> NDArray:
    """Of the row of ticks that was used: the long way of its outline."""
    points = scale.outline_px - scale.outline_px.mean(axis=0)
    return np.linalg.svd(points, full_matrices=False)[2][0]


def _true_px_per_mm(scene: Scene, at: NDArray) -> float:
    h = scene.px_to_mm
    return math.sqrt(abs(h[2] @ [*at, 1]) ** 3 / abs(np.linalg.det(h)))


def _peer(rgb: NDArray[np.uint8]) -> float:
    """Px per mm by the sharpest spectral line of the profiles through the 40 most oriented spots."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(a, (0, 0), 12) for a in (gx * gx, gy * gy, gx * gy))
    oriented = np.hypot(xx - yy, 2 * xy)
    best = (0.0, math.nan)
    for _ in range(40):
        y, x = np.unravel_index(int(oriented.argmax()), grey.shape)
        oriented[max(0, y - 24) : y + 25, max(0, x - 24) : x + 25] = 0
        angle = 0.5 * math.atan2(2 * xy[y, x], xx[y, x] - yy[y, x])
        along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        turn = np.column_stack([along, across, [x, y] - 256 * along - 4 * across])
        strip = cv2.warpAffine(grey, turn, (512, 9), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        profile = strip.mean(axis=0)
        profile = (profile - cv2.blur(profile[None], (45, 1))[0]) * np.hanning(512)
        power = np.abs(np.fft.rfft(profile, 8192))
        line = 8192 // 45 + int(power[8192 // 45 : 8192 // 3].argmax())  # periods of 45 to 3 px: all that are drawn
        best = max(best, (float(power[line] / power.sum()), 8192 / line))
    return best[1]


def _drawn() -> dict[str, float]:
    along, area, pulls, pulls_along, peer = [], [], [], [], []
    found = 0
    rng = np.random.default_rng(1)
    for k in range(SCENES):
        scene = draw_scene(random_params(FIRST_SEED + k, TONES[k % 3], "ruler", (1300, 980)), FIRST_SEED + k)
        scale = _read(scene.rgb)
        middle = scene.reference_px[:2].mean(axis=0)
        row = scene.reference_px[1] - scene.reference_px[0]
        peer_ratio = _peer(scene.rgb) / along_px_per_mm(scene.px_to_mm, middle, row / np.linalg.norm(row))
        peer.append(min(peer_ratio - 1, 2 * peer_ratio - 1, key=abs))
        if scale is None:
            continue
        found += 1
        way, at = row_direction(scale), scale.centre_px
        error = along_px_per_mm(scale.px_to_mm, at, way) / along_px_per_mm(scene.px_to_mm, at, way) - 1
        spread = np.std([math.log(along_px_per_mm(draw, at, way)) for draw in scale.draws], ddof=1)
        printed = rng.normal(0, scale.systematic)
        along.append(abs(error))
        pulls_along.append(abs(error + printed) / math.hypot(spread, scale.systematic))
        error = scale.px_per_mm / _true_px_per_mm(scene, at) - 1
        area.append(abs(error))
        pulls.append(abs(error + printed) * scale.px_per_mm / scale.px_per_mm_err)
    percent = {"along_median_%": np.median(along), "along_p95_%": np.percentile(along, 95), "along_max_%": max(along)}
    percent |= {"px_per_mm_median_%": np.median(area), "px_per_mm_p95_%": np.percentile(area, 95)}
    percent |= {"found_%": found / SCENES, "within_2_sigma_%": np.mean(np.array(pulls) < 2)}
    percent |= {"within_2_sigma_along_%": np.mean(np.array(pulls_along) < 2)}
    percent |= {"fft_within_2_percent_%": np.mean(np.abs(peer) < 0.02), "fft_median_%": np.median(np.abs(peer))}
    return {key: round(100 * float(value), 3) for key, value in percent.items()}


def _taken_wrongly() -> float:
    """Share of scenes with a wrong object in which a scale was given."""
    taken = 0
    for k in range(SCENES):
        params = random_params(FIRST_SEED + k, TONES[k % 3], "ruler", (1000, 760))
        scene = draw_scene(replace(params, ruler_marks=WRONG[k % len(WRONG)]), FIRST_SEED + k)
        taken += _read(scene.rgb) is not None
    return 100 * taken / SCENES


def _reticles() -> dict[str, float]:
    """Relative error along the real reticles, per cent."""
    photos = folder("eval", "scale")
    truths = json.loads((photos / "gt.json").read_text())
    result = {}
    for name, truth in truths.items():
        if name.startswith("ruler"):
            scale = _read(cv2.cvtColor(cv2.imread(str(photos / name)), cv2.COLOR_BGR2RGB))
            value = math.nan
            if scale is not None:
                seen = along_px_per_mm(scale.px_to_mm, scale.centre_px, row_direction(scale))
                value = 100 * (seen / truth["px_per_mm"] - 1)
            result[f"{name.removesuffix('.jpg')}_%"] = round(value, 2)
    return result


def run() -> dict[str, float]:
    """Shares and relative errors, per cent."""
    result = _drawn()
    result["wrong_taken_%"] = round(_taken_wrongly(), 2)
    try:
        result |= _reticles()
    except MissingData:
        result |= {}
    return result


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
