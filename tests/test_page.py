"""The page's flows, without a browser: what a person shows and says, and what the page then holds."""

from __future__ import annotations

import gc
import re
import threading
import time
import tomllib
import weakref
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from spotscan import occlusion
from spotscan.cli_app import SETTINGS
from spotscan.cli_triage import NUMBER_VARIABLE
from spotscan.flags import FLAGS
from spotscan.page.words import answered, asked, plain, say, texts
from spotscan.rules.loading import rulebook
from spotscan.rules.questionnaire import questions_that_matter

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "spotscan" / "page"
SAMPLE = (PAGE / "sample.jpg").read_bytes()
SIGNS = [question.key for question in rulebook().questions.values() if question.group == "emergency"]
pytestmark = pytest.mark.filterwarnings("default")  # Streamlit's own


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setenv(NUMBER_VARIABLE, "112")
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()


def visit(page):
    return page.session_state["visit"]


def press(page, words):
    (button,) = (b for b in page.button if b.label == plain(words))
    return calm(button.click().run())


def calm(page):
    assert not page.exception
    assert not page.error, [e.value for e in page.error]
    return page


def words_of(page):
    """Everything that can be read."""
    parts = [*page.title, *page.header, *page.markdown, *page.caption, *page.warning]
    text = " ".join(str(part.value) for part in parts) + " ".join(html_of(page))
    return text.replace("\\", "")


def html_of(page):
    return [element.proto.body for element in page.get("html")]


def upload(page, data, name="photo.jpg"):
    page.file_uploader[0].set_value((name, data, "image/jpeg"))
    return scanned(calm(page.run()))


def scanned(page):
    """Wait for the scan, as the page's fragment does."""
    end = time.time() + 30
    while visit(page).job is not None and not visit(page).job.done():
        assert time.time() < end
        time.sleep(0.02)
    visit(page).look()
    return calm(page.run())


def say_sign(page, key, value):
    (control,) = (b for b in page.button_group if b.proto.id.find(f"sign.{key}.") >= 0)
    return calm(control.set_value(value).run())


def to_questions(page):
    return press(press(page, say("begin.no_photo")), say("signs.none"))


def reply(page, key, value):
    return calm(page.button(key=f"{key}.{value}").click().run())


@pytest.fixture
def seen(page):
    return press(upload(page, SAMPLE), say("signs.none"))


# ---- the way ----


def test_the_sample_goes_all_the_way(page):
    page.session_state["source"] = "sample"
    page = press(page.run(), say("begin.sample"))
    page = press(scanned(page), say("signs.none"))
    scan = visit(page).scan
    assert page.title[0].value == say("picture.count", n=len(scan.spots))
    page = press(page, say("picture.forward"))
    assert visit(page).step == "questions"
    page = press(page, say("questions.enough"))
    assert visit(page).step == "result"
    assert visit(page).verdict()["headline"] in words_of(page)


@pytest.mark.parametrize("key", ["seizure", "confusion_or_drowsy", "short_of_breath"])
def test_an_emergency_shows_at_once_whatever_else_is_missing(page, key):
    page = say_sign(press(page, say("begin.no_photo")), key, "yes")
    assert visit(page).step == "result"
    assert "Get emergency help now" in " ".join(html_of(page))
    assert 'href="tel:112"' in " ".join(html_of(page))


def test_an_emergency_shows_while_the_photo_is_still_measured(page):
    page.file_uploader[0].set_value(("photo.jpg", SAMPLE, "image/jpeg"))
    page = calm(page.run())
    assert visit(page).step == "signs"
    page = say_sign(page, "seizure", "yes")
    assert visit(page).step == "result"
    assert visit(page).is_emergency()


FEVER = {"fever": "yes", "blanching": "blanches"}  # urgent by itself; what the photo shows can make it an emergency


@pytest.fixture
def slow(page, monkeypatch):
    """A photo that is measured when `slow.end` is set; with more than 2 mm in it, and fever."""
    import spotscan
    from spotscan.page import visit as module

    found, end = spotscan.scan(SAMPLE), threading.Event()

    def measure(upload, name, reference):
        end.wait(30)
        return found, "data:,"

    monkeypatch.setattr(module, "_measure", measure)
    visit(page).start(b"photo", "photo.jpg", "auto")
    page.session_state["end"] = end
    yield page
    end.set()


def ended(page):
    page.session_state["end"].set()
    end = time.time() + 30
    while not visit(page).job.done():
        assert time.time() < end
        time.sleep(0.02)
    return calm(page.run())


