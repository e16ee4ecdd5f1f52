"""What can be taken away: made when it is asked for, and kept nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from spotscan.page.begin import card_pdf
from spotscan.page.parts import download, paragraph, title
from spotscan.page.visit import Visit
from spotscan.page.words import say
from spotscan.types import Scan


def save(visit: Visit) -> None:
    """Buttons that save the report and the numbers."""
    from spotscan.export import safe_stem
    from spotscan.report import report_html

    title(say("save.title"), 2)
    paragraph(say("save.what"))
    result, answers, earlier, scan = visit.verdict(), dict(visit.answers), visit.earlier(), visit.scan
    stem = safe_stem(Path(visit.name).stem) if visit.name else "spotscan"

    def report() -> bytes:
        return report_html(scan, result, answers, earlier=earlier).encode()

    download("report", report, f"{stem}.report.html", "text/html")
    with st.expander(say("save.more")):
        if scan is not None:
            _of_scan(scan, result, stem)
        else:
            download("triage", lambda: _json(result), f"{stem}.triage.json", "application/json")
        download("answers", lambda: _json(answers), f"{stem}.answers.json", "application/json")
        download("card", card_pdf, "spotscan-card.pdf", "application/pdf")


def _of_scan(scan: Scan, result: dict[str, Any], stem: str) -> None:
    from spotscan import export

    document = {**scan.to_dict(), "triage": result}
    download("json", lambda: export.json_bytes(document), f"{stem}.scan.json", "application/json")
    download("csv", lambda: export.spots_csv(scan), f"{stem}.spots.csv", "text/csv")
    download("overlay", lambda: export.overlay_png(scan), f"{stem}.overlay.png", "image/png")


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
