"""A bank card in the drawn scenes of `spotscan.synth`, or any other flat thing with rounded corners.

`SceneParams.card_mm` are its size and corner radius (a phone, a book, a sticky note are drawn by other numbers),
`card_print` what is printed on it, `fingers` how many fingers hold it by its sides.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan import synth_geometry as geo
from spotscan.synth_geometry import F32
from spotscan.synth_scene import SceneParams
from spotscan.types import FloatArray

THICKNESS_MM = 0.76
PRINTS = ("plain", "gradient", "photo", "waves", "stripe", "frame", "brushed")
# Linear light of plastics: white, black, gold, silver, skin, red, blue, green, turquoise.
_COLOURS = np.array(
    [
        [0.85, 0.85, 0.83], [0.02, 0.02, 0.022], [0.45, 0.32, 0.12], [0.40, 0.41, 0.42], [0.42, 0.26, 0.19],
        [0.45, 0.03, 0.03], [0.02, 0.08, 0.35], [0.04, 0.25, 0.09], [0.08, 0.40, 0.42],
    ],
    np.float32,
)  # fmt: skip


def _size(params: SceneParams) -> tuple[float, float, float]:
    """Width, height and radius of its face as the skin's plane shows it: nearer to the camera by its thickness."""
    focal = params.focal_px or float(max(params.width_px, params.height_px))
    nearer = 1 + THICKNESS_MM * params.px_per_mm / (focal * math.sqrt(math.cos(math.radians(params.tilt_deg))))
    width, height, radius = params.card_mm
    return width * nearer, height * nearer, radius * nearer


def outlines(params: SceneParams) -> tuple[FloatArray, FloatArray]:
    """Where the sides meet, (4, 2) mm clockwise from the top left, and the outline with its corners, (K, 2)."""
    width, height, radius = _size(params)
    own = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    if radius == 0:
        return own, own
    turn = np.linspace(0, np.pi / 2, 13)
    inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    arcs = [
        corner + radius * step + radius * np.c_[np.cos(turn + start), np.sin(turn + start)]
        for corner, step, start in zip(own, inward, np.pi + np.arange(4) * np.pi / 2, strict=True)
    ]
    return own, np.concatenate(arcs)


def texture(params: SceneParams, rng: np.random.Generator, texels_per_mm: float) -> F32:
    """What is printed on it, (h, w, 3) linear light: a ground, then chip, writing, embossing and rim."""
    height, width = (round(side * texels_per_mm) for side in _size(params)[1::-1])
    kind = params.card_print or str(rng.choice(PRINTS))
    light = _ground(kind, (height, width), rng)
    if rng.random() < 0.6:
        _chip(light, rng, texels_per_mm)
    if kind != "stripe":
        _writing(light, rng, texels_per_mm)
    if rng.random() < 0.5:
        _rim(light, rng, params, texels_per_mm)
    return np.asarray(np.clip(light, 0.01, 0.95), dtype=np.float32)


