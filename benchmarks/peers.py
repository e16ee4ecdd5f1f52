"""What others would use: three classic detectors of dots, each with one set of parameters for all photos:
by default those that do best on the judging photos (`benchmarks.detection`).

Each takes an sRGB picture and gives the centres (n, 2) px of what it found. They know neither scale nor skin.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.colour import lab

RGB = NDArray[np.uint8]
Centres = NDArray[np.float64]


def _redness(rgb: RGB) -> NDArray[np.float32]:
    """CIELAB a*, the usual channel for red marks."""
    return np.ascontiguousarray(lab(rgb)[..., 1], np.float32)


def blob_log(
    rgb: RGB,
    threshold_rel: float = 0.35,
    max_sigma: float = 6,
    least: float = 2.0,
    longest: int | None = 1_024,
) -> Centres:
    """Laplacian of Gaussian on a* (scikit-image), sigma 2 px to `max_sigma` in six steps.

    `threshold_rel` is the least response as a share of the picture's largest (on photos this does better
    than one threshold in a*), `least` the least response in a*. On a picture shrunk to `longest` px,
    which is faster and reaches larger marks.
    """
    return blob_log_sizes(rgb, threshold_rel, max_sigma, least, longest)[0]


def blob_log_sizes(
    rgb: RGB,
    threshold_rel: float = 0.35,
    max_sigma: float = 6,
    least: float = 2.0,
    longest: int | None = 1_024,
) -> tuple[Centres, Centres]:
    """As `blob_log`, with the diameters px: 2 sqrt(2) sigma, as scikit-image states the radius of a blob."""
    from skimage.feature import blob_log as scikit_blob_log

    rgb, factor = _shrunk(rgb, longest)
    rows = scikit_blob_log(
        _redness(rgb) / 100, min_sigma=2, max_sigma=max_sigma, num_sigma=6,
        threshold=least / 100, threshold_rel=threshold_rel, overlap=0.3,
    )  # fmt: skip
    centres = (np.reshape(rows[:, [1, 0]], (-1, 2)) + 0.5) * factor - 0.5
    return centres, 2 * np.sqrt(2) * rows[:, 2] * factor


def otsu_watershed(rgb: RGB, least_contrast: float = 2.0, least_px: int = 20, longest: int | None = 640) -> Centres:
    """The classic recipe: a* less its wide background, Otsu's threshold, opening, watershed on the distance.

    `least_contrast` (a*) holds Otsu's threshold up where there is nothing to separate. On a picture shrunk to
    `longest` px: at more the texture of skin is cut to pieces.
    """
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.measure import regionprops_table
    from skimage.segmentation import watershed

    rgb, factor = _shrunk(rgb, longest)
    redness = _redness(rgb)
    small, _ = _shrunk(redness, 320)
    wide = cv2.GaussianBlur(small, (0, 0), max(small.shape) / 16)
    rest = cv2.GaussianBlur(redness, (0, 0), 1.0) - cv2.resize(wide, redness.shape[::-1])
    above = (rest > max(threshold_otsu(rest), least_contrast)).astype(np.uint8)
    region = cv2.morphologyEx(above, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    depth = cv2.distanceTransform(region, cv2.DIST_L2, 5)
    seeds = np.zeros(region.shape, np.int32)
    for i, (y, x) in enumerate(peak_local_max(depth, min_distance=5, labels=region.astype(int))):
        seeds[y, x] = i + 1
    labels = watershed(-depth, seeds, mask=region > 0)
    table = regionprops_table(labels, properties=("area", "centroid"))
    kept = table["area"] >= least_px
    return (np.c_[table["centroid-1"], table["centroid-0"]][kept] + 0.5) * factor - 0.5


def _shrunk(image: NDArray[np.generic], longest: int | None) -> tuple[NDArray[np.generic], float]:
    """The picture with at most so many pixels along its longer side, and the factor."""
    factor = max(1.0, max(image.shape[:2]) / longest) if longest else 1.0
    return cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA), factor


def simple_blob(rgb: RGB, least_repeats: int = 3, least_px: int = 16) -> Centres:
    """OpenCV's SimpleBlobDetector on green (where blood is dark): dark blobs, not lines.

    `least_repeats` is how many of the thresholds, 5 grey levels apart, must show the blob: its contrast.
    """
    settings = cv2.SimpleBlobDetector.Params()
    settings.minThreshold, settings.maxThreshold, settings.thresholdStep = 10, 250, 5
    settings.minDistBetweenBlobs, settings.minRepeatability = 3, least_repeats
    settings.filterByColor, settings.blobColor = True, 0
    settings.filterByArea, settings.minArea, settings.maxArea = True, least_px, 50_000
    settings.filterByInertia, settings.minInertiaRatio = True, 0.2
    settings.filterByConvexity, settings.minConvexity = True, 0.7
    settings.filterByCircularity = False
    found = cv2.SimpleBlobDetector.create(settings).detect(np.ascontiguousarray(rgb[..., 1]))
    return np.array([point.pt for point in found], float).reshape(-1, 2)


PEERS: dict[str, Callable[..., Centres]] = {
    "blob_log on a*": blob_log,
    "background, Otsu, watershed": otsu_watershed,
    "SimpleBlobDetector": simple_blob,
}
