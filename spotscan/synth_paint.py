"""What lies on and beside the skin of `spotscan.synth`, and how it is photographed; all in linear light."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan import synth_geometry as geo
from spotscan.colour import encoded
from spotscan.synth_geometry import F32
from spotscan.synth_place import Limb, PlacedReference, Spot, prop
from spotscan.synth_scene import Background, SceneParams
from spotscan.synth_skin import Skin
from spotscan.types import BoolArray, FloatArray


def paint_spots(light: F32, spots: list[Spot], mm_to_px: FloatArray, rng: np.random.Generator) -> None:
    """Absorb light inside the outlines, in place. Where two overlap, the darker wins."""
    passed = np.ones_like(light)
    for spot in spots:
        outline = geo.project(mm_to_px, spot.outline_mm)
        px_per_mm = math.sqrt(geo.area_centroid(outline)[0] / geo.area_centroid(spot.outline_mm)[0])
        where = geo.window(outline, light.shape[:2], margin=2 + 4 * spot.edge_mm * px_per_mm)
        if spot.edge_mm * px_per_mm < 0.3:  # softer than that, and a pixel's middle speaks for the pixel
            share = geo.coverage([outline], where)
        else:
            share = _soft(spot, mm_to_px, px_per_mm, where)
        cloud = spot.unevenness * _cloud(share.shape, rng)
        drop = 1 - np.exp(-np.float32(math.log(10)) * spot.absorbance.astype(np.float32) * (1 + cloud[..., None]))
        passed[where] = np.minimum(passed[where], 1 - share[..., None] * drop)
    light *= passed


def _soft(spot: Spot, mm_to_px: FloatArray, px_per_mm: float, where: geo.Window) -> F32:
    """Coverage with a soft edge: a Gaussian step across the outline, one half on it, curved or not."""
    from scipy.special import ndtr

    rows, columns = where
    y, x = np.mgrid[rows, columns]
    off = geo.project(geo.inverse(mm_to_px), np.c_[x.ravel(), y.ravel()].astype(float)) - spot.pole_mm
    angle, radius = np.arctan2(off[:, 1], off[:, 0]), np.hypot(off[:, 0], off[:, 1])
    edge = np.interp(angle, spot.angles, spot.radii_mm, period=2 * np.pi)
    slope = np.gradient(np.r_[spot.radii_mm[-1], spot.radii_mm, spot.radii_mm[0]], spot.angles[1])[1:-1]
    upright = np.hypot(1, np.interp(angle, spot.angles, slope, period=2 * np.pi) / edge)
    width = math.hypot(spot.edge_mm, 1 / math.sqrt(12) / px_per_mm)  # the pixel is as wide as itself
    share = ndtr((edge - radius) / upright / width)
    return np.asarray(share.reshape(x.shape), dtype=np.float32)


def _cloud(shape: tuple[int, int], rng: np.random.Generator) -> F32:
    """Smooth noise over a window, a few clouds across: (h, w) float32, mean about 0 and sd about 1."""
    knots = rng.standard_normal((5, 5), dtype=np.float32)
    knots -= knots.mean()
    return np.asarray(cv2.resize(knots, shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def paint_hairs(light: F32, params: SceneParams, skin: Skin, mm_to_px: FloatArray, rng: np.random.Generator) -> None:
    """Lay hairs over the skin, in place: gently curved, most of them combed one way."""
    if not params.n_hairs:
        return
    h, w = light.shape[:2]
    combed = rng.uniform(0, 2 * np.pi)
    root = geo.project(geo.inverse(mm_to_px), rng.uniform([-30, -30], [w + 30, h + 30], (params.n_hairs, 2)))
    paths = []
    for start in root:
        angle = combed + 0.35 * rng.standard_normal() + rng.normal(0, 0.5) * np.linspace(0, 1, 24)
        step = rng.uniform(3, 14) / 24
        mm = start + np.cumsum(step * np.c_[np.cos(angle), np.sin(angle)], axis=0)
        paths.append(geo.project(mm_to_px, mm))
    width = rng.uniform(0.04, 0.10, params.n_hairs) * params.px_per_mm
    share = 0.9 * _hairs((h, w), paths, width)[..., None]
    shadow = cv2.GaussianBlur(share, (0, 0), 0.12 * params.px_per_mm)[..., None]
    brown = rng.uniform(0.6, 2.5) * np.array([0.045, 0.032, 0.022])
    hair = np.minimum(brown, 0.4 * skin.depth).astype(np.float32)  # dark skin has darker hair
    light *= 1 - 0.15 * shadow
    light *= 1 - share
    light += share * hair


def _hairs(shape: tuple[int, int], paths: list[FloatArray], width: FloatArray) -> F32:
    """How much of each pixel hairs cover: (H, W) float32; `paths` are (K, 2) pixels, `width` is in px."""
    mask = np.zeros(shape, np.uint8)
    for path, w in zip(paths, width, strict=True):
        points = np.round(path * 16).astype(np.int32).reshape(-1, 1, 2)
        n = len(points)
        stops = [0, n // 2, n * 3 // 4, n * 7 // 8, n - 1]
        for start, stop, thin in zip(stops, stops[1:], (1.0, 0.8, 0.6, 0.4), strict=False):  # to the tip
            level = int(255 * min(1.0, thin * w))
            piece = points[start : stop + 1]
            cv2.polylines(mask, [piece], False, level, max(1, round(thin * w)), cv2.LINE_AA, 4)
    return np.asarray(mask / np.float32(255), dtype=np.float32)


def paint_reference(
    light: F32, params: SceneParams, reference: PlacedReference, mm_to_px: FloatArray, rng: np.random.Generator
) -> BoolArray:
    """Lay the reference over the skin, in place; returns the pixels it covers at least half of."""
    shape = light.shape[:2]
    outline = geo.project(mm_to_px, reference.area_mm)
    where = geo.window(outline, shape, 4)
    paper = geo.coverage([outline], where)[..., None]
    if params.reference == "aruco":
        cells = geo.marker_cells(params.dictionary, params.marker_id)
        cell = params.side_mm / len(cells)
        corners = [geo.square(0, cell) + cell * np.array([x, y]) for y, x in zip(*np.nonzero(cells), strict=True)]
        ink = geo.coverage([geo.project(mm_to_px @ reference.from_own, c) for c in corners], where)[..., None]
        colour = np.float32(0.78) * (1 - ink) + np.float32(0.035) * ink
    else:
        fine = 2 * params.px_per_mm
        if params.reference == "coin":  # its side shows by where it lies
            middle = geo.project(mm_to_px, reference.corners_mm.mean(axis=0)[None])[0]
            x, y = (middle + 0.5) / [params.width_px, params.height_px]
            params = replace(params, reference_at=(float(x), float(y)))
        texture = _printed_card(fine) if params.reference == "card" else prop(params).texture(params, rng, fine)
        own_mm = geo.project(geo.inverse(reference.from_own), reference.area_mm).min(axis=0)
        colour = _seen(texture, fine, own_mm, mm_to_px @ reference.from_own, where)
    cover = colour[..., 3:] if colour.shape[-1] == 4 else np.float32(1)  # with cover, light is premultiplied by it
    light[where] = light[where] * (1 - paper * cover) + colour[..., :3] * paper
    paper = paper * cover
    if params.reference == "bank_card":  # its shadow, and the fingers that hold it
        prop(params).surround(light, params, mm_to_px @ reference.from_own, rng)
    covered = np.zeros(shape, bool)
    covered[where] = paper[..., 0] >= 0.5
    return covered


def _printed_card(texels_per_mm: float) -> F32:
    """Our card, linear light: paper and ink reach neither white nor black."""
    from spotscan.card_layout import card_image
    from spotscan.colour import linear

    return np.asarray(np.float32(0.03) + np.float32(0.77) * linear(card_image(texels_per_mm)), dtype=np.float32)


def _seen(texture: F32, texels_per_mm: float, origin_mm: FloatArray, own_to_px: FloatArray, where: geo.Window) -> F32:
    """A (h, w, 3) texture whose top left corner is at `origin_mm`, as seen in this window, twice oversampled."""
    rows, columns = where
    h, w = rows.stop - rows.start, columns.stop - columns.start
    texel = 1 / texels_per_mm
    x, y = origin_mm + texel / 2
    to_mm = np.array([[texel, 0, x], [0, texel, y], [0, 0, 1]])
    # Pixel u of the window holds the fine pixels 2u and 2u + 1.
    to_fine = np.array([[2, 0, 0.5 - 2.0 * columns.start], [0, 2, 0.5 - 2.0 * rows.start], [0, 0, 1]])
    # Beyond its border the texture goes on, lest an edge mix with nothing.
    fine = cv2.warpPerspective(texture, to_fine @ own_to_px @ to_mm, (2 * w, 2 * h), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(fine, (w, h), interpolation=cv2.INTER_AREA), dtype=np.float32).reshape(h, w, -1)


def paint_backdrop(light: F32, limb: Limb, kind: Background, rng: np.random.Generator) -> BoolArray:
    """Round the limb off and lay it on cloth or table, in place; returns the pixels of skin."""
    share = limb.share[..., None]
    # Light from the front falls off to the sides of a cylinder; its mean over the limb stays 1.
    curve = np.sqrt(np.clip(1 - (0.85 * limb.across) ** 2, 0.1, 1))[..., None] / 0.87
    light *= share * curve
    light += (1 - share) * _backdrop(kind, limb.across.shape, rng)
    return np.asarray(limb.share > 0.5)


def _backdrop(kind: Background, shape: tuple[int, int], rng: np.random.Generator) -> F32:
    """Cloth (woven, folded) or a table top (grained), (H, W, 3) linear."""
    h, w = shape
    colour = np.array([[0.62, 0.64, 0.66], [0.10, 0.18, 0.30], [0.16, 0.30, 0.22], [0.35, 0.36, 0.38]])
    wood = np.array([[0.45, 0.30, 0.17], [0.22, 0.13, 0.07], [0.70, 0.68, 0.64], [0.08, 0.08, 0.09]])
    base = (colour if kind == "cloth" else wood)[rng.integers(4)] * rng.uniform(0.8, 1.15)
    y, x = np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)[None, :]
    coarse = rng.standard_normal((h // 60 + 2, (w // 60 if kind == "cloth" else w // 500) + 2), dtype=np.float32)
    folds = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
    pitch = rng.uniform(5, 9)
    weave = np.sin(2 * np.pi * x / pitch) * np.sin(2 * np.pi * y / pitch) if kind == "cloth" else 0.0
    white = rng.standard_normal((h, w), dtype=np.float32)
    fine = cv2.blur(white, (3, 3) if kind == "cloth" else (41, 1)) * 3
    level = 1 + 0.10 * folds + 0.10 * weave + 0.03 * fine
    return np.asarray(np.maximum(level, 0.05)[..., None] * base.astype(np.float32), dtype=np.float32)


def photograph(
    light: F32,
    gloss: F32,
    params: SceneParams,
    rng: np.random.Generator,
    noise: np.random.Generator,
) -> F32:
    """Shading, shine, colour of the light, blur and sensor noise."""
    h, w = light.shape[:2]
    fall = _falloff((h, w), rng)
    shade = 1 - params.shading * fall
    shade /= shade.mean()  # the camera sets its exposure by the whole
    light *= shade[..., None] * np.array([1 + params.warmth, 1, 1 - params.warmth], np.float32)
    if params.glare:
        light += (params.glare * _shine((h, w), gloss, rng))[..., None]
    if params.blur_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), params.blur_px), dtype=np.float32)
    if params.full_well is not None:
        light = _add_noise(light, noise, params.read_noise, params.full_well)
    return light


def _falloff(shape: tuple[int, int], rng: np.random.Generator) -> F32:
    """How light falls off over the picture: a slope, a bowl, a wave or two; 0 brightest, 1 darkest."""
    h, w = shape
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    angle, bowl = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    cx, cy = rng.uniform(-0.4, 0.4, 2)
    knots = rng.standard_normal((4, 4), dtype=np.float32)
    wave = cv2.resize(knots, (w, h), interpolation=cv2.INTER_CUBIC)
    fall = math.cos(angle) * x + math.sin(angle) * y + bowl * ((x - cx) ** 2 + (y - cy) ** 2) + 0.25 * wave
    return np.asarray((fall - fall.min()) / np.ptp(fall), dtype=np.float32)


def _shine(shape: tuple[int, int], gloss: F32, rng: np.random.Generator) -> F32:
    """Shiny patches, broken into sparkles by the relief; peak 1."""
    h, w = shape
    patches = np.zeros((h, w), np.float32)
    x, y = np.arange(w, dtype=np.float32)[None, :], np.arange(h, dtype=np.float32)[:, None]
    for _ in range(int(rng.integers(1, 4))):
        cx, cy = rng.uniform([0.1 * w, 0.1 * h], [0.9 * w, 0.9 * h])
        sx, sy = rng.uniform(0.03, 0.10, 2) * max(h, w)
        patches += np.exp(-0.5 * (((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2))
    sparkle = np.clip((gloss - 1) / max(float(gloss.std()), 1e-6) * 0.6 + 0.15, 0, 2)
    return np.asarray(patches * sparkle / 2, dtype=np.float32)


def _add_noise(rgb: F32, rng: np.random.Generator, read: float, full_well: float) -> F32:
    """Shot and read noise of a Bayer sensor, spread over neighbours by demosaicing as in a phone's picture.

    Parameters
    ----------
    rgb : (H, W, 3) float32
        Linear light.
    read : float
        Read noise, 1 sigma, in linear light.
    full_well : float
        Electrons of a white pixel; infinite for no shot noise.
    """
    h, w = rgb.shape[:2]
    site = np.empty((h, w), np.float32)
    for (y, x), c in zip(((0, 0), (0, 1), (1, 0), (1, 1)), (0, 1, 1, 2), strict=True):
        site[y::2, x::2] = rgb[y::2, x::2, c]
    noise = rng.standard_normal((h, w), dtype=np.float32)
    noise *= cv2.sqrt(np.maximum(site, 0) / np.float32(full_well) + np.float32(read**2))
    raw = np.clip(noise * 60000 + 32768.5, 0, 65535).astype(np.uint16)
    # OpenCV names the pattern by the second row, second column: BG is red at (0, 0) when asked for RGB.
    grain = cv2.demosaicing(raw, cv2.COLOR_BayerRGGB2RGB).astype(np.float32)
    return np.asarray(rgb + (grain - np.float32(32768)) / np.float32(60000))


def encode_srgb(linear: F32) -> NDArray[np.uint8]:
    """Linear light (..., 3) to sRGB codes (IEC 61966-2-1), rounded to the nearest."""
    return np.asarray(np.take(_srgb_table(), np.clip(linear * 4095.0 + 0.5, 0, 4095).astype(np.uint16)))


@cache
def _srgb_table() -> NDArray[np.uint8]:
    return (255 * encoded(np.arange(4096) / 4095.0) + 0.5).astype(np.uint8)
