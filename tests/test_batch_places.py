"""A batch at URLs and on a cluster: the same bytes as on one machine."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_tools import REFERENCE, batch, documents, put_photos, results, start

from spotscan.batch.finish import RESULTS
from spotscan.batch.places import Folder, Url, place_of
from spotscan.batch.settings import PhotoSettings
from spotscan.batch.work import Task, do
from spotscan.cli import main

fsspec = pytest.importorskip("fsspec")
ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes of POSIX")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder of photos with a sub-folder, and its batch on this machine."""
    where = tmp_path_factory.mktemp("whole")
    put_photos(where / "photos", 8)
    (where / "photos" / "sub").mkdir()
    (where / "photos" / "sub" / "=again;.jpg").write_bytes((where / "photos" / "IMG_02.jpg").read_bytes())
    (where / "photos" / "cut.jpg").write_bytes((where / "photos" / "IMG_03.jpg").read_bytes()[:9000])
    (where / "photos" / "notes.txt").write_bytes(b"x")
    assert batch(where / "photos", where / "out", "--recursive") == 4
    return where


def put(files, folder: Path, root: str) -> None:
    """The folder's files as objects."""
    for path in folder.rglob("*"):
        if path.is_file():
            files.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def results_at(url: str) -> dict[str, bytes]:
    files, root = fsspec.core.url_to_fs(url)
    return {name: files.cat_file(f"{root}/{name}") for name in RESULTS}


def run(folder: str, out: str, *options: str) -> int:
    return main(["batch", folder, "--out", out, "--reference", REFERENCE, "--recursive", *options])


@pytest.fixture
def memory() -> Iterator[object]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def test_objects_in_memory_give_the_same_tables(whole, memory, capsys):
    put(memory, whole / "photos", "/photos")
    assert run("memory://photos", "memory://out", "--workers", "0") == 4
    assert results_at("memory://out") == results(whole / "out")
    capsys.readouterr()
    assert run("memory://photos", "memory://out", "--workers", "0") == 4  # goes on: nothing to do
    assert "0 scanned now" in capsys.readouterr().out
    memory.pipe_file("/photos/IMG_00.jpg", (whole / "photos" / "IMG_01.jpg").read_bytes() + b"changed")
    assert run("memory://photos", "memory://out", "--workers", "0") == 4
    assert "1 scanned now" in capsys.readouterr().out


def half_written(store: Folder | Url) -> None:
    """A file whose writer gave up."""
    with contextlib.suppress(ZeroDivisionError), store.writing("big") as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_results_among_the_photos_are_no_photos(memory, whole, capsys):
    put(memory, whole / "photos", "/photos")
    assert run("memory://photos", "memory://photos", "--workers", "0") == 2
    assert run("memory://photos", "memory://photos/out", "--workers", "0", "--overlays") == 4
    assert run("memory://photos", "memory://photos/out", "--workers", "0", "--overlays") == 4
    assert "10 photos, 0 scanned now" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_store_gives_back_what_it_was_given(kind, tmp_path, memory):
    store = Folder(str(tmp_path / "s")) if kind == "folder" else Url("memory://s")
    store.make()
    store.write("scans/ab/x.json", b"one")
    store.write("scans/ab/x.json", b"two")
    assert store.read("scans/ab/x.json") == b"two"
    assert list(store.names("scans")) == ["scans/ab/x.json"]
    assert store.exists("scans/ab/x.json")
    store.remove("scans/ab/x.json")
    store.remove("scans/ab/x.json")
    assert not store.exists("scans/ab/x.json")
    with pytest.raises(FileNotFoundError):
        store.read("scans/ab/x.json")
    half_written(store)
    assert not store.exists("big")
    assert place_of("memory://s/") == Url("memory://s/")


def test_the_bytes_of_a_photo_are_read_up_to_the_limit(tmp_path, memory):
    memory.pipe_file("/p/a.jpg", b"0123456789")
    (tmp_path / "a.jpg").write_bytes(b"0123456789")
    for source in (Url("memory://p"), Folder(str(tmp_path))):
        assert source.read("a.jpg", 4) == b"0123"
        assert source.read("a.jpg", 100) == b"0123456789"


def test_a_pipe_that_took_a_photo_s_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="ordinary"):
        Folder(str(tmp_path)).read("a.jpg", 10)


