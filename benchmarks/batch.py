"""A folder of photos: rate, overhead, memory; and the same photos through a script as people write them.

Rates are of whole runs, from the start of the workers to the last table. The overhead is that of a batch with one
worker over a loop of plain scans, once as time by the clock and once as time of the processors (of driver and worker
together), which other work on the machine hardly changes. The peer is scikit-image's `blob_log` (`benchmarks.peers`)
over joblib, which reads the photos and writes one CSV; the true scale is told to it, and what it finds off the skin is
left out, both to its favour; its diameter is 2 sqrt(2) sigma.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import peers
from benchmarks.scoring import f1, pair_up
from spotscan.batch.index import journal_line
from spotscan.batch.listing import Entry
from spotscan.batch.places import Folder
from spotscan.batch.pool import Pool
from spotscan.batch.run import Batch, Options
from spotscan.batch.settings import Settings
from spotscan.batch.work import Outcome, Task, do, path_of, prepare
from spotscan.synth import draw_scene, random_params, to_jpeg

PHOTOS = 200  # of 2 megapixels, for rate and overhead
PEER_PHOTOS = 50
MEMORY_PHOTOS = 500
FINISHED = 100_000
TONES = ("light", "medium", "dark")
FIRST_SEED = 8_000
DRAWN = 20  # different scenes of 2 megapixels; the rest are the same at other JPEG qualities


def run(
    photos: int = PHOTOS, peer_photos: int = PEER_PHOTOS, memory_photos: int = MEMORY_PHOTOS, finished: int = FINISHED
) -> dict[str, Any]:
    """Rates, overhead, memory, resuming, and the peer beside us."""
    with tempfile.TemporaryDirectory(prefix="spotscan-batch-") as scratch:
        work = Path(scratch)
        folder = _two_megapixels(photos, work / "two")
        result: dict[str, Any] = {"photos": photos, "megapixels": 2.0} | _rates(folder, photos, work)
        result |= _memory(folder, memory_photos, work)
        result |= _resuming(finished, work / "finished")
        result |= _beside_the_peer(peer_photos, work)
    return result


def _cache() -> Path:
    where = Path(tempfile.gettempdir()) / "spotscan-bench" / "batch-v1"
    where.mkdir(parents=True, exist_ok=True)
    return where


def _draw(number: int, width_px: int | None = None, height_px: int | None = None) -> Path:
    """A scene's JPEG and its truth beside it, drawn once and kept in the temporary folder."""
    seed = FIRST_SEED + number
    path = _cache() / f"{'scene' if width_px is None else 'two'}-{seed}.jpg"
    if not path.exists():
        params = random_params(seed, TONES[number % len(TONES)])
        side = {"reference": "aruco", "side_mm": params.side_mm}
        if width_px is not None and height_px is not None:
            side |= {"width_px": width_px, "height_px": height_px}
        scene = draw_scene(replace(params, **side), seed)
        np.savez_compressed(
            path.with_suffix(".npz"), centre_px=scene.centre_px, diameter_px=scene.diameter_px,
            diameter_mm=scene.diameter_mm, px_per_mm=scene.px_per_mm, skin=scene.skin_mask, side_mm=params.side_mm,
        )  # fmt: skip
        path.write_bytes(to_jpeg(scene))
    return path


def _drawn(n: int, width_px: int | None = None, height_px: int | None = None) -> list[Path]:
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        return list(pool.map(partial(_draw, width_px=width_px, height_px=height_px), range(n)))


def _two_megapixels(n: int, folder: Path) -> Path:
    """So many different files of 1632 x 1224 pixels."""
    folder.mkdir()
    scenes = [cv2.imread(str(path)) for path in _drawn(min(n, DRAWN), 1632, 1224)]
    for i in range(n):
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95 - i // len(scenes)]
        cv2.imwrite(str(folder / f"IMG_{i:04d}.jpg"), scenes[i % len(scenes)], quality)
    return folder


