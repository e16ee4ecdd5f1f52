"""The workers of a batch, and what happens when they, their driver or the disk fail."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter, deque
from pathlib import Path

import pytest
from batch_tools import batch, documents, put_photos, results, rows, start
from hypothesis import given, settings
from hypothesis import strategies as st

from spotscan.batch.index import Index
from spotscan.batch.listing import Entry
from spotscan.batch.places import Folder
from spotscan.batch.pool import Lost, Pool
from spotscan.batch.schedule import Job, Schedule
from spotscan.batch.settings import PhotoSettings
from spotscan.batch.work import Outcome

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def misbehave(task: str | int) -> object:
    """What photos can do to a worker."""
    if task == "exit":
        os._exit(3)
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "abort":
        os.abort()
    if task == "hang":
        time.sleep(600)
    if task == "threads":
        import cv2

        return cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]
    return int(task) ** 2


def nothing() -> None:
    """What a worker needs here."""


def die() -> None:
    """A worker that cannot start."""
    os._exit(9)


def drain(pool: Pool, tasks: list) -> list[tuple[object, object]]:
    """Give the pool its tasks as it takes them."""
    waiting, found = deque(tasks), []
    while len(found) < len(tasks):
        while waiting and pool.free() > 0:
            pool.submit(waiting.popleft())
        found += pool.results()
    return found


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_task_that_ends_or_hangs_its_worker_costs_that_task_alone(n_workers):
    pool = Pool(misbehave, n_workers, 3.0, nothing)
    try:
        found = dict(drain(pool, [1, "exit", 2, "kill", "hang", 3, "abort", 4]))
    finally:
        pool.close()
    assert {task: value for task, value in found.items() if isinstance(task, int)} == {1: 1, 2: 4, 3: 9, 4: 16}
    lost = {task: value for task, value in found.items() if isinstance(task, str)}
    assert all(isinstance(value, Lost) for value in lost.values())
    assert {task: value.kind for task, value in lost.items()} == {
        "exit": "worker", "kill": "worker", "abort": "worker", "hang": "time"
    }  # fmt: skip
    assert "SIGKILL, perhaps out of memory" in lost["kill"].reason
    assert "SIGABRT" in lost["abort"].reason
    assert "exit code 3" in lost["exit"].reason


def test_a_worker_has_one_thread_and_the_driver_keeps_its_own():
    from spotscan.batch.work import prepare

    before = dict(os.environ)
    pool = Pool(misbehave, 1, 60.0, prepare)
    try:
        assert drain(pool, ["threads"]) == [("threads", (1, "1", "1"))]
    finally:
        pool.close()
    assert dict(os.environ) == before


def test_workers_that_cannot_start_are_a_fault_and_no_endless_loop():
    pool = Pool(misbehave, 1, 3.0, die)
    try:
        with pytest.raises(RuntimeError, match="before they can do anything"):
            drain(pool, [1])
    finally:
        pool.close()


class Hands:
    """A runner of this test: so many tasks at a time, ended in an order drawn at random."""

    def __init__(self, contents: dict[str, str], capacity: int, rng: random.Random) -> None:
        self.contents, self.capacity, self.rng = contents, capacity, rng
        self.flying: list = []
        self.done: Counter[str] = Counter()

    def free(self) -> int:
        return self.capacity - len(self.flying)

    def submit(self, task) -> None:
        assert self.free() > 0
        self.flying.append(task)

    def results(self) -> list:
        task = self.flying.pop(self.rng.randrange(len(self.flying)))
        content = self.contents[task.name]
        self.done[f"{task.what} {content}"] += 1
        if task.what == "copy":
            assert self.contents[task.twin] == content
        return [(task, Outcome(content, scanned=task.what == "scan"))]

    def close(self) -> None:
        pass


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=25), st.integers(1, 9), st.integers(0, 2**32))
def test_equal_photos_are_scanned_once_whatever_ends_first(photos, capacity, seed):
    contents = {f"p{i:02d}": f"{size}-{which}" for i, (size, which) in enumerate(photos)}
    index, hands = Index(), Hands(contents, capacity, random.Random(seed))
    jobs = (Job(Entry(name, int(contents[name][0]), "1"), PhotoSettings()) for name in contents)
    ended = []

    def finished(job: Job, outcome: Outcome) -> None:
        index.put(job.entry, job.settings.digest, outcome)
        ended.append(job.entry.name)

    place = Folder("nowhere")
    Schedule(index, hands, place, place).run(jobs, finished)
    index.close()
    assert sorted(ended) == sorted(contents)
    assert {name: n for name, n in hands.done.items() if name.startswith("scan")} == {
        f"scan {content}": 1 for content in set(contents.values())
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder of photos and its batch, never interrupted."""
    where = tmp_path_factory.mktemp("whole")
    put_photos(where / "photos", 8)
    (where / "photos" / "again.jpg").write_bytes((where / "photos" / "IMG_02.jpg").read_bytes())
    (where / "photos" / "cut.jpg").write_bytes((where / "photos" / "IMG_03.jpg").read_bytes()[:9000])
    assert batch(where / "photos", where / "out") == 4
    return where


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(whole, tmp_path, workers):
    assert batch(whole / "photos", tmp_path / "out", workers=workers) == 4
    assert results(tmp_path / "out") == results(whole / "out")
    assert documents(tmp_path / "out") == documents(whole / "out")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_it_ends_as_if_nothing_had_happened(whole, tmp_path, workers):
    out, rng = tmp_path / "out", random.Random(workers)
    journal = out / "journal.jsonl"
    n_kills = 0
    for n_lines in (1, 4, 7):
        run = start(whole / "photos", out, workers=workers)
        while run.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < n_lines):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            n_kills += 1
        run.communicate()
    assert n_kills > 0
    assert batch(whole / "photos", out, workers=workers) == 4
    assert results(out) == results(whole / "out")
    assert documents(out) == documents(whole / "out")
    assert not list((out / ".parts").iterdir())


