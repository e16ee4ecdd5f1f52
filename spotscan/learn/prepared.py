"""Prepared crops on disk: parallel arrays in `<split>.npz`, or in shards `<split>_*.npz`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.alike import appearance, with_alike
from spotscan.errors import InputError
from spotscan.findings import CLASSES

OUTPUTS = (*CLASSES, "none")  # what a label, 0 to 3, stands for
SPOT, ANGIOMA, LESION, NONE = range(len(OUTPUTS))


@dataclass(frozen=True)
class Crops:
    """Marks with their crops, all arrays of length n.

    Attributes
    ----------
    crops : (n, 6, 40, 40) float16
        Tight and wide crop, absorbance relative to the skin (`spotscan.crops.mark_crops`).
    label : (n,) int
        Index into `OUTPUTS`.
    route : (n,) str
        How the mark came about: drawn, pasted, dermoscopic, clinical, pipeline.
    group : (n,) str
        Patient, lesion, scene or photo: never in two splits.
    ita_deg : (n,) float32
        Of the skin, degrees; NaN unknown.
    diameter_px : (n,) float32
        Of the mark in the photo.
    scene : (n,) int32
        Marks of one photo share it.
    centre_px : (n, 2) float32
        In the photo.
    """

    crops: NDArray[Any]
    label: NDArray[Any]
    route: NDArray[Any]
    group: NDArray[Any]
    ita_deg: NDArray[Any]
    diameter_px: NDArray[Any]
    scene: NDArray[Any]
    centre_px: NDArray[Any]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, which: NDArray[Any]) -> Crops:
        """Those of a mask or of indices."""
        return replace(self, **{f.name: getattr(self, f.name)[which] for f in fields(self)})


def with_alike_in_scene(logits: NDArray[Any], crops: Crops, share: float) -> NDArray[np.float64]:
    """Logits (n, 3) of the classes, each mark judged with those of its photo that look alike in mind."""
    found = np.asarray(logits, float)[:, :NONE].copy()
    looks = appearance(crops.crops, crops.diameter_px) if share else np.zeros((len(crops), 0))
    order = np.argsort(crops.scene, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(crops.scene[order])) + 1) if share else ():
        found[rows] = with_alike(found[rows], looks[rows], share)
    return found


def read_crops(folder: str | Path, split: str) -> Crops:
    """Read a split (train, validation, test) of a folder of prepared crops.

    Raises
    ------
    InputError
        It is not there, or its arrays do not fit together.
    """
    paths = [p for p in (Path(folder) / f"{split}.npz", *sorted(Path(folder).glob(f"{split}_*.npz"))) if p.exists()]
    if not paths:
        raise InputError("there are no prepared crops", f"{folder}/{split}.npz", "run `spotscan data prepare` first")
    parts: dict[str, list[NDArray[Any]]] = {f.name: [] for f in fields(Crops)}
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for name, part in parts.items():
                    part.append(arrays[name])
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"the prepared crops cannot be read ({error})", str(path), "prepare them again") from error
    found = Crops(**{name: part[0] if len(part) == 1 else np.concatenate(part) for name, part in parts.items()})
    n, shape = len(found), found.crops.shape
    if len(shape) != 4 or shape[1] != 6 or any(len(getattr(found, f.name)) != n for f in fields(Crops)):
        raise InputError(f"the prepared crops do not fit together: {shape}", str(paths[0]), "prepare them again")
    return found


def write_crops(folder: str | Path, split: str, crops: Crops) -> Path:
    """Write a split; not compressed, since it is read far more often than sent."""
    path = Path(folder) / f"{split}.npz"
    np.savez(path, **{f.name: getattr(crops, f.name) for f in fields(Crops)})
    return path


def fingerprint(folder: str | Path) -> str:
    """Sha256 of what the folder says it holds: `prepared.json`, or names and sizes of its files where it has none."""
    told = Path(folder) / "prepared.json"
    if told.exists():
        return hashlib.sha256(told.read_bytes()).hexdigest()
    held = sorted((p.name, p.stat().st_size) for p in Path(folder).glob("*.npz"))
    return hashlib.sha256(repr(held).encode()).hexdigest()
