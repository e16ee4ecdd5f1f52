"""Coins as the reference: the table, what is found and measured on drawn scenes, and what is refused."""

import csv
import io
import json
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from spotscan.cli import main
from spotscan.errors import ReferenceNotFoundError, UsageError
from spotscan.flags import FLAGS
from spotscan.geometry import jacobian, project
from spotscan.references import find_scale, parse_reference
from spotscan.references.coins import coin_table, find_coin, find_discs
from spotscan.references.coins_face import METALS as TABLE_METALS
from spotscan.references.coins_face import could_be_of, is_button
from spotscan.references.coins_material import at_end_of_metal
from spotscan.references.coins_pose import pose, scale_from_rim
from spotscan.references.coins_rim import measure_rim
from spotscan.references.coins_search import fit_conic, to_circle
from spotscan.references.coins_steps import on_ellipse
from spotscan.synth import draw_scene, random_params
from spotscan.synth_coin import KINDS, METALS
from spotscan.types import Photo
from tests.test_references import DATA

TRIED = ("light", "medium", "dark")
# What the table says of the drawn metals.
OF_TABLE = dict(zip(METALS, ["copper", "brass", "silver", "", "silver-in-gold", "gold-in-silver"], strict=True))


@lru_cache(maxsize=32)
def scene(seed: int, **changes):
    params = replace(random_params(seed, reference="coin", size_px=(1000, 760)), n_spots=6, n_hairs=0, glare=0.0)
    return draw_scene(replace(params, **changes), seed)


def plain(seed: int = 1, **changes):
    """A coin of one euro's size, a seventh of the picture, in its middle part."""
    base = {"px_per_mm": 6.0, "coin_mm": 23.25, "tilt_deg": 0.0, "reference_at": (0.45, 0.55), "background": "skin"}
    return scene(seed, **{**base, "coin_metal": "ring_brass", "skin_tone": "medium", "blur_px": 0.8, **changes})


def scale_at(px_to_mm, xy):
    return 1 / np.sqrt(np.abs(np.linalg.det(jacobian(px_to_mm, np.atleast_2d(xy)))))


def photo(drawn) -> Photo:
    return Photo(drawn.rgb, "", "drawn.png")


# --- the table


def test_the_table_is_sound():
    coins = list(coin_table().values())
    assert len(coins) > 100
    assert len({coin.name for coin in coins}) == len(coins)
    for coin in coins:
        assert 10 < coin.diameter_mm < 50, coin.name
        assert coin.source
        assert coin.metal in TABLE_METALS
        assert coin.words
        assert coin.note.startswith("round")
        assert coin.name == coin.name.lower()
        assert coin.checked in {"issuer's page", "secondary page", "known, page not re-read"}
    path = Path(__file__).parents[1] / "spotscan" / "references" / "coins.csv"
    with path.open(encoding="ascii", newline="") as file:  # any terminal can print it
        assert len(list(csv.DictReader(file))) == len(coins)


@pytest.mark.parametrize(
    ("name", "diameter_mm"),
    [("eur-1", 23.25), ("eur-2", 25.75), ("us-quarter", 24.26), ("gb-1p", 20.3), ("jp-100", 22.6), ("ch-5", 31.45)],
)
def test_well_known_coins(name, diameter_mm):
    assert find_coin(name).diameter_mm == diameter_mm


@pytest.mark.parametrize("part", ["euro", "British", "United", "Canada", "Australia", "Switzerland", "Sweden", "India"])
def test_the_listing_has_every_kind_and_coin(part):
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["references"]) == 0
    text = out.getvalue()
    assert part in text
    for usage in ("auto", "aruco:SIDE_MM", "coin:NAME", "card", "ruler", "px-per-mm:VALUE", "none"):
        assert f"\n  {usage} " in text
    for name, coin in coin_table().items():
        assert f"coin:{name} " in text
        assert f"{coin.diameter_mm:.2f} mm" in text


def test_a_coin_is_asked_for_by_name():
    assert parse_reference("coin:eur-1").name == "eur-1"
    assert parse_reference(" coin:EUR-1 ").text == "coin:eur-1"
    with pytest.raises(UsageError, match="us-quarter"):
        parse_reference("coin:us-quater")
    for text in ("coin", "coin:", "coin:23.25"):
        with pytest.raises(UsageError, match="spotscan references"):
            parse_reference(text)


# --- geometry


