"""A batch: one row a photo, nothing done twice, nothing lost, nothing touched that is not its own."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from batch_tools import REFERENCE, batch, document_of, documents, put_photos, results, rows

import spotscan
from spotscan.batch import columns
from spotscan.batch.index import Index, Row, journal_line
from spotscan.batch.listing import Entry, list_folder, shown
from spotscan.batch.places import Folder
from spotscan.batch.progress import Bar, Lines
from spotscan.batch.run import Batch, Options
from spotscan.batch.settings import PhotoSettings, Settings
from spotscan.batch.summary import Summary
from spotscan.batch.tables import cell
from spotscan.batch.work import Failure, Outcome, key_of, path_of
from spotscan.cli import main
from spotscan.export import write_json

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos", 3)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Each file with its content and time."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def scanned(capsys: pytest.CaptureFixture[str]) -> int:
    """How many photos the last run scanned."""
    return int(re.search(r"(\d+) scanned now", capsys.readouterr().out)[1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished batch of three sound photos and one that is none; for tests that only look."""
    where = tmp_path_factory.mktemp("finished")
    put_photos(where / "photos", 3)
    (where / "photos" / "bad.jpg").write_bytes(b"no photo")
    assert batch(where / "photos", where / "out", "--overlays") == 4
    return where


def test_the_json_of_a_photo_is_that_of_a_scan(finished, tmp_path):
    photo = finished / "photos" / "IMG_00.jpg"
    write_json(spotscan.scan(photo, REFERENCE), tmp_path / "one.json")
    row = rows(finished / "out")["IMG_00.jpg"]
    assert (finished / "out" / row["scan"]).read_bytes() == (tmp_path / "one.json").read_bytes()
    assert (finished / "out" / "overlays").exists()
    assert len(list((finished / "out" / "overlays").rglob("*.png"))) == 3


def test_every_photo_has_a_row_and_every_spot_one_in_both_kinds_of_file(finished):
    out = finished / "out"
    photos = rows(out)
    assert list(photos) == ["IMG_00.jpg", "IMG_01.jpg", "IMG_02.jpg", "bad.jpg"]
    assert photos["bad.jpg"]["status"] == "failed"
    assert list(rows(out, "failures")) == ["bad.jpg"]
    with (out / "spots.csv").open(encoding="utf-8", newline="") as file:
        spots = list(csv.DictReader(file))
    found = {name: document_of(out, name) for name in photos if photos[name]["status"] == "done"}
    assert len(spots) == sum(len(document["spots"]) for document in found.values()) > 0
    assert {s["diameter_mm"] for s in spots if s["file"] == "IMG_01.jpg"} == {
        str(spot["diameter_mm"]) for spot in found["IMG_01.jpg"]["spots"]
    }
    for name in ("photos", "spots"):
        table = pq.read_table(out / f"{name}.parquet")
        with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        assert table.column_names == lines[0]
        assert [[cell(v) for v in row.values()] for row in table.to_pylist()] == [
            [cell(v) if v else "" for v in line] for line in lines[1:]
        ]


def test_the_same_photo_twice_is_scanned_once_and_has_two_rows(folder, out, capsys):
    shutil.copy(folder / "IMG_00.jpg", folder / "copy.jpg")
    assert batch(folder, out, "--overlays") == 0
    assert scanned(capsys) == 3
    first, second = (document_of(out, name) for name in ("IMG_00.jpg", "copy.jpg"))
    assert (first["photo"].pop("file"), second["photo"].pop("file")) == ("IMG_00.jpg", "copy.jpg")
    assert first == second
    overlays = [p.read_bytes() for p in (out / "overlays").rglob("*.png")]
    assert (len(overlays), len(set(overlays))) == (4, 3)


def test_a_finished_batch_is_left_as_it_is(folder, out, capsys):
    batch(folder, out)
    before = everything(out)
    capsys.readouterr()
    assert batch(folder, out) == 0
    assert scanned(capsys) == 0
    changed = {Path(name).name for name, value in everything(out).items() if value != before[name]}
    assert changed <= {"batch.json"}


