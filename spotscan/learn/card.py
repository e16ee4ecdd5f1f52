"""The card that goes with weights: what they were made of, how good they are, what they must not be used for."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from spotscan.errors import InputError, cannot_write
from spotscan.findings import CLASSES
from spotscan.learn.report import cell

_CARD = Template("""\
# $name

A small convolutional network ($network, $parameters parameters) that says of one segmented mark on the skin whether it
looks like a spot (petechia, purpura), an angioma, or another lesion that should be looked at, and whether it is a mark
at all. Made by `spotscan train`, version $version, seed $seed.

## What it is for

It is one step of SpotScan: it sorts marks in phone photos so that a person can be told what to have looked at. Where it
should not be believed it says `unsure`.

## What it must not be used for

- It does not diagnose. No answer of it, and least of all `angioma` or `spot`, means that a mark is harmless.
- It must not be used to rule out melanoma or any other cancer, meningitis or another cause of petechiae.
- It is not made for photos through a dermatoscope, for mucosa, nails or scars, or for marks of less than about 5 px.
- Real photos of dark skin are rare in what it was trained and judged on: see the numbers by skin tone below.

## Data

$sources

$licence

**The class spot was learned from drawn spots only**: there is no openly licensed photo of petechiae to train on. Spots
were drawn from the absorbance of blood on photos of real skin. What is said of real spots rests on the photos below
that were boxed by hand, on which nothing was trained.

Crops for training, by class and route: $counts

## How it reads a mark

Two crops of $crop_px px, $tight and $wide diameters wide, as absorbance above the skin (`spotscan.crops`). The logits
are divided by a temperature of $temperature. $alike_share of the judgement of a mark comes from the marks of the photo
that look like it (`spotscan.alike`). A mark is `unsure` where its top probability is below $unsure_below:
$rule.

## How good it is

On the validation split, which set the temperature and the thresholds: $validation.

$measured
""")
# What each data set asks of those who use it, by the name in its notes.
_LICENCES = {
    "PAD-UFES-20": "PAD-UFES-20 (Pacheco et al. 2020) is CC BY 4.0.",
    "HAM10000": "HAM10000 (Tschandl et al. 2018) is CC BY-NC 4.0: **these weights are not for commercial use.**",
}
_KEYS = ("balanced_accuracy", *(f"recall_{c}" for c in CLASSES), *(f"auc_{c}" for c in CLASSES), "ece",
         "balanced_accuracy_covered", "balanced_accuracy_given", "coverage_given")  # fmt: skip
_WORDS = {
    "ece": "expected calibration error",
    "ece_before": "the same before the temperature",
    "balanced_accuracy": "balanced accuracy",
    "coverage": "given a class",
    "balanced_accuracy_covered": "balanced accuracy of the surest",
    "balanced_accuracy_given": "balanced accuracy of those given a class",
    "coverage_given": "given a class",
    "none_dropped": "found to be no mark, of what is none",
}


def write_card(folder: Path, evaluation: dict[str, Any] | None = None) -> Path:
    """Write `card.md` beside weights, from their config.json and, where there is one, an evaluation.

    Parameters
    ----------
    folder : path
        With config.json.
    evaluation : dict, optional
        What `spotscan.learn.evaluation.evaluate` gave; the numbers of the model of this name go into the card.

    Raises
    ------
    InputError
        There is no config.json.
    UsageError
        The card cannot be written.
    """
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("there is no model", str(folder / "config.json"), "train one") from error
    try:
        (folder / "card.md").write_text(card(told, evaluation), encoding="utf-8")
    except OSError as error:
        raise cannot_write(error, str(folder)) from error
    return folder / "card.md"


def card(told: dict[str, Any], evaluation: dict[str, Any] | None = None) -> str:
    """The card's text."""
    trained, crops = told["trained"], told["trained"]["crops"]
    counts = crops.get("splits", {}).get("train", {}).get("class and route", {})
    return _CARD.substitute(
        told,
        network=trained["network"],
        parameters=f"{trained['parameters']:,}",
        version=trained["spotscan"],
        seed=trained["seed"],
        sources="\n".join(f"- {line}" for s in crops.get("sources", []) for line in s["notes"]) or "- not told",
        licence=" ".join(text for name, text in _LICENCES.items() if name in str(crops.get("sources")))
        or "Own photos.",
        counts=", ".join(f"{name} {n}" for name, n in counts.items()) or "not told",
        temperature=f"{told['temperature']:.3f}",
        unsure_below=f"{told['unsure_below']:.3f}",
        alike_share=f"{told['alike_share']:.0%}",
        validation=", ".join(f"{_words(key)} {value:.3f}" for key, value in told["validation"].items()),
        measured=_measured(told["name"], evaluation),
    )


def _measured(name: str, evaluation: dict[str, Any] | None) -> str:
    model = (evaluation or {}).get("models", {}).get(name)
    if model is None:
        return "Not judged yet: run `spotscan evaluate`."
    parts = ["Brackets are 95 % intervals of a bootstrap over photos or patients, each of which counts the same."]
    for key, title in (("photos", "Photos boxed by hand, never trained on"), ("test", "Test split")):
        if key not in model:
            continue
        numbers = model[key]["all"]
        remark = (evaluation or {}).get("about", {}).get("config", {}).get("remark", "") if key == "photos" else ""
        parts.append(f"### {title}: {numbers['marks']} marks, {numbers['groups']} photos, patients or scenes")
        parts += [remark] if remark else []
        rows = [f"| {_words(k)} | {cell(numbers['metrics'][k])} |" for k in _KEYS]
        parts.append("\n".join(["| measure | value |", "|---|---|", *rows]))
        for kind, heading in (("by_source", "source"), ("by_route", "route"), ("by_tone", "skin tone")):
            if model[key].get(kind):
                parts.append(_by(heading, model[key][kind]))
    return "\n\n".join(parts)


def _by(heading: str, subsets: dict[str, Any]) -> str:
    recalls = [f"recall_{c}" for c in CLASSES]
    lines = [f"| {heading} | marks | {' | '.join(_words(r) for r in recalls)} |", "|---" * (2 + len(recalls)) + "|"]
    for value, numbers in subsets.items():
        cells = " | ".join(cell(numbers["metrics"][r]) for r in recalls)
        lines.append(f"| {value} | {numbers['marks']} | {cells} |")
    return "\n".join(lines)


def _words(key: str) -> str:
    """A measure's name in words."""
    return _WORDS.get(key, key.replace("auc_", "AUC ").replace("_", " "))
