"""All words of the page, from one file, so that they can be translated."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from spotscan.rules.loading import rulebook


@cache
def texts() -> dict[str, Any]:
    """The whole of `texts.yaml`."""
    return dict(yaml.safe_load(files("spotscan.page").joinpath("texts.yaml").read_text(encoding="utf-8")))


def say(key: str, **values: object) -> str:
    """The text under a dotted key, with its `{names}` filled in."""
    found: Any = texts()
    for part in key.split("."):
        found = found[part]
    return str(found).strip().format(**values)


def plain(text: object) -> str:
    """`text` so that Streamlit's markdown shows it as it is."""
    inline = re.sub(r"([\\`*_\[\]<>$~:&|])", r"\\\1", str(text))
    return re.sub(r"^(\s*\d*)([#+.)-])", r"\1\\\2", inline)  # what makes a heading or a list at the start


def number(value: float | None, unit: str = "", err: float | None = None) -> str:
    """A number as people write it, with its error where there is one; a word where it is not known."""
    if value is None or value != value:
        return say("spot.unknown")
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    spread = "" if err is None or err != err else f" ± {err:.{digits}f}"
    return f"{value:.{digits}f}{spread} {unit}".strip()


def percent(share: float) -> str:
    """A share of a guess: never all, never none."""
    text = f"{share:.0%}"
    return {"100%": ">99%", "0%": "<1%"}.get(text, text)


def flag(name: str) -> str:
    """What is wrong with a photo or a spot, and what helps."""
    return str(texts()["flags"][name])


def asked(key: str) -> str:
    """What an answer or a finding is called: the question, or the finding in words."""
    question = rulebook().questions.get(key)
    return question.ask if question else str(texts()["findings"].get(key, key.replace("_", " ")))


def answered(key: str, value: Any) -> str:
    """An answer or a finding in words."""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(answered(key, part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{texts()['classes'].get(name, name)} {percent(share)}" for name, share in value.items())
    question = rulebook().questions.get(key)
    if question and value in question.choices:
        return str(question.choices[value])
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(texts()["replies"].get(value, value)) if isinstance(value, str) else str(value)
