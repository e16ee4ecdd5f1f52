"""Prepared crops of known truth, for the tests of what makes and judges the network."""

from pathlib import Path

import numpy as np

from spotscan.learn.prepared import OUTPUTS, Crops, write_crops

# Absorbance of red, green, blue in each class, far apart; none is plain skin.
_COLOURS = np.array([[0.15, 0.5, 0.4], [0.1, 0.9, 0.8], [0.5, 0.6, 0.9], [0.0, 0.0, 0.0]])
_FROM_CENTRE = np.hypot(*(np.mgrid[:40, :40] - 19.5))


def separable(n: int, seed: int, name: str) -> Crops:
    """n discs, a colour a class: any classifier worth its name tells them apart; four of them a photo."""
    random = np.random.default_rng(seed)
    label = random.integers(len(OUTPUTS), size=n)
    discs = np.repeat(np.stack([_FROM_CENTRE < 8.3, _FROM_CENTRE < 2.2]), 3, axis=0).astype(float)
    depth = random.uniform(0.7, 1.1, (n, 1, 1, 1))
    crops = discs * np.tile(_COLOURS[label], 2)[:, :, None, None] * depth + random.normal(0, 0.03, (n, 6, 40, 40))
    scene = np.arange(n) // 4
    return Crops(
        crops=crops.astype(np.float16),
        label=label.astype(np.int8),
        route=np.array(["drawn", "pasted"])[random.integers(2, size=n)],
        group=np.array([f"{name}:{s}" for s in scene]),
        ita_deg=np.where(random.random(n) < 0.2, np.nan, random.uniform(-20, 60, n)).astype(np.float32),
        diameter_px=random.uniform(5, 20, n).astype(np.float32),
        scene=scene.astype(np.int32),
        centre_px=random.uniform(0, 100, (n, 2)).astype(np.float32),
    )


def prepared_folder(folder: Path, n: int = 480) -> Path:
    """A folder as `spotscan data prepare` leaves it, with n crops to train on."""
    folder.mkdir()
    for seed, (split, size) in enumerate({"train": n, "validation": n // 2, "test": n // 2}.items()):
        write_crops(folder, split, separable(size, seed, split))
    return folder