def large(monkeypatch, when):
    """Let the photo say that there are bleeding spots: of 8 mm where `when` is true of the visit, else of 1 mm."""
    from spotscan.page.visit import Visit

    real = Visit.findings

    def findings(self):
        seen = real(self)
        if seen is not None:
            size = 8.0 if when(self) else 1.0
            mix = {"spot": 0.9, "angioma": 0.05, "lesion": 0.05}
            seen["findings"] |= {"max_diameter_mm": size, "max_diameter_mm_err": 0.1, "class_mix": mix}
            seen["findings"] |= {"median_diameter_mm": size}
            seen["spots"] = [{**spot, "class": "spot", "diameter_mm": size} for spot in seen["spots"]]
        return seen

    monkeypatch.setattr(Visit, "findings", findings)


@pytest.mark.parametrize("step", ["begin", "signs", "picture", "questions", "result"])
def test_a_scan_is_taken_over_on_every_step(slow, step, monkeypatch):
    import streamlit

    polled, real = [], streamlit.fragment
    monkeypatch.setattr(streamlit, "fragment", lambda f, **more: polled.append(more) or real(f, **more))
    visit(slow).go(step)
    slow = calm(slow.run())
    assert visit(slow).scan is None
    assert [more["run_every"] < 2 for more in polled] == [True]  # seconds
    slow = ended(slow)
    assert visit(slow).scan is not None
    assert visit(slow).step == step


@pytest.mark.parametrize("step", ["begin", "signs", "picture", "questions"])
def test_an_emergency_from_the_photo_shows_on_every_step(slow, step, monkeypatch):
    large(monkeypatch, lambda here: True)
    visit(slow).answers.update(FEVER)
    visit(slow).go(step)
    slow = calm(slow.run())
    assert not visit(slow).is_emergency()
    slow = ended(slow)
    assert visit(slow).step == "result"
    assert "Get emergency help now" in " ".join(html_of(slow))


def test_the_photo_changes_no_question_under_a_finger(slow, monkeypatch):
    visit(slow).go("questions")
    slow = calm(slow.run())
    asked_for = slow.title[0].value
    other = rulebook().questions["skin_tone"]
    monkeypatch.setattr(type(visit(slow)), "questions", lambda self: [other])
    slow = ended(slow)
    assert slow.title[0].value == asked_for != plain(other.ask)
    slow = press(slow, texts()["replies"]["unknown"])
    assert slow.title[0].value == plain(other.ask)


def test_nothing_is_saved_without_the_photo_that_is_measured(slow):
    visit(slow).go("result")
    slow = calm(slow.run())
    assert not slow.get("download_button")
    assert say("save.wait") in words_of(slow)
    assert say("result.measuring") in words_of(slow)
    slow = ended(slow)
    assert slow.get("download_button")
    assert say("result.measuring") not in words_of(slow)


def test_an_emergency_by_a_correction_shows_at_once_and_stays_in_sight(seen, monkeypatch):
    from spotscan.page.visit import Corrections

    here = visit(seen)
    large(monkeypatch, lambda here: bool(here.corrections.added) or here.scan is not here.found)
    here.answers.update(FEVER)
    assert not here.is_emergency()
    here.correct(Corrections(removed=(2,)))
    assert here.is_emergency()
    assert here.step == "result"
    here.go("picture")
    here.undo()
    assert not here.is_emergency()
    assert here.step == "picture"
    seen = calm(seen.run())
    assert "Get emergency help now" in " ".join(html_of(seen))
    seen = press(seen, say("result.show"))
    assert say("result.earlier_means") in words_of(seen)


def test_an_emergency_shows_when_a_correction_is_taken_back(seen, monkeypatch):
    from spotscan.page.visit import Corrections

    here = visit(seen)
    large(monkeypatch, lambda here: here.scan is here.found)
    here.correct(Corrections(removed=(2,)))
    here.answers.update(FEVER)
    assert not here.is_emergency()
    here.undo()
    assert here.step == "result"


def test_an_emergency_that_only_a_banner_showed_is_not_forgotten(page):
    here = visit(page)
    here.answers["seizure"] = "yes"
    here.go("signs")
    page = calm(page.run())
    page = say_sign(page, "seizure", "no")
    assert here.earlier() is not None
    assert "Get emergency help now" in " ".join(html_of(page))


