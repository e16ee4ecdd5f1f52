"""The triage on the command line: outputs, questions one by one, files that cannot be used."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

import spotscan
from spotscan.cli import main
from spotscan.rules.loading import rulebook

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = str(ROOT / "examples" / "answers.yaml")


def test_the_sample_answers_can_be_watched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["triage", SAMPLE]) == 0
    out = capsys.readouterr().out
    assert out.startswith("YOU CAN WATCH THIS AT HOME FOR NOW")
    assert "S1-28" in out
    assert "no clinician has reviewed" in out


def test_json_is_the_contracts_and_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["triage", SAMPLE, "--json", "-"]) == 0
    out, err = capsys.readouterr()
    answers = yaml.safe_load(Path(SAMPLE).read_text(encoding="utf-8"))
    assert json.loads(out) == spotscan.triage(answers).to_dict()
    assert err == ""
    assert list(json.loads(out))[:6] == ["urgency", "headline", "advice", "red_flags", "recheck", "disclaimer"]


def test_a_scan_raises_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = {"count": 60, "max_diameter_mm": 4.0, "class_mix": None, "image_quality": "good"}
    (tmp_path / "x.scan.json").write_text(json.dumps({"schema": "spotscan/scan/1", "findings": findings}))
    assert main(["triage", SAMPLE, "--findings", str(tmp_path / "x.scan.json"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["urgency"] == "same_day"


def test_the_emergency_number_is_a_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text('{"seizure": true}')
    answers = str(tmp_path / "a.json")
    assert main(["triage", answers]) == 0
    assert "Call your local emergency number now" in capsys.readouterr().out
    assert main(["triage", answers, "--emergency-number", "112"]) == 0
    assert "Call 112 now" in capsys.readouterr().out
    monkeypatch.setenv("SPOTSCAN_EMERGENCY_NUMBER", "000")
    assert main(["triage", answers]) == 0
    assert "Call 000 now" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00", b"- a\n- b\n", b"just words", b'{"fever": ', b"a: [1\n", b"a: &x [1]\nb: *x\n",
        b"[" * 100_000, b'{"a":' * 100_000, b"a: !!python/object:os.system x\n",
        b"fever: yes\n" + b"# " + b"x" * 1_100_000,
    ],
)  # fmt: skip
def test_answers_that_cannot_be_used_are_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert main(["triage", str(tmp_path / "a.yaml")]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: the answers ")
    assert err.count("\n") == 1


def test_a_pipe_or_a_missing_file_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none.yaml", ""):
        assert main(["triage", str(tmp_path / name)]) == 3
        assert capsys.readouterr().err.startswith("error: the answers cannot be read")


@pytest.mark.parametrize("content", [b"", b"{}", b"# nothing\n"])
def test_no_answers_at_all_ask_for_caution(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert main(["triage", str(tmp_path / "a.yaml"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["urgency"] == "see_doctor_soon"


def asked(
    replies: str, options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, object], str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(replies))
    assert main(["ask", "--json", "-", *options]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_ask_stops_at_an_emergency(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result, err = asked("no\nyes\n" + "no\n" * 60, [], capsys, monkeypatch)
    assert result["urgency"] == "emergency_now"
    assert err.count("> ") == 2


def test_ask_asks_again_what_it_did_not_understand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, err = asked("perhaps\nyes\n", [], capsys, monkeypatch)
    assert "not understood" in err
    assert result["urgency"] == "emergency_now"


def test_ask_all_and_triage_of_the_saved_answers_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = {
        "age_years": "34",
        "onset": "1",
        "blanching": "2",
        "trigger": "1",
        "body_regions": "2 7",
        "skin_tone": "?",
    }
    keys = [key for key in rulebook().questions if key != "infant_under_1"]
    typed = "".join(f"{replies.get(key, 'no')}\n" for key in keys)
    saved = str(tmp_path / "a.yaml")
    result, err = asked(typed, ["--save", saved], capsys, monkeypatch)
    assert result["urgency"] == "self_watch"
    assert err.count("> ") == len(keys)
    assert main(["triage", saved, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == result


def test_ask_ends_with_what_it_has_when_input_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = asked("no\nno\n", [], capsys, monkeypatch)
    assert result["urgency"] == "see_doctor_soon"


def test_rules_are_checked_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check"]) == 0
    assert f"{len(rulebook().rules)} rules" in capsys.readouterr().out
    assert main(["rules", "list"]) == 0
    page = capsys.readouterr().out
    assert all(f"`{rule.id}`" in page for rule in rulebook().rules)


def test_ask_takes_the_glass_test_before_it_calls_a_fever_an_emergency(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = list(rulebook().questions)
    replies = "no\n" * keys.index("fever") + "yes\n"
    assert asked(replies + "2\n", [], capsys, monkeypatch)[0]["urgency"] == "emergency_now"
    result, err = asked(replies + "1\n" + "no\n" * 60, [], capsys, monkeypatch)
    assert result["urgency"] == "same_day"
    assert err.index("clear glass") < err.index("spreading quickly")


def test_ask_goes_back(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result, err = asked("no\nb\nyes\n", [], capsys, monkeypatch)
    assert result["urgency"] == "emergency_now"
    assert err.count("confused") == 2


def test_the_result_is_printed_even_where_it_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text('{"seizure": true}')
    assert main(["triage", str(tmp_path / "a.json"), "--json", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("GET EMERGENCY HELP NOW")
    assert err.startswith("error: cannot write")
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert main(["ask", "--save", str(tmp_path / "none" / "x.yaml")]) == 2  # said before the first question
    assert "> " not in capsys.readouterr().err


def test_nothing_answered_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "x.yaml"
    kept.write_text("fever: yes\n")
    asked("", ["--save", str(kept)], capsys, monkeypatch)
    assert kept.read_text() == "fever: yes\n"


@pytest.mark.parametrize(
    "text", ["fever: yes\nfever: no\n", '{"fever": "yes", "fever": "no"}', "{fever: yes, fever: no}"]
)
def test_a_key_that_stands_twice_is_named(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("blanching: does_not_blanch\n" * (not text.startswith("{")) + text)
    assert main(["triage", str(tmp_path / "a.yaml")]) == 0
    assert "! 'fever' cannot be 'a list'" in capsys.readouterr().out
