"""The command line: thin over the library, fast to start, friendly when something is wrong."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotscan._version import __version__
from spotscan.cli_app import add_app_command
from spotscan.cli_batch import add_commands as add_batch_command
from spotscan.cli_classify import add_classify_command
from spotscan.cli_learn import add_commands as add_learn_commands
from spotscan.cli_references import add_references_command, with_picture
from spotscan.cli_triage import add_commands as add_triage_commands
from spotscan.cli_triage import add_emergency_number, triage_text
from spotscan.errors import ReferenceNotFoundError, SpotScanError, cannot_write

if TYPE_CHECKING:
    from spotscan.types import Scan

DISCLAIMER = "SpotScan informs and measures. It does not diagnose, and an empty result does not mean that all is well."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see docs/conventions.md)."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SpotScanError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spotscan",
        description="Measures small red dots on the skin from a phone photo with a reference marker.",
        epilog=DISCLAIMER,
    )
    parser.add_argument("--version", action="version", version=f"spotscan {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    scan = commands.add_parser(
        "scan", help="measure the spots in a photo", description="Measure the spots in a photo.", epilog=DISCLAIMER
    )
    scan.add_argument("photo", metavar="PHOTO", help="JPEG, PNG, TIFF, WebP or HEIC")
    scan.add_argument(
        "--reference",
        metavar="REF",
        default="auto",
        help="what gives the scale: auto (the printed SpotScan card, or a bank card beyond doubt), aruco:SIDE_MM,"
        " coin:NAME, card, ruler, px-per-mm:VALUE or none; default auto; see `spotscan references`",
    )
    scan.add_argument("--answers", metavar="FILE", help="answers for the triage, YAML or JSON; see `spotscan ask`")
    add_emergency_number(scan)
    scan.add_argument(
        "--keep-no-marks",
        action="store_true",
        help="keep also what the network takes for no mark at all: hair, pore, crease, shadow, glare, cloth, print",
    )
    scan.add_argument(
        "--out", metavar="DIR", help="write <stem>.scan.json, <stem>.spots.csv and <stem>.overlay.png there"
    )
    scan.add_argument(
        "--json",
        metavar="FILE",
        help="write the scan as JSON to FILE; - is standard output, with nothing else on it",
    )
    scan.add_argument("--report", metavar="FILE", help="write a report to read and print: one HTML file")
    scan.set_defaults(run=_scan)

    add_classify_command(commands, DISCLAIMER)
    add_batch_command(commands, DISCLAIMER)
    add_triage_commands(commands, DISCLAIMER)
    add_learn_commands(commands, DISCLAIMER)
    add_references_command(commands)
    add_app_command(commands)

    card = commands.add_parser(
        "card", help="make the printable reference card", description="Make the printable reference card."
    )
    card.add_argument("--out", metavar="FILE", required=True, help="the PDF to write")
    card.add_argument("--paper", choices=("a4", "letter"), default="a4", help="paper size; default a4")
    card.set_defaults(run=_card)
    return parser


def _scan(options: argparse.Namespace) -> int:
    from spotscan.export import safe_stem, write_json, write_outputs
    from spotscan.pipeline import scan

    answers = None
    if options.answers is not None:
        from spotscan.rules.reading import read_answers_file

        answers = read_answers_file(options.answers)  # a wrong file is said before a photo is read
    try:
        with _quiet_decoders():
            result = scan(
                options.photo,
                options.reference,
                answers,
                emergency_number=options.emergency_number,
                keep_no_marks=options.keep_no_marks,
            )
    except ReferenceNotFoundError as error:
        if options.out is None or not error.candidates:
            raise
        raise _with_picture(error, options) from error
    try:
        if options.out is not None:
            for path in write_outputs(result, Path(options.out), safe_stem(Path(options.photo).stem)):
                print(f"wrote {path}", file=sys.stderr)
        if options.json == "-":
            json.dump(result.to_dict(), sys.stdout, indent=1, allow_nan=False)  # ASCII: any terminal can print it
            print(flush=True)
        elif options.json is not None:
            write_json(result, Path(options.json))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(error, options.out or options.json) from error
    if options.report is not None:
        _report(options.report, result, answers)
    if options.json != "-":
        print(_summary(result), flush=True)
    return 0


def _report(path: str, result: Scan, answers: dict[str, Any] | None) -> None:
    from spotscan.report import write_report

    try:
        write_report(Path(path), result, answers=answers)
    except OSError as error:
        raise cannot_write(error, path) from error
    print(f"wrote {path}", file=sys.stderr)


def _with_picture(error: ReferenceNotFoundError, options: argparse.Namespace) -> SpotScanError:
    """The error with a picture of what could be the reference; or that this cannot be written."""
    from spotscan.export import safe_stem

    try:
        with _quiet_decoders():
            return with_picture(error, options.photo, Path(options.out), safe_stem(Path(options.photo).stem))
    except OSError as fault:
        return cannot_write(fault, options.out)


def _card(options: argparse.Namespace) -> int:
    from spotscan.card import write_card

    try:
        write_card(options.out, options.paper)
    except OSError as error:
        raise cannot_write(error, options.out) from error
    print(f"wrote {options.out}: print it at 100 % and check it against a bank card", file=sys.stderr)
    return 0


_SOURCES = {"auto": "the SpotScan card", "card": "a bank card", "ruler": "a ruler, its ticks taken for 1 mm each"}


def _summary(result: Scan) -> str:
    """The scan in a few plain lines."""
    from spotscan.flags import FLAGS

    document = result.to_dict()
    findings, quality, scale = document["findings"], document["quality"], document["scale"]
    plural = "" if findings["count"] == 1 else "s"
    lines = [f"{findings['count']} spot{plural} found; photo quality: {findings['image_quality']}"]
    if quality["n_no_marks"]:
        lines.append(
            f"{quality['n_no_marks']} more left out: they look like hair, pores, creases or cloth (see --keep-no-marks)"
        )
    if findings["median_diameter_mm"] is not None:
        lines.append(
            f"diameter: median {findings['median_diameter_mm']:.2f} mm, largest {findings['max_diameter_mm']:.2f} mm"
        )
    if findings["density_per_cm2"] is not None:
        lines.append(f"density: {findings['density_per_cm2']:.2f} per cm2 of visible skin")
    if scale is not None:
        source = _SOURCES.get(scale["reference"], scale["reference"])
        lines.append(f"scale: {scale['px_per_mm']:.2f} +- {scale['px_per_mm_err']:.2f} px/mm from {source}")
    lines += [f"note: {FLAGS[name].meaning} {FLAGS[name].todo}".rstrip() for name in quality["flags"]]
    if document["triage"] is not None:
        return "\n".join([*lines, "", triage_text(document["triage"])])
    lines.append(DISCLAIMER)
    return "\n".join(lines)


@contextlib.contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Silence the C libraries that decode photos: they print on the process's own standard error.

    What is wrong with a photo is said once, by us. Only the command line may do this: the stream is the process's.
    """
    try:
        stream = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # no real stream, as under a test's capture
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(stream), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, stream)
        os.close(kept)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
