"""The report: one HTML file that opens anywhere and prints well on A4.

Self-contained: no script, nothing loaded from elsewhere, pictures within. Of the photo's metadata it holds the date and
the file's name only.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from spotscan._version import __version__
from spotscan.export import whole_file
from spotscan.report.html import paragraph, style, words
from spotscan.report.result import answers_given, result, sources
from spotscan.report.scanned import scanned
from spotscan.types import Scan

__all__ = ["report_html", "write_report"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def report_html(
    scan: Scan | None,
    triage: Mapping[str, Any] | None = None,
    answers: Mapping[Any, Any] | None = None,
    *,
    earlier: Mapping[str, Any] | None = None,
    made_on: str | None = None,
) -> str:
    """The report of a scan, of a triage, or of both.

    Parameters
    ----------
    scan : Scan, optional
        None where there was no photo.
    triage : Mapping, optional
        `Triage.to_dict()`; that of the scan when not given.
    answers : Mapping, optional
        The answers it was made from.
    earlier : Mapping, optional
        A triage before this one; shown where it was more urgent.
    made_on : str, optional
        Date of the report, in words. Equal arguments give equal text.

    Returns
    -------
    str
        HTML, UTF-8 when written.
    """
    w = words()
    told = triage if triage is not None else scan.triage if scan is not None else None
    body = [
        f"<header><h1>{escape(w['title'])}</h1>{_about(scan, made_on)}</header><main>",
        *result(told, earlier),
        *(scanned(scan) if scan is not None else ()),
        answers_given(told, answers),
        sources(told),
        "</main><footer>",
        paragraph(told["disclaimer"] if told is not None else w["disclaimer"], "disclaimer"),
        paragraph(w["end"].format(version=__version__, rules=told["rules_version"] if told else "-"), "what"),
        "</footer>",
    ]
    return (
        f'<!doctype html>\n<html lang="{escape(w["lang"])}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(w['title'])}</title><style>\n{style()}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def write_report(
    path: Path,
    scan: Scan | None,
    triage: Mapping[str, Any] | None = None,
    answers: Mapping[Any, Any] | None = None,
    *,
    earlier: Mapping[str, Any] | None = None,
    made_on: str | None = None,
) -> None:
    """Write `report_html` of the same arguments to `path`, whole or not at all."""
    page = report_html(scan, triage, answers, earlier=earlier, made_on=made_on)
    with whole_file(Path(path)) as file:
        file.write(page.encode())


def _about(scan: Scan | None, made_on: str | None) -> str:
    w = words()["about"]
    pairs = [(w["made_on"], made_on)] if made_on else []
    if scan is None:
        pairs.append((w["file"], w["no_photo"]))
    else:
        pairs += [(w["file"], scan.photo.file)] if scan.photo.file else []
        pairs.append((w["taken_at"], (scan.photo.taken_at or w["date_unknown"]).replace("T", ", ")))
    return '<dl class="about">' + "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in pairs) + "</dl>"
