"""Rulers, adhesive scales and reticles for `spotscan.synth`, and striped things that are none.

What a ruler is made of and what is marked on it are drawn apart: `ruler_kind` is the body, `ruler_marks` the
division. In mm on the ruler itself, x runs along its measuring edge, which is y = 0; a tick's middle is at a
whole number of divisions from x = `MARGIN_MM`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.synth_geometry import F32
from spotscan.synth_scene import SceneParams
from spotscan.types import FloatArray

MARGIN_MM = 3.0
INCH_MM = 25.4

# Body and ink, linear light (red, green, blue); a clear body lets the skin through.
KINDS: dict[str, tuple[tuple[float, float, float] | None, tuple[float, float, float]]] = {
    "paper": ((0.80, 0.80, 0.77), (0.03, 0.03, 0.035)),
    "plastic": ((0.70, 0.72, 0.68), (0.04, 0.04, 0.05)),
    "yellow": ((0.72, 0.55, 0.08), (0.03, 0.03, 0.03)),
    "wood": ((0.55, 0.38, 0.20), (0.05, 0.035, 0.03)),
    "steel": ((0.42, 0.43, 0.45), (0.05, 0.05, 0.06)),
    "black": ((0.03, 0.03, 0.035), (0.65, 0.65, 0.62)),
    "clear": (None, (0.025, 0.025, 0.03)),
}

# Division: its step in mm, and in steps: which ticks are drawn longer, longest first (period, level 0 to 1).
MARKS: dict[str, tuple[float, tuple[tuple[int, float], ...]]] = {
    "mm": (1.0, ((10, 1.0), (5, 0.5))),
    "half_mm": (0.5, ((20, 1.0), (10, 0.66), (2, 0.33))),
    "inch_16": (INCH_MM / 16, ((16, 1.0), (8, 0.75), (4, 0.5), (2, 0.25))),
    "inch_32": (INCH_MM / 32, ((32, 1.0), (16, 0.8), (8, 0.6), (4, 0.4), (2, 0.2))),
    "two_mm": (2.0, ((5, 1.0),)),
    "five_mm": (5.0, ((2, 1.0),)),
    "equal": (1.0, ()),
    "reticle": (0.2, ((5, 1.0),)),
}
# Not rulers at all: evenly spaced or nearly so.
WRONG = ("comb", "stripes", "barcode", "text", "zip", "keys")


def outlines(params: SceneParams) -> tuple[FloatArray, FloatArray]:
    """The tick row's ends and the body's outline, (4, 2) each, in mm on the ruler itself."""
    length, height = params.ruler_mm + 2 * MARGIN_MM, _height_mm(params)
    area = np.array([(0, 0), (length, 0), (length, height), (0, height)], float)
    low, high = MARGIN_MM, MARGIN_MM + params.ruler_mm
    return np.array([(low, 0.0), (high, 0.0), (high, height), (low, height)]), area


def randomised(params: SceneParams, rng: np.random.Generator) -> SceneParams:
    """A metric ruler of any kind at any angle, most of it in the picture."""
    width, height = params.width_px / params.px_per_mm, params.height_px / params.px_per_mm
    longest = 0.9 * math.hypot(width, height)
    marks = str(rng.choice(["mm", "mm", "mm", "mm+inch", "half_mm"]))
    if params.px_per_mm < 9:
        marks = "mm"  # half a mm must be 4 px
    return replace(
        params,
        ruler_kind=str(rng.choice(list(KINDS))),
        ruler_marks=marks,
        ruler_mm=float(max(16.0, min(longest, rng.uniform(0.45, 1.0) * longest))),
        ruler_contrast=float(rng.uniform(0.35, 1.0)),
        ruler_wear=float(rng.choice([0.0, rng.uniform(0, 0.5)])),
        ruler_hidden=float(rng.choice([0.0, 0.0, rng.uniform(0.05, 0.2)])),
        reference_turn_deg=float(rng.uniform(-180, 180)),
        reference_at=(float(rng.uniform(0.36, 0.64)), float(rng.uniform(0.36, 0.64))),
    )


def texture(params: SceneParams, rng: np.random.Generator, texels_per_mm: float) -> F32:
    """The ruler's face, linear light: (h, w, 4) float32, the last its opacity, by which the others are multiplied."""
    length, height = outlines(params)[1].max(axis=0)
    shape = max(2, round(height * texels_per_mm)), max(2, round(length * texels_per_mm))
    body, ink = KINDS[params.ruler_kind]
    if params.ruler_marks in WRONG:
        share = _wrong(params, rng, shape, texels_per_mm)
    else:
        share = _marks(params, rng, shape, texels_per_mm)
    share *= params.ruler_contrast
    face = np.empty((*shape, 4), np.float32)
    if body is None:
        face[..., :3] = share[..., None] * np.array(ink, np.float32)
        face[..., 3] = share
    else:
        paper = _body(params.ruler_kind, body, shape, texels_per_mm, rng)
        face[..., :3] = paper + share[..., None] * (np.array(ink, np.float32) - paper)
        face[..., 3] = 1
    if params.ruler_hidden > 0:
        _hide(face, params.ruler_hidden, rng)
    return face


