"""The case suite: written from the facts alone, before and apart from the rules.

Each case has the lowest and the highest acceptable urgency. Below the lowest is never allowed; above the highest is
over-triage, counted by category in benchmarks/RESULTS.md and allowed nowhere among the calm ones.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import spotscan
from spotscan.rules import URGENCIES
from spotscan.rules.loading import rulebook

FOLDER = Path(__file__).with_name("triage_cases")


def load_cases() -> list[dict[str, Any]]:
    return [
        {**case, "file": path.name}
        for path in sorted(FOLDER.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["cases"]
    ]


CASES = load_cases()
CALM = {"calm", "angioma_calm"}


def test_the_suite_is_large_and_its_ids_are_unique() -> None:
    assert len(CASES) >= 200
    assert len({case["id"] for case in CASES}) == len(CASES)


def test_every_case_rests_on_facts_we_have() -> None:
    sources = rulebook().sources
    known = {*sources["facts"], *sources["disagreements"]}
    for case in CASES:
        named = {fact for fact in case["facts"] if re.fullmatch(r"S\d-\d+|D\d+", str(fact))}
        assert named, f"{case['id']} names no fact"
        assert named <= known, case["id"]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_urgency_is_acceptable(case: dict[str, Any]) -> None:
    result = spotscan.triage(case["answers"], case.get("findings"))
    level = URGENCIES.index(result.urgency)
    why = f"{result.urgency} for {case['why']} ({', '.join(reason.rule for reason in result.reasons)})"
    assert level >= URGENCIES.index(case["at_least"]), why
    if case["category"] in CALM:
        assert level <= URGENCIES.index(case["at_most"]), why


def test_over_triage_stays_rare() -> None:
    over = [
        case["id"]
        for case in CASES
        if URGENCIES.index(spotscan.triage(case["answers"], case.get("findings")).urgency)
        > URGENCIES.index(case["at_most"])
    ]
    assert len(over) <= 0.02 * len(CASES), over


def test_every_rule_holds_in_some_case() -> None:
    fired = {reason.rule for case in CASES for reason in spotscan.triage(case["answers"], case.get("findings")).reasons}
    fallbacks = {rule.id for rule in rulebook().rules if rule.fallback}
    assert {rule.id for rule in rulebook().rules} - fired - fallbacks == set()
