"""Tests of networks, their training and their export; they need torch (extra `train`)."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from spotscan.errors import InputError, UsageError
from spotscan.learn.config import Augment, TrainConfig
from spotscan.learn.prepared import OUTPUTS, read_crops
from tests.learn_tools import prepared_folder, separable

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from spotscan.learn.augment import vary  # noqa: E402
from spotscan.learn.network import NETWORKS, build, n_parameters  # noqa: E402
from spotscan.learn.training import CHECKPOINT, CURVES, predict, rate, train  # noqa: E402

pytestmark = pytest.mark.slow
QUIET = io.StringIO
OFF = Augment(0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("learn") / "prepared")


@pytest.fixture(scope="module")
def config(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return TrainConfig(str(data), str(out), width=8, epochs=6, batch=24, learning_rate=0.01, average=0.9, threads=1)


@pytest.fixture(scope="module")
def trained(config):
    return train(config, QUIET())


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_crops_and_gives_four_logits(name):
    network = build(name, 16).eval()
    assert network(torch.zeros(3, 6, 40, 40)).shape == (3, len(OUTPUTS))
    if name != "resnet18":  # the peer may be large
        assert n_parameters(network) <= 1_500_000


def test_two_branch_is_small_at_its_default_width():
    assert 300_000 < n_parameters(build("two_branch")) < 1_500_000


def test_an_unknown_network_is_refused():
    with pytest.raises(UsageError, match="two_branch"):
        build("vgg")


def test_a_network_learns_what_can_be_learned(trained, data):
    test = read_crops(data, "test")
    assert np.mean(predict(trained, test.crops).argmax(1) == test.label) > 0.95


def test_curves_are_logged_for_every_epoch(trained, config):
    from pathlib import Path

    lines = (Path(config.out) / CURVES).read_text(encoding="utf-8").splitlines()
    assert len(lines) == config.epochs + 1
    assert {"epoch", "loss", "val_loss", "val_balanced_accuracy", "val_recall_spot"} <= set(lines[0].split(","))


def test_a_stopped_run_ends_with_the_same_weights(trained, config, tmp_path, monkeypatch):
    from spotscan.learn import training

    saved = []

    def stop_at_third(state, path, config, save=training._save):
        save(state, path, config)
        saved.append(state.epoch)
        if len(saved) == 3:
            raise KeyboardInterrupt

    again = replace(config, out=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            train(again, QUIET())
    torch.manual_seed(77)  # what others draw in between does not matter
    told = io.StringIO()
    assert same(train(again, told), trained)
    assert "going on after epoch 3" in told.getvalue()
    assert not list((tmp_path / "run").glob("*.part"))


def test_training_leaves_the_generator_of_others_alone(config, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(replace(config, out=str(tmp_path), epochs=1), QUIET())
    assert torch.equal(torch.rand(3), expected)


def test_a_run_with_other_settings_is_not_gone_on_with(trained, config):
    with pytest.raises(UsageError, match="learning_rate"):
        train(replace(config, learning_rate=0.002), QUIET())


def test_a_broken_checkpoint_is_said(config, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"broken")
    with pytest.raises(InputError, match="checkpoint"):
        train(replace(config, out=str(tmp_path)), QUIET())


def test_routes_left_out_are_not_trained_on_but_judged(config, tmp_path):
    told = io.StringIO()
    train(replace(config, out=str(tmp_path), epochs=1, holdout_routes=("pasted",)), told)
    assert "without pasted" in told.getvalue()
    assert "left_balanced_accuracy" in (tmp_path / CURVES).read_text(encoding="utf-8")
    with pytest.raises(InputError, match="holdout_routes"):
        train(replace(config, out=str(tmp_path / "none"), holdout_routes=("pasted", "drawn")), QUIET())


def test_the_rate_goes_up_then_down_to_nearly_nothing():
    rates = [rate(step, 100, 1.0) for step in range(100)]
    top = int(np.argmax(rates))
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
    assert 25 < top < 35
    assert np.all(np.diff(rates[:top]) > 0)
    assert np.all(np.diff(rates[top:]) < 0)
    assert rates[-1] < 1e-3


def crops_for_varying(n=64):
    return torch.from_numpy(separable(n, 1, "photo").crops.astype(np.float32))


def test_nothing_varies_but_turns_where_all_is_off():
    x = crops_for_varying()
    y = vary(x, OFF)
    turns = [torch.rot90(z, k, (2, 3)) for z in (x, x.flip(3)) for k in range(4)]
    apart = torch.stack([(y - t).abs().amax((1, 2, 3)) for t in turns]).min(0).values
    assert apart.max() < 1e-4
    assert len({int(k) for k in torch.stack([(y - t).abs().sum((1, 2, 3)) for t in turns]).argmin(0)}) == 8


def test_both_crops_of_a_mark_are_varied_alike():
    """A colour cast and a contrast are the photo's: tight and wide keep their relation."""
    x = crops_for_varying()
    x[:, 3:] = x[:, :3]
    y = vary(x, replace(OFF, contrast=0.3, cast_gain=0.2, cast_offset=0.05))
    assert torch.allclose(y[:, :3], y[:, 3:], atol=1e-5)
    assert not torch.allclose(y.amax((2, 3)), x.amax((2, 3)), atol=0.05)


