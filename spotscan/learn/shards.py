"""Making crops in parts, by several processes, so that what was done survives an interruption."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.errors import InputError
from spotscan.learn.framing import Framing, as_photographed, cut, framed
from spotscan.learn.palette import Palette
from spotscan.learn.prepared import Crops
from spotscan.learn.scenes import draw
from spotscan.learn.sources import SPLITS, Patch


@dataclass(frozen=True)
class Task:
    """A part to be made: some scenes, or some real photos, of one split.

    Attributes
    ----------
    split, kind : str
        `kind` is ``scenes`` or ``real``.
    first, last : int
        Numbers of the photos, `last` left out.
    seed : int
    framing : Framing
    which : tuple of int
        For real photos, the patch of each number; the same patch more than once at different sizes.
    """

    split: str
    kind: str
    first: int
    last: int
    seed: int
    framing: Framing
    which: tuple[int, ...] = ()

    def path(self, parts: Path) -> Path:
        """Where the part lies."""
        return parts / f"{self.split}_{self.kind}_{self.first:07d}.npz"


def make(task: Task, parts: Path) -> Path:
    """Make one part; it is there whole or not at all."""
    made = [_photo(task, number, parts) for number in range(task.first, task.last)]
    crops = join([crops for crops, _ in made])
    target = task.path(parts)
    temporary = target.with_name(f"{target.stem}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **as_arrays(crops) | {"empty": np.array(sum(empty for _, empty in made))})  # type: ignore[arg-type]
    temporary.replace(target)
    return target


def _photo(task: Task, number: int, parts: Path) -> tuple[Crops, int]:
    rng = np.random.default_rng([task.seed, SPLITS.index(task.split), number])
    if task.kind == "scenes":
        scene = framed(draw(_palette(parts, task.split), rng), rng, task.framing)
        return cut(scene, number, f"scene:{task.split}:{number}", rng, task.framing)
    patch = load_patches(parts, task.split)[task.which[number - task.first]]
    real = as_photographed(patch, rng, task.framing)
    return (join([]), 1) if real is None else cut(real, number, patch.group, rng, task.framing)


def as_arrays(crops: Crops) -> dict[str, NDArray[Any]]:
    """Name -> array."""
    return {f.name: getattr(crops, f.name) for f in fields(Crops)}


def join(parts: Sequence[Crops]) -> Crops:
    """Crops one after the other; of none, no crops."""
    from spotscan.crops import CROP_PX

    none = Crops(
        np.zeros((0, 6, CROP_PX, CROP_PX), np.float16), np.zeros(0, np.int8), np.zeros(0, "U16"), np.zeros(0, "U64"),
        np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros((0, 2), np.float32),
    )  # fmt: skip
    return Crops(**{f.name: np.concatenate([getattr(p, f.name) for p in (none, *parts)]) for f in fields(Crops)})


def join_files(paths: Sequence[Path], target: Path) -> tuple[Crops, int]:
    """Write parts one after the other into one .npz, crops a part at a time.

    Returns
    -------
    Crops, int
        All but the pixels (`crops` has no pixels: shape (n, 0, 0, 0)), and how many crops were empty.
    """
    loaded, shapes, empty = [], [], 0
    for path in paths:
        with np.load(path) as part:
            arrays = {f.name: part[f.name] for f in fields(Crops)}
            empty += int(part["empty"])
        shapes.append(arrays["crops"].shape)
        arrays["crops"] = np.zeros((len(arrays["label"]), 0, 0, 0), np.float16)
        loaded.append(Crops(**arrays))
    rows = Crops(**{f.name: np.concatenate([getattr(p, f.name) for p in loaded]) for f in fields(Crops)})
    temporary = target.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, values in as_arrays(rows).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                if name != "crops":
                    np.lib.format.write_array(member, values)
                    continue
                shape = (len(rows), *shapes[0][1:])
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for path in paths:
                    with np.load(path) as part:
                        member.write(part["crops"].astype("<f2").tobytes())
    temporary.replace(target)
    return rows, empty


def save_patches(parts: Path, split: str, patches: Iterable[Patch]) -> list[tuple[int, str]]:
    """Keep the patches of a split for the workers; returns label and route of each."""
    arrays: dict[str, NDArray[Any]] = {}
    told: list[list[Any]] = []
    kinds = []
    for i, patch in enumerate(patches):
        arrays[f"rgb{i}"] = patch.rgb
        if patch.mask is not None:
            arrays[f"mask{i}"] = np.packbits(patch.mask)
        kinds.append((patch.label, patch.route))
        told.append([patch.label, patch.group, patch.source, patch.ita_deg, patch.diagnosis, patch.box_px])
    temporary = parts / f"patches_{split}.tmp"
    with temporary.open("wb") as file:
        np.savez(file, told=np.array(json.dumps(told)), **arrays)  # type: ignore[arg-type]
    temporary.replace(parts / f"patches_{split}.npz")
    _load.cache_clear()
    return kinds


def load_patches(parts: Path, split: str) -> tuple[Patch, ...]:
    """What `save_patches` kept."""
    return _load(parts / f"patches_{split}.npz")


@lru_cache(maxsize=1)  # workers go through one split after the other
def _load(path: Path) -> tuple[Patch, ...]:
    found = []
    with np.load(path) as arrays:
        for i, (label, group, source, ita, diagnosis, box) in enumerate(json.loads(str(arrays["told"]))):
            rgb, mask = arrays[f"rgb{i}"], None
            if f"mask{i}" in arrays:
                bits = np.unpackbits(arrays[f"mask{i}"], count=rgb.shape[0] * rgb.shape[1])
                mask = bits.reshape(rgb.shape[:2]).astype(np.bool_)
            found.append(Patch(rgb, mask, label, group, source, ita, diagnosis, tuple(box) if box else None))
    return tuple(found)


@lru_cache(maxsize=1)
def _palette(parts: Path, split: str) -> Palette:
    try:
        return Palette.from_patches(load_patches(parts, split))
    except ValueError as error:  # skin is that of PAD-UFES-20, angiomas those of HAM10000
        raise InputError(f"scenes of {split} cannot be drawn: {error}", "", "add data, or ask for no scenes") from error


def run(tasks: Sequence[Task], parts: Path, processes: int, done: Callable[[Task], None]) -> None:
    """Make the parts that are not there yet; `done` is told of each."""
    left = [task for task in tasks if not task.path(parts).exists()]
    for task in set(tasks) - set(left):
        done(task)
    if processes == 1 or len(left) < 2:
        for task in left:
            make(task, parts)
            done(task)
        return
    # A fork would copy locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(left)), mp_context=context, initializer=_start)
    try:
        waiting = {pool.submit(make, task, parts): task for task in left}
        for future in as_completed(waiting):
            future.result()
            done(waiting[future])
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    cv2.setNumThreads(1)  # a photo a core is faster than a core a loop


class Clock:
    """Says on a stream, now and then, how far it is."""

    def __init__(self, total: int, stream: Any, every_s: float = 5.0) -> None:
        self._total, self._stream, self._every = total, stream, every_s
        self._done, self._began, self._said = 0, time.monotonic(), 0.0

    def __call__(self, task: Task) -> None:
        """A part is there."""
        self._done += task.last - task.first
        now = time.monotonic()
        if now >= self._said + self._every or self._done == self._total:
            self._said = now
            left = (now - self._began) * (self._total - self._done) / max(self._done, 1)
            print(f"{self._done} of {self._total} photos, about {left:.0f} s left", file=self._stream, flush=True)
