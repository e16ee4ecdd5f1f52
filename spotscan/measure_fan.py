"""First outline of a mark, and the fan of its profile along the normals (part of `measure`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spotscan.measure_crop import F32, U8, Box, Crop, MeasureParams, cut_out
from spotscan.types import BoolArray, FloatArray, Photo, Scale, Skin, Spots

Points = NDArray[np.complex128]  # x + iy

# Where the fan is read, in units of the first outline's radius: inwards < 0 < outwards.
OFFSETS = np.linspace(-0.5, 0.75, 51)


@dataclass(frozen=True, eq=False)
class Fan:
    """A mark's profile along the normals of its first outline.

    Attributes
    ----------
    line, normal : (P,) complex
        First outline, photo px, and its outward unit normals.
    radius : float
        Of the disc with the area of the first outline, photo px.
    profile : (P, K) float32
        0 on the skin around, 1 in the middle of the mark, at `OFFSETS * radius`.
    free : (P, K) bool
        Skin there, and no other mark.
    pixel : float
        Photo px per pixel of the picture that was read.
    smooth : float
        1-sigma blur added before reading, photo px.
    noise : float
        Scatter of the skin around, 1 sigma, in units of the mark's contrast.
    absorbed : (3,) float
        Absorbance of the mark above that of the skin: red, green, blue.
    label_diameter : float
        Of the disc with the area of the label, photo px.
    found, touching, saturated : bool
        A region at half contrast was there; another mark touches; shine on the mark.
    """

    line: Points
    normal: Points
    radius: float
    profile: F32
    free: BoolArray
    pixel: float
    smooth: float
    noise: float
    absorbed: FloatArray
    label_diameter: float
    found: bool
    touching: bool
    saturated: bool


@dataclass(frozen=True, eq=False)
class _Profile:
    """Contrast of every pixel, 0 on the skin, about 1 in the mark; scatter of the skin; linear light of both."""

    value: F32
    noise: float
    mark: FloatArray
    skin: FloatArray
    smooth: float  # 1-sigma blur added here, crop px


def read_fan(
    photo: Photo, spots: Spots, skin: Skin, scale: Scale | None, label: int, box: Box, p: MeasureParams
) -> Fan:
    """Read the fan of one mark; the crop grows, twice at most, where the mark is larger than its label."""
    for _ in range(3):
        crop = cut_out(photo, spots, skin, scale, label, box, p)
        fan, inside = _fan(crop, p)
        if inside:
            break
        across, down = box[2] - box[0], box[3] - box[1]
        box = (box[0] - across // 2, box[1] - down // 2, box[2] + across // 2, box[3] + down // 2)
    return fan


def _fan(crop: Crop, p: MeasureParams) -> tuple[Fan, bool]:
    """The fan, and whether all of the mark lies inside the crop."""
    profile, region, found = _find(crop, p)
    chain = _outline(region)
    area = cv2.countNonZero(region)
    radius = float(np.sqrt(area / np.pi))
    line, normal = _even(chain, p.points, 0.1 * radius)
    plateau = max(float(profile.value[_core(region, p.core)].mean()), 1e-6)
    rays = line[:, None] + normal[:, None] * (OFFSETS * radius)
    x, y = rays.real.astype(np.float32), rays.imag.astype(np.float32)
    value = profile.value / np.float32(plateau)
    if crop.others.any():
        value = np.where(crop.others > 0, np.minimum(value, 0), value)
    usable = np.asarray(crop.skin & (1 - crop.others), np.uint8)
    corner = complex(*crop.corner)
    fan = Fan(
        line=corner + (line + 0.5 + 0.5j) * crop.step - (0.5 + 0.5j),
        normal=normal,
        radius=radius * crop.step,
        profile=np.asarray(cv2.remap(value, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1.0)),
        free=np.asarray(cv2.remap(usable, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)) > 0,
        pixel=crop.step,
        smooth=float(np.hypot(crop.smooth, profile.smooth * crop.step)),
        noise=profile.noise / plateau,
        absorbed=np.log10(np.maximum(profile.skin, 2e-3) / np.maximum(profile.mark, 2e-3)),
        label_diameter=2 * float(np.sqrt(cv2.countNonZero(crop.own) / np.pi)) * crop.step,
        found=found,
        touching=bool((crop.others[cv2.dilate(crop.own, np.ones((5, 5), np.uint8)) > 0]).any()),
        saturated=cv2.countNonZero(crop.white & region) > 0.02 * area,
    )
    return fan, not found or _inside(chain, crop)


def _find(crop: Crop, p: MeasureParams) -> tuple[_Profile, U8, bool]:
    """The mark's profile and region; where no such region is found (False), that of the label."""
    label = crop.own if crop.own.any() else _middle(crop.own.shape)
    own = label
    for k in range(3):  # where the label is not the mark, the region found takes its place
        core = _core(own, p.core)
        profile = _profile(crop, own, core, p)
        region = _region(profile, own, core, crop.others, p)
        clear = profile.noise <= 0.5 * p.noisy * float(profile.value[core].mean())
        most = p.most_growth_clear if clear else p.most_growth
        if region is not None and not 1 / most <= _growth(label, region) <= most:
            region = None  # the flush around the mark, or a speck within it
        if region is None or _overlap(own, region) > (0.9 if k else 0.7):
            break
        own = region
    darker = profile.skin[1] > 1.01 * profile.mark[1]  # blood and melanin take green; glare does not
    return (profile, region, True) if region is not None and darker else (profile, label, False)


