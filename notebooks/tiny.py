"""What the notebooks run on: your own data, or a tiny set drawn on the spot.

With the environment variable SPOTSCAN_NOTEBOOK_DATA, a folder with `prepare.yaml`, `train.yaml` and `evaluate.yaml`
(absolute paths in them), the notebooks run in full. Without it, photos are drawn by `spotscan.synth` and everything is
so small that it takes a minute: the numbers mean nothing then, only that everything runs.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import cv2

import spotscan
from spotscan.learn.config import EvaluateConfig, TrainConfig, read_config
from spotscan.learn.prepare import PrepareConfig
from spotscan.synth import Scene, SceneParams, draw_scene

KINDS = {"spot": "petechia", "angioma": "angioma", "lesion": "naevus"}
PHOTOS = 16  # of each class
# One folder for each state of the code: what another one made would be refused.
CODE = sorted(Path(spotscan.__file__).parent.rglob("*.py"))
DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in CODE)).hexdigest()[:12]
TINY = Path(tempfile.gettempdir()) / f"spotscan-notebooks-{DIGEST}"


def configs() -> tuple[PrepareConfig, TrainConfig, EvaluateConfig]:
    """What to prepare, to train and to evaluate."""
    held = os.environ.get("SPOTSCAN_NOTEBOOK_DATA")
    if held:
        kinds = {"prepare": PrepareConfig, "train": TrainConfig, "evaluate": EvaluateConfig}
        prepare, train, evaluate = (read_config(Path(held) / f"{name}.yaml", kind) for name, kind in kinds.items())
        return prepare, train, evaluate
    photos, boxed, prepared, run = (str(TINY / name) for name in ("photos", "boxed", "prepared", "run"))
    if not (TINY / "boxed" / "annotations.json").exists():
        draw_photos(Path(photos), Path(boxed))
    return (
        PrepareConfig(
            prepared, photos=photos, train_scenes=60, validation_scenes=30, test_scenes=30, real_crops=40, processes=1
        ),
        TrainConfig(prepared, run, width=8, epochs=4, batch=32, learning_rate=0.01, average=0.9),
        EvaluateConfig(prepared, str(TINY / "evaluation"), (f"{run}/small",), boxed, resamples=100),
    )


def draw_photos(photos: Path, boxed: Path) -> None:
    """Close-ups of one mark, a folder a class; and photos of four marks with `annotations.json`."""
    annotations = []
    for number, (label, kind) in enumerate(KINDS.items()):
        (photos / label).mkdir(parents=True, exist_ok=True)
        boxed.mkdir(parents=True, exist_ok=True)
        for k in range(PHOTOS):
            scene = _scene(kind, 1, 1000 * number + k)
            x, y = scene.centre_px[0].round().astype(int)
            cut = scene.rgb[max(y - 100, 0) : y + 100, max(x - 120, 0) : x + 120]
            cv2.imwrite(str(photos / label / f"{k}.png"), cut[..., ::-1])
        for k in range(2):
            scene = _scene(kind, 4, 1000 * number + 500 + k)
            cv2.imwrite(str(boxed / f"{label}_{k}.png"), scene.rgb[..., ::-1])
            spots = []
            for outline in scene.outlines_px:
                (x, y), (right, low) = outline.min(0).tolist(), outline.max(0).tolist()
                spots.append({"cx": (x + right) / 2, "cy": (y + low) / 2, "w": right - x, "h": low - y, "label": label})
            annotations.append({"file": f"{label}_{k}.png", "skin_tone": "light", "spots": spots})
    (boxed / "annotations.json").write_text(json.dumps(annotations), encoding="utf-8")


def _scene(kind: str, n: int, seed: int) -> Scene:
    return draw_scene(
        SceneParams(
            width_px=640, height_px=500, px_per_mm=12.0, kinds=((kind, 1.0),), n_spots=n, diameter_mm=(2.0, 4.0)
        ),
        seed,
    )
