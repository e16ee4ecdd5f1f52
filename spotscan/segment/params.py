"""What counts as a mark: one set of parameters for all photos."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SegmentParams:
    """Parameters of the segmentation, by the step that uses them.

    Attributes
    ----------
    target : (red, green, blue) absorbances
        What a mark adds to the skin, relative to green: between blood (0.15, 1, 0.8) and melanin (0.6, 1, 1.2).
    regularisation : 1
        Share of the mean variance added to each channel, so that no channel is trusted for being merely smooth.
    hair_px : view px
        Hairs are thinner than this: 0.2 mm at 8.5 to 17 px/mm, with their blur and their crossings.
    close_up_px : view px
        Without a scale a photo with at least so many pixels on its shorter side may show hairs twice as wide; smaller
        ones are seldom so near.
    hair_depth : 1
        Hairs are darker than the skin beside them by at least this share, in red.
    shine_clip : sigma
        What is paler than the skin around it by more than this is shine, and clipped.

    first_sigma_px : view px
        Finest scale: discs of 5 px; finer ones are pixel noise and pores. Smaller marks still answer at this scale.
    noise_window : scales
        Radius within which the noise is taken, in units of the scale.
    noise_clip : sigma
        Deeper responses than this are the moats around marks, not noise.
    passes : 1
        How often the noise is taken anew with the marks found so far left out (a third time changes little).

    min_snr : 1
        Contrast over the noise of the skin at that scale and place, times the square root of roundness. Of 10^5 places
        of Gaussian noise the highest reaches 4.3.
    min_contrast : absorbance, log10
        Of a large mark: about 6 % darker in green. Fainter marks are not agreed on by observers.
    faint_radius_px : view px
        A mark of this radius must have twice the contrast: small faint dots are pores, freckles and noise.
    min_roundness : 1
        Smaller over larger curvature of the peak. A ridge (hair, crease, vessel) has about 0.
    min_snr_sharp : 1
        For a large mark with a sharp edge all around: at its scale the noise is the mottling of the skin, which has no
        edges; the edge is the better witness.
    min_edge_share : 1
        Share of a large mark's contrast that its edge takes within a tenth of its radius; a flush or a fold has 0.2.
    min_solidity : 1
        Share of a large mark's disc above half its contrast; below it, it is a crowd of small ones.
    absorb_ratio : 1
        A small mark inside a large solid one survives only with this many times its contrast.
    min_dark_contrast : absorbance, log10
        Of a black or blue mark in red light: a third darker. Shadows of hairs and folds are weaker.
    min_dark_edge_share : 1
        As `min_edge_share`: pigment that lies deep has soft edges, but not as soft as a shadow's.
    max_dip : 1
        Two peaks are two marks where the way between them falls below this share of the upper half of the contrast.
    min_neck : 1
        Two peaks are two marks where the region between them is narrower than this share of its width at the peaks.

    min_aspect : 1
        Minor over major axis of the segmented region; below it is a hair or a scratch.
    min_region_solidity : 1
        Area of the region over that of the ellipse with its second moments; below it is lace between glints or in a
        flush.
    max_on_rim : 1
        Share of a region's perimeter that may run along the edge of the skin; beyond it is the rim of a limb or a
        shadow.
    min_diameter_mm, max_diameter_mm : mm
        Below the first are pores and follicles, beyond the second are patches, not spots.
    """

    target: tuple[float, float, float] = (0.25, 1.0, 0.8)
    regularisation: float = 0.05
    hair_px: int = 7
    close_up_px: int = 700
    hair_depth: float = 0.08
    shine_clip: float = 2.0

    first_sigma_px: float = 1.3
    noise_window: float = 20.0
    noise_clip: float = 8.0
    passes: int = 2

    min_snr: float = 4.5
    min_contrast: float = 0.025
    faint_radius_px: float = 5.0
    min_roundness: float = 0.25
    min_snr_sharp: float = 1.2
    min_edge_share: float = 0.4
    min_solidity: float = 0.85
    absorb_ratio: float = 2.0
    min_dark_contrast: float = 0.18
    min_dark_edge_share: float = 0.15
    max_dip: float = 0.3
    min_neck: float = 0.8

    min_aspect: float = 0.38
    min_region_solidity: float = 0.8
    max_on_rim: float = 0.3
    min_diameter_mm: float = 0.35
    max_diameter_mm: float = 40.0