def test_only_what_is_new_or_changed_is_scanned(folder, out, tmp_path, capsys):
    batch(folder, out)
    capsys.readouterr()
    os.utime(folder / "IMG_00.jpg", (1e9, 1e9))  # touched, not changed
    shutil.copy(put_photos(tmp_path / "more", 5) / "IMG_03.jpg", folder / "IMG_01.jpg")  # other content, same name
    shutil.copy(tmp_path / "more" / "IMG_04.jpg", folder / "new.jpg")
    (folder / "IMG_02.jpg").unlink()
    assert batch(folder, out) == 0
    assert scanned(capsys) == 2
    assert list(rows(out)) == ["IMG_00.jpg", "IMG_01.jpg", "new.jpg"]
    batch(folder, tmp_path / "fresh")
    assert results(out) == results(tmp_path / "fresh")


def test_a_result_that_was_deleted_is_made_again(folder, out, capsys):
    batch(folder, out)
    before = documents(out)
    (out / rows(out)["IMG_01.jpg"]["scan"]).unlink()
    capsys.readouterr()
    assert batch(folder, out) == 0
    assert scanned(capsys) == 1
    assert documents(out) == before


@pytest.mark.parametrize(
    "options", [["--overlays"], ["--reference", "none"], ["--reference", "px-per-mm:12"]], ids=lambda o: " ".join(o)
)
def test_another_batch_s_folder_is_refused_and_untouched(folder, out, capfd, options):
    batch(folder, out)
    before = everything(out)
    capfd.readouterr()
    assert batch(folder, out, *options) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: the output folder holds a batch of other settings (")
    assert len(err.splitlines()) == 1
    assert everything(out) == before


def test_another_version_s_folder_is_refused(folder, out, capfd, monkeypatch):
    batch(folder, out)
    monkeypatch.setattr("spotscan.batch.settings.__version__", "99.0")
    assert batch(folder, out) == 2
    assert "spotscan was" in capfd.readouterr().err


def test_a_folder_of_something_else_is_refused(folder, out, capfd):
    out.mkdir()
    (out / "thesis.docx").write_bytes(b"precious")
    assert batch(folder, out) == 2
    assert "thesis.docx" in capfd.readouterr().err
    assert batch(folder, folder) == 2  # the photos themselves
    assert sorted(p.name for p in out.iterdir()) == ["thesis.docx"]


def test_results_within_the_folder_are_no_photos(folder, capsys):
    out = folder / "results"
    assert batch(folder, out, "--overlays", "--recursive") == 0
    assert batch(folder, out, "--overlays", "--recursive") == 0
    assert len(rows(out)) == 3


def test_what_failed_is_tried_again_only_when_asked(folder, out, capsys):
    photo = folder / "IMG_01.jpg"
    whole, stamp = photo.read_bytes(), photo.stat().st_mtime_ns
    photo.write_bytes(b"x" * len(whole))  # a disk that gave rubbish, with the same size and time
    os.utime(photo, ns=(stamp, stamp))
    assert batch(folder, out) == 4
    photo.write_bytes(whole)
    os.utime(photo, ns=(stamp, stamp))
    capsys.readouterr()
    assert batch(folder, out) == 4
    assert scanned(capsys) == 0
    assert batch(folder, out, "--retry-failed") == 0
    assert scanned(capsys) == 1
    assert batch(folder, out.with_name("fresh")) == 0
    assert results(out) == results(out.with_name("fresh"))


def test_a_photo_that_turns_bad_keeps_no_old_result(folder, out):
    batch(folder, out, "--overlays")
    old = out / rows(out)["IMG_01.jpg"]["scan"]
    (folder / "IMG_01.jpg").write_bytes(b"gone")
    assert batch(folder, out, "--overlays") == 4
    assert not old.exists()
    assert rows(out)["IMG_01.jpg"]["scan"] == ""


def test_a_dry_run_counts_and_writes_nothing(folder, out, capsys):
    (folder / "notes.txt").write_text("x")
    assert batch(folder, out, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "3 photos: 3 would be done" in text
    assert "notes.txt" in text
    assert not out.exists()
    batch(folder, out)
    (folder / "IMG_00.jpg").write_bytes(b"other")
    before = everything(out)
    capsys.readouterr()
    assert batch(folder, out, "--dry-run") == 0
    assert "1 would be done, 2 done before" in capsys.readouterr().out
    assert everything(out) == before


def test_references_and_answers_by_file(folder, out, tmp_path, capsys):
    references, answers = tmp_path / "references.csv", tmp_path / "answers.yaml"
    references.write_text("file,reference\nIMG_01.jpg,px-per-mm:28\n")
    answers.write_text("IMG_00.jpg:\n  fever: yes\n  blanching: does_not_blanch\nIMG_99.jpg: {}\n")
    options = ["--references", str(references), "--answers", str(answers)]
    assert batch(folder, out, *options) == 0
    found = rows(out)
    assert found["IMG_01.jpg"]["reference"] == "px-per-mm:28"
    assert [row["reference"] for name, row in found.items() if name != "IMG_01.jpg"] == [REFERENCE] * 2
    assert found["IMG_00.jpg"]["urgency"] == "emergency_now"
    assert found["IMG_02.jpg"]["urgency"] == ""
    captured = capsys.readouterr()
    assert "not in the folder, though named: IMG_99.jpg" in captured.err
    answers.write_text("IMG_00.jpg:\n  fever: no\nIMG_99.jpg: {}\n")  # concerns one photo: one is done again
    assert batch(folder, out, *options) == 0
    assert scanned(capsys) == 1
    assert rows(out)["IMG_00.jpg"]["urgency"] != "emergency_now"


def test_answers_as_csv_say_the_same_as_yaml(folder, out, tmp_path):
    (tmp_path / "a.csv").write_text("file,fever,body_regions,age_years\nIMG_00.jpg,yes,thigh; knee,\nIMG_01.jpg,,,30\n")
    (tmp_path / "a.yaml").write_text(
        "IMG_00.jpg: {fever: yes, body_regions: [thigh, knee]}\nIMG_01.jpg: {age_years: 30}\n"
    )
    for kind in ("csv", "yaml"):
        assert batch(folder, tmp_path / kind, "--answers", str(tmp_path / f"a.{kind}")) == 0
    assert documents(tmp_path / "csv") == documents(tmp_path / "yaml")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("references.csv", "file,reference\nIMG_01.jpg,furlong:1\n", 2),
        ("references.csv", "photo,reference\nIMG_01.jpg,none\n", 2),
        ("references.csv", "file,reference\na.jpg,none\na.jpg,auto\n", 2),
        ("references.csv", "file,reference\na.jpg,\n", 2),
        ("references.csv", None, 2),
        ("answers.csv", "fever\nyes\n", 2),
        ("answers.yaml", "a.jpg: [1, 2]\n", 3),
        ("answers.yaml", "- a\n", 3),
        ("answers.yaml", None, 3),
    ],
)
def test_wrong_tables_are_said_before_anything_is_done(folder, out, tmp_path, capfd, name, content, code):
    if content is not None:
        (tmp_path / name).write_text(content)
    option = "--references" if name.startswith("ref") else "--answers"
    assert batch(folder, out, option, str(tmp_path / name)) == code
    err = capfd.readouterr().err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["batch", "nowhere", "--out", "OUT"], 3),
        (["batch", "EMPTY", "--out", "OUT"], 3),
        (["batch", "EMPTY/file.txt", "--out", "OUT"], 3),
        (["batch", "PHOTOS", "--out", "OUT", "--reference", "furlong"], 2),
        (["batch", "PHOTOS", "--out", "OUT", "--workers", "-1"], 2),
        (["batch", "PHOTOS", "--out", "OUT", "--time-limit", "0"], 2),
        (["batch", "PHOTOS", "--out", "EMPTY/file.txt"], 2),
        (["batch", "PHOTOS", "--out", "nosuch://x/y"], 2),
    ],
)
def test_wrong_calls_are_one_line(folder, tmp_path, capfd, arguments, code):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "EMPTY" / "file.txt").write_text("x")
    places = {"EMPTY": tmp_path / "EMPTY", "OUT": tmp_path / "o", "PHOTOS": folder}
    given = [re.sub("^(EMPTY|OUT|PHOTOS)", lambda m: str(places[m[1]]), a) for a in arguments]
    assert main(given) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1, err
    assert not (tmp_path / "o").exists()