def _noise(shape: tuple[int, int], knots: int, rng: np.random.Generator) -> F32:
    field = rng.standard_normal((max(2, knots * shape[0] // shape[1]), knots), dtype=np.float32)
    return np.asarray(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _ground(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> F32:
    h, w = shape
    one, two = _COLOURS[rng.permutation(len(_COLOURS))[:2]] * np.float32(rng.uniform(0.85, 1.15))
    y, x = np.linspace(0, 1, h, dtype=np.float32)[:, None], np.linspace(0, 1, w, dtype=np.float32)[None, :]
    share: NDArray[np.float32] = np.zeros(shape, np.float32)
    if kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        share = np.clip(0.5 + (x - 0.5) * np.float32(np.cos(angle)) + (y - 0.5) * np.float32(np.sin(angle)), 0, 1)
    elif kind == "photo":
        share = np.clip(0.5 + 0.3 * sum(_noise(shape, 4 * 3**k, rng) / 1.6**k for k in range(4)), 0, 1)
    elif kind == "waves":
        share = (np.sin(rng.uniform(4, 9) * (x + y) + 2 * np.sin(rng.uniform(2, 6) * x)) > 0).astype(np.float32)
    elif kind == "stripe":  # the back: magnetic stripe and signature panel
        share[int(0.08 * h) : int(0.31 * h)] = 1
        two = np.full(3, 0.02, np.float32)
    elif kind == "frame":
        inset, line = int(rng.uniform(0.03, 0.07) * h), max(1, int(0.012 * h))
        cv2.rectangle(share, (inset, inset), (w - inset, h - inset), 1, line)
    elif kind == "brushed":
        share = 0.5 + 0.12 * cv2.blur(rng.standard_normal(shape, dtype=np.float32), (61, 1)) * 8
    light = one + np.clip(share, 0, 1)[..., None] * (two - one)
    if kind == "stripe":
        light[int(0.42 * h) : int(0.58 * h), int(0.06 * w) : int(0.66 * w)] = 0.8
    return np.asarray(light, dtype=np.float32)


def _chip(light: F32, rng: np.random.Generator, texels_per_mm: float) -> None:
    """The contacts where ISO/IEC 7816-2 puts them."""
    (x0, y0), (x1, y1) = (np.array([(9.5, 18.0), (22.0, 29.5)]) * texels_per_mm).astype(int).tolist()
    gold = tuple(float(v) for v in rng.uniform(0.8, 1.1) * np.array([0.55, 0.43, 0.2]))
    cv2.rectangle(light, (x0, y0), (x1, y1), gold, -1)
    thin = max(1, int(0.2 * texels_per_mm))
    for part in (1 / 3, 2 / 3):
        y = int(y0 + part * (y1 - y0))
        cv2.line(light, (x0, y), (x1, y), (0.1, 0.08, 0.04), thin)
    cv2.line(light, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), (0.1, 0.08, 0.04), thin)


def _writing(light: F32, rng: np.random.Generator, texels_per_mm: float) -> None:
    """Rows of letters and digits, flat or embossed, and a round logo."""
    h, w = light.shape[:2]
    signs = np.array(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789  "))
    ink = _COLOURS[rng.integers(len(_COLOURS))]

    def write(text: str, corner: tuple[int, int], size: float, thick: int, colour: NDArray[np.float32]) -> None:
        mask = np.zeros((h, w), np.uint8)
        cv2.putText(mask, text, corner, cv2.FONT_HERSHEY_SIMPLEX, size, (255,), thick, cv2.LINE_AA)
        light[:] += (mask / np.float32(255))[..., None] * (colour - light)

    for at in rng.uniform(0.12, 0.93, int(rng.integers(1, 5))):
        text = "".join(rng.choice(signs, int(rng.integers(6, 20))))
        size, thick = rng.uniform(0.07, 0.2) * texels_per_mm, max(1, int(rng.uniform(0.2, 0.6) * texels_per_mm))
        corner = int(rng.uniform(0.04, 0.4) * w), int(at * h)
        if rng.random() < 0.4:  # embossed: lit from one side
            for step, level in ((-1, 0.9), (1, 0.02)):
                shifted = corner[0] + int(step * 0.15 * texels_per_mm), corner[1] + int(step * 0.15 * texels_per_mm)
                write(text, shifted, size, thick, np.full(3, level, np.float32))
        write(text, corner, size, thick, ink)
    if rng.random() < 0.5:
        centre = int(rng.uniform(0.75, 0.9) * w), int(rng.uniform(0.7, 0.85) * h)
        cv2.circle(light, centre, int(5 * texels_per_mm), tuple(ink.tolist()), -1)


def _rim(light: F32, rng: np.random.Generator, params: SceneParams, texels_per_mm: float) -> None:
    """The rounded edge of the plastic catches the light on some sides: 0.1 to 0.3 mm, lighter or darker."""
    width = rng.uniform(0.1, 0.3) * texels_per_mm
    _, area = outlines(params)
    inside = np.zeros(light.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(area * texels_per_mm).astype(np.int32)], 1)
    inside[[0, -1]], inside[:, [0, -1]] = 0, 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    on = np.clip(1.5 - depth / np.float32(width), 0, 1)[..., None]
    light *= 1 - on * np.float32(rng.uniform(-0.5, 0.4))


def surround(light: F32, params: SceneParams, own_to_px: FloatArray, rng: np.random.Generator) -> None:
    """Its shadow beside it and the fingers over it, in place; the card itself is already painted."""
    shape, (own, area) = light.shape[:2], outlines(params)
    outline = geo.project(own_to_px, area)
    where = geo.window(outline, shape, 4 * params.px_per_mm)
    card = geo.coverage([outline], where)
    direction = rng.uniform(0, 2 * np.pi)
    shift = rng.uniform(0.2, 1.0) * np.array([np.cos(direction), np.sin(direction)])  # mm: it is 0.76 mm thick
    shadow = geo.coverage([geo.project(own_to_px, area + shift)], where)
    soft = np.asarray(cv2.GaussianBlur(shadow, (0, 0), max(0.5, rng.uniform(0.1, 0.5) * params.px_per_mm)), np.float32)
    light[where] *= 1 - np.float32(rng.uniform(0.1, 0.5)) * (soft * (1 - card))[..., None]
    for _ in range(params.fingers):
        _finger(light, params, own, own_to_px, rng)


def _finger(light: F32, params: SceneParams, own: FloatArray, own_to_px: FloatArray, rng: np.random.Generator) -> None:
    """A finger 14 to 18 mm thick that reaches 5 to 18 mm over one side: a rounded bar, darker towards its edges."""
    side = int(rng.integers(4))
    start, end = own[side], own[(side + 1) % 4]
    inward = own.mean(axis=0) - (start + end) / 2
    inward /= np.linalg.norm(inward)
    root = start + rng.uniform(0.1, 0.9) * (end - start)
    lean = rng.uniform(-0.5, 0.5)
    along = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]]) @ inward
    half = rng.uniform(7, 9)
    tip = root + along * (rng.uniform(5, 18) - half)
    far = root - along * 60
    turn = np.arctan2(along[1], along[0]) + np.linspace(-np.pi / 2, np.pi / 2, 24)
    beside = half * np.array([-along[1], along[0]])
    bar = np.concatenate([tip + half * np.c_[np.cos(turn), np.sin(turn)], [far + beside, far - beside]])
    outline = geo.project(own_to_px, bar)
    where = geo.window(outline, light.shape[:2], 2)
    if light[where].size == 0:
        return
    share = geo.coverage([outline], where)[..., None]
    y, x = np.mgrid[where]
    off = geo.project(geo.inverse(own_to_px), np.c_[x.ravel(), y.ravel()].astype(float)) - tip
    ahead = np.maximum(off @ along, 0)
    away = np.hypot(off @ np.array([-along[1], along[0]]), ahead).reshape(x.shape) / half
    tone = np.median(light.reshape(-1, 3)[:: max(1, light.size // 30000)], axis=0) * rng.uniform(0.7, 1.2)
    round_ = np.sqrt(np.clip(1 - (0.9 * away) ** 2, 0.15, 1))[..., None]
    grain = 1 + 0.04 * rng.standard_normal(share.shape, dtype=np.float32)
    light[where] = light[where] * (1 - share) + share * (tone * round_ * grain).astype(np.float32)
