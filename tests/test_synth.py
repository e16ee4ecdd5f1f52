"""The synthesiser: its truth is measured again by independent means."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from spotscan import colour
from spotscan.synth import SceneParams, draw_scene, random_params, to_jpeg
from spotscan.synth_geometry import area_centroid, camera, coverage, longest, project, window

# Skin without texture, light without shading, a lens without blur: what is left is the spots.
BARE = SceneParams(
    width_px=420,
    height_px=300,
    px_per_mm=20,
    n_spots=6,
    diameter_mm=(0.8, 3.0),
    contrast=(0.4, 0.6),
    min_gap_mm=0.5,
    mottling=0,
    relief=0,
    shading=0,
    blur_px=0,
    full_well=None,
)


def absorbed_area_px(scene, margin=3.0):
    """Area and centre of each spot by adding up the light its pixels lost, over that lost in its middle."""
    lost = 1 - colour.linear(scene.rgb)[..., 1] / np.median(colour.linear(scene.rgb)[..., 1])
    areas, centres = [], []
    for outline, contrast in zip(scene.outlines_px, scene.contrast, strict=True):
        rows, columns = window(outline, lost.shape, margin)
        share = lost[rows, columns] / (1 - 10**-contrast)
        y, x = np.mgrid[rows, columns]
        areas.append(share.sum())
        centres.append([(x * share).sum() / share.sum(), (y * share).sum() / share.sum()])
    return np.array(areas), np.array(centres)


class TestCoverage:
    def test_sum_is_the_area(self):
        angle = np.linspace(0, 2 * np.pi, 37, endpoint=False)
        star = np.c_[30.3, 21.7] + (9 + 4 * np.cos(5 * angle))[:, None] * np.c_[np.cos(angle), np.sin(angle)]
        share = coverage([star], window(star, (45, 60)))
        assert share.sum() == pytest.approx(area_centroid(star)[0], abs=1e-4)
        assert share.min() >= 0
        assert share.max() == 1

    def test_agrees_with_counting_in_a_fine_grid(self):
        triangle = np.array([[2.2, 1.4], [11.8, 3.1], [5.6, 8.9]])
        n = 40
        y, x = (np.mgrid[0 : 10 * n, 0 : 14 * n] + 0.5) / n - 0.5
        inside = np.ones(x.shape, bool)
        for a, b in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
            inside &= (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 0
        counted = inside.reshape(10, n, 14, n).mean(axis=(1, 3))
        assert np.abs(coverage([triangle], (slice(0, 10), slice(0, 14))) - counted).max() < 0.01

    def test_part_of_the_picture_is_a_part_of_the_whole(self):
        square = np.array([[-6.4, 2.5], [7.2, 2.5], [7.2, 30.0], [-6.4, 30.0]])
        whole = coverage([square], (slice(0, 12), slice(-10, 20)))
        part = coverage([square], (slice(4, 12), slice(0, 9)))
        np.testing.assert_allclose(part, whole[4:, 10:19], atol=1e-6)


class TestCamera:
    @pytest.mark.parametrize(("tilt", "azimuth"), [(0, 0), (25, 0), (25, 90), (50, 200)])
    def test_scale_and_centre_are_as_asked(self, tilt, azimuth):
        h = camera((640, 480), 22.0, 640, tilt, azimuth)
        step = 1e-4
        corners = project(h, np.array([[0.0, 0], [step, 0], [0, step]]))
        np.testing.assert_allclose(corners[0], [319.5, 239.5], atol=1e-9)
        side = corners[1:] - corners[0]
        assert np.sqrt(abs(np.linalg.det(side))) / step == pytest.approx(22.0, rel=1e-4)

    def test_tilt_is_that_of_the_homography(self):
        """Decomposed by OpenCV: the third axis of the plane is `tilt` off the line of sight."""
        h = camera((640, 480), 22.0, 700, 20, 35)
        lens = np.array([[700, 0, 319.5], [0, 700, 239.5], [0, 0, 1.0]])
        plane = np.array([[-5.0, -5, 0], [5, -5, 0], [5, 5, 0], [-5, 5, 0]])
        _, turn, _ = cv2.solvePnP(plane, project(h, plane[:, :2]), lens, None, flags=cv2.SOLVEPNP_IPPE)
        normal = cv2.Rodrigues(turn)[0][:, 2]
        assert np.degrees(np.arccos(abs(normal[2]))) == pytest.approx(20, abs=0.1)

    def test_azimuth_points_to_where_the_skin_recedes(self):
        h = camera((640, 480), 22.0, 640, 30, 0)
        left, right = (longest(project(h, np.array([[x, -1.0], [x, 1.0]]))) for x in (-8.0, 8.0))
        assert right < left


class TestTruth:
    @pytest.mark.parametrize("tilt", [0, 25])
    @pytest.mark.parametrize("tone", ["light", "dark"])
    def test_area_and_centre_by_adding_up_pixels(self, tone, tilt):
        scene = draw_scene(replace(BARE, skin_tone=tone, tilt_deg=tilt, azimuth_deg=70), 4)
        area, centre = absorbed_area_px(scene)
        assert len(scene) == 6
        np.testing.assert_allclose(area, np.pi / 4 * scene.diameter_px**2, rtol=0.02)
        np.testing.assert_allclose(centre, scene.centre_px, atol=0.1)

    def test_diameter_in_mm_under_tilt(self):
        """The outline taken back to the plane has the stated area, span and centre."""
        scene = draw_scene(replace(BARE, tilt_deg=25, azimuth_deg=130, irregularity=0.1), 5)
        for k, outline in enumerate(scene.outlines_px):
            mm = project(scene.px_to_mm, outline)
            area, centre = area_centroid(mm)
            assert scene.diameter_mm[k] == pytest.approx(2 * np.sqrt(area / np.pi), rel=1e-9)
            assert scene.longest_mm[k] == pytest.approx(longest(mm), rel=1e-9)
            np.testing.assert_allclose(scene.centre_mm[k], centre, atol=1e-9)
        assert (scene.longest_mm >= scene.diameter_mm).all()

    def test_a_round_spot_is_as_long_as_wide(self):
        scene = draw_scene(replace(BARE, elongation=(1, 1), irregularity=0, diameter_mm=(2, 2)), 1)
        np.testing.assert_allclose(scene.diameter_mm, 2, rtol=1e-9)
        np.testing.assert_allclose(scene.longest_mm, 2, rtol=1e-3)

    def test_twice_the_scale_twice_the_pixels(self):
        small = draw_scene(BARE, 3)
        large = draw_scene(replace(BARE, px_per_mm=40, width_px=840, height_px=600), 3)
        np.testing.assert_allclose(small.diameter_mm, large.diameter_mm)
        np.testing.assert_allclose(2 * small.diameter_px, large.diameter_px)
        ratio = absorbed_area_px(large)[0].sum() / absorbed_area_px(small)[0].sum()
        expected = (large.diameter_px**2).sum() / (small.diameter_px**2).sum()
        assert ratio == pytest.approx(expected, rel=0.01)

    def test_half_contrast_lies_on_the_outline_of_a_soft_spot(self):
        scene = draw_scene(replace(BARE, px_per_mm=60, n_spots=1, diameter_mm=(2.5, 2.5), edge_mm=(0.1, 0.1)), 2)
        light = colour.linear(scene.rgb)[..., 1]
        level = np.median(light) * (1 + 10 ** -scene.contrast[0]) / 2
        x, y = scene.outlines_px[0].astype(np.float32).T
        on_outline = cv2.remap(light, x[None], y[None], cv2.INTER_LINEAR)[0]
        steepness = np.median(light) * (1 - 10 ** -scene.contrast[0]) / (np.sqrt(2 * np.pi) * 0.1 * 60)
        assert np.abs((on_outline - level) / steepness).max() < 0.6  # px, of an edge 6 px (1 sigma) wide
        assert abs(((on_outline - level) / steepness).mean()) < 0.1

    def test_contrast_is_as_asked_and_as_seen(self):
        for tone in ("light", "medium", "dark"):
            scene = draw_scene(replace(BARE, skin_tone=tone, contrast=(0.2, 0.2)), 8)
            np.testing.assert_allclose(scene.contrast, 0.2, atol=1e-6)
            green = colour.absorbance(scene.rgb)[..., 1]
            x, y = np.round(scene.centre_px).astype(int).T
            np.testing.assert_allclose(green[y, x] - np.median(green), 0.2, atol=0.012)

    def test_less_shows_on_dark_skin(self):
        light, dark = (
            draw_scene(replace(BARE, contrast=None, skin_tone=tone), 8).contrast for tone in ("light", "dark")
        )
        assert (dark < 0.8 * light).all()


class TestPlacing:
    def test_spots_keep_apart_and_inside(self):
        scene = draw_scene(replace(BARE, n_spots=40, diameter_mm=(0.5, 2)), 6)
        count = np.zeros(scene.rgb.shape[:2], np.uint8)
        for outline in scene.outlines_px:
            assert (outline >= 0).all()
            assert (outline < [420, 300]).all()
            where = window(outline, count.shape)
            count[where] += coverage([outline], where) > 0
        assert count.max() == 1

    def test_touching_when_asked(self):
        scene = draw_scene(replace(BARE, n_spots=12, diameter_mm=(1, 1.5), touching=1.0), 6)
        total = np.zeros(scene.rgb.shape[:2], np.uint8)
        for outline in scene.outlines_px:
            where = window(outline, total.shape)
            total[where] |= (coverage([outline], where) > 0).astype(np.uint8)
        assert len(scene) > 6
        assert cv2.connectedComponents(total)[0] - 1 < len(scene) / 2

    def test_no_room_no_spot(self):
        scene = draw_scene(replace(BARE, n_spots=500, diameter_mm=(2.5, 3)), 1)
        assert 0 < len(scene) < 40

    def test_none_at_all(self):
        scene = draw_scene(replace(BARE, n_spots=0), 1)
        assert len(scene) == 0
        assert scene.centre_px.shape == (0, 2)
        assert scene.diameter_mm.shape == (0,)
        assert np.ptp(scene.rgb.reshape(-1, 3), axis=0).max() == 0

    @pytest.mark.parametrize("background", ["cloth", "table"])
    def test_spots_lie_on_the_skin_of_a_limb(self, background):
        params = replace(BARE, background=background, width_px=600, reference="aruco", side_mm=4, n_spots=30)
        scene = draw_scene(params, 3)
        assert 0.4 < scene.skin_mask.mean() < 0.95
        for outline in scene.outlines_px:
            x, y = np.round(outline).astype(int).T
            assert scene.skin_mask[y, x].all()

    @pytest.mark.parametrize(
        "more",
        [
            {"n_hairs": 15},
            {"n_pores": 200},
            {"freckles": 0.1},
            {"mottling": 0.03, "relief": 0.04},
            {"glare": 0.3, "shading": 0.4, "warmth": 0.1},
            {"blur_px": 2.0, "full_well": 1000.0, "jpeg_quality": 70},
        ],
        ids=lambda more: next(iter(more)),
    )
    def test_what_is_no_spot_leaves_the_truth_alone(self, more):
        plain, busy = draw_scene(BARE, 2), draw_scene(replace(BARE, **more), 2)
        assert (plain.rgb != busy.rgb).mean() > 0.005
        assert busy.skin_mask.all()
        for name in ("centre_px", "diameter_mm", "longest_mm", "contrast", "px_to_mm", "kind"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(busy, name))

    def test_hairs_are_darker_than_any_skin(self):
        for tone in ("light", "medium", "dark"):
            plain = draw_scene(replace(BARE, n_spots=0, skin_tone=tone), 2).rgb.astype(int)
            hairy = draw_scene(replace(BARE, n_spots=0, skin_tone=tone, n_hairs=15), 2).rgb.astype(int)
            assert (hairy <= plain).all()
            assert (plain - hairy).max() > 10


class TestReference:
    @pytest.mark.parametrize("dictionary", ["DICT_4X4_50", "DICT_APRILTAG_36h11"])
    def test_marker_is_read_where_it_was_drawn(self, dictionary):
        params = replace(
            BARE,
            reference="aruco",
            side_mm=5,
            dictionary=dictionary,
            tilt_deg=20,
            azimuth_deg=30,
            blur_px=0.6,
        )
        scene = draw_scene(params, 5)
        table = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, dictionary))
        corners, ids, _ = cv2.aruco.ArucoDetector(table).detectMarkers(scene.rgb)
        assert ids.ravel().tolist() == [params.marker_id]
        assert np.abs(corners[0][0] - scene.reference_px).max() < 2  # the detector's corners are whole pixels
        mm = project(scene.px_to_mm, scene.reference_px)
        np.testing.assert_allclose(np.hypot(*(mm - np.roll(mm, 1, axis=0)).T), 5, rtol=1e-9)

    def test_black_of_the_marker_has_the_area_of_its_cells(self):
        scene = draw_scene(replace(BARE, n_spots=0, reference="aruco", side_mm=6, reference_turn_deg=17), 2)
        white = 0.78
        ink = (white - colour.linear(scene.rgb)[..., 1]) / (white - 0.035)
        mask = np.zeros(ink.shape, np.uint8)
        cv2.fillConvexPoly(mask, np.round(scene.reference_px).astype(np.int32), 1)
        near = cv2.dilate(mask, np.ones((5, 5))) > 0
        table = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
        cells = int((cv2.aruco.generateImageMarker(table, 7, 6) == 0).sum())
        assert ink[near].sum() / 20**2 == pytest.approx(cells, rel=0.003)

    def test_skin_mask_and_spots_keep_off_the_marker(self):
        scene = draw_scene(replace(BARE, reference="aruco", side_mm=6, n_spots=60, diameter_mm=(0.5, 1)), 9)
        area, _ = area_centroid(scene.reference_area_px)
        assert (~scene.skin_mask).sum() == pytest.approx(area, rel=0.01)
        x, y = np.round(scene.reference_px.mean(axis=0)).astype(int)
        assert not scene.skin_mask[y, x]
        for outline in scene.outlines_px:
            x, y = np.round(outline).astype(int).T
            assert scene.skin_mask[y, x].all()

    def test_it_lies_where_it_was_asked_to(self):
        scene = draw_scene(replace(BARE, reference="aruco", side_mm=4, reference_at=(0.3, 0.6)), 1)
        np.testing.assert_allclose(scene.reference_px.mean(axis=0), [125.5, 179.5], atol=0.01)

    def test_too_large_for_the_picture(self):
        with pytest.raises(ValueError, match="larger than the picture"):
            draw_scene(replace(BARE, reference="aruco", side_mm=40), 1)

    def test_card_is_read_back(self):
        card_layout = pytest.importorskip("spotscan.card_layout")
        params = replace(
            BARE,
            reference="card",
            width_px=1300,
            height_px=900,
            px_per_mm=10,
            n_spots=3,
            tilt_deg=12,
            blur_px=0.5,
        )
        scene = draw_scene(params, 7)
        table = cv2.aruco.getPredefinedDictionary(card_layout.MARKER_DICTIONARY)
        corners, ids, _ = cv2.aruco.ArucoDetector(table).detectMarkers(scene.rgb)
        assert set(ids.ravel()) == set(card_layout.MARKERS)
        width, height = card_layout.CARD_SIZE_MM
        card = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        to_px = cv2.getPerspectiveTransform(card, scene.reference_px.astype(np.float32)).astype(float)
        for found, marker in zip(corners, ids.ravel(), strict=True):
            assert np.abs(found[0] - project(to_px, card_layout.MARKERS[marker])).max() < 2


class TestLook:
    @pytest.mark.parametrize("tone", ["light", "medium", "dark"])
    def test_tone_is_as_asked(self, tone):
        for seed in range(4):
            scene = draw_scene(SceneParams(width_px=420, height_px=300, skin_tone=tone, n_spots=3), seed)
            lab = np.median(colour.lab(scene.rgb).reshape(-1, 3), axis=0)
            measured = colour.ita_deg(float(lab[0]), float(lab[2]))
            assert colour.skin_tone(measured) == tone
            assert measured == pytest.approx(scene.ita_deg, abs=5)

    def test_an_ita_can_be_asked_for(self):
        assert draw_scene(replace(BARE, skin_tone=-10.0), 1).ita_deg == -10.0

    def test_noise_has_the_stated_variance(self):
        quiet = replace(BARE, n_spots=0)
        rgb = colour.linear(draw_scene(replace(quiet, full_well=800.0, read_noise=0.004), 1).rgb)
        level = colour.linear(draw_scene(quiet, 1).rgb)[0, 0]
        # Demosaicing keeps the noise of green sites and averages four elsewhere: 5/8 of the variance.
        expected = np.sqrt((level[1] / 800 + 0.004**2) * 0.625)
        assert rgb[..., 1].std() == pytest.approx(expected, rel=0.1)
        np.testing.assert_allclose(rgb.mean(axis=(0, 1)), level, atol=0.003)

    def test_shading_keeps_the_exposure(self):
        rgb = colour.linear(draw_scene(replace(BARE, n_spots=0, shading=0.4), 1).rgb)[..., 1]
        level = colour.linear(draw_scene(replace(BARE, n_spots=0), 1).rgb)[0, 0, 1]
        assert rgb.mean() == pytest.approx(level, rel=0.02)
        assert rgb.min() / rgb.max() == pytest.approx(0.6, abs=0.03)


class TestRandom:
    def test_same_seed_same_bytes(self):
        params = random_params(3, size_px=(480, 360))
        assert params == random_params(3, size_px=(480, 360))
        first, again, other = (draw_scene(params, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.rgb, again.rgb)
        np.testing.assert_array_equal(first.centre_px, again.centre_px)
        assert (first.rgb != other.rgb).any()
        assert to_jpeg(first) == to_jpeg(again)

    def test_the_global_generator_is_left_alone(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        draw_scene(random_params(1, size_px=(300, 240)), 1)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_distribution_is_that_of_the_benchmark(self):
        drawn = [random_params(seed) for seed in range(200)]
        assert {params.skin_tone for params in drawn} == {"light", "medium", "dark"}
        assert all(15 <= params.px_per_mm <= 60 and 0 <= params.tilt_deg <= 25 for params in drawn)
        assert max(params.tilt_deg for params in drawn) > 20
        assert all(params.diameter_mm == (0.5, 6.0) for params in drawn)
        assert all(params.width_px != params.height_px for params in drawn)

    def test_jpeg_keeps_the_picture(self):
        scene = draw_scene(replace(BARE, width_px=421, height_px=301), 1)
        back = cv2.imdecode(np.frombuffer(to_jpeg(scene, 95), np.uint8), cv2.IMREAD_COLOR_RGB)
        assert back.shape == scene.rgb.shape
        assert np.abs(back.astype(int) - scene.rgb).mean() < 3