def test_a_photo_that_could_not_be_used_is_told_with_the_result(page):
    page = upload(page, b"%PDF-1.7\n" * 40)
    visit(page).go("result")
    assert say("result.unusable") in words_of(calm(page.run()))


def test_an_earlier_urgent_result_stays_in_sight(page):
    page = say_sign(press(page, say("begin.no_photo")), "seizure", "yes")
    page = press(page, say("result.add_photo"))
    assert "Get emergency help now" in " ".join(html_of(page))  # on every step
    page = press(press(page, say("result.show")), say("result.mistake"))
    assert "Get emergency help now" in " ".join(html_of(page))  # on the way back, too
    page = say_sign(page, "seizure", "no")
    assert not visit(page).is_emergency()
    page = press(page, say("signs.later"))
    page = press(page, say("questions.enough"))
    shown = " ".join(html_of(page))
    assert shown.index(visit(page).verdict()["headline"]) < shown.index("Get emergency help now")
    assert say("result.earlier_means") in words_of(page)


def test_silence_is_never_no(page):
    page = press(press(page, say("begin.no_photo")), say("signs.later"))
    assert visit(page).answers == {}
    assert visit(page).questions()[0].key == SIGNS[0]  # they are asked one by one


def test_none_of_these_answers_only_what_is_left(page):
    page = say_sign(press(page, say("begin.no_photo")), "headache", "unknown")
    page = press(page, say("signs.rest", n=len(SIGNS) - 1))
    assert visit(page).answers == {**dict.fromkeys(SIGNS, "no"), "headache": "unknown"}


def test_questions_come_one_by_one_and_go_back(page):
    page = to_questions(page)
    page.number_input[0].set_value(34.0).run()
    page = press(page, say("page.forward"))
    assert visit(page).answers["age_years"] == 34
    assert len(page.title) == 1
    assert page.title[0].value == plain(rulebook().questions["onset"].ask)
    page = press(page, say("questions.back"))
    assert "age_years" not in visit(page).answers
    assert page.title[0].value == plain(rulebook().questions["age_years"].ask)


def test_an_answer_is_changed_from_the_result(page):
    page = to_questions(page)
    page = reply(page, "age_years", "unknown")
    page = reply(page, "infant_under_1", "no")
    page = reply(page, "onset", "days")
    page = press(page, say("questions.enough"))
    page = calm(page.button(key="change.onset").click().run())
    assert page.title[0].value == plain(rulebook().questions["onset"].ask)
    page = reply(page, "onset", "years")
    assert visit(page).step == "result"
    assert visit(page).answers["onset"] == "years"


def test_all_the_questions_end_in_a_result(page):
    page = to_questions(page)
    for _ in range(60):
        if visit(page).step == "result":
            break
        key = visit(page).questions()[0].key
        page = reply(page, key, "unknown")
    assert visit(page).step == "result"
    assert visit(page).questions() == []
    assert visit(page).verdict()["urgency"] != "self_watch"  # nothing is known: no all-clear


def test_another_person_starts_with_nothing(page):
    page = press(say_sign(press(page, say("begin.no_photo")), "seizure", "yes"), say("result.over"))
    assert visit(page).step == "begin"
    assert visit(page).answers == {}
    assert visit(page).urgent is None


# ---- photos ----