def test_two_runs_at_once_do_not_mix(folder, out, capfd):
    fcntl = pytest.importorskip("fcntl")
    batch(folder, out)
    with (out / "journal.jsonl").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        capfd.readouterr()
        assert batch(folder, out) == 2
    assert "another run is writing there" in capfd.readouterr().err


def test_a_torn_line_costs_its_photo_and_no_other(folder, out, capsys):
    batch(folder, out)
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    capsys.readouterr()
    assert batch(folder, out) == 0
    assert scanned(capsys) == 1
    journal.write_bytes(journal.read_bytes() + b"\0\xff not json\n[]\n{}\n")
    assert batch(folder, out) == 0
    assert scanned(capsys) == 0


def test_photos_are_told_from_other_things_by_name_alone(tmp_path):
    for name in ("a.JPG", "b.heic", "c.txt", ".d.jpg", "e", "sub/f.png", ".git/g.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    found = {e.name: (e.kind, e.size) for e in list_folder(tmp_path, recursive=True)}
    photos = {"a.JPG", "b.heic", "sub/f.png"}
    assert {name for name, (kind, _) in found.items() if kind == "photo"} == photos
    assert {found[name][1] for name in photos} == {5}
    assert found[".git/"][0] == found["c.txt"][0] == found[".d.jpg"][0] == "other"
    flat = {e.name: e.kind for e in list_folder(tmp_path)}
    assert flat["sub/"] == "other"
    assert "sub/f.png" not in flat


def test_links_out_of_the_folder_are_read_only_when_asked(folder, out, tmp_path, capsys):
    shutil.copy(folder / "IMG_00.jpg", tmp_path / "elsewhere.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (folder / "inner.jpg").symlink_to("IMG_00.jpg")
    assert batch(folder, out) == 4
    assert list(rows(out, "failures")) == ["link.jpg"]
    assert rows(out)["inner.jpg"]["status"] == "done"
    capsys.readouterr()
    assert batch(folder, out, "--follow-links") == 0
    assert scanned(capsys) == 0  # its twin lies in the folder
    assert rows(out)["link.jpg"]["status"] == "done"


@pytest.mark.parametrize(
    "name", ["a.jpg", "ü.jpg", "a\nb.jpg", "\udcff.jpg", "\u202egpj.x", "a\\nb.jpg", "\x1b[31m.jpg"]
)
def test_names_are_shown_harmlessly_and_apart(name):
    assert shown(name).isprintable()
    others = {"a.jpg", "a\nb.jpg", "a\\nb.jpg", "\udcff.jpg", "\\udcff.jpg"} - {name}
    assert shown(name) not in {shown(other) for other in others}
    assert path_of(name).startswith("scans/")
    assert path_of(name).count("/") == 2


def test_places_of_results_differ_and_stay_below(tmp_path):
    names = ["x.jpg", "x.png", "sub/x.jpg", "../x.jpg", "X.JPG", "/x.jpg"]
    assert len({path_of(name) for name in names}) == len(names)
    assert all(".." not in path_of(name).split("/") for name in names)
    assert path_of("../../etc/passwd.jpg").split("/")[2].startswith("passwd-")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"), ("@x", "'@x"), ("-x", "'-x"), ("+x", "'+x"), (" =x", "' =x"), ("＝x", "'＝x"),
        ('=a,"b"', '"\'=a,""b"""'), ("a;=b", '"a;=b"'), ("a", "a"), (None, ""), (-1.5, "-1.5"), (True, "yes"), (0, "0"),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(value, text):
    assert cell(value) == text
    if isinstance(value, str):
        assert next(csv.reader(io.StringIO(cell(value))))[0].lstrip("'") == value


def test_the_page_holds_all_and_loads_nothing(finished):
    page = (finished / "out" / "summary.html").read_text(encoding="utf-8")
    assert "4 photos" in page
    assert "3 measured, 1 failed" in page
    assert "bad.jpg" in page
    assert "<svg" in page
    assert not re.search(r"https?:|<script|<link|url\(", page)


def test_the_page_takes_no_orders_from_names():
    summary = Summary()
    summary.add(Row('"><img src=x>.jpg', 1, "1", failure=Failure("file", "<b>")), None)
    page = summary.page(Settings().manifest(), [("<i>", 1, ["<u>.txt"])], {"<x>.jpg": "data:"})
    assert not re.search(r"<(script|img src=x|b|i|u|x)>", page)


def test_plain_lines_tell_rate_and_failures():
    stream = io.StringIO()
    lines = Lines(stream, every_s=0.0)
    lines.start(2)
    lines.step(False)
    lines.step(True)
    last = stream.getvalue().splitlines()[-1]
    assert re.fullmatch(r"2 of 2 photos, 1 failed, [\d.]+ photos/s, 0 s left", last)


def test_the_bar_tells_how_far_it_is():
    pytest.importorskip("rich")
    stream = io.StringIO()
    bar = Bar(stream)
    bar.start(2)
    bar.step(False)
    bar.step(True)
    bar.stop()
    assert re.search(r"2/2 [\d.]+ photos/s .* left, 1 failed", stream.getvalue())


def test_quiet_is_quiet(folder, out, capfd):
    assert batch(folder, out, "--quiet") == 0
    assert capfd.readouterr().err == ""


def test_the_key_of_a_result_holds_all_that_changes_it():
    base = PhotoSettings()
    others = [
        PhotoSettings(reference="none"), PhotoSettings(answers="{}"), PhotoSettings(overlays=True),
        PhotoSettings(emergency_number="112"), PhotoSettings(rules_version="2"),
    ]  # fmt: skip
    assert len({s.digest for s in (base, *others)}) == 6
    assert base.digest == PhotoSettings().digest


def test_columns_are_those_of_the_document_and_of_the_contract(finished):
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    document = json.loads(next((finished / "out" / "scans").rglob("*.json")).read_text(encoding="utf-8"))
    for title, table in (("photos", columns.PHOTOS), ("spots", columns.SPOTS), ("failures", columns.FAILURES)):
        section = page.split(f"## `{title}.csv`")[1].split("\n## ")[0]
        listed = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
        assert listed == [(column.name, column.meaning) for column in table], title
    paths = re.findall(r"\(`([a-z_]+(?:\.\w+)+)`\)", " ".join(column.meaning for column in columns.PHOTOS))
    assert len(paths) > 20
    for path in paths:
        value = document
        for name in path.split("."):
            assert value is None or name in value, path
            value = value and value[name]
    spot_names = set(document["spots"][0])
    for column in columns.SPOTS[1:]:
        assert column.name in spot_names or column.name.startswith(("bbox_", "probability_"))


def test_lengths_in_columns_carry_their_unit():
    for table in (columns.PHOTOS, columns.SPOTS):
        for column in table:
            if "diameter" in column.name or "width" in column.name or "area" in column.name:
                assert re.search(r"_(px|mm|mm2|cm2)(_err)?$", column.name), column.name


@pytest.mark.slow
def test_a_hundred_thousand_finished_photos_go_on_in_seconds(tmp_path):
    n, settings, out = 100_000, Settings("none"), tmp_path / "out"
    Folder(str(out)).make()
    (tmp_path / "in").mkdir()
    digest = settings.of("x").digest
    with (out / "journal.jsonl").open("wb") as journal:
        for i in range(n):
            name = f"IMG_{i:06d}.jpg"
            (tmp_path / "in" / name).touch()
            stamp = str((tmp_path / "in" / name).stat().st_mtime_ns)
            journal.write(journal_line(Entry(name, 0, stamp), digest, Outcome("0" * 64)) + b"\n")
            result = out / path_of(name)
            result.parent.mkdir(exist_ok=True)
            result.touch()
    (out / "batch.json").write_text(json.dumps(settings.manifest()))
    began = time.process_time()  # the machine may be busy with other things
    plan = Batch(Folder(str(tmp_path / "in")), Folder(str(out)), settings, Options()).plan()
    assert (plan.photos, plan.done, plan.to_do) == (n, n, 0)
    assert time.process_time() - began < 10


def test_the_index_remembers_the_last_word():
    index = Index()
    entry = Entry("a.jpg", 5, "1")
    index.add_listed([entry])
    index.add_done([journal_line(entry, "s", Outcome("1")), b"{torn", journal_line(entry, "t", Outcome("2"))])
    (row,) = index.rows()
    assert (row.settings, row.sha256, row.failure) == ("t", "2", None)
    assert index.twin(5, "2", "t") == "a.jpg"
    assert index.twin(5, "1", "s") is None
    index.add_listed([Entry("a.jpg", 5, "2")])
    assert next(index.rows()).settings == ""  # it was written since
    index.add_present([path_of("a.jpg")])
    assert index.is_present("a.jpg")
    assert not index.is_present("b.jpg")
    assert key_of("a.jpg") in path_of("a.jpg")
    index.close()
