"""The skin of `spotscan.synth`: its optics, and its texture.

The optics are the two-chromophore model in log10 absorbance (Takiwaki 1998; Jacques 2013): a bloodless,
unpigmented base plus melanin plus haemoglobin, over which the surface returns a little light of its own. That
surface light is one reason why the same blood shows less on dark skin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import ita_deg
from spotscan.synth_geometry import F32, inverse, project, square
from spotscan.synth_scene import SceneParams
from spotscan.types import FloatArray

# Absorbance per unit, in linear sRGB (red, green, blue). Melanin falls with wavelength as about its power -3
# (Jacques 2013), flattened by the broad, overlapping sRGB primaries. Oxyhaemoglobin: the bands at 540-577 nm
# (green) and the foot of the Soret band (blue).
MELANIN = np.array([0.45, 0.66, 1.0])
BLOOD = np.array([0.08, 1.0, 0.78])
BARE = np.array([0.20, 0.24, 0.28])  # dermis without blood and pigment
SURFACE = 0.02  # light from the surface that never entered the skin, after a polite choice of angle (Fresnel: 0.04)

# Chardon's groups in pairs, off the borders by what shading moves the picture's own ITA.
ITA_DEG = {"light": (45.0, 63.0), "medium": (14.0, 37.0), "dark": (-52.0, 4.0)}


@dataclass(frozen=True, eq=False)
class Skin:
    """Plain skin of the scene: pigments, and the light (3,) that comes back out of it."""

    ita_deg: float
    blood: float
    melanin: float

    @property
    def depth(self) -> FloatArray:
        """Share of light that comes back out of the skin, (3,) linear."""
        return np.asarray(10 ** -(BARE + self.melanin * MELANIN + self.blood * BLOOD))


def surface_and_depth(depth: NDArray[Any]) -> NDArray[Any]:
    """Reflectance seen, where `depth` is that of the light that came back out of the skin; keeps the type."""
    return np.asarray(SURFACE + (1 - SURFACE) * depth)


def absorbance_below(depth: float, contrast: float) -> float:
    """Absorbance to add below the surface so that the reflectance seen falls by this contrast (log10).

    Over dark skin the surface light sets an end to contrast; it is met at an absorbance of 2.
    """
    wanted = (surface_and_depth(np.array(depth)) * 10**-contrast - SURFACE) / (1 - SURFACE)
    return -math.log10(max(float(wanted) / depth, 0.01))


def skin_ita_deg(melanin: float, blood: float) -> float:
    """Individual typology angle of plain skin with these amounts."""
    rgb = surface_and_depth(10 ** -(BARE + melanin * MELANIN + blood * BLOOD)).astype(np.float32)
    srgb = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055).astype(np.float32)
    lab = cv2.cvtColor(srgb.reshape(1, 1, 3), cv2.COLOR_RGB2Lab)[0, 0]
    return ita_deg(float(lab[0]), float(lab[2]))


def melanin_for(ita: float, blood: float) -> float:
    """Melanin that gives plain skin this ITA (degrees) with this much blood: bisection."""
    low, high = 0.0, 3.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if skin_ita_deg(middle, blood) > ita else (low, middle)
    return (low + high) / 2


def skin_depth(melanin: F32, blood: F32) -> F32:
    """Light that comes back out of skin with these (H, W) maps of melanin and blood: (H, W, 3) linear."""
    maps = np.dstack([melanin, blood])
    exponent = cv2.transform(maps, (-math.log(10) * np.column_stack([MELANIN, BLOOD, BARE])).astype(np.float32))
    return np.asarray(cv2.exp(exponent))


def paint_skin(params: SceneParams, skin: Skin, mm_to_px: FloatArray, rng: np.random.Generator) -> tuple[F32, F32]:
    """Light out of the skin's depth (H, W, 3), and the light and dark of its relief (H, W) about 1."""
    shape = (params.height_px, params.width_px)
    slow = mottle_tile(rng).seen(mm_to_px, shape)
    relief, furrow, plexus = cv2.split(relief_tile(rng, params.line_mm).seen(mm_to_px, shape))
    blood_map = skin.blood + params.mottling * (slow[..., 0] + 0.6 * plexus) + 0.25 * params.relief * furrow
    melanin_map = skin.melanin + 0.5 * params.mottling * slow[..., 1] + 0.8 * params.relief * skin.melanin * furrow
    if params.freckles:
        melanin_map += params.freckles * np.clip(slow[..., 1] - 1.2, 0, 1)
    if params.n_pores:
        xy = rng.uniform([0, 0], [shape[1], shape[0]], (params.n_pores, 2))
        radius = rng.uniform(0.04, 0.10, params.n_pores) * params.px_per_mm
        melanin_map += rng.uniform(0.05, 0.12) * blobs(shape, xy, radius)
    depth = skin_depth(np.maximum(melanin_map, 0), np.maximum(blood_map, 0))
    return depth, (1 + params.relief * relief).astype(np.float32)


