"""Classes: what each mark looks like to the network, how sure it may be, and what is no mark at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spotscan.alike import appearance, with_alike
from spotscan.crops import mark_crops
from spotscan.findings import CLASSES
from spotscan.types import BoolArray, FloatArray, RGBArray
from spotscan.weights import Weights, load_weights

LESION = CLASSES.index("lesion")
UNSURE = "unsure"
_SURE_LESION = 0.75  # probability of a mark by itself


@dataclass(frozen=True, eq=False)
class Classes:
    """The network's word on n marks.

    Attributes
    ----------
    probabilities : (n, 3) float64
        Calibrated, of spot, angioma and lesion, as if it were one of them; rows sum to 1.
    no_mark : (n,) float64
        Probability that it is no mark at all: hair, pore, crease, shadow, glare, cloth, print.
    names : n of spot | angioma | lesion | unsure
    is_mark : (n,) bool
        False where `no_mark` is so high that the candidate should be dropped.
    """

    probabilities: FloatArray
    no_mark: FloatArray
    names: tuple[str, ...]
    is_mark: BoolArray

    def take(self, rows: NDArray[np.intp]) -> Classes:
        """Those of some of the marks."""
        names = tuple(self.names[row] for row in rows)
        return Classes(self.probabilities[rows], self.no_mark[rows], names, self.is_mark[rows])

    def to_dicts(self) -> tuple[dict[str, Any], ...]:
        """``class`` and ``probabilities`` of each mark, as in the contract."""
        return tuple(
            {"class": name, "probabilities": {c: float(p) for c, p in zip(CLASSES, row, strict=True)}}
            for name, row in zip(self.names, self.probabilities, strict=True)
        )


def classify_marks(
    rgb: RGBArray, centre_px: ArrayLike, diameter_px: ArrayLike, weights: Weights | None = None
) -> Classes:
    """Classify the n marks of a photo; marks that look alike are judged together (`spotscan.alike`).

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        Photo, sRGB.
    centre_px : (n, 2)
        Centres, x and y.
    diameter_px : (n,)
        Diameters, > 0.
    weights : Weights, optional
        Default the pinned ones, loaded on first use; nothing is loaded where there is no mark.

    Raises
    ------
    InputError
        The weights are missing or altered.
    """
    diameters = np.asarray(diameter_px, float).reshape(-1)
    if not len(diameters):
        return judge(np.zeros((0, 4), np.float32), 1.0, 0.0, 1.0)
    weights = weights or load_weights()
    crops = mark_crops(rgb, centre_px, diameters)
    logits = weights.logits(crops)
    together = with_alike(logits[:, :3], appearance(crops, diameters), weights.alike_share)
    return judge(logits, weights.temperature, weights.unsure_below, weights.none_above, together)


def judge(
    logits: ArrayLike, temperature: float, unsure_below: float, none_above: float, together: ArrayLike | None = None
) -> Classes:
    """From logits to classes: the one rule for `unsure` and for what is no mark.

    Parameters
    ----------
    logits : (n, 4)
        Of each mark alone.
    temperature, unsure_below, none_above : float
        As in `Weights`.
    together : (n, 3), optional
        Logits of the classes with marks that look alike in mind; those of each mark alone by default. What is no mark
        is judged of each alone, and what alone is a lesion for sure stays one: many angiomas must not hide a melanoma.
    """
    four = np.asarray(logits, float).reshape(-1, 4) / temperature
    probabilities = alone = softmax(four[:, :3])
    if together is not None:
        own = alone[:, LESION] >= _SURE_LESION
        probabilities = np.where(own[:, None], alone, softmax(np.asarray(together, float) / temperature))
    no_mark = softmax(four)[:, 3]
    sure = (probabilities.max(axis=1, initial=0) >= unsure_below) & (no_mark <= none_above)
    best = probabilities.argmax(axis=1) if len(four) else np.zeros(0, int)
    names = tuple(CLASSES[k] if s else UNSURE for k, s in zip(best, sure, strict=True))
    return Classes(probabilities, no_mark, names, no_mark <= none_above)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
