"""Coins, and what may be taken for one, as `spotscan.synth` draws them: texture and outline in mm.

A coin is a low cylinder: its top stands `coin_thickness_mm` above the skin, so perspective shows it larger and
displaced, and its side faces the camera on one side. The texture holds premultiplied linear light and cover
(4 channels): around the coin lies its shadow. The coin's face is a height map lit from one side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from spotscan import synth_geometry as geo
from spotscan.synth_geometry import F32
from spotscan.synth_scene import SceneParams
from spotscan.types import FloatArray

# Reflectance of metals, linear (red, green, blue): of one piece, or of ring and core.
METALS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "copper": ((0.50, 0.24, 0.14),),
    "brass": ((0.56, 0.42, 0.18),),
    "silver": ((0.52, 0.51, 0.48),),
    "dark": ((0.13, 0.10, 0.08),),
    "ring_brass": ((0.54, 0.41, 0.18), (0.52, 0.51, 0.48)),
    "ring_silver": ((0.52, 0.51, 0.48), (0.54, 0.41, 0.18)),
}
KINDS = ("coin", "button", "bottle_cap", "sticker", "mole")  # what can lie there
_PAINTS = ((0.55, 0.05, 0.05), (0.05, 0.12, 0.45), (0.08, 0.35, 0.12), (0.65, 0.60, 0.08), (0.7, 0.7, 0.7))
_DIAMETERS_MM = (16.25, 18.75, 19.05, 20.3, 21.25, 22.25, 23.25, 24.26, 25.75, 28.4)
_SHADOW_MM = 2.0  # how far a shadow may reach


def outlines(params: SceneParams) -> tuple[FloatArray, FloatArray]:
    """The circle (128, 2) that touches the skin, and a box (4, 2) around all that is drawn, mm."""
    turn = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    radius = params.coin_mm / 2
    own = radius * np.column_stack([np.cos(turn), np.sin(turn)])
    margin = _SHADOW_MM + 1.0 * params.coin_thickness_mm
    box = geo.square(-radius - margin, radius + margin)
    if params.coin_beside is not None:
        box[1:3, 0] += params.coin_mm + 2.0
    return own, box


def random_coin(rng: np.random.Generator, width: int, height: int) -> dict[str, Any]:
    """Fields of `SceneParams` for a random coin, anywhere: 3 to 48 % of the picture's shorter side, and 48 px."""
    coin_mm, short = float(rng.choice(_DIAMETERS_MM)), min(width, height)
    share = float(np.exp(rng.uniform(*np.log([max(0.03, 48 / short), 0.5]))))
    box_mm = coin_mm + 2 * (_SHADOW_MM + 2.4)
    px_per_mm = min(share * short / coin_mm, 0.65 * short / box_mm)  # with room for its shadow
    margin = 0.65 * box_mm * px_per_mm / np.array([width, height])
    x, y = rng.uniform(np.minimum(margin, 0.5), np.maximum(1 - margin, 0.5))
    return {
        "px_per_mm": px_per_mm,
        "reference_at": (float(x), float(y)),
        "reference_turn_deg": float(rng.uniform(-180, 180)),
        "coin_mm": coin_mm,
        "coin_metal": str(rng.choice(list(METALS))),
        "coin_thickness_mm": float(rng.uniform(1.4, 2.4)),
        "coin_glare": float(rng.choice([0.0, rng.uniform(0.1, 1.0)])),
    }


@dataclass(frozen=True, eq=False)
class _Canvas:
    """Where texels lie: x and y (h, w) in mm on the reference, and the way to the lamp."""

    x: F32
    y: F32
    texels_per_mm: float
    lamp: FloatArray  # (2,) unit vector
    eye: FloatArray  # (3,) camera in own mm, its height above the skin last

    def disc(self, radius: float, at: FloatArray | tuple[float, float] = (0.0, 0.0)) -> F32:
        """Cover of a disc, 0 to 1, exact to a few hundredths of a texel."""
        away = np.hypot(self.x - np.float32(at[0]), self.y - np.float32(at[1]))
        return np.asarray(np.clip(0.5 + (radius - away) * self.texels_per_mm, 0, 1), np.float32)

    def noise(self, rng: np.random.Generator, size_mm: float) -> F32:
        """Smooth noise with structures of this size, mean 0 and sd 1."""
        h, w = self.x.shape
        pitch = max(1.0, 0.5 * size_mm * self.texels_per_mm)
        knots = rng.standard_normal((int(h / pitch) + 3, int(w / pitch) + 3), dtype=np.float32)
        whole = cv2.resize(knots, None, fx=pitch, fy=pitch, interpolation=cv2.INTER_CUBIC)[:h, :w]
        return np.asarray(whole / max(float(whole.std()), 1e-6), np.float32)


