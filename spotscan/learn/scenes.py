"""Photos to learn from: marks of every class, drawn and pasted, on real skin of every tone, seen by a poor camera.

Classes come by the same routes, on the same skin, at the same sizes, in the same light: what the source of a picture
gives away must not tell the class (Geirhos et al. 2020, shortcut learning).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spotscan.colour import absorbance, encoded, ita_deg, lab
from spotscan.learn.marks import F32, Drawn, Eruption, angioma, angioma_colour, gloss, lesion, outline, recoloured
from spotscan.learn.nothing import clutter, false_marks
from spotscan.learn.palette import Palette
from spotscan.learn.prepared import ANGIOMA, LESION, NONE, SPOT
from spotscan.types import RGBArray

SCENE_PX = 288
_MELANIN = np.array([0.62, 1.0, 1.25], np.float32)  # absorbance in red, green, blue (Jacques 2013), green = 1
_SIZES = {SPOT: (4.0, 45.0), ANGIOMA: (4.0, 60.0), LESION: (5.0, 75.0)}  # px
_SHARE = (0.24, 0.38, 0.38)  # of scenes of spots, angiomas, lesions: the first hold more marks each
_MOST = 9  # marks taken from one scene: more of it would say the same
_LARGEST_FALSE = 18.0  # px; a larger candidate on real skin may be a real mark that nobody labelled
_SEEN = (0.02, 1.0)  # least contrast (green absorbance) of a mark, and over the scatter of the skin beside it


@dataclass(frozen=True)
class Mark:
    """A mark of known class in a scene.

    Attributes
    ----------
    centre_px : (x, y)
    diameter_px : float
    label : int
        0 spot, 1 angioma, 2 lesion, 3 none.
    route : str
        drawn, pasted, or pipeline (a false candidate of the segmentation).
    group : str
        The real mark or skin it is made of, or "".
    """

    centre_px: tuple[float, float]
    diameter_px: float
    label: int
    route: str
    group: str = ""


@dataclass(frozen=True, eq=False)
class DrawnScene:
    """A photo to cut crops from.

    Attributes
    ----------
    rgb : (H, W, 3) uint8
    marks : tuple of Mark
    ita_deg : float
        Individual typology angle of the skin before the light's cast; NaN where there is none.
    """

    rgb: RGBArray
    marks: tuple[Mark, ...]
    ita_deg: float


def draw(palette: Palette, rng: np.random.Generator) -> DrawnScene:
    """One scene; what it shows is drawn from the generator."""
    kind = rng.random()
    if kind < 0.08:
        rgb = camera(rng, clutter(rng, SCENE_PX), 12.0)
        return DrawnScene(rgb, _picked(rng, false_marks(rgb, ())), math.nan)
    scene = _Scene.empty(palette, rng)
    wanted = int(rng.choice(3, p=_SHARE))
    if kind < 0.14:  # skin alone, whatever the segmentation makes of it
        wanted = NONE
    marks = scene.fill(wanted)
    smallest = min((mark.diameter_px for mark in marks), default=12.0)
    rgb = camera(rng, scene.light(), smallest)
    false = false_marks(rgb, [(*m.centre_px, m.diameter_px) for m in scene.all]) if rng.random() < 0.4 else []
    return DrawnScene(rgb, tuple(m for m in marks if _seen(rgb, m)) + _picked(rng, false), scene.ita)


def _picked(rng: np.random.Generator, false: Sequence[tuple[float, float, float]]) -> tuple[Mark, ...]:
    false = [one for one in false if one[2] < _LARGEST_FALSE]
    chosen = rng.permutation(len(false))[: _MOST // 2]
    return tuple(Mark((false[i][0], false[i][1]), false[i][2], NONE, "pipeline") for i in chosen)


def _seen(rgb: RGBArray, mark: Mark) -> bool:
    """Whether light, blur and noise have left the mark to be seen: nobody would box it otherwise."""
    (x, y), reach = mark.centre_px, int(1.2 * mark.diameter_px) + 2
    x0, y0 = max(0, round(x) - reach), max(0, round(y) - reach)
    part = absorbance(np.ascontiguousarray(rgb[y0 : round(y) + reach + 1, x0 : round(x) + reach + 1]))[..., 1]
    rows, columns = np.indices(part.shape)
    away = np.hypot(columns + x0 - x, rows + y0 - y) / (mark.diameter_px / 2)
    core, beside = part[away < 0.8], part[(away > 1.3) & (away < 2.2)]
    if not len(core) or len(beside) < 8:
        return False
    contrast = float(np.median(core) - np.median(beside))
    scatter = 1.4826 * float(np.median(np.abs(beside - np.median(beside))))
    return contrast > _SEEN[0] and contrast > _SEEN[1] * scatter


class _Scene:
    """Skin in absorbance, to which marks are added."""

    def __init__(self, palette: Palette, rng: np.random.Generator, skin: F32, ita: float) -> None:
        self.palette, self.rng, self.skin, self.ita = palette, rng, skin, ita
        self.gloss = np.zeros((*skin.shape[:2], 1), np.float32)
        # Light from below a mark passes the melanin twice, light from above it never: dark skin hides red.
        self.tone = 1 / (1 + 0.5 * max(0.0, float(np.median(skin[..., 1])) - 0.5))
        self.all: list[Mark] = []

    @classmethod
    def empty(cls, palette: Palette, rng: np.random.Generator) -> _Scene:
        """Real skin, enlarged, turned, and as dark as any skin."""
        bare = palette.skins[rng.integers(len(palette.skins))]
        rgb = np.rot90(bare[:, ::-1] if rng.random() < 0.5 else bare, int(rng.integers(4)))
        side = int(SCENE_PX / rng.uniform(0.6, 2.2))
        short = max(0, side - min(rgb.shape[:2]))
        reflected = cv2.copyMakeBorder(np.ascontiguousarray(rgb), 0, short, 0, short, cv2.BORDER_REFLECT_101)
        rgb = np.asarray(reflected, np.uint8)
        y, x = (int(rng.integers(n - side + 1)) for n in rgb.shape[:2])
        how = cv2.INTER_AREA if side > SCENE_PX else cv2.INTER_CUBIC
        scaled = cv2.resize(rgb[y : y + side, x : x + side], (SCENE_PX, SCENE_PX), interpolation=how)
        skin = absorbance(np.asarray(scaled, np.uint8))
        added = float(rng.choice([0, 0, rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.8)]))
        skin = skin + np.float32(added) * _MELANIN
        return cls(palette, rng, skin, _ita(skin))

    def fill(self, wanted: int) -> list[Mark]:
        """Marks of the wanted class, and in some scenes a few of another; those worth a crop."""
        if wanted == NONE:
            return []
        rng = self.rng
        main = float(np.exp(rng.uniform(*np.log(_SIZES[wanted]))))
        many = {
            SPOT: int(rng.integers(3, 60)),
            ANGIOMA: int(rng.choice([1, 1, 2, 4, 8, 16, 40])),
            LESION: int(rng.choice([1, 1, 1, 2, 4, 8])),
        }[wanted]
        self._add(wanted, main, many, rng.uniform(0.15, 0.5))
        if rng.random() < 0.25:
            other = int(rng.choice([c for c in (SPOT, ANGIOMA, LESION) if c != wanted]))
            size = float(np.clip(main * math.exp(rng.normal(0.3 if other == LESION else 0, 0.5)), *_SIZES[other]))
            self._add(other, size, int(rng.integers(4, 20)) if other == SPOT else int(rng.integers(1, 4)), 0.4)
        inside = [m for m in self.all if all(-2 < c < SCENE_PX + 1 for c in m.centre_px)]
        # The one the scene was made for, and others at random.
        rest = [inside[i] for i in rng.permutation(np.arange(1, len(inside)))] if inside else []
        return (inside[:1] + rest)[:_MOST]

    def _add(self, label: int, size: float, count: int, spread: float) -> None:
        rng = self.rng
        middle = SCENE_PX / 2 + rng.uniform(-0.3, 0.3, 2) * SCENE_PX
        # Petechiae come in crowds; angiomas and naevi are scattered, even where there are many.
        crowd = (rng.uniform(2.5, 9) if label == SPOT else rng.uniform(5, 20)) * size
        make = self._maker(label)
        for i in range(count):
            diameter = float(np.clip(size * math.exp(rng.normal(0, spread)), 3.0, 90.0)) if i else size
            near = i == 0 or rng.random() < 0.5
            x, y = rng.normal(middle, crowd if i else 1.0) if near else rng.uniform(0, SCENE_PX, 2)
            gap = 0.58 if label == SPOT else 0.75
            if any(
                math.hypot(x - m.centre_px[0], y - m.centre_px[1]) < gap * (diameter + m.diameter_px) for m in self.all
            ):
                continue
            drawn, route, group = make(diameter)
            place = _paste(self.skin, drawn.absorbance, x, y)
            _paste(self.gloss, drawn.gloss[..., None], x, y)
            self.all.append(Mark(place, diameter, label, route, group))

    def _maker(self, label: int) -> Callable[[float], tuple[Drawn, str, str]]:
        """How the marks of one class of this scene are made: diameter -> (mark, route, group)."""
        rng, palette, tone = self.rng, self.palette, self.tone
        pasted = rng.random() < 0.5
        if label == SPOT:
            rash = Eruption.draw(rng, tone)

            def spot(diameter: float) -> tuple[Drawn, str, str]:
                if not pasted:
                    return rash.mark(rng, diameter), "drawn", ""
                source = palette.lesions[rng.integers(len(palette.lesions))]
                strength = rash.strength * math.exp(rng.normal(0, 0.3))
                return recoloured(rng, source.at(rng, diameter), rash.colour, strength), "pasted", source.group

            return spot
        pool = palette.angiomas if label == ANGIOMA else palette.lesions
        round_ones = [one for one in palette.lesions if one.is_round] or palette.lesions
        dark, gain = rng.random() < 0.15, rng.uniform(0.6, 1.2) * (tone if label == ANGIOMA else 1.0)
        cast = np.array([rng.uniform(0.7, 1.1), 1, rng.uniform(0.8, 1.1)] if label == ANGIOMA else [1, 1, 1])

        # Real angiomas here come through a dermatoscope only: half of the pasted ones have the detail of other marks.
        reused = label == ANGIOMA and rng.random() < 0.5
        colour, strength = angioma_colour(rng, dark), rng.uniform(0.2, 0.9) * tone

        def other(diameter: float) -> tuple[Drawn, str, str]:
            if pasted and reused:
                source = round_ones[rng.integers(len(round_ones))]
                depth = strength * math.exp(rng.normal(0, 0.15))
                mark = recoloured(rng, source.at(rng, diameter), colour, depth, (0.3, 1.0), (0.0, 0.03))
                shine = np.zeros_like(mark.gloss)
                _paste(shine, gloss(rng, outline(rng, diameter, 0.03, 1.1, 0.05), diameter), *_middle(shine))
                return Drawn(mark.absorbance, shine), "pasted", source.group
            if pasted:
                source = pool[rng.integers(len(pool))]
                mark = source.at(rng, diameter)
                absorbed = (mark.absorbance * gain * cast).astype(np.float32)
                return Drawn(absorbed, mark.gloss), "pasted", source.group
            if label == ANGIOMA:
                return angioma(rng, diameter, tone, dark), "drawn", ""
            return lesion(rng, diameter, tone), "drawn", ""

        return other

    def light(self) -> F32:
        """Light from the scene: (H, W, 3) linear, white is 1."""
        return np.asarray(np.power(np.float32(10), -self.skin) + self.gloss, np.float32)


def _middle(square: F32) -> tuple[float, float]:
    return (square.shape[1] - 1) / 2, (square.shape[0] - 1) / 2


def _ita(skin: F32) -> float:
    middle = np.power(10.0, -np.median(skin.reshape(-1, 3), axis=0))
    colour = lab((encoded(np.clip(middle[None, None], 0, 1)) * 255).round().astype(np.uint8))[0, 0]
    return ita_deg(float(colour[0]), float(colour[2]))


def _paste(onto: F32, mark: F32, x: float, y: float) -> tuple[float, float]:
    """Add at the nearest whole pixel; returns where the mark's centre came to lie."""
    height, width = mark.shape[:2]
    left, top = round(x - (width - 1) / 2), round(y - (height - 1) / 2)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(onto.shape[1], left + width), min(onto.shape[0], top + height)
    if x1 > x0 and y1 > y0:
        onto[y0:y1, x0:x1] += mark[y0 - top : y1 - top, x0 - left : x1 - left]
    return left + (width - 1) / 2, top + (height - 1) / 2


