"""What `spotscan.synth` is asked to draw, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spotscan.types import BoolArray, FloatArray, RGBArray

Span = tuple[float, float]
Background = Literal["skin", "cloth", "table"]
Reference = Literal["aruco", "card", "coin", "bank_card", "ruler"]


@dataclass(frozen=True)
class SceneParams:
    """What to draw. Spans (low, high) are drawn from once per spot, or once per scene."""

    width_px: int = 1400
    height_px: int = 1060
    px_per_mm: float = 30.0  # at the centre of the picture: square root of the area ratio
    focal_px: float | None = None  # None: the longer side of the picture, a phone's main camera slightly cropped
    tilt_deg: float = 0.0  # between the skin's normal and the line of sight
    azimuth_deg: float = 0.0  # where the skin tilts to: 0 tilts its right side away, 90 its lower side

    skin_tone: str | float = "light"  # light | medium | dark (drawn within), or the ITA in degrees
    blood: Span = (0.05, 0.16)  # haemoglobin of plain skin, green absorbance
    mottling: float = 0.012  # how blood varies over 2-40 mm, green absorbance, 1 sigma; melanin half as much
    freckles: float = 0.0  # peak absorbance (blue) of faint, soft-edged freckles; they are not in the truth
    relief: float = 0.035  # light and dark of skin lines and grain, 1 sigma, relative; photos: 0.03-0.09
    line_mm: float = 0.7  # distance of the skin lines
    n_pores: int = 0  # follicles of 0.08-0.25 mm, a little darker than skin
    n_hairs: int = 0  # terminal hairs, 0.04-0.10 mm thick

    n_spots: int = 25  # fewer where there is no room
    kinds: tuple[tuple[str, float], ...] = (("petechia", 1.0),)  # and how often, relative
    diameter_mm: Span = (0.5, 6.0)  # area-equivalent, log-uniform
    elongation: Span = (1.0, 1.4)  # longer over shorter axis
    irregularity: float = 0.05  # 1 sigma of the outline's radius about the ellipse, relative
    edge_mm: Span = (
        0.0,
        0.0,
    )  # softness of the edge (1 sigma), symmetric about the outline; at most 1/6 of the radius
    contrast: Span | None = None  # green absorbance above the skin's, log-uniform; None: the kind's own range,
    # less on dark skin, but never so little that nobody could see it
    unevenness: float = 0.0  # clouds of absorbance inside a spot, 1 sigma, relative
    min_gap_mm: float = 0.6  # between spots, and to whatever else
    touching: float = 0.0  # share of the spots that are drawn touching another one

    background: Literal["skin", "cloth", "table"] = "skin"  # what lies beside the limb; "skin": skin fills the picture
    reference: Reference | None = None
    side_mm: float = 10.0  # of the ArUco marker's black square
    dictionary: str = "DICT_4X4_50"
    marker_id: int = 7
    reference_at: tuple[float, float] | None = None  # its centre, as shares of width and height; None: a corner
    reference_turn_deg: float = 4.0
    coin_mm: float = 23.25  # diameter of the coin
    coin_metal: str = "silver"  # one of synth_coin.METALS
    coin_thickness_mm: float = 2.0  # its top stands so far above the skin; 0 draws a flat disc
    coin_glare: float = 0.0  # peak of the lamp's mirror image on it, relative to white
    coin_kind: str = "coin"  # one of synth_coin.KINDS: what lies where the coin should
    coin_beside: str | None = None  # and what lies beside it
    card_mm: tuple[float, float, float] = (85.60, 53.98, 3.18)  # width, height and corner radius of the bank card;
    # other numbers draw a wrong object: a phone, a book, a sticky note
    card_print: str = ""  # one of synth_bank_card.PRINTS; "": drawn from them
    fingers: int = 0  # that hold the bank card; they lie over marks too, if any are there
    ruler_kind: str = "plastic"  # one of synth_ruler.KINDS: what it is made of
    ruler_marks: str = "mm"  # one of synth_ruler.MARKS, two joined by + for both edges; or of its WRONG
    ruler_mm: float = 60.0  # from its first tick to its last
    ruler_contrast: float = 1.0  # of its ink, relative
    ruler_wear: float = 0.0  # how much of the ink of a tick may be gone
    ruler_hidden: float = 0.0  # share of its length under a finger

    shading: float = 0.25  # how much darker the darkest side is, relative
    warmth: float = 0.0  # colour of the light: +0.1 is 10 % more red and 10 % less blue
    glare: float = 0.0  # peak of the shiny patches, relative to white
    blur_px: float = 0.7  # Gaussian point spread, 1 sigma, lens and demosaicing together
    read_noise: float = 0.0015  # 1 sigma, relative to white in linear light
    full_well: float | None = 6000.0  # electrons of white, for shot noise; None: no noise at all
    jpeg_quality: int | None = None  # the picture went through this JPEG quality


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn photo and its truth; spots are parallel arrays of length n.

    Attributes
    ----------
    rgb : (H, W, 3) uint8
        The photo, sRGB.
    px_to_mm : (3, 3) float64
        Homography from pixels to mm in the skin plane; (0, 0) mm is at the centre of the picture.
    outlines_px : n arrays of (K, 2)
        Outline of each spot as projected, closed (first point not repeated).
    centre_px, centre_mm : (n, 2) float64
        Centroid of the outline in the picture, and in the skin plane.
    diameter_mm, longest_mm : (n,) float64
        Area-equivalent and largest Feret diameter of the outline in the skin plane.
    diameter_px : (n,) float64
        Area-equivalent diameter of the outline in the picture.
    contrast : (n,) float64
        Absorbance (green, log10) above that of plain skin, before blur and noise.
    kind : n of the names in `KINDS`
    skin_mask : (H, W) bool
        Skin, with marks and hairs on it; neither reference nor background.
    reference_px : (4, 2) or (0, 2) float64
        Corners of the ArUco marker's black square, or of the card: clockwise from its own top left.
    reference_area_px : (4, 2) or (0, 2) float64
        Outline of all that covers the skin: marker with its quiet zone, or card.
    ita_deg, tilt_deg, px_per_mm, blur_px : float
        Of plain skin; of the plane; at the centre of the picture; of the point spread (1 sigma).
    params, seed
        Draw the same scene again.
    """

    rgb: RGBArray
    px_to_mm: FloatArray
    outlines_px: tuple[FloatArray, ...]
    centre_px: FloatArray
    centre_mm: FloatArray
    diameter_mm: FloatArray
    longest_mm: FloatArray
    diameter_px: FloatArray
    contrast: FloatArray
    kind: tuple[str, ...]
    skin_mask: BoolArray
    reference_px: FloatArray
    reference_area_px: FloatArray
    ita_deg: float
    tilt_deg: float
    px_per_mm: float
    blur_px: float
    params: SceneParams
    seed: int

    def __len__(self) -> int:
        return len(self.kind)
