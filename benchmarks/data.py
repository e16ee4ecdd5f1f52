"""Where the judging data are; nothing of them is copied into the repository."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType


class MissingData(Exception):  # noqa: N818 - a state, not a failure
    """The data of a benchmark are not on this machine."""


def folder(*parts: str) -> Path:
    """A folder of the shared data (`SPOTSCAN_DATA`, or ../shared/data beside the repository)."""
    root = Path(os.environ.get("SPOTSCAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = root.joinpath(*parts)
    if not path.exists():
        raise MissingData(f"no {'/'.join(parts)} in {root}: set SPOTSCAN_DATA to the folder of shared data")
    return path


def shared_scoring() -> ModuleType:
    """The shared scorer of detections, from the folder beside the data."""
    path = folder().parent / "scoring" / "detection.py"
    if not path.exists():
        raise MissingData(f"no {path}")
    spec = importlib.util.spec_from_file_location("shared_scoring_detection", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
