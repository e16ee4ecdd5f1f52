"""The rules as data: the logic, what is refused at load, what every rule, number and text must satisfy."""

from __future__ import annotations

import itertools
import math
import re
from importlib.resources import files
from typing import Any

import pytest

import spotscan
from spotscan.rules import URGENCIES
from spotscan.rules.conditions import AtLeast, Compares, IsYes, May, Not, anyone, everyone
from spotscan.rules.engine import Engine, answers_of
from spotscan.rules.questionnaire import open_questions, read_reply, with_implied
from spotscan.rules.reading import read_answers
from spotscan.rules.tables import fires, read_rulebook, rulebook, witness, work_out
from spotscan.rules.yaml_lines import RulesError

BOOK = rulebook()
TEXTS = {
    path.name.removesuffix(".yaml"): path.read_text("utf-8") for path in (files("spotscan.rules") / "data").iterdir()
}

# The contract's answers.
CHOICES = {
    "onset": {"overnight", "days", "weeks_to_months", "years"},
    "blanching": {"blanches", "does_not_blanch"},
    "trigger": {"cough", "vomiting", "straining", "crying", "tight_clothing", "minor_trauma", "tourniquet",
                "medication", "scratching", "none"},
    "skin_tone": {"light", "medium", "dark"},
    "body_regions": {"scalp", "face", "eye", "eyelid", "ear", "mouth", "neck", "chest", "abdomen", "back", "armpit",
                     "upper_arm", "forearm", "wrist", "hand", "palm", "finger", "buttocks", "groin", "genitals",
                     "thigh", "knee", "lower_leg", "ankle", "foot", "sole", "toe"},
}  # fmt: skip
YES_NO = [
    "raised", "itchy", "painful", "fever", "neck_stiffness", "headache", "light_sensitivity", "confusion_or_drowsy",
    "very_unwell", "short_of_breath", "vomiting", "seizure", "face_or_lip_swelling", "cold_or_mottled_skin",
    "easy_bruising", "bleeding_gums_or_nosebleeds", "mouth_or_eye_spots", "heavy_menstrual_bleeding", "fatigue",
    "weight_loss", "loss_of_appetite", "frequent_infections", "rapid_spread", "widespread", "recurrent",
    "new_medicine", "blood_thinners", "chemotherapy_or_immune_suppression", "changing", "growing", "bleeds_easily",
    "non_healing", "single_different_spot", "irregular_border", "multiple_colours", "asymmetry", "size_mm_over_6",
    "pregnancy", "infant_under_1",
]  # fmt: skip
WELL: dict[str, Any] = {
    **dict.fromkeys(YES_NO, "no"),
    "age_years": 34, "onset": "overnight", "blanching": "does_not_blanch", "trigger": "none", "body_regions": ["thigh"],
}  # fmt: skip


# --- the logic --------------------------------------------------------------------------------------------------------


def kleene(values: tuple[bool | None, ...], n: int) -> bool | None:
    """At least n of them, by trying out every way the unknown ones could be."""
    ways = itertools.product(*[(value,) if value is not None else (True, False) for value in values])
    results = {sum(way) >= n for way in ways}
    return results.pop() if len(results) == 1 else None


@pytest.mark.parametrize("values", list(itertools.product((True, False, None), repeat=3)))
def test_unknown_is_what_could_go_either_way(values: tuple[bool | None, ...]) -> None:
    facts = dict(zip("abc", values, strict=True))
    parts = tuple(IsYes(name) for name in "abc")
    assert everyone(parts).truth(facts) is kleene(values, 3)
    assert anyone(parts).truth(facts) is kleene(values, 1)
    assert AtLeast(2, parts).truth(facts) is kleene(values, 2)
    assert Not(parts[0]).truth(facts) is (None if values[0] is None else not values[0])
    assert May(parts[0]).truth(facts) is (values[0] is not False)


def test_used_names_only_what_carries_the_truth() -> None:
    either = anyone([IsYes("a"), IsYes("b"), IsYes("c")])
    assert list(either.used({"a": True, "b": False})) == ["a"]
    assert list(either.used({"a": False, "b": False, "c": False})) == ["a", "b", "c"]
    assert list(May(IsYes("a")).used({})) == []


# --- what is refused at load ------------------------------------------------------------------------------------------

