"""Answers and findings, however they come, as facts; what cannot be understood is named and unknown.

Nothing in here lowers an urgency: an answer that cannot be read is no answer.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotscan.errors import AnswersError
from spotscan.rules.conditions import UNCLEAR
from spotscan.rules.tables import Fact, Rulebook

_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_UNKNOWN = {"", "unknown"}
_LARGEST_ANSWERS = 1_000_000  # bytes; answers are a few hundred
_LARGEST_FINDINGS = 100_000_000  # bytes; a scan of ten thousand spots has 5 MB
_DEEPEST = 50  # brackets and indents; answers have two levels
_NAMED = 12  # problems named one by one; the rest is counted
_LONGEST_QUOTE = 40  # characters of somebody's text that are repeated to them

_PROBABILITIES = ("spot", "angioma", "lesion")


@dataclass(frozen=True)
class Facts:
    """What is known.

    Attributes
    ----------
    known : dict
        Fact -> value, in the types of `Fact.kind`; unknown ones absent.
    shown : dict
        Answer or finding -> value, as a reason shows it.
    problems : tuple of (what, how)
        What could not be understood, and what to do.
    """

    known: dict[str, Any]
    shown: dict[str, Any]
    problems: tuple[tuple[str, str], ...]


def read_answers_file(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Read answers from a YAML or JSON file of at most 1 MB that holds one mapping.

    Raises
    ------
    AnswersError
        The file cannot be read, is no YAML or JSON, or holds no mapping.
    """
    return _read_mapping(path, "answers", _LARGEST_ANSWERS, "write one 'key: value' a line, or a JSON object")


def read_answers_table(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Read answers keyed by the photo's file, as YAML or JSON of at most 100 MB that holds one mapping of mappings.

    Raises
    ------
    AnswersError
        The file cannot be read, is no YAML or JSON, or holds no mapping.
    """
    return _read_mapping(
        path, "answers", _LARGEST_FINDINGS, "write a file's name, and below it one 'key: value' a line"
    )


def read_findings_file(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Read a scan's JSON, or its findings, from a file of at most 100 MB.

    Raises
    ------
    AnswersError
        The file cannot be read, is no JSON or YAML, or holds no mapping.
    """
    return _read_mapping(path, "findings", _LARGEST_FINDINGS, "give the .scan.json of a scan")


def _read_mapping(path: str | os.PathLike[str], what: str, largest: int, todo: str) -> dict[Any, Any]:
    where = ascii(os.fspath(path))[1:-1]
    text = _text_of(Path(path), what, largest, where, todo)
    try:
        mapping = _read_text(text)
    except (ValueError, RecursionError) as error:
        raise AnswersError(f"the {what} are neither YAML nor JSON", where, todo) from error
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise AnswersError(f"the {what} are no mapping of keys to values", where, todo)
    return mapping


def _text_of(path: Path, what: str, largest: int, where: str, todo: str) -> str:
    try:
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory")
        if not path.is_file():  # a pipe or a device could be read for ever
            raise OSError(22, "it is not a file")
        if path.stat().st_size > largest:
            raise AnswersError(f"the {what} are larger than {largest // 1_000_000} MB", where, todo)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise AnswersError(f"the {what} cannot be read ({reason})", where, todo) from error


def _read_text(text: str) -> Any:
    """JSON where it is JSON, else YAML."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_both)
        except json.JSONDecodeError:
            pass
    return _plain_yaml(text)


def _both(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping; a key that stands twice with different values gets both, so that it is named as impossible."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        found[key] = value if key not in found or found[key] == value else [found[key], value]
    return found


def _plain_yaml(text: str) -> Any:
    """YAML of plain values: no anchors (a few lines of them grow without end) and no depth to drown in."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("anchors are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError("too deep")
        return yaml.load(text, Loader=_yaml_loader(loader))
    except (yaml.YAMLError, TypeError) as error:  # TypeError: a list as a key
        raise ValueError(str(error)) from error


def _yaml_loader(base: Any) -> Any:
    """A loader that keeps both values of a key that stands twice."""

    class Loader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = True) -> dict[Any, Any]:
            build = self.construct_object
            return _both((build(key, deep=True), build(value, deep=True)) for key, value in node.value)

    Loader.add_constructor("tag:yaml.org,2002:map", Loader.construct_mapping)
    return Loader


