"""The command `batch`; thin over `spotscan.batch`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotscan.cli_triage import add_emergency_number
from spotscan.errors import UsageError

if TYPE_CHECKING:
    from spotscan.batch.run import Plan, Report

SOME_FAILED = 4
_STOPPED = 130  # what shells give a command that Ctrl-C ended
_NAMED = 5


def add_commands(commands: Any, epilog: str) -> None:
    """Add the batch to the command line's parser."""
    batch = commands.add_parser(
        "batch",
        help="measure a folder of photos",
        description="Measure every photo of a folder into tables. Stopped and started again, it goes on.",
        epilog=epilog,
    )
    batch.add_argument("folder", metavar="FOLDER", help="folder of photos, or a URL such as s3://bucket/photos")
    batch.add_argument("--out", metavar="DIR", required=True, help="folder or URL for the results")
    batch.add_argument(
        "--reference", metavar="REF", default="auto", help="what gives the scale, as for scan; default auto"
    )
    batch.add_argument("--references", metavar="FILE", help="a reference for single photos: CSV with file,reference")
    batch.add_argument(
        "--answers", metavar="FILE", help="answers for the triage by photo: CSV with file, or YAML keyed by file"
    )
    add_emergency_number(batch)
    batch.add_argument("--recursive", action="store_true", help="look into sub-folders, too")
    batch.add_argument("--follow-links", action="store_true", help="read photos that links in the folder lead out to")
    batch.add_argument("--overlays", action="store_true", help="write the overlay pictures, too")
    batch.add_argument("--workers", metavar="N", type=int, help="processes; default one a core; 0: all in this process")
    batch.add_argument(
        "--time-limit", metavar="S", type=float, default=300.0, help="seconds for one photo; default 300"
    )
    batch.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://host:8786: its workers do it")
    batch.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    batch.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    batch.add_argument("--quiet", action="store_true", help="show no progress")
    batch.set_defaults(run=_batch)


def _batch(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("a batch needs packages that are not installed", "", "pip install 'spotscan[batch]'")
    if options.workers is not None and options.workers < 0:
        raise UsageError("there is no such number of workers", str(options.workers), "give 0 or more")
    if not options.time_limit > 0:
        raise UsageError("there is no such time limit", str(options.time_limit), "give seconds")
    from spotscan.batch.places import place_of
    from spotscan.batch.progress import progress_for
    from spotscan.batch.run import Batch, Options
    from spotscan.batch.settings import Settings, read_answers, read_references

    settings = Settings(
        reference=options.reference,
        references={} if options.references is None else read_references(options.references),
        answers=None if options.answers is None else read_answers(options.answers),
        overlays=options.overlays,
        emergency_number=options.emergency_number,
    )
    how = Options(
        recursive=options.recursive,
        follow_links=options.follow_links,
        workers=_cores() if options.workers is None else options.workers,
        scheduler=options.scheduler,
        retry_failed=options.retry_failed,
        time_limit_s=options.time_limit,
    )
    batch = Batch(place_of(options.folder), place_of(options.out), settings, how)
    if options.dry_run:
        _say_plan(batch.plan(), "would be done")
        return 0
    planned = (lambda plan: None) if options.quiet else (lambda plan: _say_plan(plan, "to do", sys.stderr))
    try:
        report = batch.run(progress_for(quiet=options.quiet), planned)
    except KeyboardInterrupt:
        print("stopped; what was done stays, the same command goes on", file=sys.stderr)
        return _STOPPED
    _say_report(report, options.out)
    return SOME_FAILED if report.failed else 0


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _say_plan(plan: Plan, what: str, stream: Any = None) -> None:
    print(
        f"{plan.photos} photos: {plan.to_do} {what}, {plan.done} done before, {plan.failed} failed or refused",
        file=stream,
    )
    for reason, n, names in plan.others:
        from spotscan.batch.listing import shown

        more = ", ..." if n > _NAMED else ""
        print(f"left alone: {n} ({reason}): {', '.join(map(shown, names[:_NAMED]))}{more}", file=stream)
    if plan.unknown:
        more = ", ..." if len(plan.unknown) > _NAMED else ""
        print(f"not in the folder, though named: {', '.join(plan.unknown[:_NAMED])}{more}", file=stream)
    if stream is None:
        sys.stdout.flush()


def _say_report(report: Report, out: str) -> None:
    where = out if "://" in out else str(Path(out) / "summary.html")
    failed = f", {report.failed} failed: see failures.csv" if report.failed else ""
    print(f"{report.photos} photos, {report.scanned} scanned now{failed}; {ascii(where)[1:-1]}", flush=True)
