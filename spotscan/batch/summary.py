"""One page that tells of the whole batch: counts, distributions, flags, failures, the worst photos.

Self-contained: no script, nothing loaded from elsewhere, pictures within.
"""

from __future__ import annotations

import heapq
import html
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from spotscan.batch.index import Row
from spotscan.batch.listing import shown
from spotscan.batch.work import KINDS
from spotscan.findings import CLASSES
from spotscan.flags import FLAGS

_BIN_MM, _BINS = 0.25, 40  # of the distribution of diameters: up to 10 mm, the last one takes the rest
_WORST = 12
_FAILURES = 200  # named on the page; all are in failures.csv
_QUALITY = {"unusable": 0, "poor": 1, "good": 2}

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
th{border-bottom:1px solid #999;font-weight:600}
td.n{text-align:right;font-variant-numeric:tabular-nums}
td.f,figcaption{overflow-wrap:anywhere}
svg{width:100%;height:auto}
figure{display:inline-block;width:200px;margin:0 1rem 1rem 0;vertical-align:top}
figcaption{font-size:12px}
img{max-width:200px;max-height:200px}
.note{color:#555}
"""
_HEAD = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>SpotScan batch</title><style>{_STYLE}</style>"""
_NOTE = "SpotScan informs and measures. It does not diagnose, and an empty result does not mean that all is well."


class Summary:
    """Gathers what the page tells, photo by photo; what it holds does not grow with their number."""

    def __init__(self) -> None:
        self.n_done = self.n_failed = self.n_spots = self.n_px_only = 0
        self._quality: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._classes: Counter[str] = Counter()
        self._urgency: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._diameters: Counter[int] = Counter()
        self._failures: list[tuple[str, str, str]] = []
        self._worst: list[tuple[tuple[float, ...], str, str]] = []

    def add(self, row: Row, document: Mapping[str, Any] | None) -> None:
        """One photo, in the order of names."""
        if row.failure is not None or document is None:
            self._add_failure(row)
            return
        self.n_done += 1
        findings, quality = document["findings"], document["quality"]
        self._quality[findings["image_quality"]] += 1
        self._flags.update(quality["flags"])
        self._counts[_count_range(findings["count"])] += 1
        if document["triage"] is not None:
            self._urgency[document["triage"]["urgency"]] += 1
        self.n_spots += len(document["spots"])
        for spot in document["spots"]:
            self._classes[spot["class"] or "not classified"] += 1
            if spot["diameter_mm"] is None:
                self.n_px_only += 1
            else:
                self._diameters[min(int(spot["diameter_mm"] / _BIN_MM), _BINS - 1)] += 1
        badness = (
            -_QUALITY.get(findings["image_quality"], 0),
            float(len(quality["flags"])),
            -(quality["sharpness"] or 0.0),
        )
        if findings["image_quality"] != "good":
            entry = (tuple(map(float, badness)), row.name, ", ".join(quality["flags"]))
            (heapq.heappush if len(self._worst) < _WORST else heapq.heappushpop)(self._worst, entry)

    def _add_failure(self, row: Row) -> None:
        self.n_failed += 1
        if row.failure is not None:
            self._kinds[row.failure.kind] += 1
            if len(self._failures) < _FAILURES:
                self._failures.append((shown(row.name), row.failure.reason, row.failure.todo))

    def worst(self) -> list[str]:
        """Names of the usable worst photos, worst first, for thumbnails."""
        return [name for _, name, _ in sorted(self._worst, reverse=True)]

    def page(
        self, manifest: Mapping[str, Any], others: Iterable[tuple[str, int, list[str]]], thumbnails: Mapping[str, str]
    ) -> str:
        """The page; `thumbnails` are data URLs by name."""
        n = self.n_done + self.n_failed
        reference = f"reference {manifest['reference']}, SpotScan {manifest['spotscan']}"
        counts = f"{self.n_done} measured, {self.n_failed} failed; {self.n_spots} marks; {reference}."
        classes = {name: self._classes[name] for name in (*CLASSES, "unsure", "not classified")}
        kinds = {KINDS.get(kind, kind): k for kind, k in self._kinds.most_common()}
        parts = [
            _HEAD,
            f'<h1>{n} photos</h1><p>{_e(counts)}</p><p class="note">{_NOTE}</p>',
            _counts("Quality of the photos", "quality", self._quality, n),
            _counts("Marks in a photo", "marks", self._counts, self.n_done),
            self._sizes(),
            _counts("Classes of the marks", "class", classes, self.n_spots),
            _counts("Urgency", "urgency", self._urgency, self.n_done),
            self._flag_table(),
            _counts("Failures", "reason", kinds, n),
            self._failure_table(),
            self._thumbnails(thumbnails),
            _left_alone(others),
        ]
        return "\n".join(part for part in parts if part) + "\n"

    def _sizes(self) -> str:
        """A histogram of diameters, as SVG."""
        if not self._diameters:
            return "<h2>Diameters</h2><p>No mark was measured in mm.</p>" if self.n_spots else ""
        last, most = max(self._diameters), max(self._diameters.values())
        wide, high, step = 800, 180, 800 / (last + 1)
        bars = "".join(
            f'<rect x="{i * step:.1f}" y="{high - high * k / most:.1f}" width="{max(step - 1, 1):.1f}"'
            f' height="{high * k / most:.1f}" fill="#a33"><title>{_bin_name(i)}: {k}</title></rect>'
            for i, k in sorted(self._diameters.items())
        )
        every = max(1, (last + 1) // 10)
        ticks = "".join(
            f'<text x="{i * step:.1f}" y="{high + 16}" font-size="12">{i * _BIN_MM:g}</text>'
            for i in range(0, last + 1, every)
        )
        note = f" {self.n_px_only} more are known in pixels only." if self.n_px_only else ""
        return (
            f"<h2>Diameters</h2><p>mm, {_BIN_MM:g} a bar, the highest {most}.{note}</p>"
            f'<svg viewBox="0 0 {wide} {high + 20}" role="img" aria-label="diameters">{bars}{ticks}</svg>'
        )

    def _flag_table(self) -> str:
        rows = [(name, k, FLAGS[name].meaning if name in FLAGS else "") for name, k in sorted(self._flags.items())]
        return _table("Flags of the photos", ("flag", "photos", "meaning"), sorted(rows, key=lambda row: -row[1]))

    def _failure_table(self) -> str:
        more = self.n_failed - len(self._failures)
        note = f"<p>... and {more} more, in failures.csv</p>" if more > 0 else ""
        return _table("", ("file", "reason", "what to do"), self._failures) + note

    def _thumbnails(self, thumbnails: Mapping[str, str]) -> str:
        notes = {name: note for _, name, note in self._worst}
        figures = "".join(
            f'<figure><img alt="" src="{_e(url)}">'
            f"<figcaption>{_e(shown(name))}<br>{_e(notes.get(name, ''))}</figcaption></figure>"
            for name, url in thumbnails.items()
        )
        return f"<h2>The worst photos</h2><p>Look whether they should count.</p>{figures}" if figures else ""


def _e(text: str) -> str:
    return html.escape(str(text), quote=True)


def _count_range(count: int) -> str:
    if count == 0:
        return "none"
    low = next(low for low in (1000, 300, 100, 30, 10, 3, 1) if count >= low)
    return {1: "1 or 2", 3: "3 to 9", 10: "10 to 29", 30: "30 to 99", 100: "100 to 299", 300: "300 to 999"}.get(
        low, "1000 or more"
    )


def _bin_name(i: int) -> str:
    return f"{i * _BIN_MM:g} mm and more" if i == _BINS - 1 else f"{i * _BIN_MM:g} to {(i + 1) * _BIN_MM:g} mm"


# In this order; names that are not here come first, as they are.
_ORDER = (
    *("none", "1 or 2", "3 to 9", "10 to 29", "30 to 99", "100 to 299", "300 to 999", "1000 or more"),
    *("good", "poor", "unusable"),
    *("emergency_now", "same_day", "see_doctor_soon", "routine_check", "self_watch"),
)


def _counts(title: str, what: str, counts: Mapping[str, int], of: int) -> str:
    shown_counts = {name: k for name, k in counts.items() if k}
    rank = {name: i for i, name in enumerate(_ORDER)}
    rows = [
        (name, k, f"{100 * k / max(of, 1):.1f} %")
        for name, k in sorted(shown_counts.items(), key=lambda item: rank.get(item[0], -1))
    ]
    return _table(title, (what, "number", "share"), rows) if rows else ""


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    body = "".join(
        "<tr>" + "".join(f'<td class="{"n" if isinstance(v, int) else "f"}">{_e(v)}</td>' for v in row) + "</tr>"
        for row in rows
    )
    if not body:
        return ""
    heading = f"<h2>{_e(title)}</h2>" if title else ""
    return f"{heading}<table><tr>{''.join(f'<th>{_e(name)}</th>' for name in head)}</tr>{body}</table>"


def _left_alone(others: Iterable[tuple[str, int, list[str]]]) -> str:
    rows = []
    for reason, n, names in others:
        listed = ", ".join(shown(name) for name in names)
        rows.append((reason, n, listed + (", ..." if n > len(names) else "")))
    return _table("Left alone", ("why", "number", "names"), rows)
