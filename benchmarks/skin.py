"""How well the skin mask agrees with the masks drawn on abdomen photos (eval/skin)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

from spotscan.colour import lab, skin_tone
from spotscan.skin import find_skin
from spotscan.types import View

DATA = Path(os.environ.get("SPOTSCAN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def run() -> dict[str, float]:
    """IoU against the drawn masks: mean, median, share above 0.85, and by tone (ITA) inside the drawn mask.

    Some drawn masks hold only the abdomen (arms and hands left out) or do not fit their photo; none is left
    out here.
    """
    folder = DATA / "eval" / "skin"
    iou, tones, seconds = [], [], []
    for name, truth in sorted(json.loads((folder / "gt.json").read_text()).items()):
        rgb = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
        drawn = cv2.imread(str(folder / truth["mask"]), cv2.IMREAD_GRAYSCALE) > 127
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
    return result


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
