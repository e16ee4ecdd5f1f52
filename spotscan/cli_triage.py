"""The commands of the triage: `triage`, `ask`, `rules`; thin over `spotscan.rules`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from spotscan.errors import UsageError, cannot_write

NUMBER_VARIABLE = "SPOTSCAN_EMERGENCY_NUMBER"
_SHOWN = 6  # lines of what is not known, in the plain text; the JSON has all


def add_commands(commands: Any, epilog: str) -> None:
    """Add the triage's commands to the command line's parser."""
    triage = commands.add_parser(
        "triage",
        help="how urgent it is, from answers and a scan",
        description="Merge answers, and the findings of a scan, into one urgency with reasons and sources.",
        epilog=epilog,
    )
    triage.add_argument("answers", metavar="ANSWERS", help="answers, YAML or JSON; every key is optional")
    triage.add_argument("--findings", metavar="FILE", help="a scan's JSON; it may raise the urgency, never lower it")
    _add_outputs(triage)
    triage.set_defaults(run=_triage)

    ask = commands.add_parser(
        "ask",
        help="answer the questions one by one",
        description="Ask the questions one by one, emergency signs first, and give the result. Stops at an emergency.",
        epilog=epilog,
    )
    ask.add_argument("--findings", metavar="FILE", help="a scan's JSON; it may raise the urgency, never lower it")
    ask.add_argument("--save", metavar="FILE", help="write the answers as YAML, for `triage` and `scan --answers`")
    _add_outputs(ask)
    ask.set_defaults(run=_ask)

    rules = commands.add_parser(
        "rules", help="check or list the rules", description="Check the rules, or list them for a clinician to read."
    )
    rules.add_argument("what", choices=("check", "list"), metavar="check|list", help="check them, or print them all")
    rules.set_defaults(run=_rules)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", metavar="FILE", help="write the result as JSON to FILE; - is standard output, with nothing else on it"
    )
    add_emergency_number(parser)


def add_emergency_number(parser: argparse.ArgumentParser) -> None:
    """The setting of the number to call, from the command line or the environment."""
    parser.add_argument(
        "--emergency-number",
        metavar="NUMBER",
        default=os.environ.get(NUMBER_VARIABLE),
        help=f"the number to call in an emergency; default ${NUMBER_VARIABLE}, else 'your local emergency number'",
    )


def _triage(options: argparse.Namespace) -> int:
    from spotscan.rules import triage
    from spotscan.rules.reading import read_answers_file

    answers = read_answers_file(options.answers)
    findings = _findings(options.findings)
    return _give(options, triage(answers, findings, emergency_number=options.emergency_number).to_dict())


def _ask(options: argparse.Namespace) -> int:
    from spotscan.rules import triage
    from spotscan.rules.questionnaire import with_implied

    findings = _findings(options.findings)
    for target in (options.save, options.json if options.json != "-" else None):
        if target is not None and not Path(target).absolute().parent.is_dir():
            raise UsageError("cannot write (no such folder)", ascii(target)[1:-1], "choose another place")
    answers = with_implied(_questions(findings))
    result = triage(answers, findings, emergency_number=options.emergency_number).to_dict()
    done = _give(options, result)  # the result first: nothing may come between
    if options.save is not None:
        _save(answers, options.save)
    return done


def _questions(findings: dict[Any, Any] | None) -> dict[str, Any]:
    """Ask one by one; standard output is kept for the result."""
    from spotscan.rules.questionnaire import next_question

    print("Answer yes, no or ? for not sure; b goes back, Ctrl-D ends the questions.", file=sys.stderr)
    answers: dict[str, Any] = {}
    group = ""
    while (question := next_question(answers, findings)) is not None:
        if question.group != group:
            group = question.group
            print(f"\n{_group_title(group)}", file=sys.stderr)
        try:
            reply = _reply_to(question)
        except (EOFError, KeyboardInterrupt, RuntimeError):  # the last where standard input is closed
            print(file=sys.stderr)
            break
        if reply is _BACK:
            if answers:
                answers.popitem()
            continue
        answers[question.key] = reply
    return answers


_BACK = object()


def _reply_to(question: Any) -> Any:
    """Ask until the reply is understood."""
    from spotscan.rules.questionnaire import read_reply

    lines = [f"- {question.ask}", *([f"  ({question.help})"] if question.help else [])]
    lines += [f"    {place}  {text}" for place, text in enumerate(question.choices.values(), start=1)]
    while True:
        print("\n".join(lines), end="\n> ", file=sys.stderr, flush=True)
        typed = input()
        if typed.strip().casefold() in ("b", "back"):
            return _BACK
        answer = read_reply(question, typed)
        if answer is not None:
            if isinstance(answer, float):
                print(f"  understood: {answer:g} years", file=sys.stderr)
            return answer
        hint = "a number of the list" if question.choices else "yes, no, a number where one is asked for,"
        print(f"  That was not understood: give {hint} or ? for not sure.", file=sys.stderr)


def _rules(options: argparse.Namespace) -> int:
    from spotscan.rules.listing import rules_markdown
    from spotscan.rules.loading import rulebook

    book = rulebook()  # refuses what is wrong, with its line
    if options.what == "list":
        print(rules_markdown(book), end="")
        return 0
    print(f"version {book.version}: {len(book.rules)} rules, {len(book.terms)} terms, {len(book.questions)} questions")
    print("every rule can hold, has its sources, and works in its direction only")
    return 0


def _findings(path: str | None) -> dict[Any, Any] | None:
    if path is None:
        return None
    from spotscan.rules.reading import read_findings_file

    return read_findings_file(path)


def _group_title(group: str) -> str:
    from spotscan.rules.loading import rulebook

    return str(rulebook().groups[group])


def _save(answers: dict[str, Any], path: str) -> None:
    import yaml

    if not answers:
        print(f"nothing was answered: {ascii(path)[1:-1]} was not written", file=sys.stderr)
        return
    try:
        Path(path).write_text(yaml.safe_dump(answers, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise cannot_write(error, path) from error
    print(f"wrote {path}", file=sys.stderr)


def _give(options: argparse.Namespace, result: dict[str, Any]) -> int:
    """Print the result, and only then write it."""
    if options.json == "-":
        json.dump(result, sys.stdout, indent=1, allow_nan=False)
        print(flush=True)
        return 0
    print(triage_text(result), flush=True)
    if options.json is not None:
        try:
            Path(options.json).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise cannot_write(error, options.json) from error
    return 0


def triage_text(result: dict[str, Any]) -> str:
    """A triage, as its JSON object, in plain lines."""
    emergency = result["urgency"] == "emergency_now"
    urgent = [reason for reason in result["reasons"] if reason["urgency"] == result["urgency"]]
    watch = "While you wait, tell them at once if there is:" if emergency else "Get help, or ask again, if there is:"
    misread = [entry for entry in result["not_judged"] if "was not understood" in entry["what"]]
    lines = [result["headline"].upper(), ""]
    lines += [f"! {entry['what']}. {entry['how']}" for entry in misread] + [""] * bool(misread)
    lines += [f"- {text}" for text in result["advice"]]
    lines += ["", "Why:", *(f"- {reason['because']} [{', '.join(reason['sources'])}]" for reason in urgent)]
    lines += ["", result["recheck"]]
    lines += ["", watch, *(f"- {text}" for text in result["red_flags"])]
    if result["explanations"]:
        lines += ["", "What such spots can be:", *(f"- {entry['text']}" for entry in result["explanations"])]
    answered = [entry for entry in result["not_judged"] if not entry["what"].startswith("not answered")]
    judged = [entry for entry in answered if entry not in misread]
    if judged and not emergency:
        lines += ["", "Not judged:", *(f"- {entry['what']}. {entry['how']}" for entry in judged)]
    if result["would_change"] and not emergency:  # no question may delay help
        questions = [f"- {entry['question']}" for entry in result["would_change"]]
        more = [f"- ... and {len(questions) - _SHOWN} more"] if len(questions) > _SHOWN else []
        lines += ["", "Not answered, and could change this:", *questions[:_SHOWN], *more]
    return "\n".join([*lines, "", result["disclaimer"]])