def test_workers_end_with_their_driver(whole, tmp_path):
    psutil = pytest.importorskip("psutil")
    run = start(whole / "photos", tmp_path / "out", workers=2)
    children = []
    while run.poll() is None and len(children) < 2:
        children = [p for p in psutil.Process(run.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        time.sleep(0.01)
    run.kill()
    run.communicate()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_ctrl_c_ends_it_in_one_line_and_it_goes_on(whole, tmp_path):
    out = tmp_path / "out"

    def heeds_ctrl_c() -> None:  # a shell's background jobs, and what they start, are born deaf to it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    run = start(whole / "photos", out, "--quiet", workers=1, preexec_fn=heeds_ctrl_c)
    while run.poll() is None and not (out / "journal.jsonl").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert err.decode().splitlines() == ["stopped; what was done stays, the same command goes on"]
    assert batch(whole / "photos", out) == 4
    assert results(out) == results(whole / "out")


def test_a_full_disk_is_one_line_and_what_was_done_stays(whole, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out"

    def little_room() -> None:  # no file larger than this: the same to a program as a disk that fills up
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    run = start(whole / "photos", out, "--quiet", workers=1, preexec_fn=little_room)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 2
    assert err.decode().startswith("error: cannot write (file too large)")
    assert len(err.decode().splitlines()) == 1
    assert not (out / "photos.csv").exists()
    assert batch(whole / "photos", out) == 4
    assert results(out) == results(whole / "out")


def test_a_folder_that_goes_away_is_not_made_again(whole, tmp_path):
    out = tmp_path / "out"
    run = start(whole / "photos", out, "--quiet", workers=1)
    while run.poll() is None and not (out / "journal.jsonl").exists():
        time.sleep(0.01)
    out.rename(tmp_path / "elsewhere")
    _, err = run.communicate(timeout=120)
    assert run.returncode == 2, err
    assert err.decode().startswith("error: cannot write (no such file or directory)")
    assert len(err.decode().splitlines()) == 1
    assert not out.exists()


def test_a_photo_that_kills_its_worker_is_a_row_and_the_others_are_done(whole, tmp_path, monkeypatch):
    from spotscan.batch import run as run_module

    monkeypatch.setattr(run_module, "do", kills_one)
    assert batch(whole / "photos", tmp_path / "out", workers=2) == 4
    failures = rows(tmp_path / "out", "failures")
    assert set(failures) == {"IMG_04.jpg", "cut.jpg"}
    assert failures["IMG_04.jpg"]["kind"] == "worker"
    assert "SIGSEGV" in failures["IMG_04.jpg"]["reason"]
    monkeypatch.undo()
    assert batch(whole / "photos", tmp_path / "out", "--retry-failed", workers=2) == 4
    assert results(tmp_path / "out") == results(whole / "out")


def kills_one(task):
    """As a decoder that crashes on one photo."""
    from spotscan.batch.work import do

    if task.name == "IMG_04.jpg":
        os.kill(os.getpid(), signal.SIGSEGV)
    return do(task)
