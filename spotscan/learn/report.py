"""The table that people read, from the numbers of an evaluation."""

from __future__ import annotations

from typing import Any

from spotscan.findings import CLASSES

_FULL = ("balanced_accuracy", *(f"recall_{c}" for c in CLASSES), *(f"auc_{c}" for c in CLASSES), "ece")
_HEAD = ("bal. acc.", *(f"recall {c}" for c in CLASSES), *(f"AUC {c}" for c in CLASSES), "ECE")


def evaluation_markdown(found: dict[str, Any]) -> str:
    """An evaluation as Markdown: one table of all models for each set, then subsets and what is `unsure`."""
    about, models = found["about"], found["models"]
    share = f"{about['config']['coverage']:.0%}"
    lines = [
        "# Evaluation of the classifiers",
        "",
        "Every photo, patient or drawn scene counts the same; brackets are 95 % intervals of a bootstrap over those.",
        "Boxes are given. `AUC` is one class against the other two; `ECE` in 15 bins.",
    ]
    sets = [("photos", "Photos boxed by hand, never trained on")] if about["photo_marks"] else []
    for key, title in [*sets, ("test", "Test split of the prepared crops")]:
        first = next(iter(models.values()))[key]["all"]
        lines += ["", f"## {title}", "", f"{first['marks']} marks in {first['groups']} groups.", ""]
        lines += _table(("model", *_HEAD), [[n, *_cells(m[key]["all"], _FULL)] for n, m in models.items()])
        lines += ["", f"The surest {share} of marks by each model, and those that its own `unsure` leaves:", ""]
        covered = ("balanced_accuracy_covered", *(f"recall_{c}_covered" for c in CLASSES))
        given = ("coverage_given", "balanced_accuracy_given")
        head = (f"bal. acc. at {share}", *(f"recall {c}" for c in CLASSES), "given a class", "bal. acc. of those")
        lines += _table(("model", *head), [[n, *_cells(m[key]["all"], covered + given)] for n, m in models.items()])
    for name, model in models.items():
        lines += ["", f"## {name}", "", _told(model), ""]
        lines += _subsets(model)
        lines += _extras(model)
    return "\n".join(lines) + "\n"


def _subsets(model: dict[str, Any]) -> list[str]:
    names = ("balanced_accuracy", *(f"recall_{c}" for c in CLASSES), "coverage_given")
    rows = []
    for key in ("photos", "test"):
        for kind in ("by_route", "by_source", "by_tone"):
            for value, numbers in model.get(key, {}).get(kind, {}).items():
                where = f"{key}, {kind[3:]} {value}"
                rows.append([where, f"{numbers['marks']} / {numbers['groups']}", *_cells(numbers, names)])
    head = ("subset", "marks / groups", "bal. acc.", *(f"recall {c}" for c in CLASSES), "given a class")
    return _table(head, rows)


def _extras(model: dict[str, Any]) -> list[str]:
    """No mark, others, conformal sets and the probe, in sentences."""
    lines = [""]
    for key in ("photos", "test"):
        none = model.get(key, {}).get("none")
        if none is not None:
            costs = ", ".join(f"{_percent(none[f'dropped_{c}'])} of {c}" for c in CLASSES)
            lines.append(f"- Taken for no mark ({key}): {costs}{_found(none)}.")
    other = model.get("photos", {}).get("other", {"marks": 0})
    if other["marks"]:
        shares = ", ".join(f"{name} {_percent(other[name])}" for name in (*CLASSES, "unsure", "no_mark"))
        lines.append(f"- {other['marks']} marks of the photos that are none of the classes: {shares}.")
    for key in ("photos", "test"):
        if key in model:
            c = model[key]["conformal"]
            lines.append(
                f"- Conformal sets ({key}, {c['wanted']:.0%} wanted): {_percent(c['holds_true'])} hold the true class,"
                f" {_percent(c['single'])} hold one class, {_percent(c['single_right'])} of these are right."
            )
    for name, probe in model.get("route_probe", {}).items():
        for class_, told in probe.items():
            lines.append(
                f"- Route probe, {name} features, {class_}: tells {told['routes']:.0f} routes with a balanced accuracy"
                f" of {told['balanced_accuracy']:.2f} (chance {told['chance']:.2f})."
            )
    return lines


def _found(none: dict[str, Any]) -> str:
    if none["auc"] is None:
        return ""
    return f"; rightly, {_percent(none['dropped_none'])} of {none['marks']} (AUC {none['auc']:.3f})"


def _told(model: dict[str, Any]) -> str:
    about, c = model["about"], model["calibration"]
    parts = [f"{key.replace('_', ' ')} {value}" for key, value in about.items() if not isinstance(value, dict | list)]
    out = about.get("holdout_routes")
    parts += [f"trained without the routes {', '.join(out)}"] if out else []
    return "; ".join([*parts, f"temperature {c['temperature']:.2f}", f"unsure below {c['unsure_below']:.2f}"]) + "."


def _table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _cells(numbers: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    return [cell(numbers["metrics"][name]) for name in names]


def cell(number: dict[str, float | None]) -> str:
    """A number with its interval, or a dash where there is none."""
    if number["value"] is None:
        return "-"
    if number["low"] is None:
        return f"{number['value']:.2f}"
    return f"{number['value']:.2f} [{number['low']:.2f}, {number['high']:.2f}]"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
