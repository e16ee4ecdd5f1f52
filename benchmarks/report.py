"""RESULTS.md: every number beside the number asked for."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One number asked for: which result it is read from, and the bounds within which it is reached."""

    benchmark: str
    key: str
    what: str
    asked: str
    low: float = -math.inf
    high: float = math.inf

    def reached(self, value: float) -> bool:
        """Whether the value is as good as asked."""
        return self.low <= value <= self.high


TARGETS = (
    Target("detection", "macro_f1", "macro F1, real petechiae and purpura", ">= 0.85", low=0.85),
    Target("synth", "f1_light", "F1, drawn, light skin", ">= 0.97", low=0.97),
    Target("synth", "f1_medium", "F1, drawn, medium skin", ">= 0.97", low=0.97),
    Target("synth", "f1_dark", "F1, drawn, dark skin", ">= 0.93", low=0.93),
    Target("detection", "alarms_mean", "false alarms per other photo, mean", "<= 1", high=1),
    Target("detection", "alarms_median", "false alarms per other photo, median", "0", high=0),
    Target("classes", "balanced_accuracy", "classes, boxed photos: balanced accuracy", ">= 0.80", low=0.8),
    Target("classes", "recall_spot", "classes: recall of spot", ">= 0.80", low=0.8),
    *(
        Target("classes", f"auc_{name}", f"classes: AUC of {name} against the rest", ">= 0.92", low=0.92)
        for name in ("spot", "angioma", "lesion")
    ),
    Target("classes", "ece", "classes: expected calibration error", "<= 0.08", high=0.08),
    Target(
        "classes", "balanced_accuracy_covered", "classes: balanced accuracy of the surest 80 %", ">= 0.88", low=0.88
    ),
    Target("classes", "angioma_recall_dermoscopic", "held-out HAM10000: recall of angioma", ">= 0.90", low=0.9),
    Target("classes", "lesion_recall_dermoscopic", "held-out HAM10000: recall of lesion", ">= 0.95", low=0.95),
    Target("classes", "lesion_recall_clinical", "held-out PAD-UFES-20: recall of lesion", ">= 0.95", low=0.95),
    Target("classes", "onnxruntime_crops_per_s", "classes: crops a second on one core", ">= 400", low=400),
    Target("classes", "classify_80_s", "classes: 80 marks of a photo, s", "<= 0.25", high=0.25),
    Target("synth", "diameter_median_abs_%", "diameter, drawn, median absolute error, %", "<= 3", high=3),
    Target("synth", "diameter_p95_abs_%", "diameter, drawn, 95th percentile, %", "<= 10", high=10),
    Target("synth", "within_2_sigma", "truth within 2 stated sigma", "0.90 to 0.99", low=0.9, high=0.99),
    Target(
        "scale",
        "joint_distance_median_%",
        "distances, all markers of the photo used (`aruco:SIDE_MM`), median error, %",
        "<= 0.5",
        high=0.5,
    ),
    Target("scale", "joint_distance_p95_%", "distances, all markers used, 95th percentile, %", "<= 2", high=2),
    Target(
        "scale",
        "one_near_distance_median_%",
        "distances near one marker, median error, %",
        "<= 0.5",
        high=0.5,
    ),
    Target("scale", "one_near_distance_p95_%", "distances near one marker, 95th percentile, %", "<= 2", high=2),
    Target("scale", "one_distance_median_%", "all distances from one marker, median error, %", "<= 0.5", high=0.5),
    Target("scale", "one_distance_p95_%", "all distances from one marker, 95th percentile, %", "<= 2", high=2),
    Target(
        "scale",
        "apriltags_to_60_deg_read_share",
        "AprilTags at tilts up to 60 degrees, share read",
        "all",
        low=1,
    ),
    Target("bank_card", "found_share", "bank card, drawn: share found", ">= 0.95", low=0.95),
    Target("bank_card", "error_median_%", "bank card, drawn: px_per_mm, median error, %", "<= 0.7", high=0.7),
    Target(
        "bank_card", "within_2_sigma_share", "bank card, drawn: truth within 2 stated sigma", "0.90 to 0.99", 0.9, 0.99
    ),
    Target("bank_card", "wrong_taken", "bank card: other things taken for one, of 20", "0", high=0),
    *(
        Target("bank_card", f"card_{name}_error_%", f"bank card, real, {name}: error, %", "within 2", -2, 2)
        for name in ("default_sample", "test_sample3", "test_sample4")
    ),
    Target("coins", "found_%", "coin, drawn: found, %", ">= 95", low=95),
    Target("coins", "wrong_%", "coin, drawn: something else taken, %", "<= 0.5", high=0.5),
    Target("coins", "error_median_%", "coin, drawn: px_per_mm, median error, %", "<= 0.7", high=0.7),
    Target("coins", "within_2_sigma_%", "coin, drawn: truth within 2 stated sigma, %", "90 to 99", 90, 99),
    Target("coins", "real_error_max_%", "coin, real: largest error of the ten coins, %", "<= 2", high=2),
    Target("ruler", "found_%", "ruler, drawn: found, %", ">= 95", low=95),
    Target("ruler", "wrong_taken_%", "ruler, drawn: something else taken, %", "<= 0.5", high=0.5),
    Target("ruler", "px_per_mm_median_%", "ruler, drawn: px_per_mm, median error, %", "<= 0.5", high=0.5),
    Target("ruler", "within_2_sigma_%", "ruler, drawn: truth within 2 stated sigma, %", "90 to 99", 90, 99),
    *(
        Target("ruler", f"ruler_derm_ISIC_{name}_%", f"reticle, real, {name}: error along it, %", "within 1", -1, 1)
        for name in ("0261866", "8059429")
    ),
    Target("dots", "share_within_range", "share of plates in the people's range +-5 %", "report; aim 1", low=1),
    Target("skin", "iou_mean", "IoU, mean over the photos", ">= 0.85", low=0.85),
    Target("triage", "cases", "triage: cases written from the facts", ">= 200", low=200),
    Target("triage", "ours_under", "triage: cases below their acceptable range", "0", high=0),
    Target("triage", "ours_over_calm", "triage: calm cases above their acceptable range", "0", high=0),
    Target("triage", "random_broken", "triage: pairs of 100,000 random cases in the wrong order", "0", high=0),
    Target("triage", "triage_ms_median", "one triage, ms", "<= 1", high=1),
    Target("triage", "with_would_change_ms_max", "triage with `would_change` over all questions, ms", "<= 50", high=50),
    Target("batch", "speedup_2", "batch: 2 workers, in times of the rate of one", ">= 1.8", low=1.8),
    Target("batch", "overhead_clock_%", "batch: overhead over bare scans, 200 photos of 2 MP, %", "<= 10", high=10),
    Target(
        "batch", "memory_growth_%", "batch: a worker's peak memory from the 10th photo to the last, %", "flat", high=5
    ),
    Target("batch", "resume_s", "batch: listing and resuming over 100,000 finished photos, s", "<= 10", high=10),
    Target("speed", "ratio", "12 MP scan, in times of the JPEG's decode, warm", "<= 5", high=5),
    Target("speed", "48MP_over_12MP", "48 MP scan, in times of the 12 MP scan", "<= 4", high=4),
    Target("speed", "peak_MB", "peak memory, 12 MP, MB", "<= 700", high=700),
    Target("speed", "cold_scan_s", "`spotscan scan` on a small photo, whole process, s", "<= 1.5", high=1.5),
    Target("speed", "cold_help_s", "`spotscan --help`, whole process, s", "<= 0.4", high=0.4),
)


