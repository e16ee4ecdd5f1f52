"""The command line's part about boxed marks: `spotscan classify`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from spotscan.errors import cannot_write

SCHEMA = "spotscan/classes/1"
NO_FINDING = "A guess from the picture, and often wrong: no finding, and no class means that a mark is harmless."


def add_classify_command(commands: Any, disclaimer: str) -> None:
    """Add `spotscan classify` to the commands."""
    parser = commands.add_parser(
        "classify",
        help="say what each boxed mark of a photo looks like",
        description="Say of each mark in a box whether it looks like a spot (petechia, purpura), an angioma or another"
        " lesion, with probabilities; unsure where the network should not be believed.",
        epilog=disclaimer,
    )
    parser.add_argument("photo", metavar="PHOTO", help="JPEG, PNG, TIFF, WebP or HEIC")
    parser.add_argument(
        "--boxes", metavar="BOXES.csv", required=True, help="header x,y,w,h in px of the photo turned upright"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the classes as JSON to FILE; - is standard output",
    )
    parser.set_defaults(run=_classify)


def _classify(options: argparse.Namespace) -> int:
    from spotscan.boxes import classify, read_boxes
    from spotscan.export import json_bytes, whole_file
    from spotscan.weights import NAME

    boxes = read_boxes(options.boxes)  # a wrong file is said before a photo is read
    said = classify(options.photo, boxes)
    rows = [{"box_px": box, **one} for box, one in zip(boxes.tolist(), said, strict=True)]
    document = {"schema": SCHEMA, "photo": {"file": Path(options.photo).name}, "weights": NAME, "boxes": rows}
    if options.json == "-":
        json.dump(document, sys.stdout, indent=1, allow_nan=False)
        print(flush=True)
        return 0
    if options.json is not None:
        try:
            with whole_file(Path(options.json)) as beside:
                beside.write(json_bytes(document))
        except OSError as error:
            raise cannot_write(error, options.json) from error
    for number, one in enumerate(said, 1):
        likely = ", ".join(f"{name} {value:.2f}" for name, value in one["probabilities"].items())
        print(f"{number}: {one['class']} ({likely})")
    print(NO_FINDING)
    return 0
