"""Marks drawn as light absorbed in skin: petechiae and purpura, angiomas, other lesions.

What tells them apart to a dermatologist is drawn apart: petechiae are flat, blurred by the skin above them, many and
alike; angiomas are round, sharp, domed and glossy, of saturated red to dark purple; other lesions hold pigment, crust,
scale or a pale middle. What does not tell them apart (size, light, sharpness of the photo, number) overlaps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.synth_place import KINDS

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mark in a square of its own, its centre in the middle.

    Attributes
    ----------
    absorbance : (s, s, 3) float32
        Added to the skin's.
    gloss : (s, s) float32
        Light thrown back from the surface, added after absorption; white is 1.
    """

    absorbance: F32
    gloss: F32


@dataclass(frozen=True, eq=False)
class Shape:
    """An outline with a soft edge.

    Attributes
    ----------
    alpha : (s, s) float32
        1 inside, 0 outside.
    radius : (s, s) float32
        Distance from the middle over the outline's, 1 on the outline.
    x, y : (s, s) float32
        Distance from the middle, px.
    """

    alpha: F32
    radius: F32
    x: F32
    y: F32

    def clouds(self, rng: np.random.Generator, cells: int, sigma: float) -> F32:
        """Slow random changes across the mark, about 1."""
        coarse = rng.normal(0, sigma, (cells, cells)).astype(np.float32)
        return np.asarray(1 + cv2.resize(coarse, self.alpha.shape[::-1], interpolation=cv2.INTER_CUBIC))