def texture(params: SceneParams, rng: np.random.Generator, texels_per_mm: float) -> F32:
    """Premultiplied linear light and cover over the box of `outlines`: (h, w, 4) float32."""
    box = outlines(params)[1]
    low, size = box.min(axis=0), np.ptp(box, axis=0)
    w, h = np.ceil(size * texels_per_mm).astype(int)
    x = (low[0] + (np.arange(w, dtype=np.float32) + 0.5) / texels_per_mm)[None, :].repeat(h, axis=0)
    y = (low[1] + (np.arange(h, dtype=np.float32) + 0.5) / texels_per_mm)[:, None].repeat(w, axis=1)
    angle = rng.uniform(0, 2 * np.pi)
    lamp = np.array([math.cos(angle), math.sin(angle)])
    canvas = _Canvas(x.astype(np.float32), y.astype(np.float32), texels_per_mm, lamp, _eye(params))
    out = _lay(canvas, params, params.coin_kind, rng)
    if params.coin_beside is not None:
        # A second thing, its size within those of coins, a gap away; it is drawn about its own centre.
        ratio = rng.uniform(0.75, 0.95)
        off = np.array([params.coin_mm * (1 + ratio) / 2 + rng.uniform(0.5, 2.0), 0.0])
        x2, y2 = canvas.x - np.float32(off[0]), canvas.y
        eye = canvas.eye - np.append(off, 0.0)
        second = _lay(_Canvas(x2, y2, texels_per_mm, lamp, eye), params, params.coin_beside, rng, ratio)
        out = second + out * (1 - second[..., 3:])
    return np.asarray(out, np.float32)


def _eye(params: SceneParams) -> FloatArray:
    """The camera in mm on the reference: x, y, and its height above the skin."""
    size = np.array([params.width_px, params.height_px])
    focal = params.focal_px or float(max(size))
    width, height = params.width_px, params.height_px
    mm_to_px = geo.camera((width, height), params.px_per_mm, focal, params.tilt_deg, params.azimuth_deg)
    lens = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1.0]])
    pose = np.linalg.inv(lens) @ mm_to_px
    pose /= np.linalg.norm(pose[:, 0])
    axes = np.column_stack([pose[:, 0], pose[:, 1], np.cross(pose[:, 0], pose[:, 1])])
    eye = -axes.T @ pose[:, 2]
    at = (0.5, 0.5) if params.reference_at is None else params.reference_at
    place = geo.project(geo.inverse(mm_to_px), np.array([at]) * size - 0.5)[0]
    turn = math.radians(params.reference_turn_deg)
    to_own = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return np.append(to_own @ (eye[:2] - place), abs(eye[2]))


def _lay(canvas: _Canvas, params: SceneParams, kind: str, rng: np.random.Generator, ratio: float = 1.0) -> F32:
    """One thing with its shadow: (h, w, 4) premultiplied."""
    radius = ratio * params.coin_mm / 2
    if kind == "mole":
        return _mole(canvas, radius, rng)
    thick = {"coin": params.coin_thickness_mm, "sticker": 0.0}.get(kind, 1.5 * params.coin_thickness_mm)
    lift = thick / (canvas.eye[2] - thick)
    top_at, top_radius = -canvas.eye[:2] * lift, radius * (1 + lift)
    face = _crimped(canvas, top_radius, top_at) if kind == "bottle_cap" else canvas.disc(top_radius, top_at)
    body = face.copy()
    for part in np.linspace(0, 1, 9)[:-1]:  # the side: discs from the skin to the top
        body = np.maximum(body, canvas.disc(radius * (1 + part * lift), top_at * part))
    light = {"coin": _coin, "button": _button, "bottle_cap": _cap, "sticker": _sticker}[kind](
        canvas, params, top_at, top_radius, rng
    )
    side = light[face > 0.99].mean(axis=0) * _side(canvas, params, rng)[..., None]
    # Outside the face its light goes on, lest an edge mix with nothing; between face and side, by cover.
    share = np.divide(face, body, out=np.zeros_like(face), where=body > 0)[..., None]
    light = (light * share + side * (1 - share)) * body[..., None]
    dark = _shadow(canvas, body, thick, rng) * (1 - body) if thick else 0 * body
    return np.dstack([light, body + dark]).astype(np.float32)