def _rates(folder: Path, n: int, work: Path) -> dict[str, float]:
    """Photos a second with one and two workers, and what the batch costs over plain scans."""
    code = (
        "import sys, time, cv2, pathlib; cv2.setNumThreads(1); import spotscan\n"
        "from spotscan.export import scan_to_dict\n"
        "start, cpu = time.perf_counter(), time.process_time()\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).glob('*.jpg')):\n"
        "    scan_to_dict(spotscan.scan(path, 'px-per-mm:25'))\n"
        "print(time.perf_counter() - start, time.process_time() - cpu)"
    )
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    root = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=os.environ | root | one,
        capture_output=True,
        text=True,
        check=True,
    )
    bare_s, bare_cpu_s = map(float, done.stdout.split())
    seconds = {}
    for workers in (1, 2):
        cpu = _cpu_s()
        start = time.perf_counter()
        report = Batch(
            Folder(str(folder)),
            Folder(str(work / f"out-{workers}")),
            Settings("px-per-mm:25"),
            Options(workers=workers),
        ).run()
        seconds[workers] = time.perf_counter() - start, _cpu_s() - cpu
        assert (report.scanned, report.failed) == (n, 0)
    return {
        "bare_per_s": n / bare_s,
        "rate_1_per_s": n / seconds[1][0],
        "rate_2_per_s": n / seconds[2][0],
        "speedup_2": seconds[1][0] / seconds[2][0],
        "overhead_clock_%": 100 * (seconds[1][0] / bare_s - 1),
        "overhead_cpu_%": 100 * (seconds[1][1] / bare_cpu_s - 1),
    }


