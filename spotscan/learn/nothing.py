"""What is no mark: false candidates of the segmentation on skin, and on things that are no skin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.segment import find_spots
from spotscan.types import RGBArray, Skin, View

F32 = NDArray[np.float32]
_CANDIDATES = 60


def false_marks(rgb: RGBArray, true: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Candidates of the pipeline's segmentation that lie on no true mark: (x, y, diameter) px.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        A scene, taken as skin all over.
    true : sequence of (x, y, diameter)
        What is there.
    """
    skin = Skin(np.ones(rgb.shape[:2], bool), 1.0, 1.0, None)
    labels = find_spots(View(rgb, 1.0), skin, None).labels
    found = []
    stats = cv2.connectedComponentsWithStats((labels > 0).astype(np.uint8))
    for area, (x, y) in list(zip(stats[2][1:, cv2.CC_STAT_AREA], stats[3][1:], strict=True))[:_CANDIDATES]:
        diameter = 2 * math.sqrt(area / math.pi)
        if all(math.hypot(x - tx, y - ty) > 0.7 * (td + diameter) for tx, ty, td in true):
            found.append((float(x), float(y), diameter))
    return found


def clutter(rng: np.random.Generator, size: int) -> F32:
    """Something that is no skin, (size, size, 3) linear light: cloth, print, wood, dots, hair, folds, beads."""
    draw = (_weave, _print, _wood, _dots, _hairs, _folds, _beads)[rng.integers(7)]
    ground, ink = _colours(rng)
    cover = draw(rng, size)[..., None]
    light = ground * (1 - cover) + ink * cover
    shade = cv2.resize(rng.normal(0, 0.12, (4, 4)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(light * (1 + shade[..., None]), 0.004, 1), np.float32)


def _colours(rng: np.random.Generator) -> tuple[F32, F32]:
    """Ground, often near skin or white, and what lies on it, often red or dark: linear light."""
    skin = np.array([0.55, 0.33, 0.24]) * rng.uniform(0.3, 1.4)
    white = np.full(3, rng.uniform(0.5, 0.95))
    ground = (skin, white, rng.uniform(0.05, 0.9, 3))[rng.integers(3)]
    red = np.array([rng.uniform(0.2, 0.7), rng.uniform(0.01, 0.12), rng.uniform(0.01, 0.12)])
    dark = ground * rng.uniform(0.05, 0.7)
    ink = (red, dark, rng.uniform(0.01, 0.9, 3))[rng.integers(3)]
    return ground.astype(np.float32), ink.astype(np.float32)


def _weave(rng: np.random.Generator, size: int) -> F32:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    pitch, turn = rng.uniform(4, 30), rng.uniform(0, math.pi)
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    waves = np.sin(2 * math.pi * u / pitch) * np.sin(2 * math.pi * v / (pitch * rng.uniform(0.7, 1.5)))
    return np.asarray(1 / (1 + np.exp(-(waves - rng.uniform(0, 0.7)) * rng.uniform(2, 12))), np.float32)


def _print(rng: np.random.Generator, size: int) -> F32:
    page = np.zeros((size, size), np.uint8)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;%&"
    scale = rng.uniform(0.3, 1.6)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    for y in np.arange(10, size + 20, 30 * scale * rng.uniform(0.8, 1.6)):
        words = "".join(rng.choice(list(letters + "   "), 60))
        at = (int(rng.integers(-20, 5)), int(y))
        cv2.putText(page, words, at, font, scale, 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    return page.astype(np.float32) / np.float32(255)


def _wood(rng: np.random.Generator, size: int) -> F32:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    bend = cv2.resize(rng.normal(0, 9, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(0, 4)):  # knots
        cx, cy = rng.uniform(0, size, 2)
        bend += rng.uniform(10, 40) * np.exp(-((x - cx) ** 2 + 3 * (y - cy) ** 2) / rng.uniform(60, 900))
    return np.asarray(0.5 + 0.5 * np.sin((y + bend) * rng.uniform(0.15, 0.9)), np.float32) ** 2


def _dots(rng: np.random.Generator, size: int) -> F32:
    """Dotted cloth: alike, sharp, on a grid; petechiae are none of this."""
    cover, pitch, turn = np.zeros((size, size), np.uint8), rng.uniform(10, 50), rng.uniform(0, math.pi)
    radius, odd = pitch * rng.uniform(0.12, 0.42), float(rng.choice([0, 0.5]))
    for i in range(-int(size / pitch), int(2 * size / pitch)):
        for j in range(-int(size / pitch), int(2 * size / pitch)):
            u, v = (i + odd * (j % 2)) * pitch, j * pitch
            x, y = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
            cv2.circle(cover, (int(16 * x), int(16 * y)), int(16 * radius), 255, -1, cv2.LINE_AA, 4)
    weave = 0.85 + 0.15 * _weave(rng, size)
    return np.asarray(cover.astype(np.float32) / 255 * weave, np.float32)


def _hairs(rng: np.random.Generator, size: int) -> F32:
    cover = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(10, 120)):
        start, turn = rng.uniform(0, size, 2), rng.uniform(0, 2 * math.pi)
        angle = turn + np.cumsum(rng.normal(0, 0.08, 40))
        line = start + np.cumsum(np.c_[np.cos(angle), np.sin(angle)] * rng.uniform(1, 5), axis=0)
        points = [np.rint(line * 16).astype(np.int32)]
        cv2.polylines(cover, points, False, int(rng.integers(120, 255)), int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    return cover.astype(np.float32) / np.float32(255)


def _folds(rng: np.random.Generator, size: int) -> F32:
    cells = int(rng.integers(3, 14))
    rough = cv2.resize(rng.normal(0, 1, (cells, cells)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.exp(-((rough / rng.uniform(0.05, 0.5)) ** 2)), np.float32)


def _beads(rng: np.random.Generator, size: int) -> F32:
    """Rough ground: gravel, crumbs, bark."""
    fine = rng.normal(0, 1, (size, size)).astype(np.float32)
    rough = cv2.GaussianBlur(fine, (0, 0), rng.uniform(1, 7))
    return np.asarray(1 / (1 + np.exp(-(rough / rough.std() - rng.uniform(0.3, 2)) * 4)), np.float32)
