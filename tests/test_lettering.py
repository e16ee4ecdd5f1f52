"""Lettering: lines of white text on skin are found whatever the tone, and shine is not taken for text."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotscan.lettering import find_lettering

DATA = Path(os.environ.get("SPOTSCAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
H, W = 300, 420
TONES = {"light": (215, 180, 160), "medium": (170, 120, 95), "dark": (90, 60, 45)}


def skin(tone: str, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(size=(H, W)), (0, 0), 2)
    return np.clip(np.array(TONES[tone]) * (1 + 0.5 * grain[..., None]), 0, 255).round().astype(np.uint8)


def write(rgb: np.ndarray, text: str, at: tuple[int, int], size: float, thick: int) -> tuple[np.ndarray, np.ndarray]:
    ink = np.zeros((H, W), np.uint8)
    cv2.putText(ink, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    laid = (rgb + (240.0 - rgb) * (ink[..., None] / 255.0)).round().astype(np.uint8)
    return laid, ink > 128


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize(("size", "thick"), [(0.6, 2), (0.8, 2), (1.2, 3)])
def test_text_is_found_and_little_else(tone: str, size: float, thick: int) -> None:
    rgb, ink = write(skin(tone), "Skin clinic", (20, 250), size, thick)
    found = find_lettering(rgb)
    assert found[ink].mean() > 0.9
    assert not found[:120].any()


def test_logo_above_the_text_belongs_to_it() -> None:
    rgb, _ = write(skin("medium"), "Skin clinic", (40, 250), 0.8, 2)
    logo = np.zeros((H, W), bool)
    for y in range(180, 225, 6):
        logo[y : y + 3, 90:130] = True
    rgb[logo] = 238
    assert find_lettering(rgb)[logo].mean() > 0.9
    alone = skin("medium")
    alone[logo] = 238
    assert not find_lettering(alone).any()


@pytest.mark.parametrize("seed", range(5))
def test_streaks_of_shine_are_not_text(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shine = np.zeros((H, W), np.uint8)
    for x, y in rng.uniform([0, 0], [W, H], (400, 2)):
        dx, dy = rng.uniform(-7, 7, 2)
        end = (round(x + dx), round(y + dy))
        cv2.line(shine, (round(x), round(y)), end, int(rng.uniform(120, 255)), 2, cv2.LINE_AA)
    rgb = skin("light")
    rgb = (rgb + (255.0 - rgb) * (shine[..., None] / 255.0)).round().astype(np.uint8)
    assert find_lettering(rgb).mean() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (30, 700)])
def test_odd_shapes_are_taken(shape: tuple[int, int]) -> None:
    found = find_lettering(np.full((*shape, 3), 120, np.uint8))
    assert found.shape == shape
    assert not found.any()


@pytest.mark.skipif(not (DATA / "eval" / "dermnet_nz").is_dir(), reason="photos of dermnet_nz are not here")
def test_logos_of_real_photos() -> None:
    """Every one of these photos has a logo near its lower left corner."""
    photos = sorted((DATA / "eval" / "dermnet_nz").glob("*.jpg"))[::3]
    found = [find_lettering(cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB)) for p in photos]
    assert np.mean([f[f.shape[0] // 2 :, : f.shape[1] // 2].any() for f in found]) >= 0.9
    assert np.max([f[: f.shape[0] // 3].mean() for f in found]) < 0.02


@pytest.mark.skipif(not (DATA / "train" / "pad_ufes_20").is_dir(), reason="photos of pad_ufes_20 are not here")
def test_close_ups_have_no_text() -> None:
    photos = sorted((DATA / "train" / "pad_ufes_20" / "images").glob("*.jpg"))[::12]
    assert not any(find_lettering(cv2.imread(str(path))).any() for path in photos)
