"""The page in a real browser, Debian's chromium without a window: on a desktop and on a phone, light and dark.

Every visit also checks that no error stands in the console and that nothing leaves the machine
(`browser_tools.Visitor`). Pictures of what was seen lie in `artefacts/`: look at them.
"""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import statistics
import time
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

import spotscan
from spotscan.page.words import say
from spotscan.rules.loading import rulebook
from spotscan.synth import SceneParams, draw_scene

pytest.importorskip("playwright", reason="no Playwright: pip install 'spotscan[test]'")
pytest.importorskip("axe_playwright_python", reason="no axe: pip install 'spotscan[test]'")

from browser_tools import ARTEFACTS, ROOT, SIZES, Server, Visitor, browser_options, why_no_browser
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.skipif(why_no_browser() is not None, reason=why_no_browser() or "")

SAMPLE = (ROOT / "spotscan" / "page" / "sample.jpg").read_bytes()
DATA = Path(os.environ.get("SPOTSCAN_DATA") or ROOT.parent / "shared" / "data")
EMERGENCY = "Get emergency help now"
HOSTILE_NAME = "<img src=x onerror=alert(1)>.jpg"
# Seconds that the page may take on a quiet machine, and how many times that here, where others may be at work.
FIRST_PAGE_S, PICTURE_S, REDRAW_S = 3.0, 3.0, 0.5
PATIENCE = 4


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**browser_options())
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server") / "log.txt", "--emergency-number", "112") as running:
        yield running
    assert "Traceback" not in running.said(), running.said()


@pytest.fixture
def visitor(browser, server):
    with Visitor(browser, server.url) as person:
        yield person


@pytest.fixture(params=SIZES)
def on_each(request, browser, server):
    """A visitor at a desktop, and one with a phone."""
    with Visitor(browser, server.url, request.param) as person:
        yield person


def jpeg(rgb, quality=92):
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@cache
def drawn(seed=3):
    """A small drawn photo; spots, but nothing that shows their size."""
    return jpeg(draw_scene(SceneParams(width_px=900, height_px=680, px_per_mm=22.0, n_spots=9), seed).rgb)


@cache
def twelve_megapixels():
    """The sample, with its card, as large as a phone's photos."""
    sample = cv2.imdecode(np.frombuffer(SAMPLE, np.uint8), cv2.IMREAD_COLOR_RGB)
    return jpeg(cv2.resize(sample, (3000, 4000), interpolation=cv2.INTER_CUBIC))


@cache
def sample_scan():
    return spotscan.scan(SAMPLE)


# ---- the way ----


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", SIZES)
def test_the_sample_goes_all_the_way_and_the_report_opens_anywhere(browser, server, tmp_path, size, theme):
    with Visitor(browser, server.url, size, theme) as person:
        person.check("1-begin")
        person.choose(say("sources.sample"))
        person.press(say("begin.sample"))
        person.sees(say("signs.title"))
        person.check("2-signs")
        person.press(say("signs.none"))
        person.spots.first.wait_for(state="attached")
        person.expects(len(sample_scan().spots))
        person.tap(*person.middle_of(5))
        person.button(say("spot.remove")).wait_for()
        person.check("3-picture")
        for shown in ("sizes", "map"):
            person.choose(say(f"shows.{shown}"))
            person.check(f"4-{shown}")
        person.press(say("picture.forward"))
        answer(person, "age_years", "unknown")
        answer(person, "infant_under_1", "no")
        answer(person, "onset", "days")
        while open_question(person) != "blanching":
            answer(person, open_question(person), "unknown")
        person.check("5-question")
        answer(person, "blanching", "does_not_blanch")
        person.press(say("questions.enough"))
        person.sees(say("result.do"))
        for folded in ("glass.title", "save.more"):
            person.open(say(folded))
        person.check("6-result")
        saved = download(person, say("save.report"), tmp_path)
        headline = person.page.locator(".banner .head").first.inner_text()
    read_report(browser, saved, headline, f"7-report-{size}", size, theme)


def open_question(person):
    """The key of the question that is asked."""
    asked = person.page.get_by_role("heading", level=1).inner_text()
    (key,) = (q.key for q in rulebook().questions.values() if q.ask == asked)
    return key


def answer(person, key, value):
    question = rulebook().questions[key]
    person.sees(question.ask)
    person.page.locator(".st-key-" + re.sub(r"[^a-zA-Z0-9_-]", "-", f"{key}.{value}")).get_by_role("button").click()
    expect(person.page.get_by_role("heading", name=question.ask)).to_have_count(0)
    person.settle()