def test_an_ellipse_goes_through_its_points():
    ellipse = np.array([310.0, 205.0, 90.0, 71.0, 0.6])
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = on_ellipse(ellipse, angle)
    assert fit_conic(points, np.array([300.0, 200, 80, 80, 0])) == pytest.approx(ellipse, rel=1e-9)
    turned, radius = to_circle(points, ellipse)
    assert radius == pytest.approx(1.0)
    assert np.cos(turned - angle) == pytest.approx(1.0)


@pytest.mark.parametrize("about", [0.3, 2.0, 4.4])
def test_one_of_the_two_poses_is_the_true_one(about):
    focal, middle, tilt, radius = 1100.0, np.array([499.5, 379.5]), 0.4, 11.0
    across = np.array([np.cos(about), np.sin(about), 0.0])
    along = np.array([-across[1], across[0], 0.0])
    slope = np.cos(tilt) * across + np.sin(tilt) * np.array([0.0, 0.0, 1.0])
    lens = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1.0]])
    mm_to_px = lens @ np.column_stack([slope, along, [12.0, -7.0, 190.0]])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    seen = project(mm_to_px, radius * np.column_stack([np.cos(angle), np.sin(angle)]))
    ellipse = fit_conic(seen, np.array([*seen.mean(axis=0), 60.0, 60.0, 0.0]))
    far = middle + np.array([[300.0, 100.0], [-250.0, 200.0], [0.0, 0.0]])
    truth = scale_at(np.linalg.inv(mm_to_px), far)
    errors, tilts = [], []
    for sign in (1, -1):
        px_to_mm, found = pose(ellipse, focal, middle, radius, 0.0, 0.0, sign)
        errors.append(np.abs(scale_at(px_to_mm, far) / truth - 1).max())
        tilts.append(found)
    best = int(np.argmin(errors))
    assert errors[best] < 0.01
    assert tilts[best] == pytest.approx(np.degrees(tilt), abs=1.0)
    assert errors[1 - best] > 0.05  # the other one is wrong about what lies beside the coin


# --- found and measured


# Every metal and every skin, each pair of neighbours once.
@pytest.mark.parametrize(("metal", "tone"), [(metal, TRIED[i % 3]) for i, metal in enumerate(METALS)])
def test_coins_of_all_metals_on_all_skins_give_the_scale(metal, tone):
    drawn = plain(3, coin_metal=metal, skin_tone=tone)
    (disc,) = find_discs(drawn.rgb, OF_TABLE[metal])
    assert disc.sure
    scale = scale_from_rim(photo(drawn), "eur-1", 23.25, disc.rim)
    truth = scale_at(drawn.px_to_mm, scale.centre_px)[0]
    assert scale.px_per_mm == pytest.approx(truth, rel=0.04)
    assert abs(scale.px_per_mm - truth) < 3 * scale.px_per_mm_err
    assert scale.reference == "coin:eur-1"
    assert scale.centre_px == pytest.approx(drawn.reference_px.mean(axis=0), abs=8)
    assert len(scale.outline_px) > 20
    assert set(scale.flags) <= set(FLAGS)


def test_the_core_of_two_metals_is_not_the_coin():
    drawn = plain(7, coin_metal="ring_brass", coin_mm=25.75)
    found = [disc for disc in find_discs(drawn.rgb) if disc.sure]
    assert len(found) == 1
    assert found[0].rim.radius_px == pytest.approx(25.75 / 2 * 6.0, rel=0.05)


def test_the_scale_goes_with_the_diameter_asked_for():
    drawn = photo(plain())
    one, two = find_scale(drawn, "coin:eur-1"), find_scale(drawn, "coin:gb-2")
    assert one.px_per_mm / two.px_per_mm == pytest.approx(28.4 / 23.25, rel=0.01)


def test_turned_by_a_quarter_the_photo_has_the_same_scale():
    drawn = plain(5, tilt_deg=15.0, azimuth_deg=20.0)
    straight = find_scale(photo(drawn), "coin:eur-1")
    turned = find_scale(Photo(np.ascontiguousarray(np.rot90(drawn.rgb)), ""), "coin:eur-1")
    assert abs(turned.px_per_mm - straight.px_per_mm) < 2 * straight.px_per_mm_err


def test_tilt_is_told_and_the_error_grows_away_from_the_coin():
    drawn = plain(9, tilt_deg=22.0, azimuth_deg=30.0, px_per_mm=9.0, reference_at=(0.5, 0.5))
    scale = find_scale(photo(drawn), "coin:eur-1")
    if scale.tilt_deg is not None:
        assert scale.tilt_deg == pytest.approx(22.0, abs=7.0)
    height, width = drawn.rgb.shape[:2]
    corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], float)
    error = scale.relative_err_at(corners)
    assert error.max() > 1.5 * scale.px_per_mm_err / scale.px_per_mm
    truth = scale_at(drawn.px_to_mm, corners)
    assert (np.abs(np.log(scale.px_per_mm_at(corners) / truth)) < 3 * error + 0.02).all()