def number(value: Any) -> str:
    """A value as it is printed: three significant digits, never so few that a count is rounded."""
    if isinstance(value, str) or value is None:
        return "-" if value is None else value
    if isinstance(value, (list, tuple)):
        return ", ".join(number(v) for v in value)
    if not math.isfinite(value):
        return "not measured"
    if float(value).is_integer():
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def markdown(results: dict[str, Result | str], about: dict[str, str], took: dict[str, float], head: str) -> str:
    """The whole page. A result that is a string says why there is none."""
    parts = [head, "## Asked and reached\n", target_table(results)]
    for name, result in results.items():
        parts.append(f"## {name}\n\n{about[name]}\n\nTook {took[name]:.0f} s.\n")
        parts.append(f"Not run: {result}\n" if isinstance(result, str) else section(result))
    return "\n".join(parts)


def target_table(results: dict[str, Result | str]) -> str:
    """What was asked, what was reached."""
    rows = []
    for target in TARGETS:
        result = results.get(target.benchmark, "not run")
        value = None if isinstance(result, str) else result.get(target.key)
        if value is None:
            rows.append({"what": target.what, "asked": target.asked, "reached": "not run", "met": "-"})
            continue
        met = "yes" if target.reached(value) else "no"
        rows.append({"what": target.what, "asked": target.asked, "reached": number(value), "met": met})
    return table(rows)


def section(result: Result) -> str:
    """Single numbers first, then the tables."""
    single = [{"figure": k, "value": number(v)} for k, v in result.items() if not _is_table(v)]
    tables = [f"### {k}\n\n{table(v)}" for k, v in result.items() if _is_table(v)]
    return "\n".join([table(single), *tables])


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of rows with the same keys."""
    if not rows:
        return "(empty)\n"
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(number(value) for value in row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Processor, cores, system, versions of what counts."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    packages = ("numpy", "opencv-python-headless", "scikit-image", "scipy", "pillow")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, {versions}"


def show(result: Result) -> None:
    """One benchmark's result, to the screen."""
    print(section(result))
