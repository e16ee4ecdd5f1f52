"""One run: a seeded, resumable training of one network, with curves. Needs the extra ``train`` (torch).

AdamW (Loshchilov & Hutter 2019) under a one-cycle rate (Smith & Topin 2019); what is kept is a running mean of the
weights. Everything drawn in an epoch follows from the seed and the epoch, so that a run which was stopped and goes on
from a checkpoint ends with the very weights of one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from spotscan.errors import InputError, UsageError
from spotscan.learn.augment import vary
from spotscan.learn.config import TrainConfig, as_dict, folder_for
from spotscan.learn.metrics import balanced_accuracy, recalls
from spotscan.learn.network import Network, build, n_parameters
from spotscan.learn.prepared import OUTPUTS, Crops, fingerprint, read_crops
from spotscan.learn.sampling import drawn, sampling_weights

CHECKPOINT, CURVES = "checkpoint.pt", "curves.csv"
_WARM_UP = 0.3  # share of the steps in which the rate rises
_FIRST, _LAST = 1 / 25, 1e-4  # of the peak rate
_MAY_CHANGE = {
    "out",
    "threads",
    "name",
    "alike_share",
    "coverage",
    "max_error",
    "none_cost",
}  # of the config, between the parts of one run


@dataclass
class State:
    """What a run is after so many epochs: all that a checkpoint holds."""

    network: Network  # as the optimiser moves it
    mean: Network  # running mean of its weights: what is kept and judged
    optimiser: torch.optim.AdamW
    epoch: int  # epochs done
    curves: list[dict[str, Any]]  # a row an epoch


def train(config: TrainConfig, stream: TextIO | None = None) -> Network:
    """Train, or go on with, the run of a config; writes `checkpoint.pt` and `curves.csv` into `config.out`.

    Parameters
    ----------
    config : TrainConfig
        What to do.
    stream : text stream, optional
        Where progress is told; default standard error.

    Returns
    -------
    Network
        The running mean of the weights, in evaluation mode, on the CPU.

    Raises
    ------
    UsageError
        The folder holds a run with other settings or other crops.
    InputError
        There are no crops to train on, or the checkpoint cannot be read.
    """
    stream = sys.stderr if stream is None else stream
    out = folder_for(config.out)
    training, validation = read_crops(config.data, "train"), read_crops(config.data, "validation")
    left_out = np.isin(training.route, config.holdout_routes)
    kept = np.flatnonzero(~left_out)
    weights = sampling_weights(training.label[kept], training.route[kept], config.balance)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with _settings(config.threads):
        state = _started(config, device)
        _restore(state, out / CHECKPOINT, config, device)
        parts = {"val": validation, "left": _some(training, np.flatnonzero(left_out), len(validation))}
        print(_told(config, state, training, kept, device), file=stream, flush=True)
        while state.epoch < config.epochs:
            began = time.perf_counter()
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(config.seed * 1_000_003 + state.epoch)
                loss = _epoch(state, config, training, kept, weights, device, stream)
            state.epoch += 1
            row = {"epoch": state.epoch, "loss": round(loss, 5)}
            for name, crops in parts.items():
                row |= {f"{name}_{key}": value for key, value in judged(state.mean, crops).items()}
            state.curves.append(row | {"seconds": round(time.perf_counter() - began, 1)})
            _save(state, out / CHECKPOINT, config)
            _write_curves(state.curves, out / CURVES)
            print(_line(state.curves[-1], config.epochs), file=stream, flush=True)
        state.mean.to("cpu").eval()
    return state.mean


def predict(network: Network, crops: NDArray[Any], batch: int = 512) -> NDArray[np.float32]:
    """Logits (n, 4) of (n, 6, h, w) crops, in batches, on the network's device."""
    device = next(network.parameters()).device
    network.eval()
    rows = [np.zeros((0, len(OUTPUTS)), np.float32)]
    with torch.no_grad():
        for first in range(0, len(crops), batch):
            part = torch.from_numpy(np.asarray(crops[first : first + batch], np.float32)).to(device)
            rows.append(network(part).float().cpu().numpy())
    return np.concatenate(rows)


def judged(network: Network, crops: Crops) -> dict[str, float]:
    """Loss, balanced accuracy and recalls on marks; nothing where there are none."""
    if not len(crops):
        return {}
    logits = predict(network, crops.crops)
    label = crops.label.astype(int)
    loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(label)).item()
    chosen = logits.argmax(1)
    single = {f"recall_{name}": float(r) for name, r in zip(OUTPUTS, recalls(label, chosen, len(OUTPUTS)), strict=True)}
    numbers = {"loss": loss, "balanced_accuracy": balanced_accuracy(label, chosen, len(OUTPUTS)), **single}
    return {key: round(value, 4) for key, value in numbers.items()}


def rate(step: int, steps: int, peak: float) -> float:
    """One-cycle learning rate: up along a cosine from peak / 25, then down to peak / 10000."""
    done = step / max(steps - 1, 1)
    if done < _WARM_UP:
        low, share = _FIRST, done / _WARM_UP
    else:
        low, share = _LAST, (1 - done) / (1 - _WARM_UP)
    return peak * (low + (1 - low) * (1 - math.cos(math.pi * share)) / 2)


