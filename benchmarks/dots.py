"""Counting colonies on agar plates that seven people counted (OpenCFU): the segmentation stage alone.

Nothing here is skin: the mask given to the stage is the inside of the dish, the strongest Hough circle
shrunk by 4 % (the wall of a dish of 90 mm), and there is no scale. OpenCFU's and ImageJ's counts are
those published with the plates; the other peers run with their parameters for photos of skin.
"""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np

from benchmarks import peers
from benchmarks.data import folder
from spotscan.segment import find_spots
from spotscan.types import BoolArray, RGBArray, Skin, View

WALL = 0.04
TOLERANCE = 0.05


def dish(rgb: RGBArray) -> BoolArray:
    """The inside of the dish, (h, w); the whole picture where no circle is found."""
    height, width = rgb.shape[:2]
    factor = max(height, width) / 500
    small = cv2.resize(
        cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
        None,
        fx=1 / factor,
        fy=1 / factor,
        interpolation=cv2.INTER_AREA,
    )
    # The plates fill their pictures: an outer radius below 0.456 of the longer side would be an inner ring.
    circles = cv2.HoughCircles(
        cv2.GaussianBlur(small, (0, 0), 1.5), cv2.HOUGH_GRADIENT, dp=1, minDist=500, param1=60, param2=20,
        minRadius=228, maxRadius=250,
    )  # fmt: skip
    if circles is None:
        return np.ones((height, width), bool)
    x, y, radius = (float(v) * factor for v in np.reshape(circles, (-1, 3))[0])
    inside = cv2.circle(np.zeros((height, width), np.uint8), (round(x), round(y)), round((1 - WALL) * radius), 1, -1)
    return np.asarray(inside > 0)


def run() -> dict[str, Any]:
    """Counts beside the people's; in range is from 5 % below the lowest to 5 % above the highest."""
    where = folder("eval", "dots")
    rows, errors = [], []
    for name, truth in sorted(json.loads((where / "gt.json").read_text()).items()):
        rgb = cv2.cvtColor(cv2.imread(str(where / name)), cv2.COLOR_BGR2RGB)
        inside = dish(rgb)
        count = len(find_spots(View(rgb, 1.0), Skin(inside, 1.0, float(inside.mean()), None), None))
        people = truth["human_counts"]
        row = {
            "plate": name,
            "people": f"{min(people)}-{max(people)}",
            "SpotScan": count,
            "within": within(count, people),
        }
        row |= {"OpenCFU": truth.get("opencfu"), "ImageJ": truth.get("imagej"), **_peers(rgb, inside)}
        rows.append(row | {"dish": f"{inside.mean():.2f} of the picture"})
        errors.append(100 * abs(count / float(np.median(people)) - 1))
    result: dict[str, Any] = {
        "plates": len(rows), "share_within_range": float(np.mean([row["within"] == "yes" for row in rows])),
        "median_abs_error_%": float(np.median(errors)), "worst_abs_error_%": float(max(errors)),
    }  # fmt: skip
    for peer in ("OpenCFU", "ImageJ"):
        counts = [(row[peer], row["people"]) for row in rows if row[peer] is not None]
        inside_range = [within(count, [int(v) for v in people.split("-")]) == "yes" for count, people in counts]
        result[f"{peer}_share_within_range"] = float(np.mean(inside_range))
    return result | {"plates, counts": rows}


def within(count: int, people: list[int]) -> str:
    """Whether a count lies within the people's range, give or take."""
    return "yes" if (1 - TOLERANCE) * min(people) <= count <= (1 + TOLERANCE) * max(people) else "no"


def _peers(rgb: RGBArray, inside: BoolArray) -> dict[str, int]:
    counts = {}
    for name, peer in peers.PEERS.items():
        x, y = np.rint(peer(rgb)).astype(int).T
        counts[name] = int(inside[np.clip(y, 0, inside.shape[0] - 1), np.clip(x, 0, inside.shape[1] - 1)].sum())
    return counts


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
