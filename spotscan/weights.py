"""The network's weights: found, checked against the pinned hashes, and run by ONNX Runtime.

A file that is not the very one this version was measured with is refused: whoever changes the weights changes what
people are told.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spotscan.errors import InputError

F32 = NDArray[np.float32]

NAME = "small-1"
# sha256 of every file the library reads from models/<name>/, by name.
PINNED: dict[str, dict[str, str]] = {
    "small-1": {
        "weights.onnx": "36b8e883c474f3325b8d3fd1778325b82168e7f54e84afd71cbd815961dcf527",
        "config.json": "3249df2fcad6b0124f9fbe4c5c7f5b1233c5c8fc18e082f5c1514ceb41ac4e17",
    }
}
_HERE = Path(__file__).resolve().parent
# In an installed package, or beside it in a checkout.
FOLDERS = (_HERE / "models", _HERE.parent / "models")
_BATCH = 64  # crops at once: beyond it nothing gets faster, and memory grows


@dataclass(frozen=True, eq=False)
class Weights:
    """A network ready to run.

    Attributes
    ----------
    name : str
        Folder under models/.
    temperature : float
        Logits are divided by it (Guo et al. 2017).
    unsure_below : float
        A mark whose likeliest class has less than this calibrated probability is `unsure`.
    none_above : float
        A mark that is none at all with more than this probability is not believed.
    alike_share : float
        How much of a mark's judgement comes from the marks of the photo that look alike (`spotscan.alike`).
    session : onnxruntime.InferenceSession
    """

    name: str
    temperature: float
    unsure_below: float
    none_above: float
    alike_share: float
    session: Any

    def logits(self, crops: F32) -> F32:
        """Logits (n, 4) of (n, 6, 40, 40) crops: spot, angioma, lesion, no mark."""
        parts = [crops[first : first + _BATCH] for first in range(0, len(crops), _BATCH)]
        rows = [self.session.run(["logits"], {"crops": np.ascontiguousarray(part, np.float32)})[0] for part in parts]
        return np.concatenate([np.zeros((0, 4), np.float32), *rows])


@cache
def load_weights(name: str = NAME) -> Weights:
    """Load weights that are the pinned ones, once a process.

    Raises
    ------
    InputError
        The files are not there, or not the ones this version knows.
    """
    onnx, text = (_checked(name, file) for file in ("weights.onnx", "config.json"))
    config = json.loads(text)
    numbers = {key: float(config[key]) for key in ("temperature", "unsure_below", "none_above", "alike_share")}
    return Weights(name, **numbers, session=open_session(onnx))


def open_session(onnx: bytes) -> Any:
    """ONNX Runtime on these weights, as every scan runs them."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # builds for Windows have some
    options = onnxruntime.SessionOptions()
    # One thread: the marks of a photo take 0.1 s, and a batch runs one process a core.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def _checked(name: str, file: str) -> bytes:
    """The bytes of a pinned file."""
    if name not in PINNED:
        raise InputError("unknown weights", ascii(name)[1:-1], f"this version knows {', '.join(PINNED)}")
    path = next((path for folder in FOLDERS if (path := folder / name / file).is_file()), None)
    if path is None:
        raise InputError("the network's weights are missing", f"models/{name}/{file}", "install spotscan anew")
    held = path.read_bytes()
    if hashlib.sha256(held).hexdigest() != PINNED[name][file]:
        raise InputError("the network's weights are not the ones this version was measured with", str(path),
                         "install spotscan anew")  # fmt: skip
    return held
