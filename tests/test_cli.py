"""The command line: exit codes, streams, files, and whatever people call their photos."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import spotscan
from spotscan.cli import DISCLAIMER, main
from spotscan.synth import SceneParams, draw_scene, to_jpeg

ROOT = Path(__file__).resolve().parents[1]
SPOTSCAN = [sys.executable, "-m", "spotscan"]


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """A small photo with an ArUco marker of 10 mm."""
    params = SceneParams(
        width_px=640, height_px=480, px_per_mm=14.0, n_spots=12, diameter_mm=(1.0, 3.0), reference="aruco"
    )
    return to_jpeg(draw_scene(params, 3))


@pytest.fixture
def photo(jpeg, tmp_path) -> Path:
    path = tmp_path / "arm.jpg"
    path.write_bytes(jpeg)
    return path


def refused(capfd, arguments: list[str], code: int) -> str:
    """The one line with which arguments are refused."""
    assert main(arguments) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    return err


def run(*arguments: str | bytes, **options) -> subprocess.CompletedProcess:
    """In a process of its own."""
    return subprocess.run([*SPOTSCAN, *arguments], capture_output=True, check=False, timeout=60, **options)


def test_a_scan_tells_its_numbers_in_plain_words(photo, capfd):
    assert main(["scan", str(photo), "--reference", "aruco:10"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "spots found" in out
    assert " mm" in out
    assert out.splitlines()[-1] == DISCLAIMER


def test_out_writes_the_three_files(photo, tmp_path, capfd):
    folder = tmp_path / "new" / "out"
    assert main(["scan", str(photo), "--reference", "aruco:10", "--out", str(folder)]) == 0
    assert {p.name for p in folder.iterdir()} == {"arm.scan.json", "arm.spots.csv", "arm.overlay.png"}
    document = json.loads((folder / "arm.scan.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader(io.StringIO((folder / "arm.spots.csv").read_text(encoding="utf-8"))))
    assert len(rows) == len(document["spots"]) == document["findings"]["count"] > 0
    assert cv2.imread(str(folder / "arm.overlay.png")) is not None
    assert capfd.readouterr().err.count("wrote ") == 3


def test_json_on_standard_output_is_one_document_and_nothing_else(photo, tmp_path, capfd):
    arguments = ["scan", str(photo), "--reference", "aruco:10", "--json", "-", "--out", str(tmp_path / "o")]
    assert main(arguments) == 0
    out = capfd.readouterr().out
    document = json.loads(out)  # fails on anything before or after
    assert document == spotscan.scan(photo, reference="aruco:10").to_dict()
    assert out.endswith("}\n")
    assert "NaN" not in out


def test_json_to_a_file_is_the_same_document(photo, tmp_path, capfd):
    target = tmp_path / "a.json"
    assert main(["scan", str(photo), "--reference", "none", "--json", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8")) == spotscan.scan(photo, "none").to_dict()
    assert DISCLAIMER in capfd.readouterr().out


def test_what_is_wrong_with_the_photo_is_said_with_what_to_do(photo, capfd):
    assert main(["scan", str(photo)]) == 0  # its marker is not the card's
    out = capfd.readouterr().out
    assert "note: No reference in the photo" in out
    assert "Put the printed SpotScan card" in out
    assert " mm," not in out


def test_answers_give_the_scan_its_triage(photo, tmp_path, capfd):
    answers = write(tmp_path / "a.yaml", b"fever: yes\nblanching: does_not_blanch\n")
    assert main(["scan", str(photo), "--reference", "none", "--answers", answers, "--json", "-"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["triage"]["urgency"] == "emergency_now"
    assert err == ""
    assert main(["scan", str(photo), "--reference", "none", "--answers", answers]) == 0
    assert "GET EMERGENCY HELP NOW" in capfd.readouterr().out


def test_answers_that_cannot_be_read_are_refused(photo, tmp_path, capfd):
    garbled = write(tmp_path / "a.yaml", b"\xff\xfe\x00garbled")
    for answers in (garbled, str(tmp_path / "none.yaml"), str(tmp_path)):
        assert "answers" in refused(capfd, ["scan", str(photo), "--answers", answers], 3)


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_a_missing_file(tmp_path, capfd):
    assert "gone.jpg" in refused(capfd, ["scan", str(tmp_path / "gone.jpg")], 3)


def test_a_folder(tmp_path, capfd):
    assert "folder" in refused(capfd, ["scan", str(tmp_path)], 3)


def test_an_empty_file(tmp_path, capfd):
    assert "empty" in refused(capfd, ["scan", write(tmp_path / "e.jpg", b"")], 3)


def test_a_pdf_renamed(tmp_path, capfd):
    name = write(tmp_path / "scan.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(3000))
    assert "JPEG" in refused(capfd, ["scan", name], 3)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_photo(jpeg, tmp_path, capfd, share):
    name = write(tmp_path / "half.jpg", jpeg[: int(share * len(jpeg))])
    assert "half.jpg" in refused(capfd, ["scan", name], 3)


def test_an_icon_is_too_small(tmp_path, capfd):
    done, data = cv2.imencode(".png", np.full((20, 31, 3), 128, np.uint8))
    assert done
    assert "too small" in refused(capfd, ["scan", write(tmp_path / "i.png", data.tobytes())], 3)


def test_a_reference_asked_for_and_not_there(photo, capfd):
    plain = cv2.imdecode(np.frombuffer(photo.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    plain[:] = np.median(plain, axis=(0, 1)).astype(np.uint8)
    cv2.imwrite(str(photo), plain)
    line = refused(capfd, ["scan", str(photo), "--reference", "aruco:10"], 3)
    assert "aruco:10" in line
    assert "arm.jpg" in line


@pytest.mark.parametrize(
    "reference",
    ["furlong", "aruco", "aruco:", "aruco:-3", "aruco:nan", "px-per-mm:0", "auto:2", "coin:eur-3", ""],
)
def test_a_reference_that_cannot_be_is_wrong_usage(photo, capfd, reference):
    refused(capfd, ["scan", str(photo), "--reference", reference], 2)


def test_a_wrong_reference_is_told_before_the_photo_is_looked_for(tmp_path, capfd):
    refused(capfd, ["scan", str(tmp_path / "gone.jpg"), "--reference", "furlong"], 2)


def test_an_output_folder_that_is_a_file(photo, capfd):
    assert "cannot write" in refused(capfd, ["scan", str(photo), "--reference", "none", "--out", str(photo)], 2)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_may_not_be_written(photo, tmp_path, capfd):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(capfd, ["scan", str(photo), "--reference", "none", "--out", str(locked)], 2)
    assert not list(locked.iterdir())


def test_json_into_a_folder_that_is_not_there(photo, tmp_path, capfd):
    target = str(tmp_path / "no" / "a.json")
    refused(capfd, ["scan", str(photo), "--reference", "none", "--json", target], 2)


@pytest.mark.parametrize("arguments", [[], ["scan"], ["scan", "a.jpg", "--bogus"], ["classify"], ["card"]])
def test_wrong_usage_ends_with_2_and_says_how(arguments, capfd):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "usage: spotscan" in err
    assert "error: " in err


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "--help"], ["card", "--help"], ["--version"]])
def test_help_and_version_end_with_0(arguments, capfd):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert out
    assert err == ""


def test_help_says_that_it_does_not_diagnose(capfd):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "does not diagnose" in " ".join(capfd.readouterr().out.split())


NAMES = [
    "a\nb.jpg",
    "\U0001f534 rot.jpg",
    "-rf.jpg",
    "no suffix",
    ".jpg",
    "a;b&c $(d) 'e'.jpg",
    "\u202egpj.exe.jpg",
    "CON.jpg",
]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids such names")
@pytest.mark.parametrize("name", NAMES)
def test_photos_of_any_name(jpeg, tmp_path, capfd, name):
    (tmp_path / name).write_bytes(jpeg)
    out = tmp_path / "out"
    arguments = ["scan", str(tmp_path / name), "--reference", "none", "--out", str(out), "--json", "-"]
    assert main(arguments) == 0
    assert json.loads(capfd.readouterr().out)["photo"]["file"] == name
    written = sorted(p.name for p in out.iterdir())
    assert [n.split(".", 1)[-1][-8:] for n in written] == ["rlay.png", "can.json", "pots.csv"]
    assert all(n.isprintable() and n[0] not in "-." for n in written)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids such names")
@pytest.mark.parametrize("name", NAMES)
def test_errors_stay_on_one_line_whatever_the_name(tmp_path, capfd, name):
    (tmp_path / name).write_bytes(b"%PDF-1.7")
    refused(capfd, ["scan", str(tmp_path / name)], 3)


@pytest.mark.skipif(sys.platform != "linux", reason="names of raw bytes")
@pytest.mark.parametrize("good", [True, False])
def test_a_name_that_is_not_utf_8(jpeg, tmp_path, good):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(raw, "wb") as file:  # noqa: PTH123 - pathlib knows no bytes
        file.write(jpeg if good else b"%PDF")
    done = run("scan", raw, "--reference", "none", "--json", "-", "--out", os.fsencode(tmp_path) + b"/o")
    assert done.returncode == (0 if good else 3), done.stderr
    assert b"Traceback" not in done.stderr
    if good:
        assert json.loads(done.stdout)["photo"]["file"].isprintable()
        assert len(list((tmp_path / "o").iterdir())) == 3
    else:
        assert done.stderr.count(b"\n") == 1


def test_a_name_with_a_dash_needs_only_a_dot_before_it(jpeg, tmp_path):
    (tmp_path / "-x.jpg").write_bytes(jpeg)
    done = run("scan", "./-x.jpg", "--reference", "none", "--out", ".", cwd=tmp_path, env=environment())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "_x.scan.json").exists()


def environment(**more: str) -> dict[str, str]:
    """This process's, with the package importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def test_as_a_process_streams_and_codes_are_the_same(photo, tmp_path):
    done = run("scan", str(photo), "--reference", "aruco:10", "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["scale"]["reference"] == "aruco:10"
    assert done.stderr == b""
    broken = run("scan", write(tmp_path / "b.jpg", photo.read_bytes()[:5000]))
    assert (broken.returncode, broken.stdout) == (3, b"")
    assert broken.stderr.count(b"\n") == 1  # nothing of libjpeg's own chatter
    assert broken.stderr.startswith(b"error: ")


def test_a_terminal_without_utf_8_gets_its_answer(photo):
    done = run("scan", str(photo), "--reference", "none", env=environment(PYTHONIOENCODING="ascii", LC_ALL="C"))
    assert done.returncode == 0, done.stderr
    name = str(photo.parent / "\U0001f534.jpg")
    refusal = run("scan", name, env=environment(PYTHONIOENCODING="ascii", LC_ALL="C"))
    assert refusal.returncode == 3, refusal.stderr


def test_json_on_a_terminal_without_utf_8_is_still_json(jpeg, tmp_path):
    name = tmp_path / "\u00e9\U0001f534.jpg"
    name.write_bytes(jpeg)
    more = {"PYTHONIOENCODING": "ascii"}
    done = run("scan", str(name), "--reference", "none", "--json", "-", env=environment(**more))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["photo"]["file"] == name.name


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize("extra", [["--json", "-"], []])
def test_a_reader_that_goes_away_is_no_fault(photo, extra):
    process = subprocess.Popen(
        [*SPOTSCAN, "scan", str(photo), "--reference", "none", *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()  # as `| head -0`
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0, err
    assert err == b""


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_card_writes_a_pdf(tmp_path, capfd, paper):
    target = tmp_path / "card.pdf"
    assert main(["card", "--out", str(target), "--paper", paper]) == 0
    assert target.read_bytes().startswith(b"%PDF-")
    assert "100 %" in capfd.readouterr().err


def test_card_where_it_cannot_be_written(tmp_path, capfd):
    assert "cannot write" in refused(capfd, ["card", "--out", str(tmp_path / "no" / "card.pdf")], 2)


def test_a_fault_of_ours_is_not_hidden(photo, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("ours")

    monkeypatch.setattr("spotscan.pipeline.find_spots", broken)
    with pytest.raises(RuntimeError, match="ours"):  # Python ends with 1 and the traceback
        main(["scan", str(photo), "--reference", "none"])
