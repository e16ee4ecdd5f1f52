"""The door of all references: what a REF means, and the scale it gives.

One function per kind, `(photo, reference) -> Scale | None`, None where the photo does not show it. A new kind
is a function and a row in `_KINDS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spotscan.errors import ReferenceNotFoundError, UsageError
from spotscan.references.placing import flag_place as flag_place
from spotscan.types import FloatArray, Photo, Scale


@dataclass(frozen=True)
class Reference:
    """A reference that was asked for.

    Attributes
    ----------
    kind : str
        ``auto``, ``aruco``, ``px-per-mm``, ``none`` ...
    value : float
        What stands after the colon; NaN where there is none.
    text : str
        As it was asked for.
    name : str
        What stands after the colon where that is a name: of a coin.
    """

    kind: str
    value: float
    text: str
    name: str = ""


@dataclass(frozen=True)
class _Kind:
    """How a kind is written and found.

    Attributes
    ----------
    usage : str
        As in the contract.
    find : callable
        The function that finds it.
    limits : (low, high), optional
        Of its value; None where it takes none.
    unit : str
        Of its value.
    todo : str
        What to do where it is not found.
    required : bool
        True where not finding it is an error.
    named : bool
        Its value is the name of a coin.
    """

    usage: str
    find: Callable[[Photo, Reference], Scale | None]
    limits: tuple[float, float] | None = None
    unit: str = ""
    todo: str = ""
    required: bool = True
    named: bool = False


def _card(photo: Photo, reference: Reference) -> Scale | None:
    from spotscan.references.bank_card import scale_from_bank_card
    from spotscan.references.markers import scale_from_card

    return scale_from_card(photo) or scale_from_bank_card(photo, beyond_doubt=True)


def _bank_card(photo: Photo, reference: Reference) -> Scale | None:
    from spotscan.references.bank_card import scale_from_bank_card

    return scale_from_bank_card(photo)


def _coin(photo: Photo, reference: Reference) -> Scale | None:
    from spotscan.references.coins import scale_from_coin

    return scale_from_coin(photo, reference.name)


def _aruco(photo: Photo, reference: Reference) -> Scale | None:
    from spotscan.references.markers import scale_from_side

    return scale_from_side(photo, reference.value)


def _ruler(photo: Photo, reference: Reference) -> Scale | None:
    from spotscan.references.ruler import scale_from_ruler

    return scale_from_ruler(photo)


def _given(photo: Photo, reference: Reference) -> Scale:
    """The user's own number, square to the photo; its error is that of its last digit."""
    value = reference.value
    digits = reference.text.partition(":")[2].lower().partition("e")[0]
    half_digit = 0.5 * 10.0 ** -len(digits.partition(".")[2])
    middle = np.array([(photo.width_px - 1) / 2, (photo.height_px - 1) / 2])
    return Scale(
        reference=reference.text,
        px_to_mm=np.diag([1 / value, 1 / value, 1.0]),
        centre_px=middle,
        systematic=half_digit / math.sqrt(3) / value,
    )


def _nothing(photo: Photo, reference: Reference) -> None:
    return None


# The limits are those of photos of skin: a marker of 1 mm is below print, one above 1 m beyond the body.
_KINDS: dict[str, _Kind] = {
    "auto": _Kind("auto", _card, required=False),
    "aruco": _Kind(
        "aruco:SIDE_MM",
        _aruco,
        limits=(1.0, 1000.0),
        unit="mm",
        todo="photograph the whole marker with its white margin, sharp and without shine, or use 'none'",
    ),
    "coin": _Kind(
        "coin:NAME",
        _coin,
        todo="lay one coin flat beside the marks, the whole of it in sight, sharp and without shine, or use 'none'",
        named=True,
    ),
    "card": _Kind(
        "card",
        _bank_card,
        todo="lay the whole card flat beside the marks, all four sides and its corners in sight, or use 'none'",
    ),
    "ruler": _Kind(
        "ruler",
        _ruler,
        todo="lay a ruler with 1 mm ticks, the fives and tens longer, flat on the skin beside the marks, or use 'none'",
    ),
    "px-per-mm": _Kind("px-per-mm:VALUE", _given, limits=(0.1, 2000.0), unit="px per mm"),
    "none": _Kind("none", _nothing, required=False),
}


def allowed() -> str:
    """The references that can be asked for, in words."""
    return ", ".join(kind.usage for kind in _KINDS.values())


def parse_reference(text: str) -> Reference:
    """Read a REF of the contract.

    Parameters
    ----------
    text : str
        E.g. ``auto``, ``aruco:20``, ``coin:eur-1``, ``px-per-mm:31.5``, ``none``.

    Returns
    -------
    Reference
        What was asked for.

    Raises
    ------
    UsageError
        For an unknown kind, an unknown coin, and a missing, superfluous or impossible value.
    """
    name, colon, value = text.strip().partition(":")
    name = name.lower()
    where = f"--reference {text}"
    if name not in _KINDS:
        raise UsageError("unknown reference", where, f"use one of {allowed()}")
    kind = _KINDS[name]
    if kind.named:
        if not value.strip():
            raise UsageError("a name is missing", where, f"write '{kind.usage}'; `spotscan references` lists them")
        from spotscan.references.coins import find_coin

        coin = find_coin(value).name
        return Reference(name, math.nan, f"{name}:{coin}", coin)
    if kind.limits is None:
        if colon:
            raise UsageError(f"the reference '{name}' takes no value", where, f"write '{kind.usage}'")
        return Reference(name, math.nan, name)
    low, high = kind.limits
    # Plain decimal digits only: float() also takes 1_0, digits of other scripts, inf and nan.
    number = float(value) if re.fullmatch(r"\s*[0-9]*\.?[0-9]+([eE][+-]?[0-9]{1,3})?\s*", value) else math.nan
    if not low <= number <= high:
        what = "a value is missing" if not value.strip() else f"'{value}' cannot be the value"
        todo = f"write '{kind.usage}' with a number from {low:g} to {high:g} {kind.unit}"
        raise UsageError(what, where, todo)
    return Reference(name, number, f"{name}:{value.strip()}")


def find_prints(photo: Photo, scale: Scale | None) -> tuple[FloatArray, ...]:
    """Polygons (K, 2) in photo px of printed markers that gave no scale, lest their squares be taken for spots.

    Empty where the scale comes from markers itself: `Scale.keep_out_px` has them.
    """
    if scale is not None and scale.keep_out_px and scale.reference.startswith(("auto", "aruco")):
        return ()
    from spotscan.references.markers import printed_markers

    return printed_markers(photo)


def find_scale(photo: Photo, reference: str = "auto") -> Scale | None:
    """Find the reference in the photo and the scale it gives.

    Parameters
    ----------
    photo : Photo
        Where to look.
    reference : str
        REF of the contract.

    Returns
    -------
    Scale or None
        None for ``none``, and for ``auto`` where neither our card nor, beyond doubt, a bank card is in the photo.

    Raises
    ------
    UsageError
        The reference is not one of the contract, or its value is impossible.
    ReferenceNotFoundError
        It was asked for by name and is not in the photo.
    """
    wanted = parse_reference(reference)
    kind = _KINDS[wanted.kind]
    scale = kind.find(photo, wanted)
    if scale is None and kind.required:
        where = f"reference {wanted.text}" + (f" in {photo.file}" if photo.file else "")
        raise ReferenceNotFoundError("the reference is not in the photo", where, kind.todo)
    return scale
