"""What one photo says, in the few numbers that the triage and the person need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from spotscan.flags import FLAGS
from spotscan.types import Density, FloatArray, Measurements, Quality

CLASSES = ("spot", "angioma", "lesion")

# Flags under which marks go unseen or change size: the numbers of such a photo may be too low.
_POOR = frozenset({"blurred", "focus_unknown", "too_dark", "too_bright", "glare", "low_resolution", "little_skin"})


def summarise(
    measurements: Measurements,
    density: Density,
    quality: Quality,
    classes: Sequence[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The contract's ``findings``: plain Python values, unrounded, None where unknown.

    Parameters
    ----------
    measurements : Measurements
        The n marks.
    density : Density
        Their density.
    quality : Quality
        How far the photo can be trusted.
    classes : n mappings with ``probabilities``, optional
        From the classifier; None where it was not run.

    Returns
    -------
    dict
        count
            Marks found; 0 where none was.
        median_diameter_mm
            Over the marks measured in mm that the photo's edge does not cut (over all where it cuts each).
        max_diameter_mm
            Over all marks measured in mm: a mark that the edge cuts is at least so large.
        density_per_cm2
            Marks per cm2 of visible skin.
        class_mix
            Mean probability of each class over the marks, which sums to 1; None without marks or classes.
        image_quality
            See `image_quality`.
        max_diameter_mm_err
            How much larger than `max_diameter_mm` the largest mark may well be (1 sigma, over all marks).
    """
    return {
        "count": len(measurements),
        "median_diameter_mm": median_diameter(measurements, measurements.diameter_mm),
        "max_diameter_mm": _or_none(np.max, measurements.diameter_mm),
        "density_per_cm2": density.spots_per_cm2,
        "class_mix": _class_mix(classes),
        "image_quality": image_quality(quality),
        "max_diameter_mm_err": _largest_err(measurements),
    }


def image_quality(quality: Quality) -> Literal["good", "poor", "unusable"]:
    """Three grades from the flags.

    ``unusable``: `quality.usable` is False or a flag is marked unusable in the registry. ``poor``: a flag
    under which marks go unseen or are measured wrongly (blurred, focus_unknown, too_dark, too_bright, glare,
    low_resolution, little_skin). ``good``: any other. A missing scale is no fault of the photo, its sizes
    are None; colour_cast blurs only the names of colours; dark_skin is the person, not the photo, and
    stands in `quality.flags`.
    """
    if not quality.usable or any(FLAGS[name].unusable for name in quality.flags):
        return "unusable"
    return "poor" if _POOR.intersection(quality.flags) else "good"


def median_diameter(measurements: Measurements, diameter: FloatArray) -> float | None:
    """Median of the marks' (n,) diameter, mm or px; marks the photo's edge cuts only where it cuts all."""
    whole = np.array(["at_edge" not in flags for flags in measurements.flags], bool)
    median = _or_none(np.median, diameter[whole])
    return _or_none(np.median, diameter) if median is None else median


def _largest_err(measurements: Measurements) -> float | None:
    upper = _or_none(np.max, measurements.diameter_mm + measurements.diameter_mm_err)
    return None if upper is None else upper - float(np.nanmax(measurements.diameter_mm))


def _or_none(statistic: Any, values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(statistic(known)) if len(known) else None


def _class_mix(classes: Sequence[dict[str, Any]] | None) -> dict[str, float] | None:
    known = [entry["probabilities"] for entry in classes or () if entry.get("probabilities")]
    if not known:
        return None
    return {name: float(np.mean([entry[name] for entry in known])) for name in CLASSES}