def test_a_pdf_that_is_called_jpg_is_told_in_a_sentence(page):
    page = upload(page, b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n" * 40)
    page = press(page, say("signs.none"))
    assert page.title[0].value == say("problem.title")
    assert "Traceback" not in words_of(page)
    page = press(page, say("problem.without"))
    assert visit(page).step == "questions"


def test_a_photo_that_shows_nothing_is_shown_and_not_believed(page):
    grey = cv2.imencode(".jpg", np.full((600, 800, 3), 12, np.uint8))[1].tobytes()
    page = press(upload(page, grey), say("signs.none"))
    assert page.title[0].value == say("problem.title")
    assert any('src="data:image/jpeg' in body for body in html_of(page))
    assert visit(page).verdict()["urgency"] != "self_watch"


def test_a_reference_that_is_not_there_can_be_done_without(page):
    page.selectbox(key="reference").set_value("ruler").run()
    bare = cv2.imencode(".jpg", cv2.imdecode(np.frombuffer(SAMPLE, np.uint8), 1)[:1100])[1].tobytes()
    page = press(upload(page, bare), say("signs.none"))
    assert page.title[0].value == say("problem.title")
    page = scanned(press(page, say("problem.no_scale")))
    assert visit(page).scan is not None
    assert visit(page).scan.scale is None
    assert say("picture.no_scale") in words_of(page)


def test_names_of_files_are_never_html(page):
    page = press(upload(page, SAMPLE, "<img src=x onerror=alert(1)>_**a**.jpg"), say("signs.none"))
    page = press(press(page, say("picture.forward")), say("questions.enough"))
    assert "onerror" not in words_of(page)
    assert all("<" not in button.proto.label for button in page.get("download_button"))


def test_an_upload_is_not_kept_by_streamlit(page):
    page = upload(page, SAMPLE)
    assert not page.file_uploader
    assert visit(page).upload == SAMPLE
    page = press(page, say("page.back"))
    assert page.file_uploader[0].value is None  # a new widget for a new photo


def test_a_photo_that_was_replaced_is_forgotten(page):
    page = press(press(upload(page, SAMPLE), say("signs.none")), say("picture.forward"))
    page = press(page, say("questions.enough"))  # with its buttons that save
    page = press(page, say("result.picture"))
    photo = weakref.ref(visit(page).scan.photo)
    page = press(page, say("picture.another"))
    page = upload(page, SAMPLE)
    page = press(page, say("page.forward"))
    gc.collect()
    assert photo() is None
    assert visit(page).scan is not None


@pytest.mark.slow
def test_twelve_photos_one_after_another(page):
    for turn in range(12):
        page = upload(page, SAMPLE)
        assert visit(page).photos == turn + 1
        page = press(page, say("page.back"))
    assert visit(page).answers == {}


# ---- the picture ----


def test_a_spot_is_chosen_removed_and_brought_back(seen):
    n = len(visit(seen).scan.spots)
    seen = calm(seen.selectbox(key="spot").set_value(3).run())
    assert visit(seen).selected == 3
    seen = calm(seen.button(key="remove").click().run())
    assert seen.title[0].value == say("picture.count", n=n - 1)
    assert 3 not in visit(seen).scan.spots.ids
    assert visit(seen).verdict()  # judged anew, without the spot
    seen = calm(seen.button(key="undo").click().run())
    assert len(visit(seen).scan.spots) == n


def test_a_spot_without_an_edge_gets_its_width_from_the_person(seen):
    from spotscan.page import spots

    here = visit(seen)
    assert spots.add(here, (800.0, 60.0), 1.0)  # bare skin
    assert "not_measured" in here.scan.spots.flags[-1]
    seen = calm(seen.run())
    seen.number_input(key="width").set_value(2.0).run()
    seen = calm(seen.button(key="set_width").click().run())
    assert here.scan.spots.diameter_mm[-1] == pytest.approx(2.0, rel=0.02)
    assert "drawn_by_hand" in here.scan.spots.flags[-1]


def test_a_class_stands_with_its_share_and_what_it_rests_on(seen, monkeypatch):
    here = visit(seen)
    shares = {"spot": 0.7, "angioma": 0.2, "lesion": 0.1}
    here.scan = replace(here.scan, classes=({"class": "spot", "probabilities": shares},) * len(here.scan.spots))
    here.keep = {"photo": here.keep["photo"]}
    asked_for = []

    def saliency(photo, centre, diameter, class_index):
        asked_for.append((photo.shape, *centre, diameter**2, class_index))
        return SimpleNamespace(box_px=(0, 0, 9, 9), weights=np.ones((8, 8), np.float32))

    monkeypatch.setattr(occlusion, "mark_saliency", saliency)
    seen = calm(seen.run())
    seen = calm(seen.selectbox(key="spot").set_value(3).run())
    assert texts()["classes"]["spot"] in words_of(seen)
    assert "70%" in words_of(seen)
    seen = calm(seen.toggle(key="why").set_value(True).run())
    x, y, w, h = here.scan.spots.bbox_px[2]  # the box by which it was classified, and the class that is shown
    assert asked_for == [(here.scan.photo.rgb.shape, x + w / 2, y + h / 2, pytest.approx(w * h), 0)]
    assert say("spot.why_note") in words_of(seen)
    seen.session_state["colour_by"] = "class"
    calm(seen.run())


def guessed(here, name, **shares):
    """Give every spot this class."""
    probabilities = {"spot": 0.0, "angioma": 0.0, "lesion": 0.0, **shares}
    entry = {"class": name, "probabilities": probabilities}
    here.scan = replace(here.scan, classes=(entry,) * len(here.scan.spots))
    here.keep = {"photo": here.keep["photo"]}


@pytest.mark.parametrize("name", ["unsure", None])
def test_nothing_is_explained_where_no_class_is_shown(seen, name):
    guessed(visit(seen), name, spot=0.5, lesion=0.5)
    seen = calm(seen.run())
    seen = calm(seen.selectbox(key="spot").set_value(3).run())
    assert not [toggle for toggle in seen.toggle if toggle.key == "why"]


def test_a_spot_narrower_than_two_pixels_is_explained_too(seen, monkeypatch):
    from spotscan.page.visit import Corrections

    real = occlusion.mark_saliency
    monkeypatch.setattr(occlusion, "mark_saliency", lambda rgb, at, size, class_index: real(rgb, at, size))
    here = visit(seen)
    here.correct(Corrections(added=((30.0, 30.0, 1.0),)))
    here.selected = int(here.scan.spots.ids[-1])
    guessed(here, "spot", spot=1.0)
    seen = calm(seen.run())
    seen = calm(seen.toggle(key="why").set_value(True).run())
    assert say("spot.why_note") in words_of(seen)


def test_a_guess_is_never_sure(seen):
    here = visit(seen)
    guessed(here, "spot", spot=0.9999, angioma=0.0001)
    here.selected = 3
    seen = calm(seen.run())
    (facts,) = (body for body in html_of(seen) if say("spot.head") in body)
    assert re.findall(r"[<>]?\d+%", unescape(facts)) == [">99%", "<1%", "<1%"]
    assert answered("class_mix", {"spot": 0.996, "angioma": 0.004}).count(">99%") == 1


def test_the_legend_by_kind_is_in_words(seen):
    from spotscan.page.viewer import view_data

    here = visit(seen)
    for name in ("spot", "angioma", "unsure"):
        guessed(here, name, spot=1.0)
        (entry,) = view_data(here.scan, "class", "")["legend"]
        assert entry["words"].startswith(texts()["classes"][name])


def test_the_largest_spot_stands_with_its_own_error(seen):
    here = visit(seen)
    marks = here.scan.spots
    largest, other = np.argsort(marks.diameter_mm)[[-1, 0]]
    err = marks.diameter_mm_err.copy()
    err[largest], err[other] = 0.05, 9.0  # a faint one is not told well, and takes no part in it
    here.scan = replace(here.scan, spots=replace(marks, diameter_mm_err=err))
    here.keep = {"photo": here.keep["photo"]}
    seen = calm(seen.run())
    assert say("picture.largest", size=f"{marks.diameter_mm[largest]:.2f} ± 0.05 mm") in words_of(seen)


def test_places_that_were_left_out_are_told(seen):
    here = visit(seen)
    assert "were left out" not in words_of(seen)
    for n, words in ((7, say("picture.left_out", n=7)), (1, say("picture.left_out_one"))):
        here.scan = replace(here.scan, n_no_marks=n)
        assert words in words_of(calm(seen.run()))


def test_a_length_by_hand_sets_all_sizes(seen):
    from spotscan.page.picture import _set_scale

    here = visit(seen)
    before = float(np.nanmedian(here.scan.spots.diameter_mm))
    here.points = [(100.0, 100.0), (100.0 + 10 * here.scan.scale.px_per_mm, 100.0)]
    _set_scale(here, 20.0)  # said to be twice as long as it is
    seen = calm(seen.run())
    assert np.nanmedian(here.scan.spots.diameter_mm) == pytest.approx(2 * before, rel=0.2)  # the card is tilted
    assert here.tool == "look"


def test_a_missed_spot_is_added(seen):
    from spotscan.page import spots

    here = visit(seen)
    x, y = here.scan.spots.centre_px[0]
    spots.remove(here, int(here.scan.spots.ids[0]))
    n = len(here.scan.spots)
    assert spots.add(here, (float(x), float(y)), 1.0)
    assert len(here.scan.spots) == n + 1
    assert here.selected == int(here.scan.spots.ids[-1])
    assert not spots.add(here, (float(x), float(y)), 1.0)  # it is there already
    calm(seen.run())


def test_sizes_and_map_are_shown(seen):
    for shown in ("sizes", "map", "table"):
        seen.session_state["shows"] = shown
        seen = calm(seen.run())


# ---- words and house ----


def keys_of(tree, before=""):
    for key, value in tree.items():
        assert isinstance(key, str), f"YAML reads {key!r} of {before} as no text: quote it"
        yield from keys_of(value, f"{before}{key}.") if isinstance(value, dict) else [f"{before}{key}"]


def test_every_word_of_the_page_is_there_and_used():
    code = "".join(path.read_text(encoding="utf-8") for path in PAGE.glob("*.py")) + (PAGE / "viewer.js").read_text()
    said = set(re.findall(r'(?:say|one_of)\(\s*["\']([a-z_.A-Z-]+)["\']', code))
    known = set(keys_of(texts()))
    assert {key for key in said if "." in key} <= known
    whole = {"replies", "flags", "how_to_lay", "sources", "references", "findings", "classes", "colours", "table"}
    whole |= {"shows", "colour_by", "tools", "groups", "viewer", "steps", "save"}
    loose = {key for key in known - said if key.partition(".")[0] not in whole}
    assert loose <= {"begin.tips", "begin.aruco", "begin.px-per-mm", "questions.left", "questions.last"}


def test_no_key_stands_twice():
    class Once(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key) for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    yaml.load((PAGE / "texts.yaml").read_text(encoding="utf-8"), Once)


def test_words_are_plain():
    """Flesch-Kincaid grade 8 at most over the whole page, as patient leaflets ask for."""
    text = " ".join(say(k, **dict.fromkeys(re.findall(r"{(\w+)}", str(v)), "7")) for k, v in flat(texts()))
    sentences, tokens = max(1, len(re.findall(r"[.?!]\s", text))), re.findall(r"[A-Za-z]+", text)
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word.lower())))) for word in tokens)
    assert 0.39 * len(tokens) / sentences + 11.8 * syllables / len(tokens) - 15.59 < 8