def _side(canvas: _Canvas, params: SceneParams, rng: np.random.Generator) -> F32:
    """Light on the cylinder's side relative to its face: by its direction to the lamp, and milled or not."""
    angle = np.arctan2(canvas.y, canvas.x)
    facing = np.cos(angle - math.atan2(canvas.lamp[1], canvas.lamp[0]))
    milled = 1 + rng.choice([0.0, 0.35]) * np.sign(np.sin(angle * 120))
    return np.asarray((0.45 + 0.4 * facing) * milled, np.float32)


def _shadow(canvas: _Canvas, body: F32, thick: float, rng: np.random.Generator) -> F32:
    """Cover of the shadow on the skin: a cast one, away from the lamp, and the dark line of contact."""
    reach = thick * rng.uniform(0.2, 1.0)
    move = -canvas.lamp * reach * canvas.texels_per_mm
    shift = np.array([[1, 0, move[0]], [0, 1, move[1]]])
    cast = cv2.warpAffine(body, shift, body.shape[::-1])
    cast = cv2.GaussianBlur(cast, (0, 0), max(0.6, rng.uniform(0.15, 0.6) * reach * canvas.texels_per_mm))
    contact = cv2.GaussianBlur(body, (0, 0), max(0.5, 0.25 * canvas.texels_per_mm))
    return np.asarray(1 - (1 - rng.uniform(0.1, 0.55) * cast) * (1 - rng.uniform(0.0, 0.5) * contact), np.float32)


def _lit(canvas: _Canvas, height: F32, shine: float) -> F32:
    """Light on a height map (mm): a slope towards the lamp is bright, one away from it dark."""
    dy, dx = np.gradient(height * np.float32(canvas.texels_per_mm))
    slope = -(dx * canvas.lamp[0] + dy * canvas.lamp[1])
    return np.asarray(np.clip(1 + shine * np.tanh(2.5 * slope), 0.1, 3.0), np.float32)