def read_answers(book: Rulebook, answers: Mapping[Any, Any]) -> Facts:
    """Answers as facts.

    Parameters
    ----------
    book : Rulebook
        Which answers there are, and what they can be.
    answers : Mapping
        Keys of the contract; None, "" and "unknown" mean unknown.

    Returns
    -------
    Facts
        With every unknown key and impossible value named in `problems`.
    """
    if not isinstance(answers, Mapping):
        raise AnswersError("the answers are no mapping of keys to values", "", "give a dict, or a YAML or JSON file")
    known: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    problems = []
    for key, value in _by_name(answers).items():
        if key not in book.questions:
            problems.append((f"the answer {quote(key)} is not one of the questionnaire's", "It was not used."))
            continue
        if value is None or (isinstance(value, str) and value.strip().casefold() in _UNKNOWN):
            continue
        fact = book.facts[key]
        understood, rest = _READERS[fact.kind](fact, value)
        if understood is not None:
            known[key], shown[key] = understood, _plain(understood)
        if rest:
            problems.append((f"'{key}' cannot be {rest}: it was not understood", f"Answer with {_allowed(fact)}."))
    if len(problems) > _NAMED:
        problems[_NAMED:] = [(f"{len(problems) - _NAMED} more answers were not understood", "They were not used.")]
    return Facts(derived(book, known), shown, tuple(problems))


def derived(book: Rulebook, known: dict[str, Any]) -> dict[str, Any]:
    """The facts, with those that follow from others: how many separate areas, and whether it is a baby."""
    facts = {name: value for name, value in known.items() if name != "areas"}
    regions = facts.get("body_regions")
    if regions is not None:
        facts["areas"] = float(sum(bool(area & regions) for area in book.areas))
    if facts.get("infant_under_1") is None and facts.get("age_years") is not None:
        facts["infant_under_1"] = facts["age_years"] < book.numbers["infant_age"]["value"]
    return facts


def _by_name(answers: Mapping[Any, Any]) -> dict[Any, Any]:
    """Keys as they are meant: without regard to case and blanks; both values where two keys mean the same."""
    return _both((key.strip().casefold() if isinstance(key, str) else key, value) for key, value in answers.items())


def _yes_no(fact: Fact, value: Any) -> tuple[bool | None, str]:
    if isinstance(value, bool):
        return value, ""
    found = _YES_NO.get(value.strip().casefold()) if isinstance(value, str) else None
    return found, "" if found is not None else quote(value)


def _choice(fact: Fact, value: Any) -> tuple[str | None, str]:
    found = value.strip().casefold() if isinstance(value, str) else None
    return (found, "") if found in fact.values else (None, quote(value))


def _number(fact: Fact, value: Any) -> tuple[float | None, str]:
    found = as_number(value)
    low, high = fact.limits
    return (found, "") if found is not None and low <= found <= high else (None, quote(value))


def _regions(fact: Fact, value: Any) -> tuple[frozenset[str] | None, str]:
    names: Iterable[Any] = [value] if isinstance(value, str) else value if isinstance(value, list | tuple | set) else ()
    read = [(name.strip().casefold() if isinstance(name, str) else name) for name in names]
    wrong = [name for name in read if not isinstance(name, str) or name not in fact.values]
    if not isinstance(value, str | list | tuple | set) or (wrong and len(wrong) == len(read)):
        return None, quote(value) if not wrong else ", ".join(quote(name) for name in wrong[:3])
    understood = {name for name in read if name not in wrong} | ({UNCLEAR} if wrong else set())
    return (frozenset(understood) or None), ", ".join(quote(name) for name in wrong[:3])


_READERS: dict[str, Any] = {"yes_no": _yes_no, "choice": _choice, "number": _number, "regions": _regions}


def as_number(value: Any) -> float | None:
    """A finite number, from a number or its text; None for anything else, truth values included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _LONGEST_QUOTE:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def quote(value: Any) -> str:
    """Somebody's value, short and harmless: printable ASCII in quotes."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and abs(value) >= 10**_LONGEST_QUOTE:
        text = "a huge number"
    elif isinstance(value, int | float):
        text = repr(value)
    else:
        text = f"a {type(value).__name__}"
    text = ascii(text[: _LONGEST_QUOTE + 1])[1:-1]
    return f"'{text[:_LONGEST_QUOTE]}...'" if len(text) > _LONGEST_QUOTE else f"'{text}'"


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return sorted(value - {UNCLEAR}) if isinstance(value, frozenset) else value


