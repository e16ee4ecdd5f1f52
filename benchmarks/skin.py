"""How well the skin mask agrees with masks drawn by hand (eval/skin), and with scenes of known truth."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import cv2
import numpy as np

from benchmarks.data import folder
from spotscan.colour import lab, skin_tone
from spotscan.skin import find_skin
from spotscan.synth import Scene, draw_scene, random_params
from spotscan.types import BoolArray, FloatArray, Scale, View
from spotscan.view import view_for_skin

TONES = ("light", "medium", "dark")
FIRST_SEED = 9_000  # other scenes than those looked at while the method was made


def run() -> dict[str, float]:
    """IoU against the drawn masks: mean, median, share above 0.85, and by tone (ITA) inside the drawn mask.

    Some drawn masks hold only the abdomen (arms and hands left out) or do not fit their photo; none is left
    out here.
    """
    where = folder("eval", "skin")
    iou, tones, seconds = [], [], []
    for name, truth in sorted(json.loads((where / "gt.json").read_text()).items()):
        rgb = cv2.cvtColor(cv2.imread(str(where / name)), cv2.COLOR_BGR2RGB)
        drawn = cv2.imread(str(where / truth["mask"]), cv2.IMREAD_GRAYSCALE) > 127
        start = time.perf_counter()
        mask = find_skin(View(rgb, 1.0)).mask
        seconds.append(time.perf_counter() - start)
        iou.append(np.count_nonzero(mask & drawn) / np.count_nonzero(mask | drawn))
        colours = lab(rgb)[drawn]
        tones.append(skin_tone(float(np.median(np.degrees(np.arctan2(colours[:, 0] - 50, colours[:, 2]))))))
    values = np.array(iou)
    result = {
        "photos": float(len(values)),
        "iou_mean": float(values.mean()),
        "iou_median": float(np.median(values)),
        "share_above_0.85": float((values > 0.85).mean()),
        "ms_per_photo": 1e3 * float(np.median(seconds)),
    }
    for tone in ("light", "medium", "dark"):
        chosen = values[[t == tone for t in tones]]
        if len(chosen):
            result |= {f"photos_{tone}": float(len(chosen)), f"iou_mean_{tone}": float(chosen.mean())}
            result[f"iou_median_{tone}"] = float(np.median(chosen))
    return result | judge_drawn()


def judge_drawn(scenes: int = 4, first_seed: int = FIRST_SEED) -> dict[str, float]:
    """Limbs on cloth and table: IoU by tone and background, and where the boundary lies.

    `drawn_edge_px_*` are percentiles of the distance of the mask's boundary from the true one, in view px,
    negative inside; the frame and the reference with its margin are left out.
    """
    groups: dict[str, list[float]] = {}
    edges = []
    for tone in TONES:
        for background in ("cloth", "table"):
            for seed in range(first_seed, first_seed + scenes):
                params = random_params(seed, tone, "aruco" if seed % 2 else None)
                value, edge = _judge(draw_scene(replace(params, background=background), seed))
                edges.append(edge)
                for name in (tone, background):
                    groups.setdefault(f"drawn_iou_{name}", []).append(value)
    result = {name: float(np.mean(values)) for name, values in groups.items()}
    percentiles = np.percentile(np.concatenate(edges), (5, 50, 95))
    names = ("p5", "median", "p95")
    return result | {f"drawn_edge_px_{n}": float(v) for n, v in zip(names, percentiles, strict=True)}


def _judge(scene: Scene) -> tuple[float, FloatArray]:
    """IoU, and signed distances of the boundary."""
    view = view_for_skin(View(scene.rgb, 1.0))
    area = scene.reference_area_px
    scale = Scale("drawn", scene.px_to_mm, area.mean(axis=0), keep_out_px=(area,)) if len(area) else None
    mask = find_skin(view, scale).mask
    step, (h, w) = int(view.factor), mask.shape
    whole = scene.skin_mask[: h * step, : w * step].astype(np.float32)
    truth = cv2.resize(whole, (w, h), interpolation=cv2.INTER_AREA) > 0.5
    covered = np.zeros((h, w), np.uint8)
    if len(area):
        cv2.fillConvexPoly(covered, np.round(view.from_photo(area)).astype(np.int32), 1)
    value = np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)
    near_reference = cv2.dilate(covered, np.ones((41, 41), np.uint8)) > 0
    return value, _signed(truth)[_boundary(mask) & ~near_reference]


def _signed(truth: BoolArray) -> FloatArray:
    """Distance from the true boundary, negative inside, held to 15 px (beyond, it is no matter of edges)."""
    inside, outside = (cv2.distanceTransform(m.astype(np.uint8), cv2.DIST_L2, 5) - 0.5 for m in (truth, ~truth))
    return np.clip(np.where(truth, -inside, outside), -15, 15).astype(float)


def _boundary(mask: BoolArray) -> BoolArray:
    """Pixels of the mask at its boundary, off the frame."""
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    edge = mask & ~eroded
    edge[:3] = edge[-3:] = edge[:, :3] = edge[:, -3:] = False
    return np.asarray(edge)


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
