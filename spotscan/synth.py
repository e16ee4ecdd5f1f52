"""Drawn photos of skin with spots, whose truth is known exactly.

For tests, benchmarks and the sample photo: `draw_scene` draws, `random_params` says what. The skin is a plane
seen by a pinhole camera; spots are outlines in that plane inside which light is absorbed. All that happens to
the light happens in linear light and in the order of the real thing: skin, hairs, reference, shading and
glare, blur, sensor noise, sRGB, JPEG.

Truth uses the pixel convention of `spotscan.types`: the origin is the centre of the top-left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from spotscan import synth_geometry as geo
from spotscan import synth_paint as paint
from spotscan.synth_place import KINDS, Limb, PlacedReference, Spot, place_reference, place_spots
from spotscan.synth_scene import Reference, Scene, SceneParams
from spotscan.synth_skin import ITA_DEG, Skin, melanin_for, paint_skin, surface_and_depth
from spotscan.types import FloatArray, RGBArray

__all__ = ["KINDS", "Scene", "SceneParams", "draw_scene", "random_params", "to_jpeg"]


@dataclass(frozen=True, eq=False)
class _Layout:
    """A scene before it is painted."""

    mm_to_px: FloatArray
    skin: Skin
    limb: Limb | None
    reference: PlacedReference | None
    spots: list[Spot]


def draw_scene(params: SceneParams, seed: int) -> Scene:
    """Draw a photo; the same parameters and seed give the same bytes.

    Parameters
    ----------
    params : SceneParams
        What to draw.
    seed : int
        Of a generator of its own.

    Returns
    -------
    Scene
        The photo and its truth.

    Raises
    ------
    ValueError
        The reference is larger than the picture.
    """
    # One stream per thing drawn: more hairs, say, leave the spots where they are.
    names = ("skin", "spots", "clouds", "texture", "hairs", "place", "backdrop", "light", "noise", "reference")
    rng = dict(zip(names, np.random.default_rng(seed).spawn(len(names)), strict=True))
    layout = _lay_out(params, rng)
    mm_to_px = layout.mm_to_px

    light, relief = paint_skin(params, layout.skin, mm_to_px, rng["texture"])
    paint.paint_spots(light, layout.spots, mm_to_px, rng["clouds"])
    light = surface_and_depth(light)
    paint.paint_hairs(light, params, layout.skin, mm_to_px, rng["hairs"])
    light *= relief[..., None]
    skin_mask = np.ones(light.shape[:2], bool)
    if layout.limb is not None:
        skin_mask = paint.paint_backdrop(light, layout.limb, params.background, rng["backdrop"])
    if layout.reference is not None:
        skin_mask &= ~paint.paint_reference(light, params, layout.reference, mm_to_px, rng["reference"])
    rgb = paint.encode_srgb(paint.photograph(light, relief, params, rng["light"], rng["noise"]))
    if params.jpeg_quality is not None:
        file = np.frombuffer(_jpeg(rgb, params.jpeg_quality), np.uint8)
        rgb = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)
    return Scene(rgb=rgb, skin_mask=skin_mask, params=params, seed=seed, **_truth(params, layout))


def to_jpeg(scene: Scene, quality: int = 92) -> bytes:
    """The photo as a JPEG file, as a phone writes it (4:2:0)."""
    return _jpeg(scene.rgb, quality)


def _jpeg(rgb: RGBArray, quality: int) -> bytes:
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _lay_out(params: SceneParams, rng: dict[str, np.random.Generator]) -> _Layout:
    size = (params.width_px, params.height_px)
    focal = params.focal_px or float(max(size))
    mm_to_px = geo.camera(size, params.px_per_mm, focal, params.tilt_deg, params.azimuth_deg)
    blood = rng["skin"].uniform(*params.blood)
    tone = params.skin_tone
    ita = rng["skin"].uniform(*ITA_DEG[tone]) if isinstance(tone, str) else tone
    skin = Skin(float(ita), blood, melanin_for(ita, blood))
    limb = None if params.background == "skin" else Limb.drawn(rng["place"], *size)
    reference = place_reference(params, mm_to_px, rng["place"])
    spots = place_spots(params, skin, mm_to_px, reference, limb, rng["spots"])
    return _Layout(mm_to_px, skin, limb, reference, spots)


def _truth(params: SceneParams, layout: _Layout) -> dict[str, Any]:
    """The fields of `Scene` that need no picture."""
    mm_to_px, spots, reference = layout.mm_to_px, layout.spots, layout.reference
    mm = [spot.outline_mm for spot in spots]
    px = [geo.project(mm_to_px, outline) for outline in mm]
    area_mm, centre_mm = geo.areas_centroids(mm)
    area_px, centre_px = geo.areas_centroids(px)
    plain = layout.skin.depth
    seen = np.array([surface_and_depth(plain * 10**-spot.absorbance)[1] for spot in spots])
    nothing = np.zeros((0, 2))
    return {
        "px_to_mm": geo.inverse(mm_to_px),
        "outlines_px": tuple(px),
        "centre_px": centre_px,
        "centre_mm": centre_mm,
        "diameter_mm": 2 * np.sqrt(area_mm / np.pi),
        "longest_mm": np.array([geo.longest(outline) for outline in mm]),
        "diameter_px": 2 * np.sqrt(area_px / np.pi),
        "contrast": -np.log10(seen / surface_and_depth(plain)[1]),
        "kind": tuple(spot.kind for spot in spots),
        "reference_px": nothing if reference is None else geo.project(mm_to_px, reference.corners_mm),
        "reference_area_px": nothing if reference is None else geo.project(mm_to_px, reference.area_mm),
        "ita_deg": layout.skin.ita_deg,
        "tilt_deg": params.tilt_deg,
        "px_per_mm": params.px_per_mm,
        "blur_px": params.blur_px,
    }


def random_params(
    seed: int,
    skin_tone: str | None = None,
    reference: Reference | None = "aruco",
    size_px: tuple[int, int] | None = None,
) -> SceneParams:
    """What the benchmark draws: marks of 0.5-6 mm at 15-60 px/mm, tilts up to 25 degrees, every tone.

    Parameters
    ----------
    seed : int
        Of a generator of its own.
    skin_tone : {"light", "medium", "dark"}, optional
        Drawn when not given.
    reference : {"aruco", "card", "coin", "bank_card", "ruler"} or None
        What gives the scale.
    size_px : (int, int), optional
        Width and height; about 1.5 megapixels, upright or lying, when not given.
    """
    rng = np.random.default_rng([seed, 2])
    width, height = size_px or [(1400, 1060), (1060, 1400), (1500, 1000)][rng.integers(3)]
    px_per_mm = float(np.exp(rng.uniform(*np.log([15, 60]))))
    if reference in ("card", "bank_card"):  # so large that the picture must be larger
        width, height = size_px or (2600, 2000)
        px_per_mm = float(rng.uniform(0.9, 1.0) * min(width, height) / 110)
    coin: dict[str, Any] = {}
    if reference == "coin":
        from spotscan.synth_coin import random_coin

        coin = random_coin(rng, width, height)
        px_per_mm = coin["px_per_mm"]
    if reference == "ruler":  # longer than a marker: from further away
        px_per_mm = float(np.exp(rng.uniform(*np.log([5, 40]))))
    area_mm2 = width * height / px_per_mm**2
    mostly = str(rng.choice(["petechia", "purpura", "angioma", "naevus"], p=[0.45, 0.25, 0.15, 0.15]))
    dictionaries = ["DICT_4X4_50", "DICT_5X5_100", "DICT_6X6_250", "DICT_APRILTAG_36h11"]
    params = SceneParams(
        width_px=width,
        height_px=height,
        px_per_mm=px_per_mm,
        tilt_deg=float(rng.uniform(0, 25)),
        azimuth_deg=float(rng.uniform(0, 360)),
        skin_tone=skin_tone or str(rng.choice(["light", "medium", "dark"])),
        mottling=float(rng.uniform(0.006, 0.02)),
        relief=float(rng.uniform(0.02, 0.06)),
        line_mm=float(rng.uniform(0.5, 1.0)),
        n_pores=int(min(5000, rng.uniform(0, 0.2) * area_mm2)),
        n_hairs=int(rng.choice([0, int(rng.integers(1, 8)), int(rng.integers(8, 40))])),
        n_spots=int(min(60, max(4, rng.uniform(0.005, 0.03) * area_mm2))),
        kinds=((mostly, 0.7), ("petechia", 0.1), ("purpura", 0.1), ("angioma", 0.05), ("naevus", 0.05)),
        elongation=(1.0, float(rng.uniform(1.1, 1.6))),
        irregularity=float(rng.uniform(0.02, 0.10)),
        edge_mm=(0.0, float(rng.uniform(0.02, 0.12))),
        unevenness=float(rng.uniform(0, 0.15)),
        reference=reference,
        side_mm=float(min(20, 0.26 * min(width, height) / px_per_mm)),
        dictionary=dictionaries[rng.integers(4)],
        marker_id=int(rng.integers(50)),
        reference_turn_deg=float(rng.uniform(-30, 30)),
        background=str(rng.choice(["skin", "cloth", "table"], p=[0.7, 0.15, 0.15])),  # type: ignore[arg-type]
        shading=float(rng.uniform(0.05, 0.45)),
        warmth=float(rng.uniform(-0.05, 0.10)),
        glare=float(rng.choice([0.0, rng.uniform(0.03, 0.2)])),
        blur_px=float(rng.uniform(0.5, 1.6)),
        read_noise=float(rng.uniform(0.0005, 0.003)),
        full_well=float(np.exp(rng.uniform(*np.log([2000, 15000])))),
        jpeg_quality=int(rng.integers(88, 98)),
    )
    if reference == "ruler":
        from spotscan.synth_ruler import randomised

        return randomised(params, rng)
    return replace(params, **coin)
