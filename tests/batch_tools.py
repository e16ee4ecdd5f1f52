"""What the tests of the batch share: small photos, and ways to run it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import cv2

from spotscan.batch.finish import RESULTS
from spotscan.cli import main
from spotscan.synth import SceneParams, draw_scene

REFERENCE = "aruco:10"
PARAMS = SceneParams(
    width_px=640, height_px=480, px_per_mm=14.0, n_spots=6, diameter_mm=(1.0, 2.0), reference="aruco", side_mm=10.0
)


@lru_cache(maxsize=1)
def _drawn() -> tuple[bytes, ...]:
    scenes = [draw_scene(PARAMS, seed).rgb[..., ::-1] for seed in (3, 4)]
    return tuple(
        cv2.imencode(".jpg", scenes[i % 2], [cv2.IMWRITE_JPEG_QUALITY, 88 + i // 2])[1].tobytes() for i in range(12)
    )


def put_photos(folder: Path, n: int) -> Path:
    """So many small photos, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(_drawn()[:n]):
        (folder / f"IMG_{i:02d}.jpg").write_bytes(data)
    return folder


def batch(folder: Path, out: Path, *options: str, workers: int = 0, reference: str = REFERENCE) -> int:
    """In this process unless `workers` says otherwise; the exit code."""
    return main(
        ["batch", str(folder), "--out", str(out), "--reference", reference, "--workers", str(workers), *options]
    )


def start(folder: Path, out: Path, *options: str, workers: int, **popen) -> subprocess.Popen:
    """In a process group of its own."""
    command = [sys.executable, "-m", "spotscan", "batch", str(folder), "--out", str(out), "--reference", REFERENCE]
    root = Path(__file__).resolve().parents[1]
    return subprocess.Popen(
        [*command, "--workers", str(workers), *options], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **popen,
    )  # fmt: skip


def results(out: Path) -> dict[str, bytes]:
    """The tables and the page."""
    return {name: (out / name).read_bytes() for name in RESULTS}


def documents(out: Path) -> dict[str, bytes]:
    """The JSONs, by where they lie."""
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in (out / "scans").rglob("*") if p.is_file()}


def rows(out: Path, name: str = "photos") -> dict[str, dict[str, str]]:
    """Rows of a table by their file."""
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def document_of(out: Path, file: str) -> dict:
    """The JSON of a photo."""
    return json.loads((out / rows(out)[file]["scan"]).read_text(encoding="utf-8"))
