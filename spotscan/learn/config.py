"""What a run is asked to do: YAML read into frozen dataclasses, a wrong key refused by name."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from spotscan.errors import UsageError, cannot_write

T = TypeVar("T")


@dataclass(frozen=True)
class Augment:
    """How crops are varied while training, in absorbance (log10 units) relative to the skin; 0 turns a thing off."""

    contrast: float = 0.2  # 1 sigma of log contrast, shared by all channels: light, tone of skin, depth of the mark
    cast_gain: float = 0.10  # 1 sigma of each channel's gain: sensor and white balance change channels unlike
    cast_offset: float = 0.02  # 1 sigma of each channel's offset: the skin's median is not the skin below the mark
    shift: float = 0.05  # 1 sigma, of the tight crop's side: centres of segmented marks are off by so much
    scale: float = 0.10  # 1 sigma of log size: diameters of segmented and of boxed marks differ by so much
    noise: float = 0.02  # largest 1 sigma of pixel noise
    blur: float = 0.5  # share of crops that are blurred further
    frame: float = (
        0.3  # share of crops cut off at a random frame: real close-ups end near the mark, drawn photos do not
    )
    drop: float = 0.05  # share of crops that lose the tight or the wide one, so that neither is believed alone


@dataclass(frozen=True)
class TrainConfig:
    """`spotscan train`: one network, one run."""

    data: str  # folder of prepared crops (`spotscan data prepare`)
    out: str  # folder of the run: checkpoints, curves, and the exported weights
    name: str = "small"  # of the weights, models/<name>/
    network: str = "two_branch"  # see spotscan.learn.network.NETWORKS
    width: int = 32  # channels of the first layer of two_branch; parameters grow with its square
    dropout: float = 0.3  # before the last layer
    epochs: int = 20  # passes over as many crops as the training split has
    batch: int = 128  # crops a step
    learning_rate: float = 3e-3  # peak of the one-cycle schedule
    weight_decay: float = 0.02  # of AdamW, on weights only
    label_smoothing: float = 0.08  # drawn labels are right, but borderline marks are not sure
    balance: str = "class_route"  # crops drawn so that these weigh alike: none, class, or every route of a class
    average: float = 0.998  # decay a step of the running mean of the weights, which is what is kept
    holdout_routes: tuple[str, ...] = ()  # routes left out of training, to measure what they cost
    alike_share: float = (
        0.7  # of a mark's judgement that comes from marks of its photo that look alike (spotscan.alike)
    )
    coverage: float = 0.8  # share of validation marks that get a class; the rest are unsure
    max_error: float | None = None  # instead: as many marks get a class as leave this share of errors among them
    none_cost: float = 0.02  # largest share of any class's validation marks that may be taken for no mark at all
    seed: int = 0  # of everything drawn
    threads: int = 0  # of torch on the CPU; 0: all cores
    bfloat16: bool | None = None  # train in half precision; null: where the machine computes in it, 1.6 times as fast
    augment: Augment = field(default_factory=Augment)


@dataclass(frozen=True)
class EvaluateConfig:
    """`spotscan evaluate`: models and baselines judged on the same marks, one table."""

    data: str  # folder of prepared crops: baselines learn from its training split, all are judged on its test split
    out: str  # folder for evaluation.json and evaluation.md
    models: tuple[str, ...]  # folders with weights.onnx and config.json
    photos: str = ""  # folder of boxed photos (annotations.json), relative to SPOTSCAN_DATA; empty: none
    remark: str = ""  # how far those photos are unseen; goes into the cards beside their numbers
    baselines: tuple[str, ...] = ("nearest_mean", "random_forest")  # see spotscan.learn.baselines.BASELINES
    alike_share: float = 0.7  # of the baselines, judged with and without it, as the models are
    coverage: float = 0.8  # the second column: each model keeps the share of marks it is surest of
    cards: bool = False  # write the numbers into each model's card.md
    resamples: int = 2000  # of the bootstrap
    seed: int = 0  # of bootstrap and baselines


def read_config(path: str | Path, kind: type[T]) -> T:
    """Read a YAML mapping into a dataclass of `kind`.

    Raises
    ------
    UsageError
        The file cannot be read, is no mapping, lacks a key, has an unknown one or a value of the wrong kind.
    """
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the config ({error.strerror})", str(path), "give a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError("the config is not YAML", str(path), " ".join(str(error).split())) from error
    if not isinstance(raw, dict):
        raise UsageError("the config is not a mapping of keys to values", str(path), "see examples/")
    return _built(kind, raw, str(path), "")


def as_dict(config: Any) -> dict[str, Any]:
    """A config as plain values, as JSON would hold it (tuples as lists)."""
    plain = dataclasses.asdict(config)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def folder_for(path: str | Path) -> Path:
    """Make a folder for results, or say that it cannot be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(error, str(path)) from error
    return Path(path)


def _built(kind: type[T], raw: dict[Any, Any], path: str, prefix: str) -> T:
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    unknown = [f"{prefix}{key}" for key in raw if key not in fields]
    if unknown:
        raise UsageError(f"unknown key in the config: {', '.join(unknown)}", path, f"known are {', '.join(fields)}")
    needed = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and name not in raw
    ]
    if needed:
        raise UsageError(f"the config lacks {prefix}{', '.join(needed)}", path, "add it")
    return kind(**{key: _value(hints[key], value, path, f"{prefix}{key}") for key, value in raw.items()})


def _value(hint: Any, value: Any, path: str, name: str) -> Any:
    """A value of the kind that its field asks for."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _built(typing.cast(type[Any], hint), value, path, f"{name}.")
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:  # `kind | None`
        return None if value is None else _value(inner[0], value, path, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(inner[0], item, path, name) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _value(inner[1], item, path, name) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is None and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    wanted = "a list" if origin is tuple else "a mapping" if origin is dict else getattr(hint, "__name__", str(hint))
    raise UsageError(f"the config's {name} is not {wanted}", f"{path}: {value!r}", "correct it")