def outline(rng: np.random.Generator, diameter: float, irregularity: float, elongation: float, edge: float) -> Shape:
    """A blob of this diameter (px) whose radius varies by `irregularity`; `edge` is its softness in diameters."""
    size = int(diameter * 1.9 * elongation + 8 * edge * diameter + 9) | 1
    y, x = (np.mgrid[:size, :size] - size // 2).astype(np.float32)
    turn, stretch = rng.uniform(0, math.pi), math.sqrt(elongation)
    u = (x * math.cos(turn) + y * math.sin(turn)) / stretch
    v = (y * math.cos(turn) - x * math.sin(turn)) * stretch
    angle, reach = np.arctan2(v, u), np.full_like(u, diameter / 2)
    for k in range(2, 8):
        reach *= 1 + irregularity * rng.normal() / k**0.7 * np.cos(k * angle + rng.uniform(0, 2 * math.pi))
    away = np.hypot(u, v)
    soft = max(edge * diameter, 0.35)
    alpha = 0.5 * (1 - np.tanh((away - reach) / (1.2 * soft)))
    return Shape(alpha.astype(np.float32), (away / np.maximum(reach, 1e-3)).astype(np.float32), x, y)


def spectrum(rng: np.random.Generator, kind: str, spread: float = 0.05) -> F32:
    """Relative absorbance of a kind in red, green, blue, a little different in every mark."""
    return (np.array(KINDS[kind][0]) + rng.normal(0, spread, 3)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Eruption:
    """What the petechiae of one photo share: age of the blood, strength, softness."""

    colour: F32
    strength: float
    irregularity: float
    elongation: float
    edge: float

    @classmethod
    def draw(cls, rng: np.random.Generator, tone: float) -> Eruption:
        """`tone`: how much of a mark dark skin lets through, 0 to 1."""
        deep = rng.beta(1.2, 1.5)  # from fresh and shallow to deep and short of oxygen
        colour = spectrum(rng, "petechia") * (1 - deep) + spectrum(rng, "purpura") * deep
        if rng.random() < 0.25:  # old blood: haemosiderin, brown
            colour = colour + np.float32(rng.uniform(0.3, 1.0)) * np.array([0.2, 0, 0.35], np.float32)
        strength = float(np.exp(rng.uniform(*np.log([0.05, 0.5])))) * tone
        edge = rng.uniform(0.05, 0.2)
        return cls(colour, strength, rng.uniform(0.03, 0.2), rng.uniform(1, 1.6), edge)

    def mark(self, rng: np.random.Generator, diameter: float) -> Drawn:
        """One petechia."""
        shape = outline(rng, diameter, self.irregularity, rng.uniform(1, self.elongation), self.edge)
        strength = self.strength * math.exp(rng.normal(0, 0.3))
        amount = shape.alpha * strength * shape.clouds(rng, 4, 0.12)
        return Drawn(amount[..., None] * self.colour, np.zeros_like(amount))


def angioma_colour(rng: np.random.Generator, dark: bool) -> F32:
    """Cherry red; dark purple of angiokeratomas where `dark`. What is blue-black is a lesion: it may be a melanoma."""
    if dark:
        return np.array([rng.uniform(0.35, 0.6), 1, rng.uniform(0.8, 0.95)], np.float32)
    return spectrum(rng, "angioma")


def angioma(rng: np.random.Generator, diameter: float, tone: float, dark: bool) -> Drawn:
    """A cherry angioma, or an angiokeratoma or thrombosed one where `dark`."""
    colour = angioma_colour(rng, dark)
    shape = outline(rng, diameter, rng.uniform(0.01, 0.07), rng.uniform(1, 1.35), rng.uniform(0.02, 0.09))
    strength = rng.uniform(0.2, 0.9) * tone
    dome = np.sqrt(np.clip(1 - shape.radius**2, 0, 1))
    amount: F32 = (shape.alpha * strength * (1 + rng.uniform(-0.35, 0.4) * dome)).astype(np.float32)
    if rng.random() < 0.5:  # lacunae
        amount = amount * shape.clouds(rng, int(rng.integers(4, 8)), 0.15)
    if rng.random() < 0.3:  # flush
        amount = amount + rng.uniform(0.03, 0.12) * np.exp(-(shape.radius**2) / rng.uniform(1.5, 3))
    return Drawn((amount[..., None] * colour).astype(np.float32), gloss(rng, shape, diameter))


def lesion(rng: np.random.Generator, diameter: float, tone: float) -> Drawn:
    """Any other lesion: naevus (brown, black, blue), keratosis, pink papule, nodule, scaling or crusted patch, ring."""
    kinds = ["naevus", "naevus", "keratosis", "black", "blue", "papule", "nodule", "scale", "crust", "ring"]
    kind = rng.choice(kinds)
    pigment = spectrum(rng, "naevus", 0.08)
    pink = (np.array([0.05, 1, 0.7]) + rng.normal(0, 0.05)).astype(np.float32)
    irregularity = rng.uniform(0.02, 0.25)
    edge = rng.uniform(0.03, 0.08) if kind in ("keratosis", "crust") else rng.uniform(0.03, 0.2)
    shape = outline(rng, diameter, irregularity, rng.uniform(1, 1.8), edge)
    amount = shape.alpha * rng.uniform(0.12, 0.65) * shape.clouds(rng, int(rng.integers(4, 9)), rng.uniform(0.05, 0.4))
    shine = np.zeros_like(amount)
    colour: F32 = pigment
    if kind == "black":
        colour, amount = spectrum(rng, "black"), amount * 1.5
    if kind == "blue":  # pigment deep in the skin: red light is taken most
        colour = (np.array([1.05, 1, 0.75]) + rng.normal(0, 0.05, 3)).astype(np.float32)
        amount = amount * 1.4
    if kind == "nodule":  # fleshy, shiny and mottled: by a photo not to be told from an amelanotic melanoma
        colour = np.array([rng.uniform(0.05, 0.4), 1, rng.uniform(0.65, 0.9)], np.float32)
        amount = amount * tone + shape.alpha * rng.uniform(0, 0.1) * tone
        shine = gloss(rng, shape, diameter)
    if kind == "ring":  # pale or skin-coloured middle
        amount = amount * (1 - rng.uniform(0.4, 1.1) * np.exp(-(shape.radius**2) / rng.uniform(0.1, 0.4)))
    if kind in ("papule", "scale"):
        colour = pink
        amount = amount * tone * rng.uniform(0.4, 0.9)
        amount = amount + tone * rng.uniform(0.0, 0.12) * np.exp(-(shape.radius**2) / rng.uniform(1, 4))
    absorbed = amount[..., None] * colour
    if kind == "crust":  # dried blood or serum on a pink base
        base = outline(rng, 1.3 * diameter, irregularity, 1.2, 0.12).alpha
        middle = ((base.shape[1] - 1) / 2, (base.shape[0] - 1) / 2)
        base = np.asarray(cv2.getRectSubPix(base, amount.shape[::-1], middle), np.float32)
        brown = np.array([rng.uniform(0.4, 0.9), 1, rng.uniform(1.0, 1.4)], np.float32)
        absorbed = amount[..., None] * brown + (base * rng.uniform(0.03, 0.15) * tone)[..., None] * pink
    if kind in ("scale", "keratosis") and rng.random() < 0.7:  # white flakes, dull shine
        flakes = np.clip(shape.clouds(rng, 12, 0.5) - 1.2, 0, 1)
        shine = shape.alpha * flakes * rng.uniform(0.05, 0.4)
    return Drawn(absorbed.astype(np.float32), shine.astype(np.float32))


def gloss(rng: np.random.Generator, shape: Shape, diameter: float) -> F32:
    """The lamp's image on a dome, small and hard or broad and pale; on some none."""
    if rng.random() > 0.65:
        return np.zeros_like(shape.alpha)
    turn, off = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.32) * diameter
    width = rng.uniform(0.05, 0.2) * diameter
    away = (shape.x - off * math.cos(turn)) ** 2 + (shape.y - off * math.sin(turn)) ** 2
    return np.asarray(shape.alpha * np.exp(-away / (2 * width**2)) * rng.uniform(0.03, 0.45), np.float32)


def recoloured(
    rng: np.random.Generator,
    drawn: Drawn,
    colour: F32,
    strength: float,
    pattern_power: tuple[float, float] = (0.3, 0.8),
    softness: tuple[float, float] = (0.01, 0.08),
) -> Drawn:
    """The outline and inner pattern of a real mark in another colour: the detail of real photos must not tell a class.

    Parameters
    ----------
    pattern_power : (float, float)
        The pattern is raised to it: below 1 it is flattened, as blood in the skin has little pattern of its own.
    softness : (float, float)
        Blur of it, as a share of its size.
    """
    pattern = np.clip(drawn.absorbance.mean(axis=2), 0, None)
    peak = float(np.quantile(pattern, 0.98)) or 1.0
    flat = (pattern / peak) ** rng.uniform(*pattern_power)
    soft = cv2.GaussianBlur(flat, (0, 0), max(0.4, rng.uniform(*softness) * len(flat)))
    return Drawn((soft * strength)[..., None] * colour, np.zeros_like(pattern))
