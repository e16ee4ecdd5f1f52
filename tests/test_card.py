import io

import cv2
import numpy as np
import pytest

from spotscan.card import BANK_CARD_MM, PAPERS_MM, write_card
from spotscan.card_layout import (
    CARD_SIZE_MM,
    MARKER_DICTIONARY,
    MARKERS,
    MODULE_MM,
    PATCHES,
    card_image,
)
from spotscan.errors import UsageError
from spotscan.references import find_scale
from spotscan.types import Photo

pdfium = pytest.importorskip("pypdfium2")
DPI = 300


def printed(paper: str) -> np.ndarray:
    """The card's page as a printer of 300 dots per inch would print it, RGB."""
    target = io.BytesIO()
    write_card(target, paper)
    document = pdfium.PdfDocument(target.getvalue())
    assert len(document) == 1
    return np.ascontiguousarray(document[0].render(scale=DPI / 72).to_numpy()[..., ::-1])


@pytest.fixture(scope="module", params=sorted(PAPERS_MM))
def page(request):
    return request.param, printed(request.param)


def detect(rgb: np.ndarray) -> dict[int, np.ndarray]:
    """OpenCV's own reading, independent of ours."""
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(MARKER_DICTIONARY))
    corners, ids, _ = detector.detectMarkers(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    return {int(i): np.reshape(c, (4, 2)).astype(float) for i, c in zip(np.ravel(ids), corners, strict=True)}


def test_page_has_the_size_of_the_paper(page):
    paper, rgb = page
    assert np.array(rgb.shape[1::-1]) * 25.4 / DPI == pytest.approx(PAPERS_MM[paper], abs=0.1)


def test_print_has_its_true_size(page):
    _, rgb = page
    found = detect(rgb)
    assert set(found) == set(MARKERS)
    # OpenCV's corners are the black corner pixels' centres: half a pixel inside.
    mm = {i: (corners + 0.5) * 25.4 / DPI for i, corners in found.items()}
    origin = mm[570].mean(0) - MARKERS[570].mean(0)
    for marker_id, corners in mm.items():
        np.testing.assert_allclose(corners - origin, MARKERS[marker_id], atol=0.1)


def test_print_is_read_back_at_its_scale(page):
    _, rgb = page
    scale = find_scale(Photo(rgb, ""), "auto")
    assert scale.px_per_mm == pytest.approx(DPI / 25.4, rel=1.5e-3)  # the page has whole pixels
    assert scale.flags == ()


def test_check_lines_and_bank_card_have_their_size(page):
    _, rgb = page
    black = (rgb < 100).all(axis=2)
    pen = 0.15
    runs = np.unique(longest_runs(black)) * 25.4 / DPI
    for length in (100.0, 50.0):
        assert np.abs(runs - length - pen).min() < 0.1
    _, _, shapes, _ = cv2.connectedComponentsWithStats(black.astype(np.uint8), connectivity=8)
    sizes = (shapes[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]) * 25.4 / DPI - pen
    assert np.abs(sizes - BANK_CARD_MM[:2]).max(axis=1).min() < 0.1


def longest_runs(mask: np.ndarray) -> np.ndarray:
    """Longest run of True in each row."""
    run, longest = np.zeros(len(mask), int), np.zeros(len(mask), int)
    for column in mask.T:
        run = (run + 1) * column
        longest = np.maximum(longest, run)
    return longest


def test_bytes_are_the_same_every_time():
    first, second = io.BytesIO(), io.BytesIO()
    write_card(first)
    write_card(second, "a4")
    assert first.getvalue() == second.getvalue()


def test_unknown_paper_is_named():
    with pytest.raises(UsageError, match=r"b5.*a4, letter"):
        write_card(io.BytesIO(), "b5")


@pytest.mark.parametrize("px_per_mm", [4.3, 11.0])
def test_picture_and_layout_agree(px_per_mm):
    rgb = card_image(px_per_mm)
    assert rgb.shape == (*np.ceil(np.multiply(CARD_SIZE_MM[::-1], px_per_mm)).astype(int), 3)
    assert set(detect(rgb)) == set(MARKERS)
    for patch in PATCHES:
        x, y, w, h = np.multiply(patch.rect, px_per_mm)
        inside = rgb[int(y) + 2 : int(y + h) - 2, int(x) + 2 : int(x + w) - 2]
        assert (inside == patch.srgb).all(), patch.name


def test_markers_keep_a_module_of_white_around_them():
    px_per_mm = 20.0
    rgb = card_image(px_per_mm)
    for corners in MARKERS.values():
        (x0, y0), (x1, y1) = corners[0], corners[2]
        m = MODULE_MM
        with_zone = rgb[
            round((y0 - m) * px_per_mm) : round((y1 + m) * px_per_mm),
            round((x0 - m) * px_per_mm) : round((x1 + m) * px_per_mm),
        ].copy()
        rim = round(m * px_per_mm)
        with_zone[rim:-rim, rim:-rim] = 255
        assert (with_zone == 255).all()


def test_edges_carry_the_area_they_cover():
    # At 1 px/mm the marker from 3.0 to 15.8 mm covers 0.8 of pixel 15: 0.2 of the light, sRGB code 124.
    assert card_image(1.0)[8, 15] == pytest.approx(124, abs=1)