def flat(tree, before=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        elif isinstance(value, str) and value.endswith((".", "?")):
            yield f"{before}{key}", value


def test_every_answer_and_finding_has_words():
    for key, question in rulebook().questions.items():
        assert asked(key) == question.ask
        for value in question.choices:
            assert "_" not in answered(key, value)
    assert set(texts()["flags"]) == set(FLAGS)
    assert set(texts()["classes"]) == {"spot", "angioma", "lesion", "unsure"}


@pytest.mark.parametrize(
    "text", ["*a* _b_ [c](d) <b> `e` $f$ :red[g] ~h~ a|b &amp;", "# head", "- item", "1. one", "+ x"]
)
def test_plain_text_is_shown_as_it_is(text):
    from markdown_it import MarkdownIt

    shown = MarkdownIt().render(plain(text))
    assert re.sub(r"</?p>\n?", "", shown).strip() == (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )


def test_questions_that_matter_are_the_open_ones_that_could_change_something():
    answers = {"fever": "no", "age_years": 34}
    keys = [question.key for question in questions_that_matter(answers)]
    assert "fever" not in keys
    assert "infant_under_1" not in keys  # the age says it
    assert "skin_tone" in keys  # changes where to look
    assert questions_that_matter({"seizure": "yes"}) == []  # nothing may delay help
    assert [q.key for q in questions_that_matter({"fever": "yes"})] == ["blanching"]


def test_both_ways_to_start_are_set_alike():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))

    def flatten(tree, before=""):
        for key, value in tree.items():
            yield from flatten(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]

    assert dict(flatten(config)) == SETTINGS