def test_a_shift_moves_the_mark_in_the_wide_crop_by_as_much_skin():
    from spotscan.crops import TIGHT, WIDE

    yy, xx = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    blob = torch.exp(-((xx - 19.5) ** 2 + (yy - 19.5) ** 2) / 18)
    y = vary(blob.expand(32, 6, 40, 40), replace(OFF, shift=0.06))

    def centre(z):
        return torch.stack([(z * g).sum((1, 2)) / z.sum((1, 2)) - 19.5 for g in (xx, yy)], 1)

    tight, wide = centre(y[:, 0]), centre(y[:, 3])
    assert tight.abs().max() > 2
    assert torch.allclose(wide, tight * TIGHT / WIDE, atol=0.25)


def test_a_frame_cuts_both_crops_at_the_same_skin():
    from spotscan.crops import TIGHT, WIDE

    y = vary(torch.ones(200, 6, 40, 40), replace(OFF, frame=1.0))
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert y[:, :, 20, 20].min() == 1  # the mark itself stays
    right = [(y[:, i].amax(1)[:, 20:].sum(1) * side / 40).clamp(max=TIGHT / 2) for i, side in ((0, TIGHT), (3, WIDE))]
    assert (right[0] - right[1]).abs().max() < WIDE / 40 + TIGHT / 40  # to a pixel of each
    assert right[0].min() < 0.9 < right[0].max()
    assert 0.2 < (y[:, 3].mean((1, 2)) < 0.3).float().mean() < 0.9


def test_crops_stay_within_their_limits():
    y = vary(crops_for_varying(), Augment(1.0, 0.5, 0.5, 0.1, 0.3, 0.3, 1.0, 0.5, 0.5))
    assert y.min() >= -1
    assert y.max() <= 1.5


@pytest.fixture(scope="module")
def exported(trained, config):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from spotscan.learn.export import export

    return export(trained, config)


@pytest.mark.parametrize("n", [1, 7])
def test_the_onnx_gives_what_torch_gives(exported, trained, n):
    import onnxruntime

    crops = np.random.default_rng(n).normal(0, 0.3, (n, 6, 40, 40)).astype(np.float32)
    session = onnxruntime.InferenceSession(exported / "weights.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"crops": crops})
    assert np.abs(logits - predict(trained, crops)).max() <= 1e-4


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "two_branch"])
def test_every_network_can_be_exported(name, tmp_path):
    pytest.importorskip("onnxscript")
    import onnxruntime

    from spotscan.learn.export import write_onnx

    torch.manual_seed(0)
    network = build(name).eval()
    write_onnx(network, tmp_path / "weights.onnx")
    crops = np.random.default_rng(0).normal(0, 0.3, (3, 6, 40, 40)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "weights.onnx", providers=["CPUExecutionProvider"])
    assert np.abs(session.run(["logits"], {"crops": crops})[0] - predict(network, crops)).max() <= 1e-4


def test_weights_tell_nothing_of_the_machine_they_were_made_on(exported):
    import onnx

    held = (exported / "weights.onnx").read_bytes()
    assert b".py" not in held
    assert b"/site-packages" not in held
    assert {o.version for o in onnx.load(exported / "weights.onnx").opset_import} == {18}


def test_the_config_says_how_to_read_the_logits(exported):
    told = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    assert told["classes"] == list(OUTPUTS)
    assert 0.05 < told["temperature"] < 20
    assert 1 / 3 <= told["unsure_below"] <= 1
    assert 0 <= told["none_above"] <= 1
    assert told["validation"]["balanced_accuracy"] > 0.9
    assert "learned from drawn spots only" in (exported / "card.md").read_text(encoding="utf-8")


def test_exported_weights_can_be_judged(exported, config, tmp_path):
    pytest.importorskip("sklearn")
    from spotscan.learn.config import EvaluateConfig
    from spotscan.learn.evaluation import evaluate, write_evaluation

    asked = EvaluateConfig(config.data, str(tmp_path), (str(exported),), baselines=(), cards=True, resamples=50)
    found = evaluate(asked, QUIET())
    told = found["models"]["small"]
    assert told["test"]["all"]["metrics"]["balanced_accuracy"]["value"] > 0.95
    assert set(told["route_probe"]["network"]) == set(OUTPUTS)  # drawn and pasted are alike here, so
    assert max(p["balanced_accuracy"] for p in told["route_probe"]["network"].values()) < 0.8
    assert len(write_evaluation(found, asked)) == 3
    assert "### Test split" in (exported / "card.md").read_text(encoding="utf-8")