def _growth(label: U8, region: U8) -> float:
    """Diameter of the region over that of the label."""
    return float(np.sqrt(cv2.countNonZero(region) / max(1, cv2.countNonZero(label))))


def _inside(chain: Points, crop: Crop) -> bool:
    height, width = crop.own.shape
    free = (chain.real.min() > 0, chain.imag.min() > 0, chain.real.max() < width - 1, chain.imag.max() < height - 1)
    return all(a or b for a, b in zip(free, crop.whole, strict=True))


def _profile(crop: Crop, own: U8, core: BoolArray, p: MeasureParams) -> _Profile:
    """Contrast along the direction in which the mark stands out most from the light and dark of its own skin.

    Fisher's linear discriminant in linear light, where a blurred edge keeps its place. Relief scales all channels
    alike, blood and pigment do not, so that the skin's texture is mostly left out. A plane of shading is taken out too.
    """
    around = _some(_around(crop, own))
    sample = crop.light.reshape(-1, 3)[around].astype(float)
    skin, mark = _median(sample), _median(_rows(crop.light, core).astype(float))
    rest = sample - skin
    size = np.abs(rest).sum(axis=1)
    rest = rest[size <= np.partition(size, 8 * len(size) // 10)[8 * len(size) // 10]]
    covariance = rest.T @ rest / len(rest)
    covariance[np.diag_indices(3)] += p.regularisation * np.trace(covariance) / 3 + 1e-8
    weights = np.linalg.solve(covariance, skin - mark)
    weights /= weights @ (skin - mark) + 1e-12
    value: NDArray[Any] = cv2.transform(crop.light, -weights[None].astype(np.float32)) + np.float32(weights @ skin)
    shading, noise = _plane(value, around)
    value = value - shading
    sigma = 0.0
    if noise > p.noisy:
        sigma = min(1.5, max(0.5, p.noisy_smooth * float(np.sqrt(cv2.countNonZero(own) / np.pi))))
        value = cv2.GaussianBlur(value, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return _Profile(np.asarray(value, np.float32), noise, mark, skin, sigma)


def _plane(value: NDArray[Any], at: NDArray[np.intp]) -> tuple[F32, float]:
    """A plane through the pixels `at` (fitted twice, outliers left out), and the scatter about it, 1 sigma."""
    height, width = value.shape
    y, x = np.divmod(at, width)
    design = np.stack([np.ones(len(at)), x - width / 2, y - height / 2])
    level = value.reshape(-1)[at].astype(float)
    kept = design
    for _ in range(2):  # those left out are 0 in `kept`
        plane = np.linalg.solve(kept @ design.T + 1e-6 * np.eye(3), kept @ level)
        rest = np.abs(level - plane @ design)
        noise = 1.4826 * float(_median(rest))
        kept = design * (rest <= 2.5 * noise + 1e-9)
    x, y = np.arange(width) - width / 2, np.arange(height) - height / 2
    return np.add.outer(plane[0] + plane[2] * y, plane[1] * x).astype(np.float32), noise


def _around(crop: Crop, own: U8) -> U8:
    """The skin around the mark: beyond its soft edge, off other marks and off what is not skin."""
    marks = own | crop.others
    reach = max(2, round(0.15 * np.sqrt(cv2.countNonZero(own))))
    far = np.asarray(1 - cv2.dilate(marks, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)
    near = far & crop.skin
    for candidate in (near, far, 1 - marks):
        if cv2.countNonZero(candidate) >= 24:
            return np.asarray(candidate, np.uint8)
    return np.ones_like(own)


def _region(profile: _Profile, own: U8, core: BoolArray, others: U8, p: MeasureParams) -> U8 | None:
    """The pixels above half of the mark's contrast, opened lest they leak along a hair or a crease; holes filled."""
    half = 0.5 * float(profile.value[core].mean())
    above = ((profile.value > half) & (others == 0)).astype(np.uint8)
    above = _fill(above)
    opening = p.opening if profile.noise <= p.noisy else p.opening_noisy
    radius = max(1, round(opening * float(np.sqrt(cv2.countNonZero(own) / np.pi))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    above = cv2.morphologyEx(above, cv2.MORPH_OPEN, disc)
    count, parts = cv2.connectedComponents(above, connectivity=4)
    votes = np.bincount(parts[own > 0], minlength=count)
    votes[0] = 0
    if not votes.any():
        return None
    return _fill((parts == int(votes.argmax())).astype(np.uint8))


def _fill(region: U8) -> U8:
    lines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(region), lines, -1, 1, -1), np.uint8)


def _outline(region: U8) -> Points:
    """The outermost pixels of a region, in order."""
    lines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    xy = max(lines, key=len).reshape(-1, 2)
    if len(xy) < 4:  # a line has no area; its pixels have
        (x0, y0), (x1, y1) = xy.min(axis=0) - 0.5, xy.max(axis=0) + 0.5
        xy = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return np.asarray(xy[:, 0] + 1j * xy[:, 1])


def _core(region: U8, share: float) -> BoolArray:
    """The inner part of a region, by depth below its boundary."""
    framed = cv2.copyMakeBorder(region, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return np.asarray(depth >= (1 - share) * float(depth.max()))


def _even(chain: Points, n: int, smooth: float) -> tuple[Points, Points]:
    """`n` points evenly along a closed line, smoothed by a Gaussian (px along the line), and their outward normals."""
    closed = np.append(chain, chain[0])
    length = np.append(0.0, np.cumsum(np.abs(np.diff(closed))))
    total = max(float(length[-1]), 1e-6)
    line = np.interp(np.arange(n) * total / n, length, closed)
    line = smooth_closed(line[None], np.array([smooth * n / total]))[0]
    tangent = np.roll(line, -1) - np.roll(line, 1)
    turn = np.sign((line.conj() * tangent).imag.sum()) or 1.0
    return line, -1j * turn * tangent / np.maximum(np.abs(tangent), 1e-9)


def smooth_closed(values: NDArray[Any], sigma: FloatArray) -> Points:
    """Blur each row of (N, P), taken as closed, by a Gaussian of its own `sigma` (N,), in points."""
    spectrum = np.fft.fft(values, axis=1)
    frequency = np.fft.fftfreq(values.shape[1])
    return np.asarray(np.fft.ifft(spectrum * np.exp(-2 * np.square(np.pi * sigma[:, None] * frequency)), axis=1))


def _overlap(a: U8, b: U8) -> float:
    """Jaccard index."""
    return cv2.countNonZero(a & b) / max(1, cv2.countNonZero(a | b))


def _middle(shape: tuple[int, ...]) -> U8:
    out = np.zeros(shape, np.uint8)
    out[shape[0] // 2, shape[1] // 2] = 1
    return out


def _some(mask: NDArray[Any], most: int = 400) -> NDArray[np.intp]:
    """Flat indices of up to about twice `most` pixels, evenly taken: enough for a median to 3 % of its scatter."""
    at = np.flatnonzero(mask)
    return at[:: max(1, len(at) // most)]


def _rows(light: F32, mask: NDArray[Any]) -> F32:
    return light.reshape(-1, 3)[_some(mask)]


def _median(values: NDArray[Any]) -> FloatArray:
    return np.asarray(np.partition(values, len(values) // 2, axis=0)[len(values) // 2])
