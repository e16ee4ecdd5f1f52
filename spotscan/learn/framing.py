"""How a mark comes to be cut: the real thing at phone scale, a photo framed closer, a box that is a little off."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.crops import mark_crops
from spotscan.learn.prepared import Crops
from spotscan.learn.scenes import DrawnScene, Mark
from spotscan.learn.sources import Patch
from spotscan.types import RGBArray


@dataclass(frozen=True)
class Framing:
    """Parameters of framing; diameters are area-equivalent."""

    diameter_px: tuple[float, float] = (8.0, 70.0)  # of real marks: as wide as marks are in photos of a body region
    blur_px: tuple[float, float] = (0.0, 0.9)  # 1 sigma, of real photos made small: a phone's lens and sharpening
    jpeg_quality: tuple[int, int] = (60, 96)  # of real photos made small: what phones and messengers write
    fills: float = 0.7  # share of the photo from which on a real mark leaves no skin to compare it with
    # Share of drawn photos framed anew around one of their marks, by its class (spot, angioma, lesion, none). Real
    # lesions and angiomas fill their frames, spots and what is nothing never come so: these make up for it.
    close_up: tuple[float, ...] = (0.5, 0.4, 0.25, 0.5)
    close_up_d: tuple[float, float] = (1.5, 9.0)  # side of such a frame in diameters: HAM10000 has 1.5, PAD-UFES 3
    jitter_centre: float = 0.05  # 1 sigma, in diameters: how far boxes and segmented marks lie off
    jitter_size: float = 0.10  # 1 sigma of log diameter: how much sizes by box and by segmentation differ


def as_photographed(patch: Patch, rng: np.random.Generator, params: Framing) -> DrawnScene | None:
    """A real mark as an ordinary photo shows it: area-averaged down, slightly blurred, JPEG; nothing pasted.

    None where the mark is not known, fills the photo, or fewer than 24 px of the photo would be left.
    """
    if patch.mark is None or (patch.mask is not None and patch.mask.mean() > params.fills):
        return None
    x, y, diameter = patch.mark
    wanted = math.exp(rng.uniform(*np.log(params.diameter_px)))
    height, width = patch.rgb.shape[:2]
    factor = min(1.0, wanted / diameter)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if min(size) < 24 and factor < 1.0:  # a frame filled by its mark: as small as it can be
        factor = min(1.0, 24 / min(width, height))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if min(size) < 24:
        return None
    rgb = _degraded(np.asarray(cv2.resize(patch.rgb, size, interpolation=cv2.INTER_AREA), np.uint8), rng, params)
    # Each side is rounded to whole pixels by itself.
    fx, fy = size[0] / width, size[1] / height
    centre = ((x + 0.5) * fx - 0.5, (y + 0.5) * fy - 0.5)
    mark = Mark(centre, diameter * math.sqrt(fx * fy), patch.label, patch.route, patch.group)
    return DrawnScene(rgb, (mark,), math.nan if patch.ita_deg is None else patch.ita_deg)


def _degraded(rgb: RGBArray, rng: np.random.Generator, params: Framing) -> RGBArray:
    blur = rng.uniform(*params.blur_px)
    if blur > 0.2:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), blur), np.uint8)
    quality = int(rng.integers(params.jpeg_quality[0], params.jpeg_quality[1] + 1))
    file = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR_RGB), np.uint8)


def framed(scene: DrawnScene, rng: np.random.Generator, params: Framing) -> DrawnScene:
    """A share of scenes as close-ups of one of their marks, with whatever others the frame holds; the rest as is.

    Real close-ups fill their frame. Were drawn ones never to, the black around a frame would say "real lesion".
    """
    if not scene.marks:
        return scene
    chosen = scene.marks[rng.integers(len(scene.marks))]
    if rng.random() >= params.close_up[chosen.label]:
        return scene
    side = max(24.0, chosen.diameter_px * math.exp(rng.uniform(*np.log(params.close_up_d))))
    shape = side * np.exp(rng.uniform(-0.15, 0.15) * np.array([1.0, -1.0]))
    corner = np.array(chosen.centre_px) - shape / 2 + rng.normal(0, 0.08, 2) * shape
    limit = np.array(scene.rgb.shape[1::-1])
    low = np.clip(np.rint(corner).astype(int), 0, limit)
    high = np.clip(np.rint(corner + shape).astype(int), 0, limit)
    if (high - low).min() < 16:
        return scene
    inside = [m for m in scene.marks if _holds(low, high, m)]
    moved = tuple(replace(m, centre_px=(m.centre_px[0] - low[0], m.centre_px[1] - low[1])) for m in inside)
    rgb = np.ascontiguousarray(scene.rgb[low[1] : high[1], low[0] : high[0]])
    return DrawnScene(rgb, moved, scene.ita_deg)


def _holds(low: NDArray[np.int_], high: NDArray[np.int_], mark: Mark) -> bool:
    """Whether at least about four fifths of a mark lie inside: nobody would box less."""
    centre, reach = np.array(mark.centre_px), 0.25 * mark.diameter_px
    return bool((centre >= low + reach - 0.5).all() and (centre <= high - reach - 0.5).all())


def cut(scene: DrawnScene, number: int, own_group: str, rng: np.random.Generator, params: Framing) -> tuple[Crops, int]:
    """Crops of the marks of a photo, boxed a little off; and how many were left out because they show nothing.

    Parameters
    ----------
    number : int
        Of the photo in its split.
    own_group : str
        Group of marks made of nothing real.
    """
    n = len(scene.marks)
    diameter = np.array([m.diameter_px for m in scene.marks]).reshape(n)
    centre = np.array([m.centre_px for m in scene.marks], float).reshape(n, 2)
    centre = centre + rng.normal(0, params.jitter_centre, (n, 2)) * diameter[:, None]
    diameter = diameter * np.exp(rng.normal(0, params.jitter_size, n))
    crops = Crops(
        crops=mark_crops(scene.rgb, centre, diameter).astype(np.float16),
        label=np.array([m.label for m in scene.marks], np.int8),
        route=np.array([m.route for m in scene.marks], "U16"),
        group=np.array([m.group or own_group for m in scene.marks], "U64"),
        ita_deg=np.full(n, scene.ita_deg, np.float32),
        diameter_px=diameter.astype(np.float32),
        scene=np.full(n, number, np.int32),
        centre_px=centre.astype(np.float32),
    )
    shows = np.asarray(crops.crops.any(axis=(1, 2, 3)))
    return crops.take(shows), int(n - shows.sum())