def test_every_setting_exists_in_streamlit():
    from streamlit import config

    known = set(config.get_config_options())
    assert set(SETTINGS) <= known
    assert SETTINGS["browser.gatherUsageStats"] is False
    assert SETTINGS["server.enableXsrfProtection"] is True
    assert SETTINGS["server.address"] == "localhost"


def test_the_page_loads_nothing_from_elsewhere():
    for path in PAGE.iterdir():
        if path.suffix in (".py", ".js", ".css", ".html", ".svg", ".yaml"):
            addresses = set(re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8")))
            assert addresses <= {"http://www.w3.org/2000/svg"}, path.name
    code = (PAGE / "parts.py").read_text(encoding="utf-8")
    assert 'page_icon=_file("icon.svg")' in code  # a named icon would come from Google


def test_the_page_says_how_long_a_photo_is_kept():
    from streamlit import config

    assert config.get_option("server.disconnectedSessionTTL") == 120
    assert "two more minutes" in say("begin.privacy")


def test_the_sample_is_the_example():
    assert (ROOT / "examples" / "sample.jpg").read_bytes() == SAMPLE


def test_both_scripts_are_the_same():
    assert (ROOT / "app.py").read_text().partition('"""\n\n')[2] == (PAGE / "run.py").read_text().partition('"""\n\n')[
        2
    ]