def blobs(shape: tuple[int, int], xy: FloatArray, radius: FloatArray) -> F32:
    """Round, soft dots (pores, follicles): (H, W) float32, 1 in their middles."""
    mask = np.zeros(shape, np.uint8)
    # A dot thinner than the pixel is drawn a pixel wide and paler by its area.
    for (x, y), r in zip(xy, radius, strict=True):
        level = int(255 * min(1.0, (r / 0.7) ** 2))
        centre = (round(x * 16), round(y * 16))
        cv2.circle(mask, centre, round(max(r, 0.7) * 16), level, -1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(float(np.median(radius)) * 0.5, 0.4))
    return np.asarray(soft / np.float32(255), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Tile:
    """A periodic texture in the skin plane.

    Attributes
    ----------
    values : (n, n, c) float32
        One channel a quantity.
    to_mm : (2, 2) float64
        From tile pixels to mm: the size of its pixels, and how it is turned and stretched.
    """

    values: F32
    to_mm: FloatArray

    def seen(self, mm_to_px: FloatArray, shape: tuple[int, int]) -> F32:
        """The texture as the camera sees it."""
        h, w = shape
        lens = mm_to_px.copy()
        lens[:, :2] = mm_to_px[:, :2] @ self.to_mm
        corners = project(inverse(lens), square(0.0, 1.0) * [w - 1, h - 1])
        n = self.values.shape[0]
        texels_per_px = float(np.linalg.norm(corners[2] - corners[0]) / math.hypot(h, w))
        fold = max(k for k in range(1, 33) if n % k == 0 and k <= max(1.0, texels_per_px))
        if fold > 1:  # finer than the camera's pixels: it averages out
            coarse = cv2.resize(self.values, (n // fold, n // fold), interpolation=cv2.INTER_AREA)
            return Tile(np.asarray(coarse, np.float32), self.to_mm * fold).seen(mm_to_px, shape)
        low = np.floor(corners.min(axis=0)) - 3
        columns, rows = np.ceil(np.ptp(corners, axis=0)).astype(int) + 7
        part = self.values[(np.arange(rows) + int(low[1])) % n][:, (np.arange(columns) + int(low[0])) % n]
        lens[:, 2] += lens[:, :2] @ low
        return np.asarray(cv2.warpPerspective(part, lens, (w, h), flags=cv2.INTER_CUBIC))


def _noise(rng: np.random.Generator, spectrum: FloatArray) -> F32:
    """Periodic Gaussian noise (n, n) of this amplitude spectrum (n, n // 2 + 1), mean 0 and sd 1."""
    from scipy import fft

    n = len(spectrum)
    white = fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
    return _standard(fft.irfft2(white * spectrum.astype(np.float32), s=(n, n)))


def _standard(field: F32) -> F32:
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def _frequency(n: int, px_per_mm: float) -> FloatArray:
    """Of each term of a real FFT, in cycles per mm: (n, n // 2 + 1)."""
    across, down = np.fft.rfftfreq(n, 1 / px_per_mm), np.fft.fftfreq(n, 1 / px_per_mm)
    return np.asarray(np.hypot(across[None, :], down[:, None]))


def _furrows(rng: np.random.Generator, n: int, spacing: float, width: float) -> F32:
    """Borders of the cells about jittered points `spacing` apart (px), periodic: 1 on a border, 0 inside."""
    count = round(n / spacing)
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1) + rng.uniform(0.05, 0.95, (count, count, 2))
    x, y = np.minimum(grid.reshape(-1, 2) * n / count, n - 1).astype(int).T
    empty = np.ones((n, n), np.uint8)
    empty[y, x] = 0
    margin = int(4 * spacing)
    _, cell = cv2.distanceTransformWithLabels(
        np.pad(empty, margin, mode="wrap"), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.ones(cell.shape, np.uint8)
    inside[:-1] &= cell[:-1] == cell[1:]
    inside[:, :-1] &= cell[:, :-1] == cell[:, 1:]
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[margin:-margin, margin:-margin]
    return np.asarray(np.exp(-np.square(distance / width)), dtype=np.float32)


def relief_tile(rng: np.random.Generator, line_mm: float) -> Tile:
    """Light and dark of the surface under light from one side, depth of its lines, fine blood (3 channels).

    Skin lines part the skin into cells, drawn out along one direction, with finer cells inside; grain and
    swell fill the finer and coarser scales, so that octaves of 0.1 to 3 mm vary about alike, as on photos.
    """
    n, px_per_mm = 720, 16.0
    f = _frequency(n, px_per_mm)
    strength = 0.75 + 0.25 * _noise(rng, np.exp(-0.5 * (f / 0.15) ** 2))
    coarse = _furrows(rng, n, line_mm * px_per_mm, 1.3) * np.clip(strength, 0.1, 1.4)
    fine = _furrows(rng, n, 0.45 * line_mm * px_per_mm, 1.1)
    grain = _noise(rng, np.exp(-0.5 * ((f - 2.2) / 1.4) ** 2))
    height = cv2.GaussianBlur(0.22 * grain - coarse - 0.35 * fine, (0, 0), 0.8)
    slope = 0.8 * (height - np.roll(height, 2, axis=0)) + 0.5 * (height - np.roll(height, 2, axis=1))
    swell = _noise(rng, np.exp(-0.5 * (f / 0.9) ** 2) / (f + 0.25))
    relief = _standard(_standard(slope) + 0.6 * height + 0.7 * swell)
    plexus = _noise(rng, np.exp(-0.5 * (f / 1.5) ** 2) / (f + 0.3))
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    stretch = np.sqrt(rng.uniform(1.1, 2.0))
    return Tile(np.dstack([relief, coarse, plexus]), rotation @ np.diag([stretch, 1 / stretch]) / px_per_mm)


def mottle_tile(rng: np.random.Generator) -> Tile:
    """Slow changes of blood and melanin over 2 to 40 mm, 1 sigma = 1 (2 channels)."""
    n, px_per_mm = 256, 2.0
    f = _frequency(n, px_per_mm)
    blood = _noise(rng, np.exp(-0.5 * (f / 0.25) ** 2) / (f + 0.06))
    melanin = _noise(rng, np.exp(-0.5 * (f / 0.35) ** 2) / (f + 0.04))
    return Tile(np.dstack([blood, melanin]), np.eye(2) / px_per_mm)
