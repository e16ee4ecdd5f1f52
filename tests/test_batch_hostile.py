"""A batch over everything that can lie among photos: a row and a reason, or a right result."""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

import hostile
import pytest
from batch_tools import batch, put_photos

from spotscan.batch.columns import FAILURES, PHOTOS, SPOTS
from spotscan.batch.listing import shown

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="names and things that Windows does not have"),
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, dict[bytes, str], set[str]]:
    """The folder above, what is expected, and all files that were there before."""
    where = tmp_path_factory.mktemp("hostile")
    jpeg = (put_photos(where / "sound", 1) / "IMG_00.jpg").read_bytes()
    expected = hostile.make(where / "photos", jpeg)
    before = {os.fsdecode(p) for p in _files(where)}
    began = time.monotonic()
    assert batch(where / "photos", where / "out", "--recursive", "--overlays", "--time-limit", "60", workers=2) == 4
    assert time.monotonic() - began < 240
    return where, expected, before


def _files(folder: Path) -> list[str]:
    return [str(Path(d, f)) for d, _, files in os.walk(folder, followlinks=False) for f in files]


def test_each_has_its_row(ran):
    where, expected, _ = ran
    with (where / "out" / "photos.csv").open(encoding="utf-8", newline="") as file:
        status = {row["file"].removeprefix("'"): row["status"] for row in csv.DictReader(file)}
    told = {shown(os.fsdecode(name)): what for name, what in expected.items() if what != "other"}
    assert set(status) == set(told)
    wrong = {name: (what, status[name]) for name, what in told.items() if what not in ("any", status[name])}
    assert not wrong


def test_reasons_are_the_photos_and_none_is_our_fault(ran):
    where, _, _ = ran
    with (where / "out" / "failures.csv").open(encoding="utf-8", newline="") as file:
        failures = list(csv.DictReader(file))
    assert {row["kind"] for row in failures} <= {"photo", "file", "reference"}
    assert all(row["reason"] for row in failures)


def test_nothing_is_written_outside(ran):
    where, _, before = ran
    after = {os.fsdecode(p) for p in _files(where)}
    assert all(name.startswith(f"{where}/out/") for name in after - before)
    assert before <= after


def test_no_cell_is_live_and_each_row_is_one_line(ran):
    where, _, _ = ran
    for name, table in (("photos", PHOTOS), ("spots", SPOTS), ("failures", FAILURES)):
        text = (where / "out" / f"{name}.csv").read_bytes().decode("utf-8")
        lines = list(csv.reader(text.splitlines()))
        assert {len(line) for line in lines} == {len(table)}
        assert len(lines) == text.count("\n")
        for line in lines:
            for column, value in zip(table, line, strict=True):
                assert column.kind != "text" or not value.lstrip().startswith(("=", "+", "-", "@", "＝")), value


def test_no_metadata_comes_out(ran):
    where, _, _ = ran
    for path in _files(where / "out"):
        content = Path(path).read_bytes()
        assert hostile.MARK.encode() not in content, path
    assert "<script>alert" not in (where / "out" / "summary.html").read_text(encoding="utf-8")
