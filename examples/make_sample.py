"""Draw the sample photo, `examples/sample.jpg`: skin with marks of known size, and the SpotScan card.

Nobody's skin: `spotscan.synth` draws it. With the same OpenCV and NumPy the same bytes come out each time.

    python examples/make_sample.py
"""

from pathlib import Path

from spotscan.synth import Scene, SceneParams, draw_scene, to_jpeg

HERE = Path(__file__).resolve().parent
SEED = 8
# What the card asks for: skin fills the picture, daylight, no flash, the card flat beside the marks.
SAMPLE = SceneParams(
    width_px=1500,
    height_px=2000,
    px_per_mm=16.0,
    tilt_deg=8.0,
    azimuth_deg=70.0,
    skin_tone="light",
    n_hairs=4,
    n_spots=40,
    kinds=(("petechia", 0.75), ("purpura", 0.25)),
    diameter_mm=(0.8, 4.0),
    edge_mm=(0.02, 0.1),
    unevenness=0.08,
    min_gap_mm=1.0,
    reference="card",
    reference_at=(0.5, 0.8),
    reference_turn_deg=3.0,
    shading=0.3,
    warmth=0.03,
    blur_px=0.8,
)


def sample_scene() -> Scene:
    """The sample with its truth."""
    return draw_scene(SAMPLE, SEED)


if __name__ == "__main__":
    photo = to_jpeg(sample_scene(), quality=88)
    (HERE / "sample.jpg").write_bytes(photo)
    print(f"wrote {HERE / 'sample.jpg'} ({len(photo) / 1e3:.0f} kB)")
