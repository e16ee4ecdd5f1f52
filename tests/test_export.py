"""Export: the contract's fields, strict JSON, safe names, whole files."""

from __future__ import annotations

import csv
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spotscan.export as export
from spotscan.export import safe_stem, scan_to_dict, write_json, write_outputs, write_spots_csv
from spotscan.types import Cluster, Density, Measurements, Photo, Quality, Scale, Scan, Skin

W, H, PX_PER_MM = 300, 200, 20.0
NAN = np.nan


def scan_of(diameter_mm: tuple[float, ...] = (2.0, 3.0), scaled: bool = True, file: str | None = "arm.jpg") -> Scan:
    n, mm = len(diameter_mm), np.array(diameter_mm, float)
    turn = np.arange(24) * (2 * np.pi / 24)
    centre = np.column_stack([60.0 + 80 * np.arange(n), np.full(n, 70.0)]).reshape(-1, 2)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    r = np.nan_to_num(mm, nan=0.1) * PX_PER_MM / 2
    size = np.nan if not scaled else 1.0
    scale = Scale(
        "auto",
        np.diag([1 / PX_PER_MM, 1 / PX_PER_MM, 1.0]),
        np.array([250.0, 150]),
        tilt_deg=3.21,
        outline_px=np.array([[230.0, 130], [270, 130], [270, 170], [230, 170]]),
        systematic=0.004,
        flags=("tilted",),
    )
    return Scan(
        Photo(np.full((H, W, 3), 190, np.uint8), "ab" * 32, file, "2025-03-04T10:11:12"),
        scale if scaled else None,
        Quality(True, ("glare",), 0.71234, 1.1, 4.44, 0.22 if scaled else None),
        Skin(np.ones((H // 2, W // 2), bool), 2.0, 0.98765, 33.33),
        Measurements(
            centre,
            np.column_stack([centre - r[:, None], 2 * r, 2 * r]).reshape(-1, 4),
            tuple(c + q * circle for c, q in zip(centre, r, strict=True)),
            mm * PX_PER_MM,
            mm * size,
            mm * size * 0.0123,
            mm * size * 1.05,
            mm**2 * size,
            np.full(n, 0.9),
            np.full(n, 0.25),
            ("red",) * n,
            (("low_contrast", "touching"), *((),) * (n - 1))[:n],
        ),
        Density(
            1.5 if scaled else None,
            n / 1.5 if scaled else None,
            (Cluster(1, n, None, centre),) if n else (),
            np.ones(n, np.int64),
            0.876543,
            0.015,
        ),
    )


def keys_in_contract_order() -> dict[str, list[str]]:
    return {
        "": ["schema", "photo", "scale", "quality", "spots", "density", "findings", "triage"],
        "photo": ["file", "sha256", "width_px", "height_px", "taken_at"],
        "scale": ["reference", "px_per_mm", "px_per_mm_err", "tilt_deg", "outline_px", "px_to_mm"],
        "quality": ["usable", "flags", "skin_fraction", "sharpness", "ita_deg", "smallest_mm", "smallest_px"],
        "density": ["skin_area_cm2", "spots_per_cm2", "clusters", "clark_evans", "p_random"],
        "findings": [
            *("count", "median_diameter_mm", "max_diameter_mm"),
            *("density_per_cm2", "class_mix", "image_quality", "max_diameter_mm_err"),
        ],
    }


def test_fields_stand_in_the_order_of_the_contract() -> None:
    document = scan_to_dict(scan_of())
    for part, names in keys_in_contract_order().items():
        assert list(document[part] if part else document)[: len(names)] == names
    assert " ".join(document["spots"][0]) == (
        "id cx_px cy_px bbox_px diameter_px diameter_mm diameter_mm_err longest_mm area_mm2 "
        "circularity colour contrast cluster flags class probabilities"
    )
    assert list(document["density"]["clusters"][0]) == ["id", "n", "spots_per_cm2", "hull_px"]


def test_values() -> None:
    document = scan_to_dict(scan_of())
    assert document["schema"] == "spotscan/scan/1"
    assert (document["photo"]["width_px"], document["photo"]["height_px"]) == (W, H)
    assert document["scale"]["px_per_mm"] == 20.0
    assert document["scale"]["px_per_mm_err"] == 0.08
    assert document["quality"]["flags"] == [
        "glare",
        "tilted",
    ]  # the scale's flags belong to the photo's quality
    first, second = document["spots"]
    assert (first["id"], second["id"]) == (1, 2)
    assert second["diameter_mm"] == 3.0
    assert second["diameter_mm_err"] == 0.037
    assert (first["class"], first["probabilities"], first["cluster"]) == (None, None, 1)
    assert document["findings"]["median_diameter_mm"] == 2.5
    assert document["findings"]["image_quality"] == "poor"
    assert document["triage"] is None


def test_the_homography_in_the_json_maps_to_a_micrometre() -> None:
    h = np.array([[0.0312345678, 1.2e-3, -7.7], [-9.87654e-4, 0.0298765, 3.3], [1.23456789e-6, -7.654321e-6, 1]])
    scan = replace(scan_of(), scale=Scale("auto", h, np.array([100.0, 100])))
    back = Scale("auto", np.array(scan_to_dict(scan)["scale"]["px_to_mm"]), np.array([100.0, 100]))
    corners = np.array([[0.0, 0], [8000, 0], [8000, 6000]])
    np.testing.assert_allclose(back.to_mm(corners), scan.scale.to_mm(corners), atol=1e-3)


def test_unknown_is_null_never_nan_or_zero() -> None:
    document = scan_to_dict(scan_of((NAN, 3.0), scaled=False))
    json.dumps(document, allow_nan=False)
    assert document["scale"] is None
    assert document["spots"][1]["diameter_px"] == 60.0
    for name in ("diameter_mm", "diameter_mm_err", "longest_mm", "area_mm2"):
        assert document["spots"][1][name] is None
    assert document["density"]["skin_area_cm2"] is None
    assert document["findings"]["max_diameter_mm"] is None


def test_nothing_found_is_an_empty_list() -> None:
    document = scan_to_dict(scan_of(()))
    assert document["spots"] == []
    assert document["density"]["clusters"] == []
    assert document["findings"]["count"] == 0
    assert document["density"]["spots_per_cm2"] == 0.0


def test_only_plain_python_types() -> None:
    def walk(value: Any) -> None:
        assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(child)

    walk(scan_to_dict(scan_of()))


def test_classes_are_written_when_there_are_any() -> None:
    probabilities = {"spot": 0.91234567, "angioma": 0.05, "lesion": 0.03765433}
    scan = replace(scan_of((2.0,)), classes=({"class": "spot", "probabilities": probabilities},))
    spot = scan_to_dict(scan)["spots"][0]
    assert spot["class"] == "spot"
    assert spot["probabilities"] == {"spot": 0.9123, "angioma": 0.05, "lesion": 0.0377}


def test_equal_scans_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_outputs(scan_of(), tmp_path, name)
    for suffix in ("scan.json", "spots.csv", "overlay.png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_json_file_is_the_document(tmp_path: Path) -> None:
    scan = scan_of(file="Ärm é.jpg")
    write_json(scan, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == scan_to_dict(scan) == scan.to_dict()


def test_a_file_name_that_is_no_utf8_does_not_break_the_json(tmp_path: Path) -> None:
    write_json(scan_of(file="arm\udcff.jpg"), tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["photo"]["file"] == "arm?.jpg"


def test_csv_holds_the_spots_of_the_json(tmp_path: Path) -> None:
    scan = scan_of((NAN, 3.0))
    write_spots_csv(scan, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    spots = scan_to_dict(scan)["spots"]
    assert len(rows) == 2
    assert rows[0]["flags"] == "low_contrast;touching"
    assert rows[0]["diameter_mm"] == ""
    for row, spot in zip(rows, spots, strict=True):
        assert [float(row[f"bbox_{side}_px"]) for side in "xywh"] == spot["bbox_px"]
        for name in ("id", "cx_px", "cy_px", "diameter_mm", "area_mm2", "cluster"):
            assert row[name] == ("" if spot[name] is None else str(spot[name]))


def test_csv_of_nothing_is_a_header(tmp_path: Path) -> None:
    write_spots_csv(scan_of(()), tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("id,cx_px,cy_px,bbox_x_px")


def test_outputs_have_the_names_of_the_contract(tmp_path: Path) -> None:
    paths = write_outputs(scan_of(), tmp_path / "new" / "folder", "IMG_1234")
    assert [p.name for p in paths] == ["IMG_1234.scan.json", "IMG_1234.spots.csv", "IMG_1234.overlay.png"]
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in paths)


def test_png_holds_pixels_and_nothing_else(tmp_path: Path) -> None:
    png = write_outputs(scan_of(), tmp_path, "x")[2].read_bytes()
    kinds, at = set(), 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        kinds.add(kind)
        at += 12 + length
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(scan_of(), tmp_path / "x.json")
    before = (tmp_path / "x.json").read_bytes()

    def full(file: int) -> None:  # where a disk that allocates late says it
        raise OSError("No space left on device")

    monkeypatch.setattr(export.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(scan_of((1.0,)), tmp_path / "x.json")
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_bytes() == before


@pytest.mark.parametrize(
    ("stem", "safe"),
    [
        ("IMG_1234", "IMG_1234"),
        ("left arm (2) 10.03.2025", "left arm (2) 10.03.2025"),
        ("Äöü-é", "Äöü-é"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("..", "__"),
        ("-rf", "_rf"),
        (".hidden", "_hidden"),
        ("", "photo"),
        ("a\\b:c\x00d\ne\u202ef", "a_b_c_d_e_f"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
    ],
)
def test_stems(stem: str, safe: str) -> None:
    assert safe_stem(stem) == safe


@given(st.text(st.characters(), max_size=400))
def test_any_stem_is_a_plain_file_name(stem: str) -> None:
    safe = safe_stem(stem)
    assert 0 < len(safe.encode()) <= 161
    assert Path(f"{safe}.scan.json").name == f"{safe}.scan.json"
    assert safe[0] not in "-.~ "
    assert not set(safe) & set('/\\:*?"<>|\0\n\r')
    assert safe_stem(safe) == safe