def test_a_frontal_coin_is_not_called_tilted():
    scale = find_scale(photo(plain(11, reference_at=(0.5, 0.5))), "coin:eur-1")
    assert scale.tilt_deg is None or scale.tilt_deg < 15
    assert "tilted" not in scale.flags


@pytest.mark.slow
def test_the_error_is_that_of_many_scenes():
    apart = []
    for seed in range(40, 49):
        drawn = scene(seed, px_per_mm=5.0, coin_mm=23.25, coin_metal="ring_brass")
        try:
            scale = find_scale(photo(drawn), "coin:eur-1")
        except ReferenceNotFoundError:
            continue
        truth = scale_at(drawn.px_to_mm, scale.centre_px)[0]
        apart.append(abs(scale.px_per_mm - truth) / scale.px_per_mm_err)
    assert len(apart) >= 7
    assert np.mean(np.array(apart) < 2) >= 0.8


def test_the_rim_is_found_to_a_fraction_of_a_pixel():
    yy, xx = np.mgrid[0:600, 0:800]
    ellipse = np.array([401.3, 299.6, 150.0, 128.0, 0.5])
    _, radius = to_circle(np.column_stack([xx.ravel(), yy.ravel()]).astype(float), ellipse)
    disc = np.clip(0.5 + (1 - radius.reshape(600, 800)) * 138, 0, 1)
    light = cv2.GaussianBlur(0.3 + 0.3 * disc, (0, 0), 1.0)
    codes = np.rint(255 * (1.055 * light ** (1 / 2.4) - 0.055)).astype(np.uint8)
    rim = measure_rim(np.dstack([codes] * 3), ellipse + np.array([2.0, -3.0, 5.0, -4.0, 0.05]))
    assert rim.ellipse[:4] == pytest.approx(ellipse[:4], abs=0.15)
    assert rim.coverage == 1.0
    assert rim.gap_deg == 0.0


def test_the_outline_is_where_the_hue_ends_not_where_it_is_steepest():
    """A brass disc on a ground as light as itself, with a dark line 4 px within its edge."""
    yy, xx = np.mgrid[0:400, 0:500]
    ellipse = np.array([250.4, 199.7, 90.0, 82.0, 0.3])
    _, radius = to_circle(np.column_stack([xx.ravel(), yy.ravel()]).astype(float), ellipse)
    away = (radius.reshape(400, 500, 1) - 1) * 86
    disc = np.clip(0.5 - away, 0, 1)
    metal = np.array([0.50, 0.36, 0.15]) * (1 - 0.6 * np.exp(-0.5 * (away + 4) ** 2))
    light = cv2.GaussianBlur(metal * disc + np.array([0.45, 0.34, 0.28]) * (1 - disc), (0, 0), 1.0)
    rgb = np.rint(255 * (1.055 * light ** (1 / 2.4) - 0.055)).astype(np.uint8)
    rim = measure_rim(rgb, ellipse * [1, 1, 0.97, 0.97, 1])
    moved = at_end_of_metal(rgb, rim)
    assert rim.radius_px < np.sqrt(90 * 82) - 2  # the line is steeper
    assert moved.silhouette
    assert moved.ellipse[:4] == pytest.approx(ellipse[:4], abs=0.5)


# --- refused


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "coin"])
def test_what_is_no_coin_is_not_taken(kind):
    taken = 0
    for seed in (1, 2):
        with suppress(ReferenceNotFoundError):
            taken += find_scale(photo(plain(seed, coin_kind=kind)), "coin:eur-1") is not None
    assert taken == 0


@pytest.mark.parametrize("seed", [4, 8, 13])  # plain ones, in the colours of metals
def test_a_button_is_told_by_its_face(seed):
    drawn = scene(seed, coin_kind="button", px_per_mm=5.0, coin_mm=20.0)
    assert not [disc for disc in find_discs(drawn.rgb) if disc.sure]
    coin = scene(seed, px_per_mm=5.0, coin_mm=20.0)
    seen = coin.reference_px
    face = fit_conic(seen, np.array([*seen.mean(axis=0), 50.0, 50.0, 0.0]))
    assert not is_button(coin.rgb, face)


