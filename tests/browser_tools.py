"""What the tests in a real browser share: the page served as a person serves it, and a visitor whom nothing escapes."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from spotscan.page.words import say

ROOT = Path(__file__).resolve().parents[1]
# Pictures for people to look at; `.ci/run` names a folder outside its copy.
ARTEFACTS = Path(os.environ.get("SPOTSCAN_ARTEFACTS") or ROOT / "artefacts")
CHROMIUM = os.environ.get("SPOTSCAN_CHROMIUM") or "/usr/bin/chromium"
WAIT_MS = 90_000
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
_SETTLED = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
_TALLEST_PX = 9000


def why_no_browser() -> str | None:
    """Why there can be no test in a browser; None where there can."""
    if shutil.which(CHROMIUM) is None:
        return f"no chromium at {CHROMIUM}: install it (apt-get install chromium) or name it by SPOTSCAN_CHROMIUM"
    return None


def browser_options() -> dict[str, Any]:
    """How Debian's chromium is started; root has no sandbox."""
    return {"executable_path": shutil.which(CHROMIUM), "args": ["--no-sandbox"] if os.geteuid() == 0 else []}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`spotscan app` in a process of its own, on a free port."""

    def __init__(
        self,
        log: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        before: Callable[[], object] | None = None,
    ) -> None:
        self.port, self.log, self.started = free_port(), log, time.perf_counter()
        self.url = f"http://localhost:{self.port}"
        command = [sys.executable, "-m", "spotscan", "app", "--port", str(self.port), "--no-browser", *options]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}, preexec_fn=before,
            )  # fmt: skip

    def __enter__(self) -> Self:
        while self.process.poll() is None and time.perf_counter() - self.started < WAIT_MS / 1000:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
                    assert answer.read() == b"ok"
                return self
            except OSError:
                time.sleep(0.02)
        self.__exit__()
        raise AssertionError(f"the page did not start: {self.said()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """All that the server wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Visitor:
    """A person at the page. What goes wrong behind their back is collected, and checked at the end of the visit."""

    def __init__(self, browser: Browser, url: str, size: str = "desktop", theme: str = "light") -> None:
        self.size, self.theme, self.url = size, theme, url
        self.context = browser.new_context(**SIZES[size], color_scheme=theme, accept_downloads=True)
        self.context.set_default_timeout(WAIT_MS)
        self.faults: list[str] = []
        self.context.on("request", lambda request: self._sent(request.url))
        self.context.on("weberror", lambda error: self.faults.append(f"page error: {error.error}"))
        self.context.on("console", self._console)
        self.context.on("dialog", self._dialog)
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self._sent(socket.url))
        self.page.on("crash", lambda _: self.faults.append("the page crashed"))

    def __enter__(self) -> Self:
        self.page.goto(self.url)
        self.sees(say("begin.title"))
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is not None:
            self.picture("failed")
        self.context.close()
        if kind is None:
            assert not self.faults, "\n".join(self.faults)

    def _sent(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "localhost":
            self.faults.append(f"left the machine: {url[:200]}")

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text[:400]}")

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    # ---- what a person does ----

    def button(self, words: str) -> Locator:
        """A button by its words."""
        return self.page.get_by_role("button", name=words)

    def press(self, words: str) -> None:
        """Press a button."""
        self.button(words).click()

    def sees(self, heading: str) -> None:
        """Wait for a heading."""
        self.page.get_by_role("heading", name=heading).wait_for()

    def choose(self, words: str) -> None:
        """Choose one of some buttons in a row, or of a list."""
        exact = re.compile(f"^\\s*{re.escape(words)}\\s*$")
        self.page.locator('button[role="radio"], [data-testid="stRadio"] label').filter(has_text=exact).first.click()
        self.settle()

    def upload(self, data: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> None:
        """Give a photo."""
        self.page.locator('input[type="file"]').set_input_files(
            [{"name": name, "mimeType": kind, "buffer": data}]
        )  # fmt: skip

    def photo(self, data: bytes, name: str = "photo.jpg") -> None:
        """Give a photo, say no to what is left of the warning signs, and wait for the picture with its spots."""
        self.upload(data, name)
        self.sees(say("signs.title"))
        self.pass_signs()
        self.spots.first.wait_for(state="attached")
        self.settle()

    def pass_signs(self) -> None:
        """Say that none of the warning signs is there, where that is not said yet."""
        self.button(say("signs.none")).or_(self.button(say("page.forward"))).click()

    def says(self, sign: str, words: str) -> None:
        """Answer one warning sign."""
        self.page.locator(f".st-key-row-{sign}").get_by_role("radio", name=words, exact=True).click()

    def tap(self, x: float, y: float) -> None:
        """Click, or tap with a finger, at a place of the window."""
        (self.page.touchscreen.tap if self.size == "phone" else self.page.mouse.click)(x, y)

    def settle(self) -> None:
        """Wait until the page has been quiet for a moment."""
        for _ in range(2):
            self.page.wait_for_timeout(120)
            self.page.locator(_SETTLED).first.wait_for(state="attached")

    def open(self, words: str) -> None:
        """Unfold what is folded up."""
        self.page.locator("summary").filter(has_text=words).click()
        self.page.wait_for_timeout(400)  # it unfolds slowly

    # ---- the picture with its spots ----

    @property
    def frame(self) -> Locator:
        """What the picture is shown in."""
        return self.page.locator(".frame")

    @property
    def spots(self) -> Locator:
        """The outlined spots."""
        return self.page.locator("svg.photo .spot")

    def to_photo(self, x: float, y: float) -> tuple[float, float]:
        """A place of the window in px of the photo."""
        return self._through("svg.getScreenCTM().inverse()", x, y)

    def to_window(self, x: float, y: float) -> tuple[float, float]:
        """A place of the photo in the window, where the picture is in view."""
        return self._through("svg.getScreenCTM()", x, y)

    def _through(self, matrix: str, x: float, y: float) -> tuple[float, float]:
        script = f"(svg, [x, y]) => {{ const p = new DOMPoint(x, y).matrixTransform({matrix}); return [p.x, p.y]; }}"
        at = self.page.locator("svg.photo").evaluate(script, [float(x), float(y)])
        return float(at[0]), float(at[1])

    def middle_of(self, spot_id: int) -> tuple[float, float]:
        """Where a spot is in the window, brought into view."""
        self.frame.scroll_into_view_if_needed()
        self.page.wait_for_timeout(150)
        box = self.page.locator(f"#spot-{spot_id} .ring").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def expects(self, n: int) -> None:
        """Wait until so many spots are outlined and counted."""
        expect(self.spots).to_have_count(n, timeout=WAIT_MS)
        self.sees(say("picture.count", n=n))
        self.settle()

    # ---- what a person sees ----

    def picture(self, name: str) -> None:
        """A picture of the whole page, to be looked at."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        size = SIZES[self.size]["viewport"]
        tall = self.page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0")
        self.page.set_viewport_size({**size, "height": max(size["height"], min(tall + 80, _TALLEST_PX))})
        self.page.wait_for_timeout(200)
        self.page.screenshot(path=ARTEFACTS / f"{name}-{self.size}-{self.theme}.png")
        self.page.set_viewport_size(size)

    def check(self, name: str) -> None:
        """Take a picture of this state, and have axe look for faults."""
        self.settle()
        self.picture(name)
        found = Axe().run(self.page).response["violations"]
        for fault in found:
            if fault["impact"] in ("serious", "critical"):
                nodes = "; ".join(f"{node['target']} {node['failureSummary'][:200]}" for node in fault["nodes"][:4])
                self.faults.append(f"axe, {name}: {fault['id']} ({fault['impact']}): {nodes}")
        if not self.page.locator(".stApp").first.evaluate("app => getComputedStyle(app).getPropertyValue('--ink')"):
            self.faults.append(f"{name}: page.css is not there; Streamlit drops a style that looks as if it held a tag")
        wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            self.faults.append(f"{name}: {wide} px wider than the screen")
