"""Where on the skin the marks stand how dense: a kernel density, drawn over the photo with its legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.groups import DARK, WHITE, as_hex
from spotscan.pen import cover_private, font
from spotscan.types import FloatArray, RGBArray, Scan

# Marks within two sigma of the kernel where they stand as in the mean; 10 scatter by a third, and fewer would have
# chance draw the map.
_IN_KERNEL = 10.0
_CELLS = 256  # on the long side of the grid; a kernel is many times as wide
_BELIEVED = 0.2  # of the scale at the reference: beyond, the plane of the reference says nothing (as in `density`)
_TINT = 0.8  # share of the colour in the picture; the rest is the photo's own light and dark
_STEPS = 4  # of the legend


@dataclass(frozen=True, eq=False)
class DensityMap:
    """The density of the marks over the visible skin, as a picture.

    Attributes
    ----------
    rgb : (h, w, 3) uint8
        The photo in grey, the skin tinted by density, the marks as dots, a legend below.
    legend : tuple of (str, float)
        Colours ``#rrggbb`` and what they stand for, from 0 up, in `unit`.
    unit : {"per cm2", "times the mean"}
        The second where there is no scale.
    mean, highest : float
        Over the visible skin; 1 and the ratio without a scale.
    bandwidth_mm : float or None
        1 sigma of the kernel, at the middle of the skin; None without a scale.
    alt : str
        The map in words.
    """

    rgb: RGBArray
    legend: tuple[tuple[str, float], ...]
    unit: Literal["per cm2", "times the mean"]
    mean: float
    highest: float
    bandwidth_mm: float | None
    alt: str


def density_map(scan: Scan, max_side_px: int = 1000) -> DensityMap | None:
    """Map how dense the marks stand.

    Parameters
    ----------
    scan : Scan
        With its photo.
    max_side_px : int
        Long side of the photo as it is drawn.

    Returns
    -------
    DensityMap or None
        None with fewer than two marks on the skin.

    Notes
    -----
    Marks under a Gaussian kernel over the area of skin under the same kernel, so that the edge of the skin and the tilt
    of its plane make nothing look denser or thinner (Diggle 1985). The kernel is so wide that 10 marks lie within
    two sigma where they stand as in the mean. The colours are those of cividis: even in lightness, and alike for every
    kind of colour vision (Nuñez, Anderton & Renslow 2018).
    """
    skin, centre_px, cell_px = _grid(scan)
    counts = _binned(scan, skin.shape, cell_px)
    counts[skin < 0.5] = 0
    if counts.sum() < 2:
        return None
    px_per_mm = _px_per_mm(scan, centre_px)
    area = skin * np.prod(cell_px) / px_per_mm**2
    mean = float(counts.sum() / area.sum())
    per_cell = float(counts.sum() / skin.sum())
    sigma = min(float(np.sqrt(_IN_KERNEL / (4 * np.pi * per_cell))), 0.25 * float(np.sqrt(skin.sum())))
    density = np.where(skin >= 0.5, _blurred(counts, sigma) / np.maximum(_blurred(area, sigma), 1e-9), 0.0)
    to_unit, unit = (100.0, "per cm2") if scan.scale else (1 / mean, "times the mean")
    highest = float(density.max())
    colours = _cividis()
    legend = tuple(
        (as_hex(_colour(colours[round(255 * k / _STEPS)])), highest * to_unit * k / _STEPS) for k in range(_STEPS + 1)
    )
    picture = _draw(scan, density / highest, skin, colours, max_side_px)
    middle = float(np.median(px_per_mm[skin >= 0.5]))
    return DensityMap(
        rgb=np.vstack([picture, _legend_strip(picture.shape[1], legend, colours, unit)]),
        legend=legend,
        unit=unit,  # type: ignore[arg-type]
        mean=mean * to_unit,
        highest=highest * to_unit,
        bandwidth_mm=sigma * float(np.sqrt(np.prod(cell_px))) / middle if scan.scale else None,
        alt=_in_words(mean * to_unit, highest * to_unit, unit),
    )


def _in_words(mean: float, highest: float, unit: str) -> str:
    average = f"{mean:.2g} {unit} on average, " if unit == "per cm2" else ""
    most = f"{highest:.2g}" if average else f"{highest:.2g} {unit}"
    return f"How dense the marks stand: {average}{most} at most."


def _grid(scan: Scan) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of believed skin in each cell (r, c); the cells' middles (r, c, 2) and size (2,), photo px."""
    height, width = scan.skin.mask.shape
    shrink = max(1.0, max(height, width) / _CELLS)
    cols, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    share = cv2.resize(scan.skin.mask.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA).astype(float)
    cell = np.array([width / cols, height / rows]) * scan.skin.factor
    middle = np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), axis=-1) * cell + cell / 2 - 0.5
    if scan.scale is not None:
        row = scan.scale.px_to_mm[2]
        depth = (middle @ row[:2] + row[2]) / (scan.scale.centre_px @ row[:2] + row[2])
        share[depth <= _BELIEVED ** (2 / 3)] = 0
    return share, middle, cell


