"""Marks that look alike are judged together; an odd one keeps its own judgement."""

import numpy as np
import pytest

from spotscan.alike import appearance, with_alike
from spotscan.crops import CROP_PX


def looks(colours, diameters):
    crops = np.zeros((len(colours), 6, CROP_PX, CROP_PX), np.float32)
    crops[:, :3] = np.asarray(colours, np.float32)[:, :, None, None]
    return appearance(crops, np.asarray(diameters, float))


RED, BROWN = (0.1, 0.5, 0.4), (0.5, 0.8, 0.9)


def test_alike_marks_share_their_judgement():
    logits = np.array([[2.0, 0, 0], [0, 1, 0], [2, 0, 0], [2, 0, 0]])
    shared = with_alike(logits, looks([RED] * 4, [8, 8, 8, 8]), 0.7)
    assert shared[1] == pytest.approx(0.3 * logits[1] + 0.7 * logits.mean(axis=0))
    assert shared[1].argmax() == 0


def test_an_odd_mark_keeps_its_own():
    logits = np.array([[3.0, 0, 0]] * 30 + [[0, 0, 2.0]])
    shared = with_alike(logits, looks([RED] * 30 + [BROWN], [6] * 30 + [40]), 0.7)
    assert shared[-1] == pytest.approx(logits[-1], abs=0.01)
    assert shared[0] == pytest.approx(logits[0], abs=0.01)


def test_one_mark_and_no_share_change_nothing():
    logits = np.random.default_rng(0).normal(size=(7, 3))
    some = looks(np.random.default_rng(1).uniform(0, 0.5, (7, 3)), np.arange(4, 11))
    assert with_alike(logits, some, 0.0) == pytest.approx(logits)
    assert with_alike(logits[:1], some[:1], 1.0) == pytest.approx(logits[:1])
    assert with_alike(logits[:0], some[:0], 0.7).shape == (0, 3)


def test_the_order_of_marks_does_not_matter():
    random = np.random.default_rng(2)
    logits, some = random.normal(size=(1100, 3)), looks(random.uniform(0, 0.5, (1100, 3)), random.uniform(4, 40, 1100))
    order = random.permutation(1100)
    assert with_alike(logits[order], some[order], 0.7) == pytest.approx(with_alike(logits, some, 0.7)[order])


def test_appearance_is_the_colour_of_the_core_and_the_size():
    crops = np.zeros((2, 6, CROP_PX, CROP_PX), np.float32)
    crops[1, 0, 15:25, 15:25] = 0.2
    crops[:, :3, :8] = 1.0  # far from the core
    found = appearance(crops, np.array([5.0, 10.0]))
    assert found[0, :3] == pytest.approx(0)
    assert 1 < found[1, 0] < 2.01
    assert found[1, 3] - found[0, 3] == pytest.approx(np.log(2) / 0.5)
