"""What the report tells of the photo: the picture with its marks, their numbers, and how far to believe them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from spotscan.charts import diameter_histogram, histogram_svg
from spotscan.close_up import close_up
from spotscan.export import scan_to_dict
from spotscan.flags import FLAGS
from spotscan.heat_map import density_map
from spotscan.overlay import draw_overlay, headline
from spotscan.report.html import bullets, drawing, facts, guess, paragraph, picture, section, table, words
from spotscan.types import Scan

_PICTURE_PX, _MAP_PX, _CLOSE_PX = 1500, 900, 300  # of the pictures' sides: sharp at 18 cm on paper
_CLOSEST = 6


def scanned(scan: Scan) -> Iterator[str]:
    """The sections, most telling first."""
    document = scan_to_dict(scan)
    yield _picture(scan, document)
    yield _numbers(scan, document)
    yield _minded(scan)
    yield _sizes(scan)
    yield _map(scan)
    yield _table(document)


def _picture(scan: Scan, document: dict[str, Any]) -> str:
    w = words()["picture"]
    overlay = draw_overlay(scan, max_side_px=_PICTURE_PX)
    shown = picture(overlay, w["alt"].format(headline=headline(scan)), w["coloured"] if len(scan.spots) else "", "wide")
    sizes = np.nan_to_num(scan.spots.diameter_px)
    largest = [scan.spots.ids[i] for i in np.argsort(-sizes, kind="stable")[:_CLOSEST] if sizes[i] > 0]
    said = {spot["id"]: w["mark"].format(id=spot["id"], size=_size(spot) or w["no_size"]) for spot in document["spots"]}
    close = "".join(picture(close_up(scan, name, _CLOSE_PX), said[name], said[name]) for name in largest)
    return section(w["title"], shown, section(w["closest"], close and f'<div class="row">{close}</div>', level=3))


def _numbers(scan: Scan, document: dict[str, Any]) -> str:
    w = words()["numbers"]
    found, density, quality = document["findings"], document["density"], document["quality"]
    unit = "mm"
    values = [
        (w["count"], str(found["count"])),
        (w["median"], _with_unit(found["median_diameter_mm"], unit)),
        (w["largest"], _with_unit(found["max_diameter_mm"], unit)),
        (w["density"], _with_unit(found["density_per_cm2"], "")),
        (w["area"], _with_unit(density["skin_area_cm2"], "cm²")),
        (w["clusters"], str(len(density["clusters"]))),
        (w["scale"], _scale(document["scale"])),
        (w["quality"], w["qualities"][found["image_quality"]]),
        (w["smallest"], _with_unit(quality["smallest_mm"], unit)),
    ]
    n = scan.n_no_marks
    left_out = paragraph(w["left_out_one"] if n == 1 else w["left_out"].format(n=n)) if n else ""
    by_hand = sum("added_by_hand" in flags for flags in scan.spots.flags)
    note = paragraph(w["corrected"].format(n=by_hand)) if by_hand else ""
    return section(w["title"], facts((name, value) for name, value in values if value), note, left_out)


def _scale(scale: dict[str, Any] | None) -> str:
    w = words()["numbers"]
    if scale is None:
        return str(w["no_scale"])
    return str(
        w["scale_value"].format(
            px_per_mm=f"{scale['px_per_mm']:.4g}", err=f"{scale['px_per_mm_err']:.2g}", reference=scale["reference"]
        )
    )


def _minded(scan: Scan) -> str:
    names = dict.fromkeys((*scan.quality.flags, *(scan.scale.flags if scan.scale else ())))
    return section(words()["flags"], bullets(f"{FLAGS[name].meaning} {FLAGS[name].todo}".strip() for name in names))


def _sizes(scan: Scan) -> str:
    w = words()["histogram"]
    histogram = diameter_histogram(scan)
    if not len(histogram.counts):
        return ""
    rows = [(name, str(n)) for name, n in histogram.rows() if n]
    left = paragraph(w["unmeasured"].format(n=histogram.n_unmeasured)) if histogram.n_unmeasured else ""
    what = paragraph(w["what" if histogram.unit == "mm" else "what_px"], "what")
    chart = drawing(histogram_svg(histogram, title=w["title"], axis=w["axis"]))
    return section(w["title"], what, chart, table((w["size"], w["count"]), rows), left)


def _map(scan: Scan) -> str:
    w = words()["map"]
    found = density_map(scan, _MAP_PX)
    return section(w["title"], picture(found.rgb, found.alt, f"{w['what']} {found.alt}", "wide")) if found else ""


def _table(document: dict[str, Any]) -> str:
    w = words()["table"]
    spots = document["spots"]
    names = ("id", "diameter", "longest", "colour", "cluster", "class", "notes")

    def row(spot: dict[str, Any]) -> list[str]:
        return [
            str(spot["id"]),
            _size(spot),
            _with_unit(spot["longest_mm"], "mm"),
            spot["colour"] or "",
            str(spot["cluster"] or ""),
            _class(spot),
            " ".join(FLAGS[name].meaning for name in spot["flags"]),
        ]

    rows = [row(spot) for spot in spots]
    told = [k for k in range(len(names)) if any(cells[k] for cells in rows)]
    shown = table([w[names[k]] for k in told], ([cells[k] for k in told] for cells in rows), w["what"])
    return section(w["title"], shown, paragraph(words()["guess"]) if names.index("class") in told else "")


def _class(spot: dict[str, Any]) -> str:
    if not spot["class"]:
        return ""
    share = (spot["probabilities"] or {}).get(spot["class"])
    return guess(spot["class"], share)


def _size(spot: dict[str, Any]) -> str:
    """Its diameter with the error, mm where that is known, else px; empty where neither is."""
    mm, err, px = spot["diameter_mm"], spot["diameter_mm_err"], spot["diameter_px"]
    if mm is not None:
        return f"{mm:.2f} mm" if err is None else f"{mm:.2f}\u00a0±\u00a0{err:.2f}\u00a0mm"
    return _with_unit(px, "px")


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g}\u00a0{unit}".strip()