def _height_mm(params: SceneParams) -> float:
    if params.ruler_marks == "reticle":
        return 3.0
    return float(np.clip(0.3 * params.ruler_mm, 9.0, 30.0))


def _body(
    kind: str,
    colour: tuple[float, float, float],
    shape: tuple[int, int],
    texels_per_mm: float,
    rng: np.random.Generator,
) -> F32:
    """Plain, grained (wood) or brushed (steel): (h, w, 3)."""
    grain = {"wood": 0.10, "steel": 0.06}.get(kind, 0.01)
    coarse = max(2, int(0.3 * shape[0] / texels_per_mm * 10)), max(2, int(shape[1] / texels_per_mm / 8))
    noise = cv2.resize(rng.standard_normal(coarse, dtype=np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.array(colour, np.float32) * (1 + grain * noise[..., None]), dtype=np.float32)


def _marks(params: SceneParams, rng: np.random.Generator, shape: tuple[int, int], tpm: float) -> F32:
    """How much of each texel is ink: (h, w)."""
    share = np.zeros(shape, np.float32)
    upper, _, lower = params.ruler_marks.partition("+")
    short, thick, offset = rng.uniform(0.10, 0.16), rng.uniform(0.10, 0.22), rng.choice([0.0, rng.uniform(0, 0.8)])
    height = shape[0] / tpm
    short_mm = float(np.clip(short * height, 1.2, 3.5))
    long_mm = short_mm * rng.uniform(1.6, 2.3)
    _row(share, params, upper, (offset, short_mm, long_mm, thick), rng, tpm)
    if lower:
        flipped = np.zeros_like(share)
        _row(flipped, params, {"inch": "inch_16"}.get(lower, lower), (offset, short_mm, long_mm, thick), rng, tpm)
        share = np.maximum(share, flipped[::-1, ::-1])
    return share


def _row(
    share: F32,
    params: SceneParams,
    marks: str,
    sizes: tuple[float, float, float, float],
    rng: np.random.Generator,
    tpm: float,
) -> None:
    """One row of ticks and its digits, in place."""
    step, levels = MARKS[marks]
    offset, short, long, thick = sizes
    thick = min(thick, 0.3 * step)
    x = (np.arange(share.shape[1], dtype=np.float32) + 0.5) / tpm
    y = (np.arange(share.shape[0], dtype=np.float32) + 0.5) / tpm
    middle = share.shape[0] / tpm / 2 if marks == "reticle" else None
    if middle is not None:
        short, long = 0.4, 0.9
        share[:] = np.clip(0.5 + (0.03 - np.abs(y - middle)) * tpm, 0, 1)[:, None]
    first = int(rng.integers(0, max(period for period, _ in levels or ((1, 0.0),))))
    for k in range(int(params.ruler_mm / step + 1e-6) + 1):
        level = next((level for period, level in levels if (k + first) % period == 0), 0.0)
        length = short + level * (long - short)
        faded = 1.0 - params.ruler_wear * rng.random()
        low, high = (offset, offset + length) if middle is None else (middle - length / 2, middle + length / 2)
        at = MARGIN_MM + k * step
        a, b = int((at - thick - 0.1) * tpm), int((at + thick + 0.1) * tpm) + 2
        across = np.clip(0.5 + (thick / 2 - np.abs(x[a:b] - at)) * tpm, 0, 1)
        along = np.clip(0.5 + np.minimum(y - low, high - y) * tpm, 0, 1)
        share[:, a:b] = np.maximum(share[:, a:b], np.outer(along, across) * faded)
        if level == 1.0 and middle is None:
            text = str((k + first) // max(period for period, _ in levels))
            _write(share, text, (at, offset + long + 0.4), 0.55 * long, tpm)


def _write(share: F32, text: str, at_mm: tuple[float, float], height_mm: float, tpm: float) -> None:
    """Text, its upper edge's middle at `at_mm`, in place."""
    size = height_mm * tpm / 22
    thick = max(1, round(2.2 * size))
    (width, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    mask = np.zeros(share.shape, np.uint8)
    corner = round(at_mm[0] * tpm - width / 2), round(at_mm[1] * tpm + high)
    cv2.putText(mask, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    np.maximum(share, mask / np.float32(255), out=share)


def _wrong(params: SceneParams, rng: np.random.Generator, shape: tuple[int, int], tpm: float) -> F32:
    """Things of many parallel lines or of many like parts: (h, w)."""
    h, w = shape
    x, y = np.arange(w)[None, :] / tpm, np.arange(h)[:, None] / tpm
    step = rng.uniform(0.8, 3.0)
    what = params.ruler_marks
    share = np.zeros(shape, np.float32)
    if what == "stripes":
        share[:] = ((x % step) < rng.uniform(0.3, 0.7) * step) & (y >= 0)
    elif what == "comb":
        share[:] = (((x % step) < 0.45 * step) & (y < 0.7 * y[-1])) | (y > 0.7 * y[-1])
    elif what == "barcode":
        edges = np.cumsum(rng.integers(1, 5, 400)) * 0.35
        share[:] = (np.searchsorted(edges, x) % 2 == 0) & (y < 0.8 * y[-1])
    elif what == "zip":
        phase = np.where(y < y[-1] / 2, 0.0, 0.5 * step)
        share[:] = (((x + phase) % step) < 0.5 * step) & (np.abs(y - y[-1] / 2) < 2.2)
    elif what == "keys":
        side = rng.uniform(3, 6)
        share[:] = ((x % side) < 0.8 * side) & ((y % side) < 0.8 * side)
    else:
        line = rng.uniform(1.5, 4.0)
        for row in range(int(y[-1, 0] / (1.8 * line))):
            letters = "".join(rng.choice(list("abdeghilmnoprstuIlHiN1 "), 90))
            _write(share, letters, (w / tpm / 2, 1 + 1.8 * line * row), line, tpm)
    return share


def _hide(face: NDArray[np.float32], hidden: float, rng: np.random.Generator) -> None:
    """Lay a finger over a share of the length, in place."""
    w = face.shape[1]
    wide = hidden * w
    middle = rng.uniform(0.25, 0.75) * w
    x = np.arange(w, dtype=np.float32)
    bulge = np.clip((1 - np.abs(x - middle) / (wide / 2)) * wide / 8 + 0.5, 0, 1)[None, :, None]
    shade = np.sqrt(np.clip(1 - ((x - middle) / (wide / 2)) ** 2, 0.1, 1))[None, :, None]
    skin = np.array([0.52, 0.33, 0.25, 1], np.float32) * np.concatenate([np.repeat(shade, 3, 2), shade * 0 + 1], axis=2)
    face += bulge * (np.broadcast_to(skin, (1, w, 4)) - face)