def _binned(scan: Scan, shape: tuple[int, ...], cell_px: FloatArray) -> FloatArray:
    counts = np.zeros(shape)
    column, row = np.clip(((scan.spots.centre_px + 0.5) / cell_px).astype(int), 0, np.array(shape)[::-1] - 1).T
    np.add.at(counts, (row, column), 1.0)
    return counts


def _px_per_mm(scan: Scan, centre_px: FloatArray) -> FloatArray:
    if scan.scale is None:
        return np.ones(centre_px.shape[:2])
    return scan.scale.px_per_mm_at(centre_px.reshape(-1, 2)).reshape(centre_px.shape[:2])


def _blurred(values: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), float)


# ---- the picture ----


def _cividis() -> NDArray[np.uint8]:
    """The 256 colours, (256, 3) RGB."""
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_CIVIDIS)
    return np.ascontiguousarray(ramp[:, 0, ::-1]).astype(np.uint8)


def _colour(rgb: NDArray[np.uint8]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rgb)
    return red, green, blue


def _draw(scan: Scan, share: FloatArray, skin: FloatArray, colours: NDArray[np.uint8], max_side_px: int) -> RGBArray:
    """The photo in grey with the skin tinted; `share` of the highest density."""
    photo = scan.photo
    zoom = min(1.0, max_side_px / max(photo.width_px, photo.height_px))
    size = max(1, round(photo.width_px * zoom)), max(1, round(photo.height_px * zoom))
    small = np.asarray(cv2.resize(photo.rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    cover_private(small, scan.scale, zoom)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    level = cv2.resize(share.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    tint = colours[np.clip(np.rint(255 * level), 0, 255).astype(np.uint8)].astype(np.float32)
    # The photo's light and dark about its own mean: a dark skin must not darken the map.
    relief = np.clip(grey / max(float(grey.mean()), 1.0), 0.6, 1.4)
    on_skin = cv2.resize(skin.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None] >= 0.5
    mixed = np.where(on_skin, tint * (_TINT + (1 - _TINT) * relief), 0.45 * grey + 20)
    picture = np.ascontiguousarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))
    radius = max(2, round(max(size) / 300))
    for x, y in (scan.spots.centre_px + 0.5) * zoom - 0.5:
        at = (round(16 * float(x)), round(16 * float(y)))
        cv2.circle(picture, at, 16 * radius + 16, DARK, -1, cv2.LINE_AA, shift=4)
        cv2.circle(picture, at, 16 * radius, WHITE, -1, cv2.LINE_AA, shift=4)
    return picture


def _legend_strip(width: int, legend: tuple[tuple[str, float], ...], colours: NDArray[np.uint8], unit: str) -> RGBArray:
    """The colours from 0 to the highest, with numbers."""
    from PIL import Image, ImageDraw

    u = max(width, 300) / 400
    strip = np.full((round(62 * u), width, 3), DARK, np.uint8)
    left, right = round(16 * u), width - round(16 * u)
    strip[round(8 * u) : round(22 * u), left:right] = colours[np.linspace(0, 255, right - left).astype(int)]
    image = Image.fromarray(strip)
    draw, letters = ImageDraw.Draw(image), font(11 * u)
    for k, (_, value) in enumerate(legend):
        x = left + (right - left) * k / (len(legend) - 1)
        anchor = "l" if k == 0 else "r" if k == len(legend) - 1 else "m"
        draw.text((x, 32 * u), f"{value:.2g}", WHITE, letters, f"{anchor}m")
    draw.text((width / 2, 49 * u), f"marks {unit}" if unit == "per cm2" else unit, WHITE, letters, "mm")
    return np.asarray(image)
