"""`spotscan data prepare`: from the folders that users have to the crops that a network learns from and is judged by.

Photos are split by patient and lesion first. Then, of each split alone: scenes are drawn (`spotscan.learn.scenes`), and
real marks are brought to phone scale as they are, nothing pasted. Both are cut by the pipeline's own function.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from spotscan._version import __version__
from spotscan.colour import skin_tone
from spotscan.errors import UsageError, cannot_write
from spotscan.learn.datasets import folder_per_class, ham10000, pad_ufes_20
from spotscan.learn.framing import Framing
from spotscan.learn.photos import data_folder
from spotscan.learn.prepared import ANGIOMA, OUTPUTS, Crops
from spotscan.learn.shards import Clock, Task, join_files, run, save_patches
from spotscan.learn.sources import SPLITS, Record, Source, split

# The modules of this package that read, draw and cut.
_MAKES = [
    "datasets",
    "files",
    "framing",
    "marks",
    "masks",
    "nothing",
    "palette",
    "prepare",
    "scenes",
    "shards",
    "sources",
]
_PART = 100  # photos a part: a minute or so is lost with an interruption
_REPEATS = 24  # how often the same real mark is shown at most, each time at another size
_JUDGED = 0.2  # crops of real marks in validation and test, as a share of those in training


@dataclass(frozen=True)
class PrepareConfig:
    """`spotscan data prepare`: which data, and how much. Folders are relative to SPOTSCAN_DATA where it is set."""

    out: str  # folder for the prepared crops
    pad_ufes_20: str = ""  # folder of PAD-UFES-20, as published or as crops with masks
    ham10000: str = ""  # folder of HAM10000; weights trained with it become non-commercial; empty: not used
    photos: str = ""  # folder of own photos, a folder a class (see spotscan.learn.datasets.folder_per_class)
    train_scenes: int = 12000  # drawn photos; each gives about five crops
    validation_scenes: int = 2000  # drawn of photos that training never sees
    test_scenes: int = 2000  # the same
    real_crops: int = (
        3000  # at least so many crops of real marks per class and route in training, a fifth of it in the others
    )
    photos_per_source: int = 3000  # most photos of a source and split that are read: memory; every angioma is kept
    draw_masks: bool = True  # outline lesions published without a mask, where that can be done
    seed: int = 0  # of splits and of everything drawn
    processes: int = 0  # 0: one a core
    framing: Framing = field(default_factory=Framing)


@dataclass(frozen=True)
class Prepared:
    """What was made.

    Attributes
    ----------
    folder : Path
    told : dict
        The content of `prepared.json`.
    """

    folder: Path
    told: dict[str, Any]

    def table(self) -> str:
        """Sources, and crops by class, route, split and tone of skin, as text."""
        lines = []
        for source in self.told["sources"]:
            read = ", ".join(f"{n} {what}" for what, n in source["tally"].items())
            lines += [*source["notes"], f"  of them: {read}; sha256 {source['sha256'][:16]}"]
        lines.append(f"{'':24}" + "".join(f"{name:>12}" for name in SPLITS))
        for heading in ("class and route", "tone of skin"):
            by = {name: self.told["splits"][name][heading] for name in SPLITS}
            for key in sorted({key for counts in by.values() for key in counts}):
                lines.append(f"{key:24}" + "".join(f"{by[name].get(key, 0):12d}" for name in SPLITS))
        for key in ("crops", "groups", "photos", "left out"):
            lines.append(f"{key:24}" + "".join(f"{self.told['splits'][name][key]:12d}" for name in SPLITS))
        return "\n".join(lines)


def prepare(config: PrepareConfig, stream: TextIO | None = None) -> Prepared:
    """Make the crops of a config, or what is missing of them.

    Parts that an interrupted run with the same config, data and code has left in `out` are used. The same config gives
    the same crops, whatever the number of processes.

    Parameters
    ----------
    config : PrepareConfig
    stream : text stream, optional
        For progress; standard error by default.

    Returns
    -------
    Prepared
        `out` holds `train.npz`, `validation.npz`, `test.npz` (see `spotscan.learn.prepared.Crops`) and
        `prepared.json`.

    Raises
    ------
    UsageError
        If no data is named, a number cannot be, or `out` cannot be written.
    InputError
        If data is missing or not what it should be.
    """
    stream = sys.stderr if stream is None else stream
    _check(config)
    out = Path(config.out)
    sources = _sources(config)
    key = _fingerprint(config, sources)
    before = _read_json(out / "prepared.json")
    if before.get("fingerprint") == key and all((out / f"{name}.npz").exists() for name in SPLITS):
        print(f"{out} is prepared already, from the same data and config", file=stream)
        return Prepared(out, before)
    parts = out / f"parts-{key[:16]}"
    try:
        parts.mkdir(parents=True, exist_ok=True)
        told = _make(config, sources, parts, stream)
        told["fingerprint"] = key
        (out / "prepared.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(error, str(out)) from error
    for old in out.glob("parts-*"):
        shutil.rmtree(old)
    return Prepared(out, told)


def _check(config: PrepareConfig) -> None:
    if not (config.pad_ufes_20 or config.ham10000 or config.photos):
        raise UsageError("there is nothing to prepare", "", "name a folder for pad_ufes_20, ham10000 or photos")
    for name in ("train_scenes", "validation_scenes", "test_scenes", "real_crops", "photos_per_source", "processes"):
        if getattr(config, name) < 0:
            raise UsageError(f"{name} is negative", str(getattr(config, name)), "give 0 or more")


def _sources(config: PrepareConfig) -> list[Source]:
    readers = ((config.pad_ufes_20, pad_ufes_20), (config.ham10000, ham10000), (config.photos, folder_per_class))
    return [read(data_folder(folder), draw_masks=config.draw_masks) for folder, read in readers if folder]


def _fingerprint(config: PrepareConfig, sources: Sequence[Source]) -> str:
    """Hash of everything the crops depend on: config, data, the code that draws and cuts, and its libraries."""
    told = _plain(config) | {"processes": 0, "sources": [(source.name, source.sha256) for source in sources]}
    told["versions"] = _versions()
    total = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    learn = Path(__file__).parent
    tools = [
        learn.parent / name for name in ("colour.py", "crops.py", "photo.py", "synth_place.py", "types.py", "view.py")
    ]
    for path in [*(learn / f"{name}.py" for name in _MAKES), *tools, *sorted((learn.parent / "segment").glob("*.py"))]:
        total.update(path.read_bytes())
    return total.hexdigest()


def _plain(config: PrepareConfig) -> dict[str, Any]:
    """The config without the folders, which are a person's own affair: data are told by their hashes."""
    return dataclasses.asdict(dataclasses.replace(config, out="", pad_ufes_20="", ham10000="", photos=""))


