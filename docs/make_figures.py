"""Make the pictures and the error table of docs/method.md from drawn photos, by the tool itself.

python docs/make_figures.py
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

import spotscan
from spotscan.card_layout import CARD_SIZE_MM, MARKER_MM, MARKERS, marker_cells
from spotscan.groups import GREEN, ORANGE, SKY, YELLOW
from spotscan.overlay import draw_overlay
from spotscan.segment import SegmentParams, find_spots
from spotscan.segment.contrast import mark_contrast
from spotscan.segment.peaks import find_peaks, pyramid
from spotscan.synth import Scene, SceneParams, draw_scene, to_jpeg
from spotscan.types import FloatArray, RGBArray, Scan
from spotscan.view import view_for_skin, view_for_spots

DOCS = Path(__file__).resolve().parent
FIGURES = DOCS / "figures"
sys.path.insert(0, str(DOCS.parent / "examples"))
from make_sample import SAMPLE, sample_scene  # noqa: E402

MAX_BYTES = 150_000


def main() -> None:
    """Everything that is made."""
    FIGURES.mkdir(exist_ok=True)
    scene = sample_scene()
    scan = spotscan.scan(DOCS.parent / "examples" / "sample.jpg")
    _write("overlay", draw_overlay(scan, max_side_px=1100))
    _write("reference", reference_figure(scan))
    _write("references", references_figure())
    _write("skin", skin_figure())
    _write("segmentation", segmentation_figure(scan))
    _write("contours", contours_figure(scan, scene))
    _write("clusters", clusters_figure())
    page = DOCS / "method.md"
    table = error_table()
    text = page.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- errors -->\n).*?(<!-- end -->)", re.DOTALL)
    page.write_text(marked.sub(lambda m: m[1] + table + m[2], text), encoding="utf-8")


def _write(name: str, rgb: RGBArray) -> None:
    for quality in (88, 80, 72, 64):
        data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) < MAX_BYTES:
            break
    (FIGURES / f"{name}.jpg").write_bytes(data)
    print(f"wrote {name}.jpg, {rgb.shape[1]} x {rgb.shape[0]}, {len(data) / 1e3:.0f} kB")


class Panel:
    """A part of a photo, enlarged or shrunk, to draw on in photo pixels."""

    def __init__(self, rgb: RGBArray, x0: int, y0: int, width: int, height: int, zoom: float) -> None:
        self.corner, self.zoom = np.array([x0, y0], float), zoom
        crop = rgb[y0 : y0 + height, x0 : x0 + width]
        how = cv2.INTER_NEAREST if zoom >= 1 else cv2.INTER_AREA
        self.rgb = cv2.resize(crop, (round(width * zoom), round(height * zoom)), interpolation=how)

    def line(self, xy_px: FloatArray, colour: tuple[int, int, int], thick: int = 2, closed: bool = True) -> None:
        """A sub-pixel line through photo pixels (pixel centres are whole numbers there)."""
        xy = (np.asarray(xy_px, float) - self.corner + 0.5) * self.zoom - 0.5
        points = np.rint(xy * 16).astype(np.int32)
        cv2.polylines(self.rgb, [points], closed, colour, thick, cv2.LINE_AA, shift=4)


def _beside(*pictures: RGBArray) -> RGBArray:
    gap = np.full((pictures[0].shape[0], 8, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (gap, picture)][1:])


def reference_figure(scan: Scan) -> RGBArray:
    """The card with the outline fitted to it, and one marker enlarged with all edges the fit uses."""
    scale = scan.scale
    assert scale is not None
    to_px = np.linalg.inv(scale.px_to_mm)

    def on_photo(xy_mm: FloatArray) -> FloatArray:
        # The reference's own mm: the origin of its layout may differ, so it is found from its outline.
        return _project(to_px, xy_mm + offset)

    outline_mm = scale.to_mm(scale.outline_px)
    corners = np.array([(0, 0), (CARD_SIZE_MM[0], 0), CARD_SIZE_MM, (0, CARD_SIZE_MM[1])])
    offset = outline_mm.mean(axis=0) - corners.mean(axis=0)
    low = np.floor(scale.outline_px.min(axis=0)).astype(int) - 30
    high = np.ceil(scale.outline_px.max(axis=0)).astype(int) + 30
    low = np.maximum(low, 0)
    high = np.minimum(high, [scan.photo.width_px, scan.photo.height_px])
    whole = Panel(scan.photo.rgb, *low, *(high - low), 560 / (high - low)[1] * 0.8)
    whole.line(scale.outline_px, SKY, 3)
    for square in MARKERS.values():
        whole.line(on_photo(square), ORANGE, 2)
    first = min(MARKERS)
    square = on_photo(MARKERS[first])
    low = np.floor(square.min(axis=0)).astype(int) - 6
    side = int(np.ceil((square.max(axis=0) - square.min(axis=0)).max())) + 12
    near = Panel(scan.photo.rgb, *low, side, side, whole.rgb.shape[0] / side)
    for edge in _marker_edges(first):
        near.line(on_photo(edge), SKY, 1, closed=False)
    return _beside(whole.rgb, cv2.resize(near.rgb, (whole.rgb.shape[0],) * 2))


def references_figure() -> RGBArray:
    """A bank card, a ruler and a coin, each outlined as it was taken, on three tones of skin."""
    asked = {
        "card": SceneParams(reference="bank_card", px_per_mm=11, skin_tone="medium", background="cloth", tilt_deg=14),
        "ruler": SceneParams(reference="ruler", px_per_mm=13, skin_tone="dark", tilt_deg=10, reference_turn_deg=12),
        "coin:us-quarter": SceneParams(
            reference="coin", coin_mm=24.26, px_per_mm=24, skin_tone="light", tilt_deg=10, azimuth_deg=60
        ),
    }
    panels = []
    for seed, (reference, params) in enumerate(asked.items(), start=3):
        scene = draw_scene(replace(params, width_px=1400, height_px=1390, kinds=(("petechia", 1.0),)), seed)
        overlay = draw_overlay(spotscan.scan(scene.rgb, reference), max_side_px=1400)
        panels.append(cv2.resize(overlay[:1390], (430, 427), interpolation=cv2.INTER_AREA))
    return _beside(*panels)


def _marker_edges(marker: int) -> list[FloatArray]:
    """The sides between black and white modules, mm."""
    cells = np.pad(marker_cells(marker), 1, constant_values=True)
    module = MARKER_MM / 8
    x0, y0 = MARKERS[marker][0]
    edges = []
    for row, column in np.ndindex(9, 9):
        x, y = x0 + column * module, y0 + row * module
        if cells[row, column + 1] != cells[row + 1, column + 1]:
            edges.append(np.array([(x, y), (x + module, y)]))
        if cells[row + 1, column] != cells[row + 1, column + 1]:
            edges.append(np.array([(x, y), (x, y + module)]))
    return edges


def _project(h: FloatArray, xy: FloatArray) -> FloatArray:
    mapped = np.c_[xy, np.ones(len(xy))] @ h.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])


def skin_figure() -> RGBArray:
    """A forearm on cloth, for three tones: what is not skin is hatched."""
    parts = []
    for tone, seed in (("light", 3), ("medium", 9), ("dark", 12)):
        params = replace(SAMPLE, skin_tone=tone, background="cloth", width_px=1100, height_px=1400, px_per_mm=11.7)
        scan = spotscan.scan(to_jpeg(draw_scene(params, seed)))
        view = view_for_skin(view_for_spots(scan.photo, scan.scale)).rgb.copy()
        mask = cv2.resize(scan.skin.mask.astype(np.uint8), view.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        y, x = np.indices(mask.shape)
        view[(mask == 0) & ((x + y) % 8 < 3)] = YELLOW
        edge = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(view, edge, -1, SKY, 2)
        parts.append(cv2.resize(view, (330, 420), interpolation=cv2.INTER_AREA))
    return _beside(*parts)


_PART = (60, 40, 760, 760)  # x, y, width, height of the part of the sample shown, photo px


def segmentation_figure(scan: Scan) -> RGBArray:
    """A part of the sample, the channel in which marks are looked for with its candidates, and the marks."""
    view, params = view_for_spots(scan.photo, scan.scale), SegmentParams()
    size = view.rgb.shape[1::-1]
    mask = cv2.resize(scan.skin.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    channel, _ = mark_contrast(view, mask, params)
    peaks = find_peaks(pyramid(channel, mask, params), np.zeros_like(mask), params)
    low, high = np.quantile(channel[mask > 0], [0.01, 0.995])
    grey = (255 * (1 - np.clip((channel - low) / (high - low), 0, 1))).astype(np.uint8)
    full = cv2.resize(np.dstack([grey] * 3), None, fx=view.factor, fy=view.factor)
    photo, shown, marks = (Panel(rgb, *_PART, 420 / _PART[2]) for rgb in (scan.photo.rgb, full, scan.photo.rgb))
    turn = np.linspace(0, 2 * np.pi, 40)[:, None]
    circle = np.c_[np.cos(turn), np.sin(turn)]
    for xy, radius in zip(view.to_photo(peaks.xy), peaks.radius * view.factor, strict=True):
        shown.line(xy + radius * circle, ORANGE, 1)
    spots = find_spots(view, scan.skin, scan.scale, params)
    for label in range(1, len(spots) + 1):
        region = (spots.labels == label).astype(np.uint8)
        for edge in cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
            marks.line((edge[:, 0] + 0.5) * spots.factor - 0.5, (SKY, YELLOW, GREEN)[label % 3], 2)
    return _beside(photo.rgb, shown.rgb, marks.rgb)


def contours_figure(scan: Scan, scene: Scene) -> RGBArray:
    """Three marks at full resolution: the boundary that was measured, and the true one."""
    order = np.argsort(scene.diameter_px)
    parts = []
    for share in (0.1, 0.5, 0.9):
        truth = order[int(share * (len(order) - 1))]
        centre, side = scene.centre_px[truth], int(scene.diameter_px[truth] * 2.2)
        corner = np.clip(np.rint(centre - side / 2).astype(int), 0, None)
        panel = Panel(scan.photo.rgb, *corner, side, side, 340 / side)
        panel.line(scene.outlines_px[truth], YELLOW, 2)
        nearest = np.hypot(*(scan.spots.centre_px - centre).T).argmin()
        panel.line(scan.spots.contours_px[nearest], SKY, 2)
        parts.append(cv2.resize(panel.rgb, (340, 340)))
    return _beside(*parts)


def clusters_figure() -> RGBArray:
    """Marks crowded in one place: chance would hardly put them so."""
    params = replace(SAMPLE, n_hairs=0, n_spots=130, diameter_mm=(0.8, 1.6), min_gap_mm=0.7)
    crowded, bare = draw_scene(params, 5), draw_scene(replace(params, n_spots=0), 5)
    x, y = crowded.centre_px.T
    here = (np.hypot((x - 500) / 300, (y - 420) / 200) < 1) | (np.arange(len(crowded)) % 12 == 0)
    keep = np.zeros(crowded.rgb.shape[:2], np.uint8)
    for i in np.flatnonzero(here):
        cv2.fillPoly(keep, [np.rint(crowded.outlines_px[i]).astype(np.int32)], 1)
    keep = cv2.dilate(keep, np.ones((13, 13), np.uint8))
    rgb = np.where(keep[..., None] > 0, crowded.rgb, bare.rgb)
    return draw_overlay(spotscan.scan(rgb), max_side_px=900)


_SIZES_MM = ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 6.0))


def error_table() -> str:
    """Stated and real errors by size, on drawn photos of three tones with the card in them."""
    rows = []
    for number, tone in enumerate(("light", "medium", "dark") * 3):
        base = SceneParams(
            width_px=1500, height_px=2000, px_per_mm=16.0, tilt_deg=4.0 * number, azimuth_deg=50.0 * number,
            skin_tone=tone, n_spots=45, diameter_mm=(0.5, 6.0), edge_mm=(0.0, 0.08), unevenness=0.08,
            kinds=(("petechia", 0.6), ("purpura", 0.2), ("angioma", 0.2)), min_gap_mm=1.0,
            reference="card", reference_at=(0.5, 0.8), blur_px=0.5 + 0.12 * number,
        )  # fmt: skip
        scene = draw_scene(base, 700 + number)
        scan = spotscan.scan(to_jpeg(scene))
        spots, scale = scan.spots, scan.scale
        assert scale is not None
        for i, centre in enumerate(spots.centre_px):
            apart = np.hypot(*(scene.centre_px - centre).T)
            j = int(apart.argmin())
            if apart[j] < scene.diameter_px[j] / 2 and np.isfinite(spots.diameter_mm[i]):
                of_scale = scale.relative_err_at(centre[None])[0]
                true = scene.diameter_mm[j]
                rows.append((true, spots.diameter_mm[i] / true - 1, spots.diameter_mm_err[i] / true, of_scale))
    data = np.array(rows)
    lines = [
        "| true size | marks | stated 1 sigma | of it the scale | median error | half within | 95 % within "
        "| truth within 2 sigma |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for low, high in _SIZES_MM:
        size, error, stated, of_scale = data[(data[:, 0] >= low) & (data[:, 0] < high)].T
        bound = np.quantile(np.abs(error), [0.5, 0.95])
        values = [
            np.median(stated),
            np.median(of_scale),
            np.median(error),
            *bound,
            np.mean(np.abs(error) <= 2 * stated),
        ]
        cells = [f"{low:g} to {high:g} mm", str(len(size)), *(f"{100 * value:.1f} %" for value in values)]
        cells[4], cells[-1] = f"{100 * values[2]:+.1f} %", f"{100 * values[-1]:.0f} %"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
