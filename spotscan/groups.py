"""What the colour of a mark tells, alike in the overlay, on the page and in the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spotscan.types import BoolArray, Scan

RGB = tuple[int, int, int]
ColourBy = Literal["cluster", "class", "size"]

# Okabe & Ito (2008), told apart with every kind of colour vision; their black is an edge of the lines here.
SKY, YELLOW, PURPLE, GREEN = (86, 180, 233), (240, 228, 66), (204, 121, 167), (0, 158, 115)
ORANGE, BLUE, VERMILLION = (230, 159, 0), (0, 114, 178), (213, 94, 0)
WHITE, DARK, GREY = (255, 255, 255), (24, 24, 24), (187, 187, 187)

CLUSTER_COLOURS = (YELLOW, GREEN, BLUE, ORANGE, PURPLE, VERMILLION)
_CLASS_COLOURS = {"spot": SKY, "angioma": YELLOW, "lesion": GREEN, "unsure": GREY}
_SIZE_COLOURS = (YELLOW, SKY, BLUE)
# Petechiae end at 2 mm, purpura surely begins above 3 mm; between them sources differ.
SIZE_LIMITS_MM = (2.0, 3.0)


@dataclass(frozen=True)
class Group:
    """Marks that share a colour: which (n,) bool, their name, and whether a line goes around them all."""

    name: str
    colour: RGB
    member: BoolArray
    outlined: bool = False

    @property
    def n(self) -> int:
        """How many marks."""
        return int(np.count_nonzero(self.member))

    @property
    def hex(self) -> str:
        """Its colour as ``#rrggbb``."""
        return as_hex(self.colour)


def as_hex(colour: RGB) -> str:
    """A colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def group_marks(scan: Scan, colour_by: ColourBy) -> list[Group]:
    """The marks by what their colour tells; every mark is in exactly one group, and no group is empty."""
    n = len(scan.spots)
    if colour_by == "cluster":
        member = scan.density.membership
        palette = {c.id: CLUSTER_COLOURS[(c.id - 1) % len(CLUSTER_COLOURS)] for c in scan.density.clusters}
        groups = [Group(f"group {i}", colour, member == i, True) for i, colour in palette.items()]
        groups.append(Group("in no group" if palette else "marks", SKY, ~np.isin(member, list(palette))))
    elif colour_by == "class":
        names = np.array([c.get("class") or "unsure" for c in scan.classes or ({},) * n], dtype=object)
        groups = [Group(name, colour, names == name) for name, colour in _CLASS_COLOURS.items()]
    else:
        groups = _by_size(scan)
    return [group for group in groups if group.member.any()]


def _by_size(scan: Scan) -> list[Group]:
    if scan.scale:
        size, (low, high) = scan.spots.diameter_mm, SIZE_LIMITS_MM
        names = f"under {low:g} mm", f"{low:g} to {high:g} mm", f"over {high:g} mm"
    else:
        size = scan.spots.diameter_px
        known = size[np.isfinite(size)]
        low, high = np.quantile(known, [1 / 3, 2 / 3]) if len(known) else (0.0, 0.0)
        names = "smallest third", "middle third", "largest third"
    members = size < low, (size >= low) & (size <= high), size > high, np.isnan(size)
    return [
        Group(name, colour, np.asarray(member))
        for name, colour, member in zip((*names, "not measured"), (*_SIZE_COLOURS, GREY), members, strict=True)
    ]


def mark_colours(scan: Scan, colour_by: ColourBy) -> list[str]:
    """The colour of every mark, ``#rrggbb``."""
    out = [as_hex(SKY)] * len(scan.spots)
    for group in group_marks(scan, colour_by):
        for i in np.flatnonzero(group.member):
            out[i] = group.hex
    return out
