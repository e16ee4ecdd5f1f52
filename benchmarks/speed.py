"""Time and memory: a 12-megapixel JPEG with a marker and 80 spots, beside the time OpenCV takes to decode it.

The machine's speed drops out of the ratio: both are timed turn by turn in one process, warm; medians. The
peers' are of the decode and the detector alone. The 48-megapixel photo is the same, enlarged by two.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from benchmarks import peers
from spotscan import pipeline
from spotscan.synth import SceneParams, draw_scene, to_jpeg

SIDE_MM = 20.0
REFERENCE = f"aruco:{SIDE_MM}"
RUNS = 9
MARKS = 80
# The peers see the whole picture, as SpotScan does.
FULL_SIZE: dict[str, dict[str, Any]] = {
    "blob_log on a*": {"longest": None, "max_sigma": 12},
    "background, Otsu, watershed": {"longest": None},
}
PARAMS = SceneParams(
    width_px=4000, height_px=3000, px_per_mm=28.0, tilt_deg=8.0, n_spots=MARKS, n_hairs=12, n_pores=600,
    kinds=(("petechia", 0.6), ("purpura", 0.2), ("angioma", 0.1), ("naevus", 0.1)),
    reference="aruco", side_mm=SIDE_MM, mottling=0.012, blur_px=1.0,
)  # fmt: skip


def run(runs: int = RUNS) -> dict[str, Any]:
    """Ratios to `cv2.imdecode`, time per stage, peak memory, cold start."""
    twelve, small = sample_photos()
    times = race({"decode": _decode, "scan": _scan}, twelve, runs)
    decode, scan = (float(np.median(times[name])) for name in ("decode", "scan"))
    result: dict[str, Any] = {
        "spots_found": len(_scan(twelve).spots),
        "spots_drawn": MARKS,
        "jpeg_MB": len(twelve) / 1e6,
        "decode_ms": 1e3 * decode,
        "scan_ms": 1e3 * scan,
        "ratio": scan / decode,
    }
    result |= _forty_eight(twelve, scan)
    result["peak_MB"] = peak_mb()
    result["cold_scan_s"] = cold_start(["scan", "PHOTO", "--reference", REFERENCE], small)
    result["cold_help_s"] = cold_start(["--help"], small)
    stages = stage_times(twelve, runs)
    result["stages, ms"] = [{"stage": k, "ms": 1e3 * v, "decodes": v / decode} for k, v in stages.items()]
    result["peers, ratio to the decode"] = [
        {"method": "SpotScan", "ratio": scan / decode},
        *_peer_rows(twelve),
    ]
    return result


def sample_photos() -> tuple[bytes, bytes]:
    """The 12-megapixel JPEG and a small one, drawn once and kept in the temporary folder."""
    where = Path(tempfile.gettempdir()) / "spotscan-bench"
    where.mkdir(exist_ok=True)
    files = where / "12mp-v1.jpg", where / "small-v1.jpg"
    if not files[0].exists():
        files[0].write_bytes(to_jpeg(draw_scene(PARAMS, 1)))
    if not files[1].exists():
        small = SceneParams(width_px=1000, height_px=750, px_per_mm=20.0, reference="aruco", side_mm=10.0)
        files[1].write_bytes(to_jpeg(draw_scene(small, 2)))
    return files[0].read_bytes(), files[1].read_bytes()


def _decode(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _scan(data: bytes) -> Any:
    return pipeline.scan(data, reference=REFERENCE)


def race(what: dict[str, Callable[[bytes], Any]], data: bytes, runs: int) -> dict[str, list[float]]:
    """Seconds of each function on the same bytes, turn by turn, after one run to warm up."""
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(runs + 1):
        for name, function in what.items():
            start = time.perf_counter()
            function(data)
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def stage_times(data: bytes, runs: int) -> dict[str, float]:
    """Median seconds of each stage of `spotscan.pipeline.scan`."""
    names = ["read_photo", "find_scale", "view_for_skin", "find_skin", "judge_quality"]
    names += ["view_for_spots", "find_spots", "measure_spots", "measure_density"]
    spent: dict[str, list[float]] = defaultdict(list)
    with _clocked(names, spent):
        for _ in range(runs):
            _scan(data)
    return {name: float(np.median(spent[name])) for name in names}


@contextmanager
def _clocked(names: list[str], spent: dict[str, list[float]]) -> Iterator[None]:
    """Within it, the stages note their time."""

    def clock(name: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return stage(*args, **kwargs)
            finally:
                spent[name].append(time.perf_counter() - start)

        return timed

    with patch.multiple(pipeline, **{name: clock(name, getattr(pipeline, name)) for name in names}):
        yield


def _forty_eight(twelve: bytes, scan_seconds: float) -> dict[str, float]:
    """The same scene at twice the resolution: 8000 x 6000."""
    large = cv2.resize(_decode(twelve), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    del large
    times = race({"decode": _decode, "scan": _scan}, data, 3)
    decode, scan = (float(np.median(times[name])) for name in ("decode", "scan"))
    return {
        "48MP_decode_ms": 1e3 * decode, "48MP_scan_ms": 1e3 * scan, "48MP_ratio": scan / decode,
        "48MP_over_12MP": scan / scan_seconds,
    }  # fmt: skip


def peak_mb() -> float:
    """Peak resident memory of a fresh process that scans the 12-megapixel photo once, MB (10^6 bytes)."""
    # A child's ru_maxrss starts at its parent's on Linux; VmHWM starts anew with the program.
    code = (
        "import sys, resource, pathlib; from spotscan.pipeline import scan; scan(sys.argv[1], sys.argv[2]);"
        "status = pathlib.Path('/proc/self/status');"
        "print(status.read_text().split('VmHWM:')[1].split()[0] if status.exists()"
        " else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    photo = Path(tempfile.gettempdir()) / "spotscan-bench" / "12mp-v1.jpg"
    out = subprocess.run(
        [sys.executable, "-c", code, str(photo), REFERENCE],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    unit = 1 if sys.platform == "darwin" else 1024
    return int(out) * unit / 1e6


def cold_start(arguments: list[str], small: bytes, runs: int = 5) -> float:
    """Seconds of the command as a whole process, median."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "small.jpg"
        photo.write_bytes(small)
        command = [sys.executable, "-m", "spotscan", *(str(photo) if a == "PHOTO" else a for a in arguments)]
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            subprocess.run(command, env=_environment(), capture_output=True, check=True)
            times.append(time.perf_counter() - start)
    return float(np.median(times))


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    }


def _peer_rows(twelve: bytes) -> list[dict[str, Any]]:
    """Decode and detector, on the whole picture."""
    rgb = cv2.cvtColor(_decode(twelve), cv2.COLOR_BGR2RGB)
    rows = []
    for name, peer in peers.PEERS.items():
        runs = 1 if name.startswith("blob_log") else 3
        times, decodes = [], []
        for _ in range(runs):
            start = time.perf_counter()
            _decode(twelve)
            between = time.perf_counter()
            peer(rgb, **FULL_SIZE.get(name, {}))
            decodes.append(between - start)
            times.append(time.perf_counter() - start)
        rows.append({"method": f"{name} (n={runs})", "ratio": float(np.median(times) / np.median(decodes))})
    return rows


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
