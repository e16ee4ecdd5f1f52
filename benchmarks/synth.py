"""Drawn scenes of known truth through the whole pipeline: detection, diameters, stated errors.

The peers see the picture as it is; to their favour, what they find off the true skin (marker, cloth) is left
out, and `blob_log` looks for larger marks than on the photos.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.scoring import FloatArray, coverage, f1, pair_up
from spotscan.pipeline import scan
from spotscan.synth import Scene, draw_scene, random_params
from spotscan.types import Scan

TONES = ("light", "medium", "dark")
FIRST_SEED = 9_000  # other scenes than those looked at while the method was made (seeds below 1,000)
PEER_SETTINGS: dict[str, dict[str, float]] = {"blob_log on a*": {"max_sigma": 24}}
SCENES = 20  # per tone: 1.5 megapixels, 15-60 px/mm, tilt to 25 degrees, ArUco marker


@dataclass(frozen=True, eq=False)
class Outcome:
    """One scene, scanned. Arrays are per matched mark."""

    tone: str
    seed: int
    px_per_mm: float
    tilt_deg: float
    tp: int
    fp: int
    fn: int
    peer_counts: dict[str, tuple[int, int, int]]
    scale_error: float
    truth_mm: FloatArray
    truth_longest_mm: FloatArray
    truth_px: FloatArray
    diameter_mm: FloatArray
    err_mm: FloatArray
    longest_mm: FloatArray


def run(scenes: int = SCENES, first_seed: int = FIRST_SEED) -> dict[str, Any]:
    """Detection per tone, ours and peers'; errors of the diameters over all measured marks.

    A detection hits a mark when its centre lies within 0.65 diameters (at least 2 px) of the mark's, one
    to one: a mark found twice is a false positive.
    """
    jobs = [(tone, first_seed + i) for tone in TONES for i in range(scenes)]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(judge, *zip(*jobs, strict=True), chunksize=4))
    result: dict[str, Any] = {"scenes": len(outcomes), "marks": sum(o.tp + o.fn for o in outcomes)}
    for tone in TONES:
        result[f"f1_{tone}"] = _pooled([o for o in outcomes if o.tone == tone])
    result |= _sizes(outcomes)
    result["scale_error_median_%"] = 100 * float(np.nanmedian([abs(o.scale_error) for o in outcomes]))
    result["scale_not_found"] = int(sum(np.isnan(o.scale_error) for o in outcomes))
    result["by tone"] = [_tone_row(tone, [o for o in outcomes if o.tone == tone]) for tone in TONES]
    result["by size"] = _size_rows(outcomes)
    result["peers, F1"] = _peer_rows(outcomes)
    result["worst scenes"] = [_scene_row(o) for o in sorted(outcomes, key=lambda o: f1(o.tp, o.fp, o.fn))[:8]]
    return result


def draw(tone: str, seed: int) -> Scene:
    """A scene of the benchmark."""
    return draw_scene(random_params(seed, tone), seed)


def scan_scene(scene: Scene) -> Scan:
    """Scan with the marker's side told; without a scale where the marker is not found."""
    from spotscan.errors import ReferenceNotFoundError

    try:
        return scan(scene.rgb, reference=f"aruco:{scene.params.side_mm}")
    except ReferenceNotFoundError:
        return scan(scene.rgb, reference="none")


def judge(tone: str, seed: int) -> Outcome:
    """Draw, scan and compare one scene."""
    scene = draw(tone, seed)
    found = scan_scene(scene)
    pairs = pair_up(found.spots.centre_px, scene.centre_px, scene.diameter_px)
    mark, row = pairs.T
    spots = found.spots
    peer_counts = {}
    for name, peer in peers.PEERS.items():
        centres = peer(scene.rgb, **PEER_SETTINGS.get(name, {}))
        column, row_of = np.clip(np.rint(centres).astype(int), 0, np.array(scene.skin_mask.shape)[::-1] - 1).T
        centres = centres[scene.skin_mask[row_of, column]]
        hits = len(pair_up(centres, scene.centre_px, scene.diameter_px))
        peer_counts[name] = (hits, len(centres) - hits, len(scene) - hits)
    scale_error = np.nan
    if found.scale is not None:
        middle = scene.reference_px.mean(axis=0)[None]
        there = _px_per_mm(scene.px_to_mm, middle)
        scale_error = float(found.scale.px_per_mm_at(middle)[0] / there - 1)
    return Outcome(
        tone, seed, scene.px_per_mm, scene.tilt_deg,
        len(pairs), len(spots) - len(pairs), len(scene) - len(pairs), peer_counts, scale_error,
        scene.diameter_mm[mark], scene.longest_mm[mark], scene.diameter_px[mark],
        spots.diameter_mm[row], spots.diameter_mm_err[row], spots.longest_mm[row],
    )  # fmt: skip


