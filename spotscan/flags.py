"""The one registry of flags: name, whom it concerns, what it means, what the person can do.

Stages may only use names from here; docs/flags.md is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes
    ----------
    name : str
        As it stands in the JSON.
    concerns : {"photo", "scale", "spot"}
        Whom it is attached to.
    meaning : str
        What was seen.
    todo : str
        What the person can do about it.
    unusable : bool
        True where the photo must not be believed at all.
    """

    name: str
    concerns: Literal["photo", "scale", "spot"]
    meaning: str
    todo: str
    unusable: bool = False


_ALL = (
    Flag(
        "blurred",
        "photo",
        "The photo is out of focus or shaken.",
        "Hold still, tap the skin on the screen to focus, step back a little.",
    ),
    Flag(
        "focus_unknown",
        "photo",
        "Nothing in the photo shows whether it is in focus: marks may be hidden in a blur.",
        "Tap the skin on the screen to focus; put the printed card in the photo.",
    ),
    Flag(
        "too_blurred",
        "photo",
        "So blurred that small marks cannot be seen.",
        "Take the photo again: hold still, tap to focus.",
        unusable=True,
    ),
    Flag(
        "too_noisy",
        "photo",
        "So noisy that small marks cannot be seen.",
        "Take the photo again, in more light.",
        unusable=True,
    ),
    Flag(
        "too_dark",
        "photo",
        "The skin is under-exposed.",
        "Use daylight from the side, or more lamps; no shadow of the phone on the skin.",
    ),
    Flag(
        "too_bright",
        "photo",
        "The skin is over-exposed: colours are washed out.",
        "Move out of direct sun or turn the flash off.",
    ),
    Flag(
        "glare",
        "photo",
        "Shine hides part of the skin.",
        "Turn the flash off and tilt the phone until the shine is gone.",
    ),
    Flag(
        "low_resolution",
        "photo",
        "Too few pixels for the smallest marks (0.5 mm).",
        "Go nearer, or use the full resolution of the camera; do not send the photo through a messenger.",
    ),
    Flag(
        "no_scale",
        "photo",
        "No reference in the photo: sizes in pixels only.",
        "Put the printed SpotScan card beside the marks, flat on the skin.",
    ),
    Flag(
        "little_skin",
        "photo",
        "Less than a fifth of the photo is skin.",
        "Go nearer, so that skin fills the picture.",
    ),
    Flag(
        "no_skin",
        "photo",
        "No skin was found in the photo.",
        "Photograph the skin itself, in daylight.",
        unusable=True,
    ),
    Flag(
        "dark_skin",
        "photo",
        "On dark skin small bleeding is hard to see in a photo: an empty result says little.",
        "Look also at palms, soles, inside the mouth and inside the eyelids.",
    ),
    Flag(
        "colour_cast",
        "photo",
        "The light is strongly coloured; colour names are less sure.",
        "Use daylight; no coloured lamps or walls.",
    ),
    Flag("tilted", "scale", "The reference is seen at a steep angle.", "Hold the phone parallel to the skin."),
    Flag(
        "bent",
        "scale",
        "The reference does not lie flat; the scale differs across it.",
        "Lay it flat, on a stiff backing.",
    ),
    Flag(
        "reference_small",
        "scale",
        "The reference is small in the photo; its scale is less sure.",
        "Go nearer, or use a larger reference.",
    ),
    Flag(
        "reference_assumed",
        "scale",
        "Something of the shape of a bank card was taken for one, though nobody asked for it.",
        "See in the overlay whether it is a bank card; else scan again with --reference none.",
    ),
    Flag(
        "reference_off_skin",
        "scale",
        "The reference does not lie on skin: it may be nearer to the camera than the marks, or farther away.",
        "Lay the reference flat on the skin, beside the marks.",
    ),
    Flag(
        "reference_at_edge",
        "scale",
        "The reference lies at the edge of the photo, far from the marks: the lens may show it in another scale.",
        "Put the reference beside the marks, and both in the middle of the photo.",
    ),
    Flag(
        "reference_blurred",
        "scale",
        "The reference is out of focus and the skin is not: it may lie nearer to the camera, or farther away.",
        "Lay the reference flat on the skin, beside the marks.",
    ),
    Flag(
        "at_edge",
        "spot",
        "The mark is cut by the edge of the photo: the real one is larger.",
        "Take the photo again with the whole mark in it.",
    ),
    Flag("too_small", "spot", "Too few pixels across to be measured; counted only.", "Go nearer."),
    Flag("saturated", "spot", "Shine on the mark: its outline may be wrong.", "Change the angle of the light."),
    Flag("touching", "spot", "Touches another mark; the line between them is an estimate.", ""),
    Flag(
        "off_reference_plane",
        "spot",
        "Far from the reference: its size in mm is less sure.",
        "Put the reference beside the marks.",
    ),
    Flag("low_contrast", "spot", "Faint: its outline is unsure.", "Use more light."),
    Flag("added_by_hand", "spot", "A person pointed to this mark; it was not found by itself.", ""),
    Flag(
        "drawn_by_hand",
        "spot",
        "No edge was found where a person drew this mark: its size is that of the drawing.",
        "Look whether the circle fits the mark.",
    ),
    Flag(
        "not_measured",
        "spot",
        "No mark with an edge was found where a person pointed: counted only.",
        "Draw a circle round the mark, or take the photo from nearer.",
    ),
)

FLAGS: dict[str, Flag] = {flag.name: flag for flag in _ALL}