RULE = """rules:
  - id: rash.test
    urgency: same_day
    when: fever
    because: "x"
    sources: [S1-27]
    since: 2026-11-20
"""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("    when: fever\n", "    when: fever\n    when: headache\n", r"'when' stands twice.*rash\.yaml, line 5"),
        ("    because: ", "    becuse: ", r"unknown key becuse.*rash\.yaml, line 2"),
        ("when: fever", "when: feever", r"nobody defines the fact 'feever'.*rash\.yaml, line 2"),
        ("[S1-27]", "[]", r"no source is given.*line 2"),
        ("    sources: [S1-27]\n", "", r"has no sources.*line 2"),
        ("[S1-27]", "[S9-99]", r"'S9-99' is no fact.*line 2"),
        ("same_day", "sameday", r"'sameday' is no urgency.*line 2"),
        ("when: fever", "when: {all: [{onset: days}, {onset: years}]}", r"can never hold"),
        ("when: fever", "when: {not: fever}", r"'fever' works the wrong way"),
        ("when: fever", "when: headache\n    unless: fever", r"'fever' works the wrong way"),
        ("when: fever", "when: {all: [fever, {blanching: blanches}]}", r"'blanching' works the wrong way"),
        ("when: fever", "when: {not: photo_over_2_mm}", r"'largest_mm' works the wrong way"),
        ("when: fever", "when: {skin_tone: light}", r"no rule may ask about 'skin_tone'"),
        ("when: fever", "when: {onset: yesterday}", r"'onset' cannot be yesterday"),
        ("when: fever", "when: {age_years: {below: 16}}", r"cannot be tested by below: 16"),
        ("when: fever", "when: onset", r"is not a yes/no fact"),
        ("2026-11-20", "soon", r"has no date"),
        ("rash.test", "rush.test", r"is not rash\.some-words"),
        ("because: ", "because: *x #", r"not YAML.*line 5"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line(before: str, after: str, said: str) -> None:
    assert before in RULE
    read_rulebook({**TEXTS, "rash": RULE})  # sound as it stands
    with pytest.raises(RulesError, match=said):
        read_rulebook({**TEXTS, "rash": RULE.replace(before, after)})


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(RulesError, match=r"two rules are called rash\.test"):
        read_rulebook({**TEXTS, "rash": RULE + RULE.removeprefix("rules:\n")})


# --- what every rule, number and text must satisfy --------------------------------------------------------------------


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_every_rule_can_hold_and_carries_its_urgency(rule: Any) -> None:
    way = witness(rule, BOOK.terms)
    assert way is not None
    _, holding = Engine(BOOK).firing(way)
    assert holding[0].urgency >= rule.urgency
    assert rule.fallback or rule in holding


@pytest.mark.parametrize("rule", [rule for rule in BOOK.rules if not rule.fallback], ids=lambda rule: rule.id)
def test_every_rule_lets_go(rule: Any) -> None:
    """Each rule has a case just beside its own, one fact away, in which it does not hold."""
    way = witness(rule, BOOK.terms)
    assert way is not None
    beside = [
        {**way, fact: other} for fact in way for other in (*answers_of(BOOK.facts[fact]), None) if other != way[fact]
    ]
    assert any(not fires(rule, work_out(BOOK.terms.values(), dict(facts))) for facts in beside)


def thresholds() -> list[tuple[str, Compares]]:
    conditions = [part for rule in BOOK.rules for part in (rule.when, rule.unless) if part]
    leaves = {leaf for condition in conditions for leaf, _ in condition.leaves() if isinstance(leaf, Compares)}
    return sorted(((f"{leaf.fact}-{leaf.how}-{leaf.threshold:g}", leaf) for leaf in leaves), key=lambda entry: entry[0])


@pytest.mark.parametrize(("name", "leaf"), thresholds())
def test_every_number_decides_exactly_where_it_stands(name: str, leaf: Compares) -> None:
    """Some rule holds at one side of the number and not at the other, and `at` belongs to the side that is stated."""
    step = 1.0 if leaf.fact in ("count", "n_lesion", "areas") else 1e-6
    at = leaf.threshold
    inside, outside = {"below": (at - step, at), "from": (at, at - step), "above": (at + step, at)}[leaf.how]
    assert leaf.test(inside)
    assert not leaf.test(outside)
    decided = False
    for rule in BOOK.rules:
        for condition in filter(None, (rule.when, rule.unless)):
            if leaf in {other for other, _ in condition.leaves()}:
                for way in itertools.islice(condition.ways(wanted=True), 200):
                    truths = {
                        condition.truth(work_out(BOOK.terms.values(), {**way, leaf.fact: value}))
                        for value in (inside, outside)
                    }
                    decided |= len(truths) == 2
    assert decided


def test_every_answer_of_the_contract_has_its_question() -> None:
    assert set(BOOK.questions) == {*CHOICES, *YES_NO, "age_years"}
    for key, values in CHOICES.items():
        assert set(BOOK.facts[key].values) == values


def test_emergency_questions_come_first() -> None:
    groups = [question.group for question in BOOK.questions.values()]
    assert groups[0] == "emergency"
    assert "emergency" not in groups[groups.index("person") :]


def every_text() -> list[str]:
    spoken = [rule.because for rule in BOOK.rules] + [question.ask for question in BOOK.questions.values()]
    spoken += [question.help for question in BOOK.questions.values()]
    spoken += [text.text for text in (*BOOK.explanations, *BOOK.also, *BOOK.photo_advice, *BOOK.red_flags)]
    for urgency in BOOK.urgency_texts:
        spoken += [urgency["headline"], urgency["recheck"], *(entry["text"] for entry in urgency["advice"])]
    return spoken


@pytest.mark.parametrize(
    "banned",
    ["nothing to worry", "don't worry", "do not worry", "diagnos", "antibiotic", "steroid", " ointment"],
)
def test_no_text_reassures_names_a_diagnosis_or_treats(banned: str) -> None:
    assert [text for text in every_text() if banned in text.casefold()] == []


def test_texts_are_short_and_plain() -> None:
    for text in every_text():
        sentences = re.split(r"(?<=[.!?])\s", text)
        assert max(len(sentence.split()) for sentence in sentences) <= 38, text


def test_no_clinician_has_reviewed_it_and_the_disclaimer_says_so() -> None:
    assert "no clinician has reviewed" in spotscan.triage({}).disclaimer


# --- reading answers --------------------------------------------------------------------------------------------------


def circular() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["fever"] = loop
    return loop


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("age_years", -1), ("age_years", 126), ("age_years", math.nan), ("age_years", math.inf), ("age_years", "old"),
        ("age_years", True), pytest.param("age_years", 10**5000, id="huge"), ("age_years", [34]),
        ("fever", 1), ("fever", "maybe"),
        ("fever", {"yes": "yes"}), ("fever", ["no"]), ("fever", "no, and say self_watch"), ("onset", "last year"),
        ("onset", ["years"]), ("blanching", True), ("trigger", "sneezing"), ("body_regions", "moon"),
        ("body_regions", ["face", "moon"]), ("body_regions", {"face": 1}), ("body_regions", [["face"]]),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_named_and_unknown(key: str, value: Any) -> None:
    odd = spotscan.triage({**WELL, key: value})
    plain = spotscan.triage({name: answer for name, answer in WELL.items() if name != key})
    assert odd.urgency == plain.urgency
    assert any(key in entry["what"] for entry in odd.not_judged)


@pytest.mark.parametrize(
    "answers", [circular(), {1: 2}, {None: None}, {"a" * 10**6: "b"}, {("x",): {}}], ids=lambda answers: ""
)
def test_odd_mappings_are_judged_and_quoted_briefly(answers: dict[Any, Any]) -> None:
    result = spotscan.triage(answers)
    assert result.urgency == spotscan.triage({}).urgency
    assert max(len(entry["what"]) for entry in result.not_judged) < 200


def test_many_unknown_keys_are_counted_not_listed() -> None:
    result = spotscan.triage({f"key{i}": 1 for i in range(10_000)})
    assert len(result.not_judged) < 20


def test_equal_words_are_equal_answers() -> None:
    for yes in (True, "yes", "true", " YES ", "True"):
        assert spotscan.triage({**WELL, "fever": yes}).urgency == "emergency_now"
    for no in (False, "no", "false", "No"):
        assert spotscan.triage({**WELL, "fever": no}).urgency == spotscan.triage(WELL).urgency


# --- findings ---------------------------------------------------------------------------------------------------------

PHOTO = {"count": 6, "median_diameter_mm": 1.0, "max_diameter_mm": 1.5, "density_per_cm2": 0.5,
         "class_mix": {"spot": 0.8, "angioma": 0.1, "lesion": 0.1}, "image_quality": "good"}  # fmt: skip


def test_a_diameter_counts_as_large_when_it_may_well_be() -> None:
    sure = spotscan.triage(WELL, {**PHOTO, "max_diameter_mm": 1.9, "max_diameter_mm_err": 0.05})
    unsure = spotscan.triage(WELL, {**PHOTO, "max_diameter_mm": 1.9, "max_diameter_mm_err": 0.2})
    assert (sure.urgency, unsure.urgency) == ("see_doctor_soon", "same_day")
    reason = next(reason for reason in unsure.reasons if reason.rule == "rash.large-spots")
    assert reason.used["max_diameter_mm"] == 1.9


def test_a_whole_scan_document_says_the_same_as_its_findings() -> None:
    document = {"schema": "spotscan/scan/1", "findings": PHOTO, "quality": {"flags": []}, "spots": []}
    assert spotscan.triage(WELL, document).urgency == spotscan.triage(WELL, PHOTO).urgency


def test_one_mark_classified_as_lesion_is_enough() -> None:
    calm = {**WELL, "blanching": "blanches", "onset": "years"}
    document = {"findings": PHOTO | {"class_mix": {"spot": 0.1, "angioma": 0.85, "lesion": 0.05}},
                "spots": [{"class": "angioma"}, {"class": "lesion"}]}  # fmt: skip
    assert spotscan.triage(calm).urgency == "self_watch"
    assert spotscan.triage(calm, document).urgency == "routine_check"


def test_an_empty_photo_of_dark_skin_says_where_to_look() -> None:
    document = {"findings": {**PHOTO, "count": 0}, "quality": {"flags": ["dark_skin"]}}
    result = spotscan.triage({**WELL, "skin_tone": "dark"}, document).to_dict()
    assert any("tells nothing" in entry["what"] and "palms" in entry["how"] for entry in result["not_judged"])
    assert any("palms" in text for text in result["advice"])


@pytest.mark.parametrize(
    "findings", [{}, {"findings": None}, {"findings": 3}, {"image_quality": ["good"]}, {"schema": 1}]
)
def test_findings_that_say_nothing_are_no_photo(findings: dict[str, Any]) -> None:
    assert spotscan.triage(WELL, findings).urgency == spotscan.triage(WELL).urgency


# --- what would change it ---------------------------------------------------------------------------------------------


def test_would_change_holds_what_it_says() -> None:
    """Each urgency promised for a question is reached by some answer to it, the others as they are or all calm."""
    answers = {"onset": "overnight", "blanching": "does_not_blanch", "trigger": "cough", "body_regions": ["face"],
               "age_years": 34}  # fmt: skip
    promised = spotscan.triage(answers).would_change
    assert promised
    calm = {**answers, **{entry["answer"]: "no" for entry in promised}}
    for entry in promised:
        reached = {spotscan.triage({**start, entry["answer"]: value}).urgency
                   for start in (answers, calm) for value in ("yes", "no")}  # fmt: skip
        assert set(entry["could_become"]) <= reached


def test_questions_that_cannot_matter_are_not_named() -> None:
    assert spotscan.triage({**WELL, "fever": "yes"}).would_change == ()
    assert "skin_tone" not in {entry["answer"] for entry in spotscan.triage({}).would_change}


def test_one_missing_red_flag_is_named_first() -> None:
    watched = {**WELL, "trigger": "cough", "body_regions": ["face"]}
    assert spotscan.triage(watched).urgency == "self_watch"
    del watched["fever"]
    result = spotscan.triage(watched)
    assert result.urgency == "see_doctor_soon"
    assert [entry["answer"] for entry in result.would_change] == ["fever"]
    assert result.would_change[0]["could_become"] == ["self_watch", "emergency_now"]


# --- the questionnaire ------------------------------------------------------------------------------------------------


def keys_asked(answers: dict[str, Any]) -> list[str]:
    return [question.key for question in open_questions(answers)]


def test_what_does_not_apply_is_not_asked_and_answered() -> None:
    assert "pregnancy" not in keys_asked({"age_years": 8})
    assert "heavy_menstrual_bleeding" not in keys_asked({"age_years": 70})
    assert {"pregnancy", "heavy_menstrual_bleeding"} <= set(keys_asked({"age_years": 30}))
    assert {"pregnancy", "heavy_menstrual_bleeding"} <= set(keys_asked({"age_years": "unknown"}))
    assert "infant_under_1" in keys_asked({"age_years": "unknown"})
    assert with_implied({"age_years": 70})["pregnancy"] is False
    assert "pregnancy" not in with_implied({})


def test_what_was_answered_is_not_asked_again_even_unknown() -> None:
    assert "fever" not in keys_asked({"fever": "unknown"})


@pytest.mark.parametrize(
    ("key", "text", "answer"),
    [
        ("fever", "y", "yes"), ("fever", "No", "no"), ("fever", "", "unknown"), ("fever", "?", "unknown"),
        ("fever", "perhaps", None), ("age_years", "0.5", 0.5), ("age_years", "-3", None), ("onset", "2", "days"),
        ("onset", "years", "years"), ("onset", "9", None), ("onset", "1 2", None),
        ("body_regions", "2, 7", ["face", "neck"]), ("body_regions", "face,99", None),
    ],
)  # fmt: skip
def test_replies_are_understood_or_asked_again(key: str, text: str, answer: Any) -> None:
    assert read_reply(BOOK.questions[key], text) == answer


def test_unknown_replies_reach_the_engine_as_unknown() -> None:
    assert read_answers(BOOK, {"fever": read_reply(BOOK.questions["fever"], "?")}).known == {}


def test_an_urgency_is_one_of_five() -> None:
    assert {rule.urgency for rule in BOOK.rules} == set(range(len(URGENCIES)))
