"""Photos in which a person boxed every mark: what a classifier is judged on.

A folder with `annotations.json` and the photos (beside it or in `images/`)::

    [{"file": "a.jpg", "skin_tone": "light", "spots": [{"cx": .., "cy": .., "w": .., "h": .., "label": "spot",
      "sure": true}, ...]}, ...]

px of the photo, boxes by centre and size. Marks with `sure: false` do not count.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.crops import mark_crops
from spotscan.errors import InputError
from spotscan.learn.prepared import OUTPUTS, Crops
from spotscan.photo import read_photo
from spotscan.types import RGBArray

OTHER = len(OUTPUTS)  # label of what is a mark, but none of the classes


@dataclass(frozen=True)
class Boxed:
    """Marks of boxed photos.

    Attributes
    ----------
    crops : Crops
        ``route`` is ``photo``, ``group`` the file, ``label`` may be `OTHER`.
    tone : (n,) str
        Of the skin, as the person put it; "" unknown.
    """

    crops: Crops
    tone: NDArray[Any]


def read_boxed(folder: str | Path) -> Boxed:
    """Read and cut every mark of a folder of boxed photos.

    Parameters
    ----------
    folder : path
        Absolute, or within the folder that the environment variable SPOTSCAN_DATA names.

    Raises
    ------
    InputError
        There are no annotations, or they name a photo that is not there.
    """
    path = data_folder(folder) / "annotations.json"
    try:
        photos = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("there are no boxed photos", str(path), "set SPOTSCAN_DATA") from error
    parts = [_of_photo(folder, photo, number) for number, photo in enumerate(photos)]
    rows = [row for _, part in parts for row in part]
    crops = [crop for crop, part in parts if part]
    if not rows:
        raise InputError("no mark is boxed there", str(path), "box some")
    label, group, diameter, scene, centre, tone = (list(column) for column in zip(*rows, strict=True))
    return Boxed(
        Crops(
            crops=np.concatenate(crops).astype(np.float16),
            label=np.array(label, np.int8),
            route=np.full(len(rows), "photo"),
            group=np.array(group),
            ita_deg=np.full(len(rows), np.nan, np.float32),
            diameter_px=np.array(diameter, np.float32),
            scene=np.array(scene, np.int32),
            centre_px=np.array(centre, np.float32),
        ),
        np.array(tone),
    )


def data_folder(folder: str | Path) -> Path:
    """A folder, relative to SPOTSCAN_DATA where that is set."""
    return Path(os.environ.get("SPOTSCAN_DATA", "")) / folder


def boxed_photo(folder: str | Path, name: str) -> RGBArray:
    """A photo of a folder of boxed photos, beside the annotations or in `images/`: (H, W, 3) uint8."""
    paths = [data_folder(folder) / name, data_folder(folder) / "images" / name]
    return read_photo(next((path for path in paths if path.exists()), paths[0])).rgb


def _of_photo(
    folder: str | Path, photo: dict[str, Any], number: int
) -> tuple[NDArray[np.float32], list[tuple[Any, ...]]]:
    """Crops of one photo's marks, and a row for each."""
    name = photo["file"]
    tone = photo.get("skin_tone") or ""
    rows = [
        (_label(spot["label"]), name, math.sqrt(spot["w"] * spot["h"]), number, (spot["cx"], spot["cy"]), tone)
        for spot in photo["spots"]
        if spot.get("sure", True)
    ]
    return mark_crops(boxed_photo(folder, name), [row[4] for row in rows], [row[2] for row in rows]), rows


def _label(name: str) -> int:
    return OUTPUTS.index(name) if name in OUTPUTS else OTHER
