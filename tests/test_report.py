"""The report: whole, true to the scan and the triage, safe to open, and good on paper."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import spotscan
from spotscan import revise
from spotscan.cli import main
from spotscan.report import report_html, write_report
from spotscan.rules import URGENCIES, cited
from spotscan.rules.loading import rulebook
from spotscan.synth import SceneParams, draw_scene
from spotscan.types import Scan

ANSWERS = {
    "fever": "no",
    "blanching": "does_not_blanch",
    "onset": "days",
    "age_years": 30,
    "body_regions": ["thigh", "knee"],
}
EMERGENCY = {**ANSWERS, "fever": "yes"}
VOID = {"meta", "img", "br", "path", "circle", "rect", "ellipse", "link", "input"}


@pytest.fixture(scope="module")
def scan() -> Scan:
    params = SceneParams(width_px=1200, height_px=900, px_per_mm=18.0, n_spots=20, reference="aruco", side_mm=12.0)
    return spotscan.scan(draw_scene(params, 4).rgb, "aruco:12")


@pytest.fixture(scope="module")
def triage(scan: Scan) -> dict[str, object]:
    return spotscan.triage(ANSWERS, scan.to_dict()).to_dict()


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where tags are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_it_tells_all_of_the_result(scan: Scan, triage: dict[str, object]) -> None:
    text = Page(report_html(scan, triage, ANSWERS)).text
    plain = [triage["headline"], triage["recheck"], triage["disclaimer"], *triage["advice"], *triage["red_flags"]]
    plain += [reason["because"] for reason in triage["reasons"]]
    plain += [entry["text"] for entry in triage["explanations"]]
    plain += [entry["question"] for entry in triage["would_change"]]
    plain += [entry["how"] for entry in triage["not_judged"] if not entry["what"].startswith("not answered")]
    plain += [c.text for reason in triage["reasons"] for c in cited([*reason["sources"], *reason["guidelines"]])]
    plain += [triage["rules_version"], spotscan.__version__]
    for said in plain:
        assert re.sub(r"\s+", " ", said) in text, said


def test_the_urgency_is_told_in_words_and_by_a_symbol(scan: Scan) -> None:
    for answers in (ANSWERS, EMERGENCY, {"onset": "years", "age_years": 50}):
        told = spotscan.triage(answers).to_dict()
        page = report_html(None, told, answers)
        banner = page[page.index('class="banner"') :]
        assert told["headline"] in banner[:1500]
        assert "<svg" in banner[:600]


def test_nothing_is_loaded_and_nothing_runs(scan: Scan, triage: dict[str, object]) -> None:
    html = report_html(scan, triage, ANSWERS)
    page = Page(html)
    assert {name for name, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "form", "base"} == set()
    for name, attrs in page.tags:
        assert not [key for key in attrs if key.startswith("on")], name
        assert attrs.get("href", "#").startswith("#")
        assert attrs.get("src", "data:image/").startswith("data:image/")
    assert "url(" not in html
    assert "@import" not in html
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)", re.sub(r"base64,[^\"]+", "", html))


def test_pictures_hold_pixels_only(scan: Scan) -> None:
    from PIL import ExifTags

    found = [attrs["src"] for attrs in Page(report_html(scan)).all("img")]
    assert len(found) >= 3
    for source in found:
        data = base64.b64decode(source.partition("base64,")[2], validate=True)
        with Image.open(io.BytesIO(data)) as image:
            assert not dict(image.getexif())
            assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
            assert min(image.size) >= 200


def test_every_link_leads_somewhere_and_no_id_is_there_twice(scan: Scan, triage: dict[str, object]) -> None:
    page = Page(report_html(scan, triage, ANSWERS))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"][1:] for attrs in page.all("a")}
    assert links
    assert links <= set(ids)


def test_it_can_be_read_aloud(scan: Scan, triage: dict[str, object]) -> None:
    page = Page(report_html(scan, triage, ANSWERS))
    assert page.all("html")[0]["lang"] == "en"
    assert all(attrs.get("alt") for attrs in page.all("img"))
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    assert all(attrs.get("scope") in ("row", "col") for attrs in page.all("th"))
    assert all(attrs.get("role") == "img" or attrs.get("aria-hidden") == "true" for attrs in page.all("svg"))


def test_every_mark_is_in_the_table(scan: Scan) -> None:
    scan = revise(scan, removed=[2])
    html = report_html(scan)
    rows = re.findall(r"<tr><td>(\d+)</td><td>([\d.]+)\u00a0±\u00a0([\d.]+)\u00a0mm</td>", html)
    assert [int(name) for name, _, _ in rows] == list(scan.spots.ids)
    assert np.allclose([float(mm) for _, mm, _ in rows], scan.spots.diameter_mm, atol=0.006)
    assert np.allclose([float(err) for _, _, err in rows], scan.spots.diameter_mm_err, atol=0.006)


def guessed(scan: Scan, name: str | None, **shares: float) -> Scan:
    entry = {"class": name, "probabilities": shares if shares else None}
    return replace(scan, classes=(entry,) * len(scan.spots))


def test_a_class_is_told_as_a_guess_that_is_never_sure(scan: Scan) -> None:
    sure = guessed(scan, "spot", spot=0.9999, angioma=0.0001, lesion=0.0)
    told = spotscan.triage({**EMERGENCY, "blanching": "blanches"}, sure.to_dict()).to_dict()
    told["reasons"][0]["used"]["class_mix"] = {"spot": 0.9999, "angioma": 0.0001, "lesion": 0.0}
    text = Page(report_html(sure, told, EMERGENCY)).text
    assert text.count("computer's guess") >= 2  # in the table, and where the triage rests on it
    assert "bleeding spot >99%" in text
    assert "angioma) <1%" in text
    assert not re.search(r"(?<![<>\d])(0|100)%", text)
    assert "computer's guess" not in Page(report_html(guessed(scan, None))).text


def test_places_that_were_left_out_are_told(scan: Scan) -> None:
    some = report_html(replace(scan, n_no_marks=3))
    assert "3 places were left out because they look like hair" in Page(some).text
    assert "left out" not in Page(report_html(replace(scan, n_no_marks=0))).text


def test_texts_from_outside_are_only_text(scan: Scan) -> None:
    evil = "<img src=x onerror=alert(1)>\"'&.jpg"
    photo = replace(scan.photo, file=evil, taken_at="2025-01-02T03:04:05")
    answers = {"<b>key</b>": "<i>value</i>", "onset": "<script>", "age_years": 30, "fever": ["<u>"]}
    marked = replace(scan, photo=photo, classes=({"class": "<s>", "probabilities": None},) * len(scan.spots))
    told = spotscan.triage(answers, scan.to_dict()).to_dict()
    page = Page(report_html(marked, told, answers, made_on="<em>"))
    assert {"b", "i", "u", "s", "em", "script"} & {name for name, _ in page.tags} == set()
    assert evil in page.text
    assert "2025-01-02, 03:04:05" in page.text


def test_it_says_where_a_more_urgent_result_came_before(triage: dict[str, object]) -> None:
    before = spotscan.triage(EMERGENCY).to_dict()
    assert URGENCIES.index(before["urgency"]) > URGENCIES.index(str(triage["urgency"]))
    assert before["headline"] in Page(report_html(None, triage, ANSWERS, earlier=before)).text
    assert 'class="earlier"' not in report_html(None, before, EMERGENCY, earlier=triage).replace("class=earlier", "")
    assert "class=earlier" not in report_html(None, before, EMERGENCY, earlier=triage)


def test_answers_are_shown_as_they_were_asked(triage: dict[str, object]) -> None:
    questions = rulebook().questions
    text = Page(report_html(None, triage, ANSWERS)).text
    given = text[text.index("The answers given") :]
    assert f"{questions['onset'].ask} {questions['onset'].choices['days']}" in given
    assert f"{questions['fever'].ask} no" in given
    assert f"{questions['age_years'].ask} 30" in given
    assert all(questions["body_regions"].choices[name] in given for name in ("thigh", "knee"))


@pytest.mark.parametrize("with_scan", [True, False])
@pytest.mark.parametrize("with_triage", [True, False])
def test_either_part_may_be_missing(scan: Scan, triage: dict[str, object], with_scan: bool, with_triage: bool) -> None:
    page = Page(report_html(scan if with_scan else None, triage if with_triage else None))
    assert bool(page.all("img")) == with_scan
    assert (str(triage["headline"]) in page.text) == with_triage
    assert "does not diagnose" in page.text


def test_photos_with_little_to_tell(scan: Scan) -> None:
    nothing = revise(scan, removed=scan.spots.ids)
    one = revise(scan, removed=scan.spots.ids[1:])
    black = spotscan.scan(np.zeros((240, 320, 3), np.uint8), "none")
    for little in (nothing, one, black, spotscan.scan(scan.photo.rgb, "none")):
        page = Page(report_html(little, spotscan.triage({}, little.to_dict()).to_dict(), {}))
        assert page.all("img")
        assert "nan" not in page.text.lower().split()
        assert "None mm" not in page.text


def test_equal_things_make_equal_files(scan: Scan, triage: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, scan, triage, ANSWERS)
    assert path.read_text(encoding="utf-8") == report_html(scan, triage, ANSWERS)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_it_is_small_enough_to_be_sent(scan: Scan, triage: dict[str, object]) -> None:
    assert len(report_html(scan, triage, ANSWERS).encode()) < 2_000_000


def test_the_command_line_writes_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sample = str(Path(__file__).parents[1] / "examples" / "sample.jpg")
    path = tmp_path / "out.html"
    assert main(["scan", sample, "--report", str(path)]) == 0
    assert "sample.jpg" in Page(path.read_text(encoding="utf-8")).text
    assert f"wrote {path}" in capfd.readouterr().err
    assert main(["scan", sample, "--report", str(tmp_path / "no" / "out.html")]) == 2
    assert "cannot write" in capfd.readouterr().err


def test_sources_are_cited_once_and_in_order() -> None:
    found = cited(["S1-27", "D5", "NG240", "S1-27", "X9"])
    assert [c.id for c in found] == ["S1-27", "D5", "NG240"]
    book = rulebook().sources
    assert found[0].text == book["facts"]["S1-27"]
    assert found[0].document == book["documents"]["S1"]
    assert found[1].text == book["disagreements"]["D5"]
    every = [*book["facts"], *book["disagreements"], *book["guidelines"]]
    assert len(cited(every)) == len(every)
    assert all(c.document and c.text for c in cited(every))