def camera(rng: np.random.Generator, light: F32, smallest_px: float) -> RGBArray:
    """A phone's photo of the scene: uneven light with a cast, blur, exposure, tone curve, saturation, noise, JPEG."""
    cast = np.array([1 + rng.uniform(-0.2, 0.35), 1, 1 + rng.uniform(-0.35, 0.2)], np.float32)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]].astype(np.float32) / light.shape[0] - 0.5
    slope = 1 + rng.uniform(-0.5, 0.5) * x + rng.uniform(-0.5, 0.5) * y
    seen = light * (cast * np.float32(rng.uniform(0.5, 1.35))) * slope[..., None]
    if rng.random() < 0.7:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 1.0 if smallest_px < 8 else 1.9))
    code = encoded(np.clip(seen, 0, 1)).astype(np.float32)
    if rng.random() < 0.4:  # phones and web pages sharpen
        soft = cv2.GaussianBlur(code, (0, 0), rng.uniform(0.6, 1.6))
        code = np.asarray(code + np.float32(rng.uniform(0.2, 1.2)) * (code - soft), np.float32)
    if rng.random() < 0.7:  # what phones do to please: contrast and saturation
        code = np.clip(code, 0, 1) ** np.float32(rng.uniform(0.75, 1.3))
        grey = code.mean(axis=2, keepdims=True)
        code = grey + (code - grey) * np.float32(rng.uniform(0.75, 1.4))
    noisy = code * 255 + rng.normal(0, rng.uniform(0.3, 4), light.shape).astype(np.float32)
    rgb = np.clip(noisy, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 97))]
    file = cv2.imencode(".jpg", rgb[..., ::-1], quality)[1]
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR_RGB), np.uint8)