def download(person, words, folder):
    with person.page.expect_download() as coming:
        person.press(words)
    target = folder / coming.value.suggested_filename
    coming.value.save_as(target)
    return target


def read_report(browser, path, headline, name, size, theme):
    """The saved report, opened from the disk by a browser that has nothing else."""
    context = browser.new_context(**SIZES[size], color_scheme=theme, offline=True)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}
    assert not said
    assert headline in page.locator("body").inner_text()
    pictures = page.locator("img")
    assert pictures.count() >= 2
    assert all(width > 0 for width in pictures.evaluate_all("all => all.map(one => one.naturalWidth)"))
    assert page.locator("script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.screenshot(path=ARTEFACTS / f"{name}-{theme}.png", full_page=True)
    context.close()


def test_an_emergency_is_shown_at_once_without_a_photo(on_each):
    on_each.press(say("begin.no_photo"))
    on_each.sees(say("signs.title"))
    on_each.says("seizure", say("replies.yes"))
    on_each.page.locator(".banner .head").get_by_text(EMERGENCY).wait_for()
    assert on_each.page.locator('a[href="tel:112"]').is_visible()
    on_each.check("8-emergency")
    on_each.press(say("result.mistake"))
    on_each.sees(say("signs.title"))
    on_each.says("seizure", say("replies.no"))
    on_each.press(say("signs.rest", n=left_signs() - 1))
    on_each.press(say("questions.enough"))
    on_each.page.get_by_text(say("result.earlier_means")).wait_for()  # the first result stays in sight
    assert on_each.page.locator(".banner.small .head").inner_text() == EMERGENCY
    on_each.check("9-earlier")


def left_signs():
    return sum(question.group == "emergency" for question in rulebook().questions.values())


def test_an_emergency_does_not_wait_for_the_photo(visitor):
    visitor.upload(twelve_megapixels())
    visitor.sees(say("signs.title"))
    visitor.says("confusion_or_drowsy", say("replies.yes"))
    visitor.page.locator(".banner .head").get_by_text(EMERGENCY).wait_for()


def test_keys_alone_lead_from_a_photo_to_a_result(visitor):
    page = visitor.page

    def tab_to(words):
        for _ in range(90):
            page.keyboard.press("Tab")
            here = page.evaluate(
                "() => { let e = document.activeElement;"
                " while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;"
                " if (!e?.matches('a, button, input, summary, [role]')) return '';"  # not what merely scrolls
                " return (e.getAttribute('aria-label') ?? '') + ' ' + e.innerText; }"
            )
            if words in here:
                return
        raise AssertionError(f"Tab never came to {words!r}")

    # Listened for before: where the listener came with the key, the key was sometimes first.
    photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": SAMPLE}
    page.on("filechooser", lambda chooser: chooser.set_files([photo]))
    visitor.settle()
    tab_to("Upload")
    page.keyboard.press("Enter")
    visitor.sees(say("signs.title"))
    visitor.settle()
    tab_to(say("signs.none"))
    page.keyboard.press("Enter")
    visitor.expects(len(sample_scan().spots))
    tab_to(say("viewer.label"))
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    visitor.button(say("spot.remove")).wait_for()
    visitor.settle()
    tab_to(say("picture.forward"))
    page.keyboard.press("Enter")
    visitor.page.get_by_role("spinbutton").wait_for()
    visitor.settle()
    tab_to(say("questions.years"))
    page.keyboard.type("34")
    page.keyboard.press("Enter")
    visitor.settle()
    tab_to(say("page.forward"))
    page.keyboard.press("Enter")
    visitor.sees(rulebook().questions["onset"].ask)
    visitor.settle()
    tab_to(say("questions.enough"))
    page.keyboard.press("Enter")
    visitor.sees(say("result.do"))


# ---- the picture ----


def test_marks_are_taken_out_and_added_and_the_size_is_set_by_hand(on_each):
    found = sample_scan()
    n = len(found.spots)
    on_each.photo(SAMPLE)
    on_each.expects(n)
    on_each.tap(*on_each.middle_of(4))
    on_each.press(say("spot.remove"))
    on_each.expects(n - 1)
    on_each.open(say("fix.title"))
    on_each.choose(say("tools.add"))
    on_each.frame.scroll_into_view_if_needed()
    on_each.settle()
    on_each.tap(*on_each.to_window(*found.spots.centre_px[3]))
    on_each.expects(n)
    on_each.choose(say("tools.scale"))
    on_each.frame.scroll_into_view_if_needed()
    on_each.settle()
    box = on_each.frame.bounding_box()
    ends = [(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"]) for share in (0.2, 0.8)]
    in_photo = [on_each.to_photo(*end) for end in ends]
    for end in ends:
        on_each.tap(*end)
        on_each.page.wait_for_timeout(400)
    length = on_each.page.get_by_label(say("fix.length"))
    length.fill("50")
    length.press("Enter")
    on_each.press(say("fix.set"))
    on_each.page.get_by_text(say("fix.scaled")).wait_for()
    on_each.check("10-by-hand")
    added = tuple(float(v) for v in found.spots.centre_px[3])
    by_hand = spotscan.revise(found, removed=[4], added=[added], scale=(*in_photo, 50.0))
    median = by_hand.to_dict()["findings"]["median_diameter_mm"]
    shown = re.search(r"smaller than ([\d.]+) mm", on_each.page.locator("body").inner_text())
    assert float(shown[1]) == pytest.approx(median, rel=0.03)


def test_a_drawn_photo_without_a_reference_is_measured_in_pixels(on_each):
    on_each.photo(drawn())
    assert 5 <= on_each.spots.count() <= 12  # 9 were drawn
    on_each.page.get_by_text(say("picture.no_scale")).wait_for()
    on_each.check("11-drawn")


@pytest.mark.parametrize("name", ["dermnet_nz/dnang_003.jpg", "scale/aruco_board_00.jpg"])
def test_a_real_photo_comes_to_a_result(visitor, name):
    path = DATA / "eval" / name
    if not path.exists():
        pytest.skip(f"no real photos: {path} is absent (SPOTSCAN_DATA)")
    visitor.upload(path.read_bytes(), path.name)
    visitor.sees(say("signs.title"))
    visitor.pass_signs()
    visitor.spots.first.or_(visitor.page.get_by_role("heading", name=say("problem.title"))).or_(
        visitor.page.get_by_role("heading", name=say("picture.none"))
    ).first.wait_for(state="attached")
    visitor.check(f"12-{path.stem}")
    visitor.button(say("picture.forward")).or_(visitor.button(say("problem.without"))).click()
    visitor.press(say("questions.enough"))
    visitor.sees(say("result.do"))


# ---- what comes wrong ----


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<<>>\n%%EOF\n" * 20),
        ("truncated", SAMPLE[: len(SAMPLE) // 3]),
        ("empty", b""),
    ],
)
def test_a_file_that_is_no_photo_is_told_in_a_sentence(visitor, what, data):
    visitor.upload(data, "photo.jpg")
    visitor.sees(say("signs.title"))
    visitor.press(say("signs.none"))
    visitor.sees(say("problem.title"))
    assert "Traceback" not in visitor.page.locator("body").inner_text()
    visitor.check(f"13-{what}")
    visitor.press(say("problem.without"))
    visitor.press(say("questions.enough"))
    visitor.sees(say("result.do"))


def test_the_name_of_a_file_is_never_html(visitor, tmp_path):
    visitor.photo(drawn(), HOSTILE_NAME)
    visitor.press(say("picture.forward"))
    visitor.press(say("questions.enough"))
    visitor.sees(say("result.do"))
    assert visitor.page.locator('img[src="x"]').count() == 0
    saved = download(visitor, say("save.report"), tmp_path)
    assert "<img src=x" not in saved.read_text(encoding="utf-8")
    assert not set(saved.name) & set('<>:"/\\|?*')
    visitor.open(say("save.more"))
    document = json.loads(download(visitor, say("save.json"), tmp_path).read_text(encoding="utf-8"))
    assert document["photo"]["file"] == HOSTILE_NAME


def test_twelve_photos_one_after_another(visitor):
    for turn in range(12):
        visitor.photo(drawn(turn % 3), f"{turn}.jpg")
        visitor.press(say("picture.another"))
        visitor.sees(say("begin.title"))


# ---- how fast, how much memory, and what leaves the machine ----


@pytest.mark.slow
def test_the_first_page_is_there_soon(browser, tmp_path, capsys):
    took = []
    for turn in range(3):
        with Server(tmp_path / f"{turn}.txt") as started, Visitor(browser, started.url):
            took.append(time.perf_counter() - started.started)
    tell(capsys, "first page after the start", took, FIRST_PAGE_S)


@pytest.mark.slow
def test_a_photo_of_twelve_megapixels_is_soon_a_picture(visitor, capsys):
    took = []
    for turn in range(4):
        begun = time.perf_counter()
        visitor.upload(twelve_megapixels())
        visitor.sees(say("signs.title"))
        visitor.pass_signs()
        visitor.spots.first.wait_for(state="attached")
        took.append(time.perf_counter() - begun)
        if turn < 3:
            visitor.press(say("picture.another"))
            visitor.sees(say("begin.title"))
    tell(capsys, "upload of 12 megapixels to the picture", took, PICTURE_S)
    took = []
    visitor.press(say("picture.forward"))
    visitor.sees(rulebook().questions["age_years"].ask)
    visitor.settle()
    for _ in range(8):
        key = open_question(visitor)
        button = visitor.page.locator(f".st-key-{key}-unknown").get_by_role("button")
        begun = time.perf_counter()
        button.click()
        expect(visitor.page.get_by_role("heading", name=rulebook().questions[key].ask)).to_have_count(0)
        visitor.page.get_by_role("heading", level=1).wait_for()
        took.append(time.perf_counter() - begun)
        visitor.settle()
    tell(capsys, "answer to the next question", took, REDRAW_S)


def tell(capsys, what, seconds, limit):
    middle = statistics.median(seconds)
    with capsys.disabled():
        print(f"\n  {what}: {middle:.2f} s (median of {len(seconds)}, worst {max(seconds):.2f}; to reach: {limit:g})")
    assert middle < PATIENCE * limit


@pytest.mark.slow
def test_thirty_photos_leave_no_memory_behind(browser, tmp_path, capsys):
    with Server(tmp_path / "log.txt") as started, Visitor(browser, started.url) as person:
        process = psutil.Process(started.process.pid)
        used = [process.memory_info().rss >> 20]
        for _ in range(30):
            person.photo(twelve_megapixels())
            person.press(say("picture.another"))
            person.sees(say("begin.title"))
            used.append(process.memory_info().rss >> 20)
    with capsys.disabled():
        print(f"\n  memory, MB: {used[0]} at the start, {used[1]} after 1 photo, {used[-1]} after 30, most {max(used)}")
    assert used[-1] - used[1] < 100, used


def test_no_photo_touches_the_disk(browser, tmp_path):
    """A server that cannot write files larger than its log takes a photo of more than 1 MB all the same."""
    most = 500_000
    large = jpeg(np.random.default_rng(1).integers(90, 200, (1200, 1600, 3), np.uint8), 95)
    assert len(large) > 3 * most
    with (
        Server(tmp_path / "log.txt", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))) as started,
        Visitor(browser, started.url) as person,
    ):
        person.upload(large)
        person.sees(say("signs.title"))


def test_a_visit_that_is_over_is_forgotten(browser, tmp_path):
    """Two minutes after the page was closed; here at once. The photo alone has 36 MB."""
    soon = {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "0"}
    with Server(tmp_path / "log.txt", environment=soon) as started:
        memory = psutil.Process(started.process.pid).memory_info
        with Visitor(browser, started.url) as person:
            person.photo(twelve_megapixels())
            during = memory().rss
        end = time.perf_counter() + 10
        while during - memory().rss < 30e6 and time.perf_counter() < end:
            time.sleep(0.1)
        assert during - memory().rss > 30e6


def test_the_server_calls_nobody(browser, tmp_path):
    """Where it listens for others, Streamlit would ask a server outside for this machine's address."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        way_out = f"http://127.0.0.1:{trap.getsockname()[1]}"
        proxies = {f"{kind}_proxy": way_out for kind in ("http", "https", "HTTP", "HTTPS")}
        with Server(tmp_path / "log.txt", "--host", "0.0.0.0", environment=proxies) as started:
            with Visitor(browser, started.url):
                pass
            with socket.create_connection(("127.0.0.1", started.port)) as stranger:  # a page of somebody else's
                stranger.sendall(
                    b"GET /_stcore/stream HTTP/1.1\r\nHost: localhost\r\nOrigin: http://elsewhere.example\r\n"
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                )
                assert b" 403 " in stranger.recv(200)
            with pytest.raises(TimeoutError):
                trap.accept()