def _cpu_s() -> float:
    """Processor time of this process and of the workers that have ended."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def _memory(folder: Path, n: int, work: Path) -> dict[str, float]:
    """Peak memory of one worker after its 10th and its last photo."""
    store = Folder(str(work / "memory"))
    store.make()
    settings, names = Settings("px-per-mm:25"), sorted(path.name for path in folder.iterdir())
    pool, peaks = Pool(_scan_and_weigh, 1, 300.0, prepare), []
    for i in range(n):
        name = names[i % len(names)]
        pool.submit(Task("scan", name, settings.of(name), Folder(str(folder)), store))
        peaks += [peak for _, peak in pool.results()]
    pool.close()
    return {
        "memory_photos": n,
        "peak_10th_MB": peaks[min(9, n - 1)],
        "peak_last_MB": peaks[-1],
        "memory_growth_%": 100 * (peaks[-1] / peaks[min(9, n - 1)] - 1),
    }


def _scan_and_weigh(task: Task) -> float:
    """In a worker: the photo, then the most memory that the process has had, MB."""
    do(task)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _resuming(n: int, work: Path) -> dict[str, float]:
    """Listing a folder and seeing what was done, where all was."""
    settings, out = Settings("none"), work / "out"
    Folder(str(out)).make()
    (work / "in").mkdir()
    digest = settings.of("x").digest
    with (out / "journal.jsonl").open("wb") as journal:
        for i in range(n):
            name = f"IMG_{i:06d}.jpg"
            (work / "in" / name).touch()
            stamp = str((work / "in" / name).stat().st_mtime_ns)
            journal.write(journal_line(Entry(name, 0, stamp), digest, Outcome("0" * 64)) + b"\n")
            result = out / path_of(name)
            result.parent.mkdir(exist_ok=True)
            result.touch()
    (out / "batch.json").write_text(json.dumps(settings.manifest()))
    start, cpu = time.perf_counter(), time.process_time()
    plan = Batch(Folder(str(work / "in")), Folder(str(out)), settings).plan()
    assert plan.done == n
    took = {"finished": n, "resume_s": time.perf_counter() - start, "resume_cpu_s": time.process_time() - cpu}
    shutil.rmtree(work)
    return took


def _beside_the_peer(n: int, work: Path) -> dict[str, Any]:
    """Rate, F1 and error of the diameters on the same drawn photos, two processes each."""
    folder, truth = work / "peer", {}
    folder.mkdir()
    references = ["file,reference"]
    for path in _drawn(n):
        shutil.copy(path, folder)
        with np.load(path.with_suffix(".npz")) as stored:
            truth[path.name] = dict(stored)
        references.append(f"{path.name},aruco:{float(truth[path.name]['side_mm']):g}")
    rows = []
    for name, method in (("SpotScan batch", _ours), ("blob_log over joblib", _blob_log)):
        start = time.perf_counter()
        found = method(folder, work, references)
        took = time.perf_counter() - start
        rows.append({"method": name, "photos_per_s": n / took, **_score(found, truth)})
    ours, peer = rows
    return {
        "peer_photos": n,
        "f1": ours["F1"],
        "peer_f1": peer["F1"],
        "diameter_median_abs_%": ours["diameter median abs %"],
        "peer_diameter_median_abs_%": peer["diameter median abs %"],
        "ours and the peer on the same photos": rows,
    }


def _ours(folder: Path, work: Path, references: list[str]) -> list[dict[str, str]]:
    (work / "references.csv").write_text("\n".join(references) + "\n")
    given = dict(line.split(",") for line in references[1:])
    Batch(Folder(str(folder)), Folder(str(work / "ours")), Settings(references=given), Options(workers=2)).run()
    with (work / "ours" / "spots.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _blob_log(folder: Path, work: Path, references: list[str]) -> list[dict[str, str]]:
    from joblib import Parallel, delayed

    tables = Parallel(n_jobs=2)(delayed(_blob_log_of)(str(path)) for path in sorted(folder.glob("*.jpg")))
    with (work / "peer.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "cx_px", "cy_px", "diameter_px"])
        writer.writeheader()
        writer.writerows(row for table in tables for row in table)
    with (work / "peer.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _blob_log_of(path: str) -> list[dict[str, Any]]:
    rgb = np.ascontiguousarray(cv2.imread(path)[..., ::-1])
    centres, diameters = peers.blob_log_sizes(rgb, max_sigma=24)
    return [
        {"file": Path(path).name, "cx_px": x, "cy_px": y, "diameter_px": d}
        for (x, y), d in zip(centres.tolist(), diameters.tolist(), strict=True)
    ]


def _score(found: list[dict[str, str]], truth: dict[str, Any]) -> dict[str, float]:
    """F1 over all marks, and the error of the diameters of those that were found, mm by each one's own scale."""
    tp = fp = fn = 0
    errors: list[float] = []
    for name, true in truth.items():
        mine = [row for row in found if row["file"] == name]
        centres = np.array([(float(row["cx_px"]), float(row["cy_px"])) for row in mine]).reshape(-1, 2)
        x, y = np.clip(np.rint(centres).astype(int), 0, np.array(true["skin"].shape)[::-1] - 1).T
        on_skin = true["skin"][y, x] if "diameter_mm" not in found[0] else np.ones(len(mine), bool)
        centres, mine = centres[on_skin], [row for row, on in zip(mine, on_skin, strict=True) if on]
        pairs = pair_up(centres, true["centre_px"], true["diameter_px"])
        tp, fp, fn = tp + len(pairs), fp + len(mine) - len(pairs), fn + len(true["centre_px"]) - len(pairs)
        for i, j in pairs.tolist():
            told = mine[j].get("diameter_mm")
            size = float(mine[j]["diameter_px"]) / float(true["px_per_mm"]) if told is None else float(told or "nan")
            errors.append(abs(size / true["diameter_mm"][i] - 1))
    return {
        "F1": f1(tp, fp, fn),
        "diameter median abs %": 100 * float(np.nanmedian(errors)),
        "diameter p95 abs %": 100 * float(np.nanpercentile(errors, 95)),
    }


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
