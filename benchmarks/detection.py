"""Real petechiae and purpura, and false alarms on other skin: the annotated photos of `eval/dermnet_nz`.

Scored by the shared scorer, imported from where it lies. The photos have no reference: the scan runs
without a scale. Each peer's parameters are the best on these very photos over the grid stated in `GRIDS`,
and it is shown only the roi with 40 px around it, both to its favour; SpotScan runs on the whole photo
with its one set of parameters.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import peers
from benchmarks.data import folder, shared_scoring
from benchmarks.scoring import FloatArray, f1, false_alarms
from spotscan.pipeline import scan

Record = dict[str, Any]
MARGIN_PX = 40  # around the roi, for the peers
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "blob_log on a*": {
        "threshold_rel": (0.2, 0.3, 0.35, 0.4),
        "max_sigma": (6, 12),
        "least": (0.5, 2.0),
    },
    "background, Otsu, watershed": {"least_contrast": (0, 2, 4, 6), "least_px": (9, 20, 40)},
    "SimpleBlobDetector": {"least_repeats": (1, 2, 3, 4, 6), "least_px": (9, 16, 30)},
}


def ours(where: Path, record: Record) -> FloatArray:
    """Centres of SpotScan's spots, px of the upright photo."""
    return scan(where / record["file"], reference="none").spots.centre_px


def run() -> dict[str, Any]:
    """Macro F1 on the photos of spots, false alarms on the others with a complete roi; ours and peers'."""
    where = folder("eval", "dermnet_nz")
    records = [r for r in json.loads((where / "annotations.json").read_text()) if r["complete"] and r["usable"]]
    spots = [r for r in records if r["photo_label"] == "spot"]
    others = [r for r in records if r["photo_label"] != "spot"]
    found = detect_all(ours, where, records)
    rows = [_row(record, found[record["file"]]) for record in spots]
    alarms = [{"photo": r["file"], "tone": r["skin_tone"], "alarms": false_alarms(r, found[r["file"]])} for r in others]
    counts = [a["alarms"] for a in alarms]
    result: dict[str, Any] = {
        "photos": len(spots), "macro_f1": _mean(rows, "F1"),
        "other_photos": len(others), "alarms_mean": float(np.mean(counts)),
        "alarms_median": float(np.median(counts)),
    }  # fmt: skip
    for tone in ("light", "medium", "dark"):
        chosen = [row for row in rows if row["tone"] == tone]
        if chosen:
            result |= {f"photos_{tone}": len(chosen), f"macro_f1_{tone}": _mean(chosen, "F1")}
    result["peers"] = [_peer_row("SpotScan", "", result["macro_f1"], counts)]
    result["peers"] += [best_of_grid(name, where, spots, others) for name in peers.PEERS]
    result["by photo"] = rows
    result["false alarms by photo, most first"] = sorted(alarms, key=lambda a: -a["alarms"])
    return result


def detect_all(detector: Callable[..., FloatArray], where: Path, records: list[Record]) -> dict[str, FloatArray]:
    """Centres by file."""
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        centres = list(pool.map(partial(detector, where), records, chunksize=2))
    return {record["file"]: xy for record, xy in zip(records, centres, strict=True)}


def _row(record: Record, centres: FloatArray) -> dict[str, Any]:
    tp, fp, fn, _ = shared_scoring().match(record, centres)
    return {
        "photo": record["file"],
        "tone": record["skin_tone"],
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "F1": f1(tp, fp, fn),
    }


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def best_of_grid(name: str, where: Path, spots: list[Record], others: list[Record]) -> dict[str, Any]:
    """A peer with the parameters of its grid that do best on these photos, and its false alarms with them."""
    grid = GRIDS[name]
    tried = []
    for values in product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        found = detect_all(partial(_peer, name, chosen), where, spots)
        tried.append((_mean([_row(r, found[r["file"]]) for r in spots], "F1"), chosen))
    score, chosen = max(tried, key=lambda t: t[0])
    found = detect_all(partial(_peer, name, chosen), where, others)
    settings = ", ".join(f"{key} {value:g}" for key, value in chosen.items())
    return _peer_row(name, settings, score, [false_alarms(r, found[r["file"]]) for r in others])


def _peer(name: str, settings: dict[str, float], where: Path, record: Record) -> FloatArray:
    x, y, w, h = record["roi"]
    x0, y0 = max(0, x - MARGIN_PX), max(0, y - MARGIN_PX)
    rgb = cv2.imread(str(where / record["file"]))[y0 : y + h + MARGIN_PX, x0 : x + w + MARGIN_PX, ::-1]
    return peers.PEERS[name](np.ascontiguousarray(rgb), **settings) + np.array([x0, y0])


def _peer_row(name: str, settings: str, score: float, alarms: list[int]) -> dict[str, Any]:
    return {"method": name, "best settings": settings, "macro F1": score,
            "alarms mean": float(np.mean(alarms)), "alarms median": float(np.median(alarms))}  # fmt: skip


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
