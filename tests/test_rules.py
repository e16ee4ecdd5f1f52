"""The rules as data: the logic, what is refused at load, what every rule, number and text must satisfy."""

from __future__ import annotations

import itertools
import math
import random
import re
from importlib.resources import files
from typing import Any

import pytest

import spotscan
from spotscan.rules import URGENCIES
from spotscan.rules.conditions import AtLeast, Compares, IsYes, May, Not, Overlaps, anyone, everyone
from spotscan.rules.engine import Engine, answers_of
from spotscan.rules.loading import read_rulebook, rulebook
from spotscan.rules.questionnaire import next_question, open_questions, read_reply, with_implied
from spotscan.rules.reading import read_answers
from spotscan.rules.tables import fires, witness, work_out
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


@pytest.mark.parametrize(
    ("named", "any_of", "only"),
    [({"a"}, True, True), ({"c"}, False, False), ({"a", "c"}, True, False), ({"?"}, None, None),
     ({"a", "?"}, True, None), ({"c", "?"}, None, False), (None, None, None)],
)  # fmt: skip
def test_a_place_that_was_not_understood_could_be_any(
    named: set[str] | None, any_of: bool | None, only: bool | None
) -> None:
    facts = {"where": None if named is None else frozenset(named)}
    members, everywhere = frozenset("ab"), ("a", "b", "c")
    assert Overlaps("where", members, False, everywhere).truth(facts) is any_of
    assert Overlaps("where", members, True, everywhere).truth(facts) is only


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


REST = TEXTS["rash"].partition("rules:\n")[2]


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
        ("when: fever", "when: {not: photo_over_2_mm}", r"a photo may only add: 'largest_mm'"),
        ("when: fever", "when: {not: {known: fever}}", r"the test of 'fever' mixes"),
        ("when: fever", "when: headache\n    unless: {known: fever}", r"the test of 'fever' mixes"),
        ("when: fever", "when: {not: {known: count}}", r"a photo may only add: 'count'"),
        ("when: fever", "when: {may: photo_over_2_mm}", r"a photo may only add: 'largest_mm'"),
        ("when: fever", "when: fever\n    unless: {not: photo_over_2_mm}", r"a photo may only add: 'largest_mm'"),
        ("when: fever", "when: {not: {trigger: [medication, none]}}", r"'trigger' works the wrong way"),
        ("when: fever", "when: {trigger: [cough, none]}", r"the test of 'trigger' mixes"),
        ("when: fever", "when: {trigger: [cough, medication]}", r"the test of 'trigger' mixes"),
        (
            "when: fever",
            "when: fever\n    unless: {body_regions: {any: eye_or_mouth}}",
            r"'body_regions' works the wrong",
        ),
        ("when: fever", "when: {areas: {below: many_areas}}", r"'areas' works the wrong way"),
        ("when: fever", "when: {at_least: {n: 0, of: [fever]}}", r"at_least needs"),
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
    read_rulebook({**TEXTS, "rash": RULE + REST})  # sound as it stands
    with pytest.raises(RulesError, match=said):
        read_rulebook({**TEXTS, "rash": RULE.replace(before, after) + REST})