def _allowed(fact: Fact) -> str:
    if fact.kind == "yes_no":
        return "yes, no or unknown"
    if fact.kind == "number":
        return f"a number from {fact.limits[0]:g} to {fact.limits[1]:g}"
    return ", ".join(fact.values)


def read_findings(book: Rulebook, findings: Mapping[Any, Any] | None, skin_tone: str | None = None) -> Facts:
    """What a photo says, as facts that may only raise an urgency.

    Parameters
    ----------
    book : Rulebook
        Wording of what could not be judged.
    findings : Mapping or None
        The contract's ``findings``, or a whole scan document, whose ``findings``, ``spots`` and ``quality`` are
        then used. A diameter enters with its error (``max_diameter_mm_err``, 1 sigma) added.
    skin_tone : str, optional
        As answered: it tells where else to look when no spots were found.

    Returns
    -------
    Facts
        Empty for no photo, and for one that is unusable.
    """
    notes = book.photo_notes
    if findings is not None and not isinstance(findings, Mapping):
        raise AnswersError("the findings are no mapping", "", "give a scan's document, or its findings")
    if findings is None:
        return Facts({}, {}, (_note(notes, "none"),))
    document: Mapping[Any, Any] = findings
    if "schema" in findings or isinstance(findings.get("findings"), Mapping):
        inner = findings.get("findings")
        document = inner if isinstance(inner, Mapping) else {}
    grade = document.get("image_quality")
    if grade not in ("good", "poor"):
        return Facts({}, {}, (_note(notes, "unusable"),))
    known: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    problems = [_note(notes, "poor")] if grade == "poor" else []
    count = as_number(document.get("count"))
    if count is not None and 0 <= count <= 1e6:
        known["count"], shown["count"] = count, int(count)
        if count == 0:
            dark = skin_tone == "dark" or "dark_skin" in _flags(findings)
            problems.append(_note(notes, "no_spots_dark" if dark else "no_spots"))
    if known.get("count") != 0:
        _add_size(book, document, known, shown, problems)
        _add_classes(book, document, findings.get("spots"), known, shown, problems)
    return Facts(known, shown, tuple(problems))


_Problems = list[tuple[str, str]]


def _add_size(
    book: Rulebook, document: Mapping[Any, Any], known: dict[str, Any], shown: dict[str, Any], problems: _Problems
) -> None:
    size, said = as_number(document.get("max_diameter_mm")), document.get("max_diameter_mm_err")
    error = as_number(said)
    if size is None or not 0 < size < book.numbers["impossible_mm"]["value"]:
        problems.append(_note(book.photo_notes, "no_size"))
        return
    if said is not None and (error is None or error < 0):
        problems.append((f"the error of the largest size cannot be {quote(said)}", "It was taken as zero."))
        error = None
    known["largest_mm"] = min(size + book.numbers["err_sigmas"]["value"] * (error or 0.0), 1000.0)
    shown["max_diameter_mm"] = size


def _add_classes(
    book: Rulebook,
    document: Mapping[Any, Any],
    spots: Any,
    known: dict[str, Any],
    shown: dict[str, Any],
    problems: _Problems,
) -> None:
    mix = document.get("class_mix")
    shares = [as_number(mix.get(name)) for name in _PROBABILITIES] if isinstance(mix, Mapping) else []
    sound = [share for share in shares if share is not None and 0 <= share <= 1]
    if len(sound) == len(_PROBABILITIES) and abs(sum(sound) - 1) <= book.numbers["sum_slack"]["value"]:
        known["spot_share"], _, known["lesion_share"] = sound
        shown["class_mix"] = dict(zip(_PROBABILITIES, sound, strict=True))
    else:
        problems.append(_note(book.photo_notes, "no_classes"))
    if isinstance(spots, list):
        kinds = [spot.get("class") for spot in spots if isinstance(spot, Mapping)]
        if 2 * kinds.count("unsure") > len(kinds):
            problems.append(_note(book.photo_notes, "unsure_classes"))
        known["n_lesion"] = float(kinds.count("lesion"))


def _flags(findings: Mapping[Any, Any]) -> list[Any]:
    quality = findings.get("quality")
    flags = quality.get("flags") if isinstance(quality, Mapping) else None
    return flags if isinstance(flags, list) else []


def _note(notes: Mapping[str, Mapping[str, str]], name: str) -> tuple[str, str]:
    return notes[name]["what"], notes[name]["how"]