def _px_per_mm(px_to_mm: FloatArray, xy: FloatArray) -> float:
    """Local scale by finite differences: independent of the formula in `spotscan.types`."""
    corners = xy + np.array([[0, 0], [0.5, 0], [0, 0.5]])
    p = np.c_[corners, np.ones(3)] @ px_to_mm.T
    a, b, c = p[:, :2] / p[:, 2:]
    (bx, by), (cx, cy) = b - a, c - a
    return float(0.5 / np.sqrt(abs(bx * cy - by * cx)))


def _pooled(outcomes: list[Outcome]) -> float:
    return f1(*(sum(getattr(o, name) for o in outcomes) for name in ("tp", "fp", "fn")))


def _joined(outcomes: list[Outcome]) -> dict[str, FloatArray]:
    names = ("truth_mm", "truth_longest_mm", "truth_px", "diameter_mm", "err_mm", "longest_mm")
    joined = {name: np.concatenate([getattr(o, name) for o in outcomes] or [np.zeros(0)]) for name in names}
    measured = np.isfinite(joined["diameter_mm"])
    return {name: values[measured] for name, values in joined.items()}


def _sizes(outcomes: list[Outcome]) -> dict[str, float]:
    """Errors of diameters over the measured marks, in per cent."""
    v = _joined(outcomes)
    relative = 100 * (v["diameter_mm"] / v["truth_mm"] - 1)
    longest = 100 * (v["longest_mm"] / v["truth_longest_mm"] - 1)
    return {
        "measured": len(relative),
        "found_not_measured": sum(len(o.truth_mm) for o in outcomes) - len(relative),
        "diameter_median_abs_%": float(np.median(np.abs(relative))),
        "diameter_p95_abs_%": float(np.percentile(np.abs(relative), 95)),
        "diameter_bias_%": float(np.median(relative)),
        "within_2_sigma": coverage(v["diameter_mm"], v["err_mm"], v["truth_mm"]),
        "within_1_sigma": coverage(v["diameter_mm"], v["err_mm"], v["truth_mm"], 1.0),
        "stated_err_median_%": float(np.median(100 * v["err_mm"] / v["diameter_mm"])),
        "longest_median_abs_%": float(np.median(np.abs(longest))),
        "longest_p95_abs_%": float(np.percentile(np.abs(longest), 95)),
        "longest_bias_%": float(np.median(longest)),
    }


def _tone_row(tone: str, outcomes: list[Outcome]) -> dict[str, Any]:
    tp, fp, fn = (sum(getattr(o, name) for o in outcomes) for name in ("tp", "fp", "fn"))
    sizes = _sizes(outcomes)
    keys = (
        "diameter_median_abs_%",
        "diameter_p95_abs_%",
        "diameter_bias_%",
        "within_2_sigma",
        "longest_median_abs_%",
    )
    macro = float(np.mean([f1(o.tp, o.fp, o.fn) for o in outcomes]))
    return {"tone": tone, "tp": tp, "fp": fp, "fn": fn, "F1": f1(tp, fp, fn), "F1 mean of scenes": macro,
            **{key: sizes[key] for key in keys}}  # fmt: skip


def _size_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Errors by how many pixels a mark is across."""
    v = _joined(outcomes)
    relative = 100 * (v["diameter_mm"] / v["truth_mm"] - 1)
    rows = []
    for low, high in ((0, 12), (12, 20), (20, 40), (40, 80), (80, 1_000)):
        chosen = (v["truth_px"] >= low) & (v["truth_px"] < high)
        if chosen.any():
            inside = coverage(v["diameter_mm"][chosen], v["err_mm"][chosen], v["truth_mm"][chosen])
            rows.append({
                "px across": f"{low}-{high}", "marks": int(chosen.sum()),
                "median abs error %": float(np.median(np.abs(relative[chosen]))),
                "p95 abs error %": float(np.percentile(np.abs(relative[chosen]), 95)),
                "bias %": float(np.median(relative[chosen])), "within 2 sigma": inside,
            })  # fmt: skip
    return rows


def _peer_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    rows = [{"method": "SpotScan"} | {t: _pooled([o for o in outcomes if o.tone == t]) for t in TONES}]
    for name in peers.PEERS:
        row: dict[str, Any] = {"method": name}
        for tone in TONES:
            counts = np.array([o.peer_counts[name] for o in outcomes if o.tone == tone])
            row[tone] = f1(*counts.sum(axis=0))
        rows.append(row)
    return rows


def _scene_row(o: Outcome) -> dict[str, Any]:
    return {
        "tone": o.tone,
        "seed": o.seed,
        "px/mm": o.px_per_mm,
        "tilt": o.tilt_deg,
        "tp": o.tp,
        "fp": o.fp,
        "fn": o.fn,
    }


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
