"""The triage on the case suite (`tests/triage_cases`), on random answers, and its time.

The cases were written from the facts, apart from the rules; each has a lowest and a highest acceptable urgency.
Under-triage is below the lowest, over-triage above the highest. When the rules first met the suite they failed 2 of 710
cases, one each way, and were changed; so this is no unseen test. The peers are what is done without such rules:
`any_not_fading` sends every spot that is not known to fade to the emergency department and everything else to a routine
visit (as some pages for parents do), `red_flags` takes the worst single answer by itself (fever, confusion, bruises
...) and looks at no combination.
`random_broken` counts pairs of random cases in which more red flags, an answer less, or a photo lowered the urgency.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from spotscan.rules import URGENCIES, triage
from spotscan.rules.engine import answers_of
from spotscan.rules.loading import rulebook

CASES = Path(__file__).resolve().parents[1] / "tests" / "triage_cases"
RANDOM_CASES = 100_000
CALM = ("calm", "angioma_calm")
WORST = {
    "emergency_now": ("confusion_or_drowsy", "seizure", "short_of_breath", "face_or_lip_swelling", "fever"),
    "same_day": ("very_unwell", "neck_stiffness", "light_sensitivity", "rapid_spread", "easy_bruising",
                 "bleeding_gums_or_nosebleeds", "mouth_or_eye_spots", "widespread"),
    "see_doctor_soon": ("changing", "growing", "non_healing", "weight_loss", "recurrent"),
}  # fmt: skip


def run() -> dict[str, Any]:
    """Under- and over-triage by category, random pairs, milliseconds."""
    cases = [case for path in sorted(CASES.glob("*.yaml")) for case in yaml.safe_load(path.read_text())["cases"]]
    result: dict[str, Any] = {"cases": len(cases)}
    for name, judge in {"ours": _ours, "any_not_fading": _any_not_fading, "red_flags": _red_flags}.items():
        levels = [URGENCIES.index(judge(case)) for case in cases]
        result |= {f"{name}_{what}": count for what, count in _score(cases, levels).items()}
    result["by_category"] = _by_category(cases)
    result |= _random()
    result |= _time(cases)
    return result


def _ours(case: dict[str, Any]) -> str:
    return triage(case["answers"], case.get("findings")).urgency


def _any_not_fading(case: dict[str, Any]) -> str:
    return "routine_check" if case["answers"].get("blanching") == "blanches" else "emergency_now"


def _red_flags(case: dict[str, Any]) -> str:
    answers = case["answers"]
    return next(
        (level for level, keys in WORST.items() if any(answers.get(k) in (True, "yes") for k in keys)), "self_watch"
    )


def _score(cases: list[dict[str, Any]], levels: list[int]) -> dict[str, int]:
    low = [URGENCIES.index(case["at_least"]) for case in cases]
    high = [URGENCIES.index(case["at_most"]) for case in cases]
    ideal = [URGENCIES.index(case["ideal"]) for case in cases]
    calm = [case["category"] in CALM for case in cases]
    return {
        "under": sum(a < b for a, b in zip(levels, low, strict=True)),
        "over": sum(a > b for a, b in zip(levels, high, strict=True)),
        "over_calm": sum(a > b and c for a, b, c in zip(levels, high, calm, strict=True)),
        "ideal": sum(a == b for a, b in zip(levels, ideal, strict=True)),
    }


def _by_category(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in cases:
        groups[case["category"]].append(case)
    rows = []
    for category, members in sorted(groups.items()):
        levels = [URGENCIES.index(_ours(case)) for case in members]
        above = sum(level > URGENCIES.index(case["ideal"]) for level, case in zip(levels, members, strict=True))
        rows.append({"category": category, "cases": len(members), **_score(members, levels), "above_ideal": above})
    return rows


def _random() -> dict[str, int]:
    """Pairs of random cases whose order is known."""
    rng = np.random.default_rng(20261120)
    book = rulebook()
    flags = [key for key, fact in book.facts.items() if key in book.questions and True in fact.raises]
    broken = 0
    for _ in range(RANDOM_CASES):
        answers = _random_answers(rng)
        level = URGENCIES.index(triage(answers).urgency)
        which = rng.integers(3)
        if which == 0:  # more red flags
            more = {**answers, **dict.fromkeys(rng.choice(flags, rng.integers(1, 4)).tolist(), "yes")}
            broken += URGENCIES.index(triage(more).urgency) < level
        elif which == 1:  # a no becomes unknown
            noes = [key for key in flags if answers.get(key) == "no"]
            left_out = set(rng.choice(noes, rng.integers(1, 4)).tolist()) if noes else set()
            fewer = {key: value for key, value in answers.items() if key not in left_out}
            broken += URGENCIES.index(triage(fewer).urgency) < level
        else:
            broken += URGENCIES.index(triage(answers, _random_findings(rng)).urgency) < level
    return {"random_cases": RANDOM_CASES, "random_broken": int(broken)}


def _random_answers(rng: np.random.Generator) -> dict[str, Any]:
    """Each answer known or not, mostly no; so that waiting is reached, too."""
    book = rulebook()
    answered, yes = rng.choice([0.3, 0.9, 1.0]), rng.choice([0.0, 0.02, 0.1, 0.5])
    answers: dict[str, Any] = {}
    for key in book.questions:
        if rng.random() > answered:
            continue
        fact = book.facts[key]
        if fact.kind == "yes_no":
            answers[key] = "yes" if rng.random() < yes else "no"
        elif fact.kind == "regions":
            answers[key] = rng.choice(fact.values, rng.integers(1, 4)).tolist()
        else:
            answers[key] = rng.choice(answers_of(book, key)).item()
    return answers


def _random_findings(rng: np.random.Generator) -> dict[str, Any]:
    shares = rng.dirichlet([0.5, 0.5, 0.5])
    return {
        "count": int(rng.integers(0, 80)),
        "max_diameter_mm": float(rng.uniform(0.3, 8)) if rng.random() < 0.8 else None,
        "class_mix": dict(zip(("spot", "angioma", "lesion"), shares.tolist(), strict=True))
        if rng.random() < 0.7
        else None,
        "image_quality": str(rng.choice(["good", "poor", "unusable"])),
    }


def _time(cases: list[dict[str, Any]]) -> dict[str, float]:
    single, whole = [], []
    for case in cases:
        start = time.perf_counter()
        result = triage(case["answers"], case.get("findings"))
        single.append(1e3 * (time.perf_counter() - start))
        result.to_dict()
        whole.append(1e3 * (time.perf_counter() - start))
    return {
        "triage_ms_median": statistics.median(single),
        "triage_ms_p99": float(np.percentile(single, 99)),
        "with_would_change_ms_median": statistics.median(whole),
        "with_would_change_ms_max": max(whole[1:]),
    }


if __name__ == "__main__":
    from benchmarks.report import show

    show(run())
