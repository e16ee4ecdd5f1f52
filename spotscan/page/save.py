"""What can be taken away: made when it is asked for, and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from spotscan.page.begin import card_pdf
from spotscan.page.parts import download, paragraph, title
from spotscan.page.visit import Visit
from spotscan.page.words import say
from spotscan.types import Scan

_JSON = "application/json"


def save(visit: Visit) -> None:
    """Buttons that save the report and the numbers.

    Streamlit keeps what a button calls as long as the session: it is the visit, and no scan of an earlier photo.
    """
    from spotscan import export

    title(say("save.title"), 2)
    if visit.job is not None:  # what is saved now would say that there was no photo
        paragraph(say("save.wait"))
        return
    paragraph(say("save.what"))
    stem = export.safe_stem(Path(visit.name).stem) if visit.name else "spotscan"

    def button(name: str, make: Callable[[], bytes], end: str, mime: str) -> None:
        download(name, make, f"{stem}.{end}", mime)

    def scan() -> Scan:
        assert visit.scan is not None
        return visit.scan

    button("report", partial(_report, visit), "report.html", "text/html")
    with st.expander(say("save.more")):
        if visit.scan is not None:
            button("json", lambda: _json({**scan().to_dict(), "triage": visit.verdict()}), "scan.json", _JSON)
            button("csv", lambda: export.spots_csv(scan()), "spots.csv", "text/csv")
            button("overlay", lambda: export.overlay_png(scan()), "overlay.png", "image/png")
        else:
            button("triage", lambda: _json(visit.verdict()), "triage.json", _JSON)
        button("answers", lambda: _json(visit.answers), "answers.json", _JSON)
        download("card", card_pdf, "spotscan-card.pdf", "application/pdf")


def _report(visit: Visit) -> bytes:
    from spotscan.report import report_html

    today = date.today()
    words = f"{today.day} {today:%B %Y}"
    return report_html(visit.scan, visit.verdict(), visit.answers, earlier=visit.earlier(), made_on=words).encode()


def _json(document: dict[str, Any]) -> bytes:
    from spotscan.export import json_bytes

    return json_bytes(document)
