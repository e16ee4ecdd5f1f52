"""The command line's part about references: what can be asked for, and what was in the way where it was not found."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotscan.errors import ReferenceNotFoundError

if TYPE_CHECKING:
    import os

_MEANING = {
    "auto": "the printed SpotScan card (`spotscan card`), or a bank card beyond doubt; else no scale. The default",
    "aruco": "markers of OpenCV or AprilTag whose black square has this side",
    "coin": "a coin of the table below",
    "card": "a bank card or any other card of its size, 85.60 x 53.98 mm",
    "ruler": "a ruler or adhesive scale with 1 mm ticks",
    "px-per-mm": "the scale is known",
    "none": "no scale: sizes in px only",
}


def add_references_command(commands: Any) -> None:
    """Add `spotscan references` to the commands."""
    text = "list what can give the scale, and the coins"
    parser = commands.add_parser("references", help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=_references)


def _references(options: argparse.Namespace) -> int:
    print(listing())
    return 0


def listing() -> str:
    """Every kind of reference and the table of coins, in lines of plain ASCII."""
    from spotscan.references import allowed
    from spotscan.references.coins import coin_table

    lines = ["What can stand after --reference:"]
    lines += [f"  {usage:<16} {_MEANING[usage.partition(':')[0]]}" for usage in allowed().split(", ")]
    currency = ""
    for coin in coin_table().values():
        if coin.currency != currency:
            currency = coin.currency
            lines += ["", f"{currency} ({coin.source})"]
        lines.append(f"  {'coin:' + coin.name:<16} {coin.diameter_mm:5.2f} mm  {coin.words}; {coin.note}")
    lines += ["", "Coins that are not round, such as the British 20p, 50p and 1 pound, are left out."]
    return "\n".join(lines)


def with_picture(
    error: ReferenceNotFoundError, photo: str | os.PathLike[str], folder: Path, stem: str
) -> ReferenceNotFoundError:
    """The error, naming a picture <stem>.reference.png of the things that could be the reference, now written."""
    from PIL import Image

    from spotscan.overlay import draw_candidates
    from spotscan.photo import read_photo

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.reference.png"
    Image.fromarray(draw_candidates(read_photo(photo), error.candidates)).save(path)
    todo = f"{error.todo}; see {ascii(str(path))[1:-1]}"
    return ReferenceNotFoundError(error.what, error.where, todo, error.candidates)