def test_a_coin_is_of_its_metal():
    taken = {}
    for metal in METALS:
        drawn = plain(3, coin_metal=metal)
        seen = drawn.reference_px
        face = fit_conic(seen, np.array([*seen.mean(axis=0), 70.0, 70.0, 0.0]))
        taken[metal] = {kind for kind in TABLE_METALS if could_be_of(kind, drawn.rgb, face)}
        assert OF_TABLE[metal] in taken[metal]
        assert "" in taken[metal]
    assert "copper" not in taken["silver"]
    assert "brass" not in taken["silver"]
    assert "two" not in taken["silver"] | taken["copper"] | taken["brass"] | taken["dark"]
    assert "gold-in-silver" not in taken["ring_brass"]
    assert "silver-in-gold" not in taken["ring_silver"]


def test_a_coin_of_another_metal_is_not_taken():
    with pytest.raises(ReferenceNotFoundError, match="not a coin beyond doubt"):
        find_scale(photo(plain(coin_metal="silver")), "coin:eur-1")


def test_bare_skin_has_no_coin():
    for seed, tone in enumerate(TRIED):
        params = replace(random_params(seed, tone, None, (1000, 760)), n_hairs=20)
        with pytest.raises(ReferenceNotFoundError, match="not in the photo"):
            find_scale(photo(draw_scene(params, seed)), "coin:eur-1")


def test_of_two_coins_none_is_guessed_and_both_are_shown():
    drawn = plain(4, coin_beside="coin", px_per_mm=5.0, reference_at=(0.35, 0.5))
    with pytest.raises(ReferenceNotFoundError, match="2 things") as caught:
        find_scale(photo(drawn), "coin:eur-1")
    assert len(caught.value.candidates) == 2
    assert caught.value.exit_code == 3
    centres = [outline.mean(axis=0) for outline in caught.value.candidates]
    nearest = min(np.linalg.norm(centre - drawn.reference_px.mean(axis=0)) for centre in centres)
    assert nearest < 10


def test_auto_never_takes_a_coin():
    assert find_scale(photo(plain()), "auto") is None


def test_an_empty_or_tiny_photo_has_no_coin():
    for shape in ((40, 64, 3), (300, 500, 3)):
        assert find_discs(np.full(shape, 128, np.uint8)) == []


def test_the_command_line_draws_the_candidates(tmp_path, capsys):
    drawn = plain(4, coin_beside="coin", px_per_mm=5.0, reference_at=(0.35, 0.5))
    path = tmp_path / "two coins.png"
    Image.fromarray(drawn.rgb).save(path)
    out = tmp_path / "out"
    assert main(["scan", str(path), "--reference", "coin:eur-1", "--out", str(out)]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: 2 things in the photo could be the coin")
    (picture,) = out.glob("*.reference.png")
    assert picture.name in error
    with Image.open(picture) as image:
        assert image.size == (1000, 760)
        changed = np.abs(np.asarray(image.convert("RGB"), int) - drawn.rgb).max(axis=2) > 40
    assert 200 < changed.sum() < 0.1 * changed.size


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch, capsys):
    drawn = plain(4, coin_beside="coin", px_per_mm=5.0, reference_at=(0.35, 0.5))
    path = tmp_path / "two.png"
    Image.fromarray(drawn.rgb).save(path)
    monkeypatch.chdir(tmp_path)
    assert main(["scan", str(path), "--reference", "coin:eur-1"]) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two.png"]
    assert "see " not in capsys.readouterr().err


# --- synthesis


def test_the_drawn_coin_is_as_large_as_it_says():
    drawn = plain(2, coin_thickness_mm=0.0)
    mm = project(drawn.px_to_mm, drawn.reference_px)
    assert np.linalg.norm(mm - mm.mean(axis=0), axis=1) == pytest.approx(23.25 / 2, rel=1e-3)
    assert not drawn.skin_mask[tuple(np.rint(drawn.reference_px.mean(axis=0)).astype(int)[::-1])]


def test_the_same_seed_draws_the_same_coin():
    params = random_params(12, "dark", "coin", (500, 380))
    assert np.array_equal(draw_scene(params, 12).rgb, draw_scene(params, 12).rgb)


# --- real photos


@pytest.mark.parametrize("name", ["recta", "juntas"])
def test_real_coins_are_all_seen_and_none_is_guessed(name):
    folder = DATA / "eval" / "scale"
    path = folder / f"eurocoins_A4_{name}.jpeg"
    if not path.exists():
        pytest.skip("the real photos of coins are not here")
    assert json.loads((folder / "gt.json").read_text())[path.name]["kind"] == "coin"
    rgb = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    assert len(find_discs(rgb)) >= 3
    with pytest.raises(ReferenceNotFoundError) as caught:
        find_scale(Photo(rgb, "", path.name), "coin:eur-1")
    assert len(caught.value.candidates) >= 3
