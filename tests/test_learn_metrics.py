"""Tests of what is said of a classifier: metrics, their intervals, calibration, abstention, sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotscan.classes import judge, softmax
from spotscan.errors import InputError, UsageError
from spotscan.learn.calibration import best_temperature, calibrate, class_weights, conformal
from spotscan.learn.metrics import (
    auc,
    aucs,
    balanced_accuracy,
    bootstrap,
    confusion,
    ece,
    group_weights,
    recalls,
    reliability,
    risk_coverage,
    surest,
)
from spotscan.learn.prepared import NONE
from spotscan.learn.sampling import drawn, sampling_weights


def calibrated_draw(n: int, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from them: the softmax of these logits is right by construction."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, k))
    sums = np.cumsum(softmax(logits), axis=1)
    return logits, np.minimum((random.random((n, 1)) > sums).sum(1), k - 1)


def test_a_calibrated_draw_has_no_calibration_error_and_an_overconfident_one_has():
    logits, label = calibrated_draw(60_000)
    assert ece(label, softmax(logits)) < 0.01
    assert ece(label, softmax(3 * logits)) > 0.08


def test_ece_of_a_constant_confidence_is_its_distance_from_the_accuracy():
    label = np.array([0] * 7 + [1] * 3)
    probabilities = np.tile([0.9, 0.1], (10, 1))
    assert ece(label, probabilities) == pytest.approx(0.2)
    rows = reliability(label, probabilities)
    assert rows[:, 0].sum() == 10
    assert rows[rows[:, 0] > 0, 1:].tolist() == [pytest.approx([0.9, 0.7])]


def test_temperature_is_found_again():
    logits, label = calibrated_draw(40_000)
    for wrong in (0.4, 1.0, 2.5):
        assert best_temperature(wrong * logits, label) == pytest.approx(wrong, rel=0.03)


def test_auc_is_that_of_scikit_learn():
    roc = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    positive = random.random(500) < 0.3
    score = np.round(random.normal(0, 1, 500) + positive, 1)  # with ties
    weight = random.uniform(0, 2, 500)
    assert auc(positive, score) == pytest.approx(roc.roc_auc_score(positive, score))
    assert auc(positive, score, weight) == pytest.approx(roc.roc_auc_score(positive, score, sample_weight=weight))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
@settings(deadline=None)
def test_auc_is_the_share_of_pairs_in_order(marks):
    positive, score = np.array([m[0] for m in marks]), np.array([m[1] for m in marks], float)
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    if pairs:
        assert auc(positive, score) == pytest.approx(np.mean(pairs))
    else:
        assert np.isnan(auc(positive, score))


def test_auc_of_each_class_does_not_change_with_the_scale_of_its_scores():
    logits, label = calibrated_draw(300)
    p = softmax(logits)
    assert aucs(label, p) == pytest.approx(aucs(label, p**3))


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_are_there():
    label, chosen = np.array([0, 0, 0, 0, 2, 2]), np.array([0, 0, 0, 1, 2, 0])
    assert recalls(label, chosen, 3)[[0, 2]].tolist() == [0.75, 0.5]
    assert np.isnan(recalls(label, chosen, 3)[1])
    assert balanced_accuracy(label, chosen, 3) == pytest.approx(0.625)
    assert np.isnan(balanced_accuracy(label[:0], chosen[:0], 3))
    assert confusion(label, chosen, 3).tolist() == [[3, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_every_photo_counts_the_same_however_many_marks_it_has():
    group = np.array(["a"] * 99 + ["b"])
    label, chosen = np.zeros(100, int), np.array([0] * 99 + [1])
    assert recalls(label, chosen, 2, group_weights(group))[0] == pytest.approx(0.5)


def test_bootstrap_draws_groups_and_covers_the_truth():
    """Marks of one photo alike: the interval must hold the true mean in about 95 of 100 worlds."""
    held, held_by_marks, worlds = 0, 0, 120
    for world in range(worlds):
        random = np.random.default_rng(world)
        group = np.repeat(np.arange(60), 8)
        value = np.repeat(random.normal(1.0, 1.0, 60), 8) + random.normal(0, 0.1, 480)

        def mean(times, value=value):
            return np.sum(times * value) / np.sum(times)

        low, high = bootstrap(mean, group, 150, world)
        held += low <= 1.0 <= high
        low, high = bootstrap(mean, np.arange(480), 150, world)
        held_by_marks += low <= 1.0 <= high
    assert 0.87 <= held / worlds <= 0.99
    assert held_by_marks / worlds < 0.7  # single marks drawn: far too narrow


def test_bootstrap_within_strata_keeps_every_class():
    label = np.array([0] * 30 + [1])
    group = np.arange(31)
    chosen = np.zeros(31, int)
    low, high = bootstrap(lambda times: recalls(label, chosen, 2, times), group, 100, 0, label)
    assert low.tolist() == [1, 0]
    assert high.tolist() == [1, 0]


def test_risk_falls_where_the_surest_are_kept():
    logits, label = calibrated_draw(5000)
    p = softmax(logits)
    kept, error = risk_coverage(p.argmax(1) != label, p.max(1))
    assert kept[-1] == pytest.approx(1)
    assert error[-1] == pytest.approx(np.mean(p.argmax(1) != label))
    assert error[999] < error[2499] < error[-1]


@pytest.mark.parametrize("coverage", [0.1, 0.8, 1.0])
def test_surest_keeps_the_share_asked_for(coverage):
    sure = np.random.default_rng(2).random(1000)
    assert np.mean(sure >= surest(sure, coverage)) == pytest.approx(coverage)


def with_none(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    return calibrated_draw(n, 4, 3)


def test_the_unsure_rule_keeps_the_stated_coverage_classes_counting_alike():
    logits, label = with_none()
    rare = (label != 1) | (np.arange(len(label)) % 5 == 0)  # a class five times rarer
    logits, label = logits[rare], label[rare]
    c = calibrate(logits, label, coverage=0.7)
    marks = label != NONE
    told = judge(logits[marks].astype(np.float32), c.temperature, c.unsure_below, c.none_above)
    sure = np.array([name != "unsure" for name in told.names])
    weight = class_weights(label[marks])
    assert np.sum(weight * sure) / weight.sum() == pytest.approx(0.7, abs=0.01)
    assert c.measured["coverage"] == pytest.approx(0.7, abs=0.01)
    assert c.measured["balanced_accuracy_covered"] > c.measured["balanced_accuracy"]


def test_the_unsure_rule_keeps_the_stated_error():
    logits, label = with_none()
    c = calibrate(logits, label, max_error=0.1)
    assert 0.2 < c.measured["coverage"] < 1
    assert 1 - c.measured["balanced_accuracy_covered"] == pytest.approx(0.1, abs=0.03)
    never = calibrate(-logits, label, max_error=1e-9)
    assert never.unsure_below > 1 or never.measured["coverage"] < 0.05


def test_no_class_pays_more_for_none_than_was_allowed():
    logits, label = with_none()
    c = calibrate(logits, label, none_cost=0.03)
    told = judge(logits.astype(np.float32), c.temperature, c.unsure_below, c.none_above)
    dropped = [np.mean(~told.is_mark[label == k]) for k in range(4)]
    assert max(dropped[:3]) <= 0.031
    assert dropped[3] > max(dropped[:3])


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_conformal_sets_hold_the_true_class_as_often_as_stated(alpha):
    held = []
    for seed in range(20):
        logits, label = calibrated_draw(1600, 3, seed)
        p = softmax(3 * logits)  # overconfident: conformal sets do not mind
        rule = conformal(label[:800], p[:800], alpha)
        held.append(rule.measured(label[800:], p[800:])["holds_true"])
    assert np.mean(held) == pytest.approx(1 - alpha, abs=0.01)


def test_sampling_weighs_classes_and_within_them_routes_alike():
    label = np.array([0] * 90 + [1] * 10)
    route = np.array(["a"] * 80 + ["b"] * 10 + ["a"] * 10)
    w = sampling_weights(label, route, "class_route")
    assert w.sum() == pytest.approx(1)
    assert w[:80].sum() == pytest.approx(0.25)
    assert w[80:90].sum() == pytest.approx(0.25)
    assert sampling_weights(label, route, "class")[:90].sum() == pytest.approx(0.5)
    assert sampling_weights(label, route, "none")[:90].sum() == pytest.approx(0.9)
    counts = np.bincount(drawn(w, 1000, np.random.default_rng(0)), minlength=100)
    assert np.all(np.abs(counts - 1000 * w) <= 1)


def test_sampling_refuses_what_cannot_be():
    with pytest.raises(UsageError, match="balance"):
        sampling_weights(np.zeros(2), np.array(["a", "a"]), "fair")
    with pytest.raises(InputError, match="holdout_routes"):
        sampling_weights(np.zeros(0), np.zeros(0, str), "class")
