"""SpotScan measures small red dots on the skin from a phone photo. It informs and measures; it never diagnoses.

>>> import spotscan
>>> scan = spotscan.scan("photo.jpg", reference="auto")  # doctest: +SKIP
>>> scan.to_dict()["findings"]  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from spotscan._version import __version__
from spotscan.errors import AnswersError, InputError, PhotoError, ReferenceNotFoundError, SpotScanError, UsageError

if TYPE_CHECKING:
    from spotscan.boxes import classify as classify
    from spotscan.boxes import saliency as saliency
    from spotscan.pipeline import scan as scan
    from spotscan.revision import revise as revise
    from spotscan.rules import Triage as Triage
    from spotscan.rules import triage as triage
    from spotscan.types import Scan as Scan

__all__ = [
    "AnswersError",
    "InputError",
    "PhotoError",
    "ReferenceNotFoundError",
    "Scan",
    "SpotScanError",
    "Triage",
    "UsageError",
    "__version__",
    "classify",
    "revise",
    "saliency",
    "scan",
    "triage",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for on first use, so that `import spotscan` stays fast."""
    if name == "scan":
        from spotscan.pipeline import scan

        return scan
    if name == "revise":
        from spotscan.revision import revise

        return revise
    if name in ("classify", "saliency"):
        from spotscan import boxes

        return getattr(boxes, name)
    if name == "Scan":
        from spotscan.types import Scan

        return Scan
    if name in ("Triage", "triage"):
        from spotscan import rules

        return getattr(rules, name)
    raise AttributeError(f"module 'spotscan' has no attribute {name!r}")