class Dask:
    """A scheduler and two workers, processes of their own on loopback."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": f"{ROOT}", **environment}
        self.file = folder / "scheduler.json"
        self.processes = [self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")]
        self._wait(self.file.exists)
        self.workers = [self.add_worker(), self.add_worker()]
        self.address = json.loads(self.file.read_text())["address"]

    def _start(self, what: str, *options: str) -> subprocess.Popen:
        log = (self.folder / f"{what}-{time.monotonic_ns()}.log").open("wb")
        command = [sys.executable, "-m", "dask", what, "--scheduler-file", str(self.file), *options]
        with log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def add_worker(self) -> subprocess.Popen:
        worker = self._start("worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard",
                             "--local-directory", str(self.folder))  # fmt: skip
        self.processes.append(worker)
        return worker

    def _wait(self, there) -> None:
        end = time.monotonic() + 120
        while not there() and time.monotonic() < end:
            time.sleep(0.02)

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """A server of the S3 protocol on loopback, in a process of its own; the environment to reach it with."""
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.05)
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield environment
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@pytest.mark.slow
def test_an_s3_bucket_gives_the_same_tables(whole, s3, capsys):
    files = fsspec.filesystem("s3")
    files.mkdir("one")
    put(files, whole / "photos", "one/photos")
    assert run("s3://one/photos", "s3://one/out", "--workers", "2") == 4
    assert results_at("s3://one/out") == results(whole / "out")
    capsys.readouterr()
    assert run("s3://one/photos", "s3://one/out", "--workers", "2") == 4
    assert "0 scanned now" in capsys.readouterr().out


def test_a_bucket_that_is_not_there_is_one_line(whole, s3, tmp_path, capfd):
    assert run("s3://nowhere/photos", str(tmp_path / "out"), "--workers", "0") == 3
    assert run(str(whole / "photos"), "s3://nowhere/out", "--workers", "0") == 2
    lines = capfd.readouterr().err.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 2
    assert not any("Traceback" in line for line in lines)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_tables(whole, s3, tmp_path):
    pytest.importorskip("distributed")
    files = fsspec.filesystem("s3")
    files.mkdir("two")
    put(files, whole / "photos", "two/photos")
    cluster = Dask(tmp_path, s3)
    try:
        command = [sys.executable, "-m", "spotscan", "batch", "s3://two/photos", "--out", "s3://two/out", "--recursive",
                   "--reference", REFERENCE, "--scheduler", cluster.address]  # fmt: skip
        driver = subprocess.Popen(command, cwd=ROOT, env=cluster.environment, stderr=subprocess.PIPE)
        end = time.monotonic() + 180
        while driver.poll() is None and time.monotonic() < end:
            files.invalidate_cache()
            if len(files.find("two/out/scans")) >= 2:
                break
            time.sleep(0.02)
        assert driver.poll() is None, "the photos were done before a worker could be killed"
        os.killpg(random.Random(1).choice(cluster.workers).pid, signal.SIGKILL)
        _, err = driver.communicate(timeout=180)
        assert driver.returncode == 4, err.decode()
    finally:
        cluster.close()
    assert results_at("s3://two/out") == results(whole / "out")


@pytest.mark.slow
def test_a_cluster_gives_up_a_photo_that_kills_workers_and_no_other(tmp_path):
    pytest.importorskip("distributed")
    from test_batch_pool import misbehave

    from spotscan.batch.cluster import Cluster
    from spotscan.batch.pool import Lost

    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    dask = Dask(tmp_path, {"PYTHONPATH": paths, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"})
    cluster = Cluster(misbehave, dask.address)
    try:
        for task in (1, "kill", 2, 3):
            cluster.submit(task)
        found = {}
        while len(found) < 4:
            found |= dict(cluster.results())
        assert found.pop("kill") == Lost("worker", "the workers that had it died")
        assert found == {1: 1, 2: 4, 3: 9}
    finally:
        cluster.close()
        dask.close()


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_one_line_and_what_was_done_stays(whole, tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "dask").mkdir()
    dask, out = Dask(tmp_path / "dask", {}), tmp_path / "out"
    try:
        driver = start(whole / "photos", out, "--recursive", "--quiet", "--scheduler", dask.address, workers=1)
        journal = out / "journal.jsonl"
        while driver.poll() is None and not (journal.exists() and journal.stat().st_size):
            time.sleep(0.01)
        os.killpg(dask.processes[0].pid, signal.SIGKILL)
        _, err = driver.communicate(timeout=180)
        assert driver.returncode == 2, err.decode()
        assert [line for line in err.decode().splitlines() if line.startswith("error: the Dask scheduler went away")]
    finally:
        dask.close()
    assert batch(whole / "photos", out, "--recursive") == 4
    assert results(out) == results(whole / "out")


@pytest.mark.slow
def test_a_cluster_with_folders_that_all_machines_see(whole, tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "dask").mkdir()
    cluster = Dask(tmp_path / "dask", {})
    try:
        options = ["--scheduler", cluster.address]
        assert batch(whole / "photos", tmp_path / "out", "--recursive", *options) == 4
    finally:
        cluster.close()
    assert results(tmp_path / "out") == results(whole / "out")
    assert documents(tmp_path / "out") == documents(whole / "out")


def test_a_worker_of_another_version_does_nothing(whole):
    place = Folder("nowhere")
    task = Task("scan", "a.jpg", PhotoSettings(), place, place, version="99.0")
    assert do(task).fatal.endswith("not 99.0")


def test_no_scheduler_is_one_line(whole, tmp_path, capfd, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("spotscan.batch.cluster._CONNECT_S", 0.5)
    options = ["--scheduler", "tcp://127.0.0.1:9"]
    assert batch(whole / "photos", tmp_path / "out", *options) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert lines == ["error: there is no Dask scheduler, tcp://127.0.0.1:9, start one: dask scheduler"]
