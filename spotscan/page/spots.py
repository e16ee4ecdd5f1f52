"""One spot enlarged, the table of all, their sizes and where they are dense."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from spotscan import occlusion
from spotscan.crops import in_boxes
from spotscan.findings import CLASSES, summarise
from spotscan.page.parts import button, choices, drawing, note, one_of, paragraph, table, title
from spotscan.page.viewer import size_words
from spotscan.page.visit import Corrections, Visit
from spotscan.page.words import flag, number, percent, plain, say, texts
from spotscan.types import Scan

_MAP_PX = 640  # of the screen; narrower where the screen is


def summary(scan: Scan) -> None:
    """What was found, in a few lines."""
    found = summarise(scan.spots, scan.density, scan.quality, scan.classes)
    n = found["count"]
    title(say("picture.none") if not n else say("picture.one") if n == 1 else say("picture.count", n=n))
    if left_out := scan.n_no_marks:
        paragraph(say("picture.left_out_one") if left_out == 1 else say("picture.left_out", n=left_out))
    if not n:
        paragraph(say("picture.none_means"))
        return
    lines = []
    if found["median_diameter_mm"] is not None:
        largest = int(np.nanargmax(scan.spots.diameter_mm))
        lines.append(say("picture.median", size=number(found["median_diameter_mm"], "mm")))
        lines.append(say("picture.largest", size=size_words(scan, largest)))
    if found["density_per_cm2"] is not None:
        lines.append(say("picture.density", n=number(found["density_per_cm2"])))
    if scan.density.clusters:
        lines.append(say("picture.clusters", n=len(scan.density.clusters)))
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))
    if scan.scale is None:
        note(say("picture.no_scale"))
    note(say("picture.no_classes") if scan.classes is None else say("picture.classes"))


def one_spot(visit: Visit) -> None:
    """The chosen spot, enlarged, with its size and what it may be."""
    scan = visit.scan
    assert scan is not None
    sizes = {int(spot_id): f"{spot_id}: {size_words(scan, i)}" for i, spot_id in enumerate(scan.spots.ids)}
    if not sizes:
        return
    if visit.selected not in sizes:
        visit.selected = None
    st.session_state["spot"] = visit.selected  # the list follows the picture and the table
    st.selectbox(
        say("spot.choose"), list(sizes), index=None, key="spot", placeholder=say("spot.choose_hint"),
        format_func=sizes.__getitem__, on_change=_pick, args=(visit,),
    )  # fmt: skip
    if visit.selected is not None:
        _enlarged(visit, scan, list(sizes).index(visit.selected))


def _pick(visit: Visit) -> None:
    visit.selected = st.session_state["spot"]


def _enlarged(visit: Visit, scan: Scan, i: int) -> None:
    from spotscan.close_up import close_up

    spot_id = int(scan.spots.ids[i])
    looked_at = None
    if _class(scan, i) in CLASSES and st.toggle(say("spot.why"), key="why"):
        looked_at = _saliency(visit, scan, i)
    kept = ("close_up", spot_id, looked_at is not None)
    if kept not in visit.keep:
        visit.keep[kept] = close_up(scan, spot_id, saliency=looked_at)
    words = say("spot.name", id=spot_id) + ": " + size_words(scan, i)
    st.image(visit.keep[kept], caption=plain(words), alt=words, width="stretch")
    if looked_at is not None:
        st.caption(say("spot.why_note"))
    table(_facts(scan, i), (say("spot.head"), ""))
    for name in scan.spots.flags[i]:
        note(flag(name))
    if "not_measured" in scan.spots.flags[i]:
        _ask_size(visit, scan, i)
    button(say("spot.remove"), remove, visit, spot_id, key="remove", icon=":material/delete:")


def _class(scan: Scan, i: int) -> str | None:
    return None if scan.classes is None else scan.classes[i]["class"]


def _saliency(visit: Visit, scan: Scan, i: int) -> Any:
    """What its class rests on; by the box by which it was classified."""
    name = ("saliency", int(scan.spots.ids[i]))
    if name not in visit.keep:
        centre, diameter = in_boxes(scan.spots.bbox_px[[i]])
        visit.keep[name] = occlusion.mark_saliency(
            scan.photo.rgb,
            centre[0],
            float(diameter[0]),
            class_index=CLASSES.index(str(_class(scan, i))),
        )
    return visit.keep[name]


def _facts(scan: Scan, i: int) -> list[tuple[str, str]]:
    marks = scan.spots
    rows = [
        (say("spot.diameter"), size_words(scan, i)),
        (say("spot.longest"), number(float(marks.longest_mm[i]), "mm")),
        (say("spot.colour"), texts()["colours"].get(marks.colour[i], say("spot.unknown"))),
    ]
    group = int(scan.density.membership[i])
    if group:
        rows.append((say("spot.group"), str(group)))
    if scan.classes is not None:
        entry = scan.classes[i]
        names = choices("classes")
        rows.append((say("spot.class"), names.get(entry["class"], say("spot.unknown"))))
        shares = entry.get("probabilities") or {}
        rows += [(say("spot.share", name=names.get(k, k)), percent(p)) for k, p in shares.items()]
    return rows


# ---- put right ----


def remove(visit: Visit, spot_id: int) -> None:
    """Take a wrong mark out."""
    c = visit.corrections
    visit.correct(replace(c, removed=(*c.removed, spot_id)))
    visit.selected = None


def add(visit: Visit, at: tuple[float, float], click_err_px: float) -> bool:
    """Put a missed spot in, and show it; False where there was one already."""
    c = visit.corrections
    assert visit.scan is not None
    n = len(visit.scan.spots)
    visit.correct(replace(c, added=(*c.added, at), click_err_px=click_err_px))
    if len(visit.scan.spots) == n:
        visit.undo()
        return False
    visit.selected = int(visit.scan.spots.ids[-1])
    return True


def _ask_size(visit: Visit, scan: Scan, i: int) -> None:
    """The width of a spot that was put in and could not be measured, from the person."""
    unit = "px" if scan.scale is None else "mm"
    size = st.number_input(say("fix.width", unit=unit), min_value=0.05, max_value=500.0, value=None, key="width")
    button(say("fix.set"), set_size, visit, int(scan.spots.ids[i]), size, disabled=size is None, key="set_width")


def set_size(visit: Visit, spot_id: int, size: float) -> None:
    """Note how wide a spot is that was put in by hand: mm, or px where there is no scale."""
    c, scan = visit.corrections, visit.scan
    assert scan is not None
    assert visit.found is not None
    place = spot_id - len(visit.found.spots) - 1
    x, y = c.added[place][:2]
    px = size if scan.scale is None else size * float(scan.scale.px_per_mm_at(np.array([[x, y]]))[0])
    visit.correct(replace(c, added=(*c.added[:place], (x, y, px), *c.added[place + 1 :])))


def corrected(visit: Visit) -> None:
    """What was put right, and the way back."""
    c = visit.corrections
    if c == Corrections():
        return
    parts = [say("fix.removed", n=len(c.removed))] if c.removed else []
    parts += [say("fix.added", n=len(c.added))] if c.added else []
    parts += [say("fix.scaled")] if c.scale else []
    paragraph(say("fix.so_far", what=", ".join(parts)))
    button(say("fix.undo"), visit.undo, icon=":material/undo:", key="undo")


# ---- all of them ----


def all_spots(visit: Visit) -> None:
    """The table, the sizes, or the map of density."""
    scan = visit.scan
    assert scan is not None
    if not len(scan.spots):
        return
    shown = one_of("picture.more", choices("shows"), "shows")
    {"table": _table, "sizes": _sizes, "map": _map}[shown](visit, scan)


def _table(visit: Visit, scan: Scan) -> None:
    marks, heads, names = scan.spots, texts()["table"], choices("classes")
    columns: dict[str, list[Any]] = {heads["id"]: [int(i) for i in marks.ids]}
    if scan.scale is None:
        columns[heads["diameter_px"]] = _numbers(marks.diameter_px)
    else:
        columns[heads["diameter"]] = _numbers(marks.diameter_mm)
        columns[heads["err"]] = _numbers(marks.diameter_mm_err)
        columns[heads["longest"]] = _numbers(marks.longest_mm)
    columns[heads["colour"]] = [texts()["colours"].get(name, "") for name in marks.colour]
    if scan.density.clusters:
        columns[heads["group"]] = [int(k) or None for k in scan.density.membership]
    if scan.classes is not None:
        columns[heads["class"]] = [names.get(entry["class"], "") for entry in scan.classes]
    formats = {name: st.column_config.NumberColumn(format="%.2f") for name in columns if name.endswith(("mm", "px"))}
    st.caption(say("picture.table_note"))
    st.dataframe(
        columns, hide_index=True, key=_table_key(visit), selection_mode="single-row", column_config=formats,
        on_select=partial(_pick_row, visit), height=min(38 * (len(marks) + 1), 420), placeholder="",
        alt=say("picture.table_alt"),
    )  # fmt: skip


def _table_key(visit: Visit) -> str:
    return f"table.{visit.photos}.{len(visit.history)}"


def _pick_row(visit: Visit) -> None:  # Streamlit keeps callbacks as long as the session: no scan may hang on them
    assert visit.scan is not None
    rows = st.session_state[_table_key(visit)]["selection"]["rows"]
    visit.selected = int(visit.scan.spots.ids[rows[0]]) if rows else None


def _numbers(values: Any) -> list[float | None]:
    return [round(float(v), 2) if np.isfinite(v) else None for v in values]


def _sizes(visit: Visit, scan: Scan) -> None:
    from spotscan.charts import diameter_histogram, histogram_svg

    histogram = diameter_histogram(scan)
    dark = st.context.theme.type == "dark"
    st.html(f'<div class="figure">{drawing(histogram_svg(histogram, dark=dark), say("picture.sizes_alt"))}</div>')
    if histogram.n_unmeasured:
        paragraph(say("picture.unmeasured", n=histogram.n_unmeasured))
    with st.expander(say("picture.as_numbers")):
        table(histogram.rows(), (say("picture.size_head", unit=histogram.unit), say("picture.count_head")))


def _map(visit: Visit, scan: Scan) -> None:
    from spotscan.heat_map import density_map

    if "map" not in visit.keep:
        visit.keep["map"] = density_map(scan)
    found = visit.keep["map"]
    if found is None:
        paragraph(say("picture.no_map"))
        return
    st.image(found.rgb, alt=found.alt, width=_MAP_PX)
    paragraph(found.alt)