def _coin(canvas: _Canvas, params: SceneParams, at: FloatArray, radius: float, rng: np.random.Generator) -> F32:
    x, y = (canvas.x - at[0]) / radius, (canvas.y - at[1]) / radius
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    rim = rng.uniform(0.91, 0.96)
    bevel = rng.uniform(0.05, 0.15) / radius  # the edge is rounded
    height = 0.16 * np.clip((r - rim) * 30, 0, 1) - 0.12 * np.clip((r - 1 + bevel) / bevel, 0, 1)
    # A ring of letters, and a head or a figure in the middle.
    glyphs = canvas.noise(rng, 0.07 * radius) > 0.2
    letters = glyphs & (np.sin(angle * rng.integers(18, 30)) > -0.5) & (r > 0.74) & (r < 0.87)
    figure = (canvas.noise(rng, 0.45 * radius) + 1.2 * (0.6 - r) / 0.3 > 0.4) & (r < rng.uniform(0.55, 0.7))
    detail = 0.05 * canvas.noise(rng, 0.12 * radius) * figure
    height = height + 0.10 * letters + 0.14 * figure + detail
    colours = METALS[params.coin_metal]
    colour = np.ones((*r.shape, 1), np.float32) * np.array(colours[0], np.float32)
    if len(colours) > 1:
        core = rng.uniform(0.68, 0.76)
        inside = np.clip(0.5 + (core - r) * radius * canvas.texels_per_mm, 0, 1)[..., None]
        colour = colour * (1 - inside) + inside * np.array(colours[1], np.float32)
        height = height - 0.06 * np.exp(-(((r - core) * radius / 0.12) ** 2))
    height = cv2.GaussianBlur(height.astype(np.float32), (0, 0), max(0.5, 0.06 * canvas.texels_per_mm))
    light = _lit(canvas, height, rng.uniform(0.5, 1.0))
    # A metal mirrors its surroundings: slow light and dark across it, and the lamp itself.
    light *= np.exp(rng.uniform(0.1, 0.35) * canvas.noise(rng, 1.2 * radius))
    light *= 1 + 0.06 * canvas.noise(rng, 0.08 * radius)  # wear and dirt
    spot = rng.uniform(-0.7, 0.7, 2)
    glare = params.coin_glare * np.exp(-0.5 * ((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / rng.uniform(0.1, 0.4) ** 2)
    return np.asarray(colour * light[..., None] + (glare * light)[..., None], np.float32)


def _button(canvas: _Canvas, params: SceneParams, at: FloatArray, radius: float, rng: np.random.Generator) -> F32:
    x, y = canvas.x - at[0], canvas.y - at[1]
    r = np.hypot(x, y) / radius
    height = 0.8 * np.exp(-(((r - 0.85) / 0.08) ** 2)).astype(np.float32)
    paints = (*_PAINTS, (0.03, 0.03, 0.03), (0.25, 0.15, 0.08), (0.35, 0.34, 0.32))
    colour = np.array(paints[rng.integers(len(paints))], np.float32)
    light = _lit(canvas, cv2.GaussianBlur(height, (0, 0), 0.15 * canvas.texels_per_mm), 0.5)
    holes = np.zeros_like(r)
    n, turn = int(rng.choice([2, 4])), rng.uniform(0, np.pi)
    for k in range(n):
        a = turn + 2 * np.pi * k / n
        holes = np.maximum(holes, canvas.disc(0.09 * radius, at + 0.24 * radius * np.array([math.cos(a), math.sin(a)])))
    return np.asarray(light[..., None] * colour * (1 - 0.9 * holes[..., None]), np.float32)


def _crimped(canvas: _Canvas, radius: float, at: FloatArray) -> F32:
    """Cover of a crown cap: 21 teeth."""
    x, y = canvas.x - at[0], canvas.y - at[1]
    edge = radius * (1 + 0.035 * np.cos(21 * np.arctan2(y, x)))
    return np.asarray(np.clip(0.5 + (edge - np.hypot(x, y)) * canvas.texels_per_mm, 0, 1), np.float32)


def _cap(canvas: _Canvas, params: SceneParams, at: FloatArray, radius: float, rng: np.random.Generator) -> F32:
    x, y = canvas.x - at[0], canvas.y - at[1]
    r, angle = np.hypot(x, y) / radius, np.arctan2(y, x)
    height = -2.0 * np.clip(r - 0.82, 0, 1) * (1 + 0.5 * np.cos(21 * angle))
    light = _lit(canvas, height.astype(np.float32), 0.7)
    logo = (canvas.noise(rng, 0.3 * radius) > 0.7) & (r < 0.6)
    colour = np.array(_PAINTS[rng.integers(len(_PAINTS))], np.float32)
    return np.asarray(light[..., None] * (colour * (1 - logo[..., None]) + 0.7 * logo[..., None]), np.float32)


def _sticker(canvas: _Canvas, params: SceneParams, at: FloatArray, radius: float, rng: np.random.Generator) -> F32:
    paints = (*_PAINTS, (0.75, 0.75, 0.73), (0.4, 0.4, 0.4), (0.5, 0.42, 0.2))
    colour = np.array(paints[rng.integers(len(paints))], np.float32)
    return np.asarray(np.ones((*canvas.x.shape, 1), np.float32) * colour, np.float32)


def _mole(canvas: _Canvas, radius: float, rng: np.random.Generator) -> F32:
    """A large round naevus: a soft edge, nearly a circle."""
    angle, r = np.arctan2(canvas.y, canvas.x), np.hypot(canvas.x, canvas.y)
    edge = np.full_like(r, radius)
    for order in (2, 3, 4):
        edge += radius * rng.normal(0, 0.05 / order) * np.cos(order * angle + rng.uniform(0, 6.3))
    soft = rng.uniform(0.2, 0.8)
    share = 1 / (1 + np.exp(np.clip((r - edge) / (0.5 * soft), -30, 30)))
    share = share * (0.65 + 0.05 * canvas.noise(rng, 1.0))
    brown = np.array([0.10, 0.05, 0.035], np.float32)
    return np.dstack([share[..., None] * brown, share]).astype(np.float32)