def _versions() -> dict[str, str]:
    return {"spotscan": __version__, "numpy": np.__version__, "opencv": cv2.__version__}


def _make(config: PrepareConfig, sources: Sequence[Source], parts: Path, stream: TextIO) -> dict[str, Any]:
    tallies = [Counter[str]() for _ in sources]
    tasks: list[Task] = []
    for name in SPLITS:
        print(f"reading photos of {name}", file=stream, flush=True)
        patches = (
            patch
            for source, tally in zip(sources, tallies, strict=True)
            for patch in source.patches(tally, _wanted(config, source, name))
            if patch.mark is not None  # nobody knows where to look
        )
        kinds = save_patches(parts, name, patches)
        tasks += _tasks(config, name, kinds)
    processes = config.processes or os.cpu_count() or 1
    run(tasks, parts, processes, Clock(sum(task.last - task.first for task in tasks), stream))
    told: dict[str, Any] = {"schema": "spotscan/prepared/1", "versions": _versions()}
    told["config"] = _plain(config)
    told["sources"] = [
        {"name": source.name, "sha256": source.sha256, "counts": source.counts, "notes": list(source.notes),
         "tally": dict(sorted(tally.items()))}
        for source, tally in zip(sources, tallies, strict=True)
    ]  # fmt: skip
    told["splits"] = {}
    for name in SPLITS:
        paths = [task.path(parts) for task in tasks if task.split == name]
        rows, left_out = join_files(paths, parts.parent / f"{name}.npz")
        told["splits"][name] = _counted(rows, left_out)
    return dict(json.loads(json.dumps(told)))  # as it will be read again


def _wanted(config: PrepareConfig, source: Source, name: str) -> Any:
    """Photos of a split; where there are too many, all angiomas and those others that a hash puts first."""
    here = [r for r in source.records if split(r.group, config.seed) == name]

    def order(record: Record) -> tuple[bool, str]:
        return record.label != ANGIOMA, hashlib.sha256(f"{config.seed}:{record.image.inside}".encode()).hexdigest()

    kept = set(sorted(here, key=order)[: config.photos_per_source])
    return kept.__contains__


def _tasks(config: PrepareConfig, name: str, kinds: Sequence[tuple[int, str]]) -> list[Task]:
    """Scenes first, then each real patch as often as its class and route need, all numbered through."""
    n_scenes = int(getattr(config, f"{name}_scenes"))
    wanted = config.real_crops * (1.0 if name == "train" else _JUDGED)
    repeats = {kind: min(_REPEATS, math.ceil(wanted / n)) for kind, n in Counter(kinds).items()}
    which = [i for i, kind in enumerate(kinds) for _ in range(repeats[kind])]
    tasks = [
        Task(name, "scenes", first, min(first + _PART, n_scenes), config.seed, config.framing)
        for first in range(0, n_scenes, _PART)
    ]
    for first in range(0, len(which), _PART):
        some = tuple(which[first : first + _PART])
        begin = n_scenes + first
        tasks.append(Task(name, "real", begin, begin + len(some), config.seed, config.framing, some))
    return tasks


def _counted(rows: Crops, left_out: int) -> dict[str, Any]:
    kinds = Counter(f"{OUTPUTS[label]}, {route}" for label, route in zip(rows.label, rows.route, strict=True))
    tones = Counter(skin_tone(None if math.isnan(ita) else float(ita)) or "unknown" for ita in rows.ita_deg)
    return {
        "class and route": dict(sorted(kinds.items())),
        "tone of skin": dict(sorted(tones.items())),
        "crops": len(rows),
        "groups": len(set(rows.group.tolist())),
        "photos": len(set(rows.scene.tolist())),
        "left out": left_out,
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