def _started(config: TrainConfig, device: torch.device) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build(config.network, config.width, config.dropout)
    network = network.to(device, memory_format=torch.channels_last)  # twice as fast on a CPU
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]  # of BatchNorm, and biases: they need no holding back
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return State(network, copy.deepcopy(network), torch.optim.AdamW(groups, lr=config.learning_rate), 0, [])


def _epoch(
    state: State,
    config: TrainConfig,
    crops: Crops,
    kept: NDArray[Any],
    weights: NDArray[np.float64],
    device: torch.device,
    stream: TextIO,
) -> float:
    """One pass, drawn by weight; the mean loss."""
    per_epoch = max(len(kept) // config.batch, 1)
    order = kept[drawn(weights, per_epoch * config.batch, np.random.default_rng([config.seed, state.epoch]))]
    half = _computes_bfloat16(device) if config.bfloat16 is None else config.bfloat16
    state.network.train()
    total = torch.zeros((), device=device)
    for i in range(per_epoch):
        step = state.epoch * per_epoch + i
        for group in state.optimiser.param_groups:
            group["lr"] = rate(step, config.epochs * per_epoch, config.learning_rate)
        chosen = np.sort(order[i * config.batch : (i + 1) * config.batch])  # sorted: memory is read in one direction
        x = torch.from_numpy(crops.crops[chosen]).to(device).float()
        label = torch.from_numpy(crops.label[chosen].astype(np.int64)).to(device)
        varied = vary(x, config.augment).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = state.network(varied)
        loss = F.cross_entropy(logits.float(), label, label_smoothing=config.label_smoothing)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
        _average(state, min(config.average, (1 + step) / (10 + step)))  # soon forget the first, drawn weights
        total += loss.detach()
        if stream.isatty() and i % 20 == 0:
            print(f"\repoch {state.epoch + 1}: {i} / {per_epoch}", end="", file=stream, flush=True)
    return float(total) / per_epoch


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether half precision is faster there, not merely possible."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _average(state: State, decay: float) -> None:
    with torch.no_grad():
        now = state.network.state_dict()
        for name, mean in state.mean.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[name], 1 - decay)
            else:
                mean.copy_(now[name])


def _save(state: State, path: Path, config: TrainConfig) -> None:
    """Written beside, then moved: a run stopped while saving keeps the checkpoint before."""
    held = {
        "network": state.network.state_dict(),
        "mean": state.mean.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "epoch": state.epoch,
        "curves": state.curves,
        "config": as_dict(config),
        "crops": fingerprint(config.data),
    }
    beside = path.with_suffix(".part")
    torch.save(held, beside)
    beside.replace(path)


def _restore(state: State, path: Path, config: TrainConfig, device: torch.device) -> None:
    """Take up a checkpoint where there is one."""
    if not path.exists():
        return
    try:
        held = torch.load(path, map_location=device, weights_only=True)  # weights only: a file must not run code
    except Exception as error:  # torch raises what it likes
        raise InputError("the checkpoint cannot be read", str(path), "delete it to begin anew") from error
    now = as_dict(config)
    changed = [key for key in now if key not in _MAY_CHANGE and held["config"].get(key) != now[key]]
    if held["crops"] != fingerprint(config.data):
        changed.append("the prepared crops")
    if changed:
        raise UsageError(
            f"the run there has other settings ({', '.join(changed)})", str(path), "choose another out, or delete it"
        )
    state.network.load_state_dict(held["network"])
    state.mean.load_state_dict(held["mean"])
    state.optimiser.load_state_dict(held["optimiser"])
    state.epoch, state.curves = held["epoch"], held["curves"]


def _some(crops: Crops, which: NDArray[Any], at_most: int) -> Crops:
    """Evenly some of them."""
    return crops.take(which[:: max(len(which) // max(at_most, 1), 1)])


def _told(config: TrainConfig, state: State, crops: Crops, kept: NDArray[Any], device: torch.device) -> str:
    counts = np.bincount(crops.label[kept].astype(int), minlength=len(OUTPUTS))
    classes = ", ".join(f"{n} {name}" for name, n in zip(OUTPUTS, counts, strict=True))
    begun = f", going on after epoch {state.epoch}" if state.epoch else ""
    out = f", without {', '.join(config.holdout_routes)}" if config.holdout_routes else ""
    return f"{config.network}, {n_parameters(state.network)} parameters, on {device}: {classes}{out}{begun}"


def _line(row: dict[str, Any], epochs: int) -> str:
    told = ", ".join(f"{key} {value}" for key, value in row.items() if key != "epoch")
    return f"\repoch {row['epoch']} / {epochs}: {told}"


def _write_curves(curves: list[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(curves[-1]))
        writer.writeheader()
        writer.writerows(curves)


@contextlib.contextmanager
def _settings(threads: int) -> Iterator[None]:
    """Torch's number of threads, given back afterwards."""
    before = torch.get_num_threads()
    try:
        if threads > 0:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
