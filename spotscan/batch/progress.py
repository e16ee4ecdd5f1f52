"""How far it is: a bar where there is a terminal, a plain line now and then where there is none."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

_LINE_S = 10.0  # between plain lines
_SHOW_S = 0.2  # between changes of the bar


class Progress(Protocol):
    """Told of what is done."""

    def start(self, total: int) -> None:
        """So many photos are to be done."""

    def step(self, failed: bool) -> None:
        """One is done."""

    def stop(self) -> None:
        """No more will be."""


class Silent:
    """Says nothing."""

    def start(self, total: int) -> None:
        """Nothing."""

    def step(self, failed: bool) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class Lines:
    """Plain lines, for a log."""

    def __init__(self, stream: TextIO, every_s: float = _LINE_S) -> None:
        self._stream, self._every = stream, every_s
        self._total = self._done = self._failed = 0
        self._began = self._said = time.monotonic()

    def start(self, total: int) -> None:
        """So many photos are to be done."""
        self._total, self._began, self._said = total, time.monotonic(), time.monotonic()

    def step(self, failed: bool) -> None:
        """One is done."""
        self._done += 1
        self._failed += failed
        if time.monotonic() >= self._said + self._every:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        rate = self._done / max(self._said - self._began, 1e-9)
        left = _duration((self._total - self._done) / rate) if self._done else "?"
        text = f"{self._done} of {self._total} photos, {self._failed} failed, {rate:.2f} photos/s, {left} left"
        print(text, file=self._stream, flush=True)

    def stop(self) -> None:
        """No more will be."""
        if self._total:
            self._say()


class Bar:
    """A bar with rate, time left and failures so far, by rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} photos/s"),
            TimeRemainingColumn(), TextColumn("left, {task.fields[failed]} failed"),
            console=Console(file=stream), auto_refresh=False,
        )  # fmt: skip
        self._task: Any = None
        self._done = self._failed = 0
        self._began = self._shown = 0.0

    def start(self, total: int) -> None:
        """So many photos are to be done."""
        self._task = self._bar.add_task("", total=total, failed=0, rate="?")
        self._began = time.monotonic()
        self._bar.start()

    def step(self, failed: bool) -> None:
        """One is done."""
        self._done += 1
        self._failed += failed
        if time.monotonic() >= self._shown + _SHOW_S:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        rate = f"{self._done / max(self._shown - self._began, 1e-9):.2f}"
        self._bar.update(self._task, completed=self._done, failed=self._failed, rate=rate, refresh=True)

    def stop(self) -> None:
        """No more will be."""
        if self._task is not None:
            self._show()
            self._bar.stop()


def progress_for(stream: TextIO | None = None, *, quiet: bool = False) -> Progress:
    """The one that fits: nothing where asked for, a bar on a terminal, else lines."""
    stream = stream or sys.stderr
    if quiet:
        return Silent()
    if stream.isatty():
        try:
            return Bar(stream)
        except ImportError:
            pass
    return Lines(stream)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
