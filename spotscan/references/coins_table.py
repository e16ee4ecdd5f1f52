"""The table of coins: their diameters and metals, with the sources, in `coins.csv`."""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from spotscan.errors import UsageError


@dataclass(frozen=True)
class Coin:
    """A row of the table: what a coin is called, how large its mint makes it, and of what (as in `coins_face`)."""

    name: str
    currency: str
    words: str
    diameter_mm: float
    metal: str
    note: str
    source: str
    checked: str


@cache
def coin_table() -> dict[str, Coin]:
    """All known coins by name, in the order of the table `coins.csv`."""
    text = files("spotscan.references").joinpath("coins.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    coins = (
        Coin(
            r["name"],
            r["currency"],
            r["words"],
            float(r["diameter_mm"]),
            r["metal"],
            r["note"],
            r["source"],
            r["checked"],
        )
        for r in rows
    )
    return {coin.name: coin for coin in coins}


def find_coin(name: str) -> Coin:
    """The coin of this name.

    Raises
    ------
    UsageError
        There is none; the nearest names are suggested.
    """
    table, key = coin_table(), name.strip().lower()
    if key in table:
        return table[key]
    near = difflib.get_close_matches(key, table, n=3, cutoff=0.5) or ["eur-1", "us-quarter", "gb-1p"]
    todo = f"did you mean {' or '.join(near)}? 'spotscan references' lists all"
    raise UsageError(f"the coin '{name}' is not in the table", f"--reference coin:{name}", todo)