@pytest.mark.parametrize(
    ("table", "before", "after", "said"),
    [
        ("questions", "raises: [does_not_blanch]", "raises: [does_not_blanche]", r"names what it cannot be"),
        ("questions", "raises: [does_not_blanch]", "raises: does_not_blanch", r"names what it cannot be"),
        ("questions", "raises: yes, calm: no, ask: \"Do they itch", "calm: no, ask: \"Do they itch",
         r"does not say that a yes raises"),
        ("thresholds", "numbers:\n", "numbers:\n  idle: {value: 1, unit: mm, sources: [D1], why: x}\n",
         r"nothing uses idle"),
        ("texts", "    not_above: same_day\n", "    not_abov: same_day\n", r"unknown key not_abov"),
        ("texts", "    not_above: same_day\n", "    not_above: today\n", r"'today' is no urgency"),
        ("explanations", "    not_above: same_day\n", "    notabove: same_day\n", r"unknown key notabove"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(table: str, before: str, after: str, said: str) -> None:
    assert before in TEXTS[table]
    with pytest.raises(RulesError, match=said):
        read_rulebook({**TEXTS, table: TEXTS[table].replace(before, after, 1)})


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(RulesError, match=r"two rules are called rash\.test"):
        read_rulebook({**TEXTS, "rash": RULE + RULE.removeprefix("rules:\n") + REST})


# --- what every rule, number and text must satisfy --------------------------------------------------------------------


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_every_rule_can_hold_and_carries_its_urgency(rule: Any) -> None:
    way = witness(rule, BOOK.terms)
    assert way is not None
    if way.get("areas", 0) >= 3:  # it follows from the regions
        way["body_regions"] = frozenset(BOOK.facts["body_regions"].values)
    _, holding = Engine(BOOK).firing(way)
    assert holding[0].urgency >= rule.urgency
    assert rule.fallback or rule in holding


def others(fact: str) -> list[Any]:
    """Values that a fact could have instead, unknown among them."""
    return [*(answers_of(BOOK, fact) if fact in BOOK.questions else (0.0, 1e6, True)), None]


@pytest.mark.parametrize("rule", [rule for rule in BOOK.rules if not rule.fallback], ids=lambda rule: rule.id)
def test_every_rule_lets_go(rule: Any) -> None:
    """Each rule has a case just beside its own, one fact away, in which it does not hold."""
    way = witness(rule, BOOK.terms)
    assert way is not None
    beside = [{**way, fact: other} for fact in way for other in others(fact) if other != way[fact]]
    assert any(not fires(rule, work_out(BOOK.terms.values(), dict(facts))) for facts in beside)


def thresholds() -> list[tuple[str, Compares]]:
    conditions = [part for rule in BOOK.rules for part in (rule.when, rule.unless) if part]
    leaves = {leaf for condition in conditions for leaf, _, _ in condition.leaves() if isinstance(leaf, Compares)}
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
            if leaf in {other for other, _, _ in condition.leaves()}:
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
        spoken += [urgency.headline, urgency.recheck, *(entry.text for entry in urgency.advice)]
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
    assert with_implied({"age_years": 70})["pregnancy"] == "no"
    assert "infant_under_1" not in with_implied({"age_years": 0.5})
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


def test_a_misspelt_region_leaves_the_others_and_explains_nothing() -> None:
    pressed = {**WELL, "trigger": "cough", "body_regions": ["face"]}
    assert spotscan.triage(pressed).urgency == "self_watch"
    assert spotscan.triage({**pressed, "body_regions": ["face", "moon"]}).urgency == "see_doctor_soon"


def test_contradicting_keys_are_named_and_unknown() -> None:
    result = spotscan.triage({**WELL, "Fever ": "yes"})
    assert result.urgency == spotscan.triage({**WELL, "fever": None}).urgency
    assert any("'fever' cannot be" in entry["what"] for entry in result.not_judged)


@pytest.mark.parametrize("odd", [[], "abc", 3])
def test_what_is_no_mapping_is_refused(odd: Any) -> None:
    with pytest.raises(spotscan.AnswersError):
        spotscan.triage(odd)
    with pytest.raises(spotscan.AnswersError):
        spotscan.triage({}, odd)


def test_help_texts_of_yes_no_questions_ask_nothing() -> None:
    """The last question read is the one that is answered."""
    texts = {key: q.help for key, q in BOOK.questions.items() if BOOK.facts[key].kind == "yes_no"}
    assert {key for key, text in texts.items() if "?" in text} == set()


def test_an_emergency_tells_nothing_calming_and_sends_nobody_to_take_photos() -> None:
    answers = {**WELL, "fever": "yes", "trigger": "cough", "body_regions": ["face"], "skin_tone": "dark"}
    result = spotscan.triage(answers).to_dict()
    assert result["urgency"] == "emergency_now"
    said = " ".join([*result["advice"], *(entry["text"] for entry in result["explanations"])]).casefold()
    assert "photograph" not in said
    assert "fade within days" not in said
    assert "harmless" not in said
    photo = [entry["how"] for entry in result["not_judged"] if "photo" in entry["what"]]
    assert photo
    assert all(how.startswith("Help comes first.") for how in photo)


def test_only_reasons_for_the_result_are_given() -> None:
    many = {"count": 60, "max_diameter_mm": 1.0, "class_mix": None, "image_quality": "good"}
    result = spotscan.triage({**WELL, "trigger": "cough", "body_regions": ["face"]}, many)
    assert result.urgency == "same_day"
    assert all(reason.urgency != "self_watch" for reason in result.reasons)


def test_what_is_missing_for_waiting_is_named_with_trigger_and_place() -> None:
    answers = {key: value for key, value in WELL.items() if key not in ("trigger", "body_regions")}
    could = {entry["answer"]: entry["could_become"] for entry in spotscan.triage(answers).would_change}
    assert "self_watch" in could["trigger"]
    assert "self_watch" in could["body_regions"]


def test_at_an_emergency_only_the_glass_test_is_asked_and_only_where_it_could_settle_it() -> None:
    for sign in ("fever", "very_unwell", "rapid_spread"):
        question = next_question({sign: "yes"})
        assert question is not None
        assert question.key == "blanching"
        assert next_question({sign: "yes", "blanching": "does_not_blanch"}) is None
        assert next_question({sign: "yes", "blanching": "unknown"}) is None
        later = next_question({sign: "yes", "blanching": "blanches"})
        assert later is not None
        assert later.group == "emergency"
    assert next_question({"seizure": "yes"}) is None
    assert next_question({"fever": "yes", "confusion_or_drowsy": "yes"}) is None


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("6 months", 0.5),
        ("6 months old", 0.5),
        ("0,5", 0.5),
        ("5 weeks", 0.096),
        ("34", 34.0),
        ("2 y", 2.0),
        ("old", None),
    ],
)  # fmt: skip
def test_ages_are_read_with_their_units(text: str, years: float | None) -> None:
    assert read_reply(BOOK.questions["age_years"], text) == years


@pytest.mark.parametrize(
    ("key", "text", "answer"),
    [
        ("fever", "Yep", "yes"), ("fever", "yes.", "yes"), ("fever", "I don’t know", "unknown"),
        ("fever", "unsure", "unknown"),
        ("body_regions", "upper arm", ["upper_arm"]), ("body_regions", "Belly", ["abdomen"]),
        ("body_regions", "face and neck", ["face", "neck"]), ("onset", "over the last few days", "days"),
    ],
)  # fmt: skip
def test_replies_in_ones_own_words(key: str, text: str, answer: Any) -> None:
    assert read_reply(BOOK.questions[key], text) == answer


def test_no_rule_lowers_for_any_random_facts() -> None:
    """The loader's proof, tried out: no rule stops holding when one of its facts moves upward."""
    rng = random.Random(7)
    for rule in BOOK.rules:
        if not rule.urgency:
            continue
        names = sorted({leaf.fact for part in (rule.when, rule.unless) if part for leaf, _, _ in part.leaves()})
        for _ in range(300):
            facts = {name: rng.choice(others(name)) for name in names}
            name = rng.choice(names)
            for low, high in upward(name):
                before = fires(rule, work_out(BOOK.terms.values(), {**facts, name: low}))
                after = fires(rule, work_out(BOOK.terms.values(), {**facts, name: high}))
                assert before <= after, (rule.id, name, low, high, facts)


def upward(name: str) -> list[tuple[Any, Any]]:
    """Pairs of values of a fact of which the second may only be more urgent."""
    fact = BOOK.facts[name]
    if fact.from_photo or name == "areas":
        return [(None, value) for value in others(name)] if fact.from_photo else [(1.0, 5.0)]
    if fact.kind == "yes_no":
        return [(False, None), (None, True), (False, True)]
    if fact.kind == "choice" and (fact.raises or fact.lowers):
        between = [None, *sorted(set(fact.values) - fact.raises - fact.lowers)]
        return [*itertools.product(sorted(fact.lowers), between), *itertools.product(between, sorted(fact.raises))]
    if fact.kind == "regions":
        every = frozenset(fact.values)
        return [(frozenset([value]), every) for value in fact.values]
    return []


@pytest.mark.parametrize("unsure", [0, 2, 3, 5])
@pytest.mark.parametrize("mix", [(0.1, 0.8, 0.1), (0.49, 0.3, 0.21), (0.1, 0.3, 0.6), (0.9, 0.05, 0.05)])
@pytest.mark.parametrize("answers", [
    {"fever": "yes", "blanching": "blanches"}, {"fever": "yes"}, {"blanching": "does_not_blanch"},
    {"blanching": "blanches"},
    {"very_unwell": "yes", "onset": "years"}, {"blanching": "does_not_blanch", "onset": "days", "age_years": 4}, {},
])  # fmt: skip
def test_no_class_gives_less_than_no_classes(answers, mix, unsure):
    spots = [{"class": "unsure" if i < unsure else "angioma"} for i in range(5)]
    for size in (1.0, 2.4, 4.0):
        for count in (5, 60):
            found = {"count": count, "max_diameter_mm": size, "image_quality": "good", "class_mix": None}
            without = spotscan.triage(answers, {"findings": found})
            shares = dict(zip(("spot", "angioma", "lesion"), mix, strict=True))
            judged = spotscan.triage(answers, {"findings": {**found, "class_mix": shares}, "spots": spots})
            assert URGENCIES.index(judged.urgency) >= URGENCIES.index(without.urgency), (size, count)


def test_marks_that_could_not_be_told_are_named():
    found = {"count": 3, "image_quality": "good", "class_mix": {"spot": 0.3, "angioma": 0.4, "lesion": 0.3}}
    judged = spotscan.triage({}, {"findings": found, "spots": [{"class": "unsure"}] * 2 + [{"class": "spot"}]})
    assert any("could not be told" in str(entry) for entry in judged.to_dict()["not_judged"])


@pytest.mark.parametrize("spot", [0.02, 0.5, 0.98])
def test_what_does_not_fade_and_is_large_is_for_today_whatever_the_photo_seems_to_show(spot):
    answers = {"blanching": "does_not_blanch", "onset": "days", "fever": "no"}
    mix = {"spot": spot, "angioma": 0.98 - spot if spot < 0.98 else 0.01, "lesion": 0.02 if spot < 0.98 else 0.01}
    for found in ({"count": 3, "max_diameter_mm": 3.1}, {"count": 80, "max_diameter_mm": 1.0}):
        findings = {"findings": {**found, "class_mix": mix, "image_quality": "good"}}
        assert spotscan.triage(answers, findings).urgency in ("same_day", "emergency_now")
