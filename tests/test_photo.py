"""Reading photos: what is drawn comes back; what is not a photo is refused in one line."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from spotscan.errors import PhotoError
from spotscan.photo import PhotoLimits, read_photo

HEIGHT, WIDTH = 48, 80
CORNERS = {"red": (210, 40, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "skin": (225, 172, 150)}


def drawn() -> np.ndarray[Any, Any]:
    """A different colour in each quarter, in blocks of 8 px that survive JPEG."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:24, :40], rgb[:24, 40:], rgb[24:, :40], rgb[24:, 40:] = CORNERS.values()
    return rgb


def noisy(height: int = 96, width: int = 160) -> np.ndarray[Any, Any]:
    """Skin with grain: no two blocks alike, none grey."""
    grain = np.random.default_rng(2).normal(0, 12, (height, width, 3))
    return np.clip(CORNERS["skin"] + grain, 0, 255).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray[Any, Any], kind: str, **options: Any) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(buffer := io.BytesIO(), quality=95, chroma=444, **options)
    else:
        image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def assert_near(actual: np.ndarray[Any, Any], expected: Any, within: float) -> None:
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected).max() <= within


def refused(source: Any, *words: str, **limits: int) -> str:
    with pytest.raises(PhotoError) as caught:
        read_photo(source, PhotoLimits(**limits))
    message = str(caught.value)
    assert message.isprintable()  # one line
    assert caught.value.what
    assert caught.value.where
    assert caught.value.todo
    assert all(word in message for word in words), message
    return message


# --- what is drawn comes back ---------------------------------------------------------------------

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
KINDS = LOSSLESS | {"JPEG": {"quality": 95, "subsampling": 0}, "HEIF": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_drawn(kind: str, tmp_path: Path) -> None:
    data = encoded(drawn(), kind, **KINDS[kind])
    path = tmp_path / "photo.jpg"  # the name says nothing: content decides
    path.write_bytes(data)
    photo = read_photo(path)
    assert_near(photo.rgb, drawn(), 0 if kind in LOSSLESS else 6)
    assert (photo.width_px, photo.height_px) == (WIDTH, HEIGHT)
    assert (photo.file, photo.taken_at) == ("photo.jpg", None)
    assert photo.sha256 == hashlib.sha256(data).hexdigest()
    assert photo.rgb.dtype == np.uint8
    assert photo.rgb.flags.c_contiguous
    same = read_photo(data)
    assert same.file is None
    assert np.array_equal(same.rgb, photo.rgb)
    assert np.array_equal(read_photo(str(path)).rgb, photo.rgb)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"subsampling": 2},
        {"restart_marker_blocks": 2},
        {"comment": b"\xff\xd9 \xff\xda"},
    ],
)
def test_variants_of_jpeg_are_what_pillow_decodes(options: dict[str, Any]) -> None:
    data = encoded(noisy(), "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert_near(read_photo(data).rgb, expected, 1)
    assert_near(read_photo(data + b"a film\xff\xd8\xff" * 100).rgb, expected, 1)  # what phones append


def test_first_picture_of_a_gif() -> None:
    second = Image.new("RGB", (WIDTH, HEIGHT), "white")
    data = encoded(drawn(), "GIF", save_all=True, append_images=[second])
    assert_near(read_photo(data).rgb, drawn(), 0)


def test_an_array_is_taken_as_it_is() -> None:
    rgb = drawn()
    photo = read_photo(rgb)
    assert np.shares_memory(photo.rgb, rgb)
    assert not photo.rgb.flags.writeable
    assert rgb.flags.writeable
    assert (photo.file, photo.taken_at) == (None, None)
    assert photo.sha256 == read_photo(rgb[:, ::-1].copy()[:, ::-1]).sha256  # the pixels, not their layout
    assert photo.sha256 != read_photo(rgb.reshape(WIDTH, HEIGHT, 3)).sha256  # the shape counts
    rgb[0, 0, 0] += 1
    assert photo.sha256 != read_photo(rgb).sha256


# --- upright --------------------------------------------------------------------------------------

# CIPA DC-008, tag 274: where the 0th row and the 0th column of the stored picture are seen.
SIDES = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
         5: "left top", 6: "right top", 7: "right bottom", 8: "left bottom"}  # fmt: skip


def stored(upright: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """The pixels as the camera wrote them."""
    row, column = SIDES[orientation].split()
    pixels = upright if row in ("top", "bottom") else upright.transpose(1, 0, 2)
    if row in ("bottom", "right"):
        pixels = pixels[::-1]
    if column in ("bottom", "right"):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def exif(orientation: int, **inner: str) -> Image.Exif:
    tags = Image.Exif()
    tags[274] = orientation
    for name, value in inner.items():
        tags.get_ifd(0x8769)[{"original": 36867, "digitized": 36868}[name]] = value
    return tags


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "HEIF"])
@pytest.mark.parametrize("orientation", SIDES)
def test_turned_upright_once(kind: str, orientation: int) -> None:
    pixels = stored(drawn(), orientation)
    tags = exif(orientation).tobytes()
    data = encoded(pixels, kind, exif=tags, **KINDS[kind])
    if kind == "HEIF":  # written as phones do, both in the EXIF data and in boxes of the file, which hold
        assert tags in data
        assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    assert_near(read_photo(data).rgb, drawn(), 0 if kind in LOSSLESS else 6)


@pytest.mark.parametrize("orientation", SIDES)
def test_heif_without_boxes_that_turn_it_is_turned_by_its_exif(orientation: int) -> None:
    data = encoded(stored(drawn(), orientation), "HEIF", exif=exif(orientation).tobytes())
    bare = data.replace(b"irot", b"free").replace(b"imir", b"free")  # a box without meaning in their place
    assert_near(read_photo(bare).rgb, drawn(), 6)


def test_the_boxes_of_a_heif_file_hold_against_its_exif() -> None:
    data = encoded(drawn(), "HEIF", exif=exif(6).tobytes())
    at = data.index(b"irot") + 4
    upright = data[:at] + b"\0" + data[at + 1 :]  # "turn by 0 degrees"
    assert_near(read_photo(upright).rgb, drawn(), 6)


def test_names_of_boxes_outside_their_place_turn_nothing() -> None:
    tags = exif(6, original="irot imir")
    data = encoded(stored(drawn(), 6), "HEIF", exif=tags.tobytes())
    head, tail = data.split(b"mdat", 1)
    bare = head.replace(b"irot", b"free") + b"mdat" + tail
    assert b"irot" in bare
    assert_near(read_photo(bare).rgb, drawn(), 6)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "HEIF"])
def test_absurd_orientation_is_ignored(kind: str, orientation: int) -> None:
    data = encoded(drawn(), kind, exif=exif(orientation), **KINDS[kind])
    assert_near(read_photo(data).rgb, drawn(), 6)


# --- metadata -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"original": "2024:02:29 23:59:58", "digitized": "2025:01:01 00:00:00"}, "2024-02-29T23:59:58"),
        ({"original": "0000:00:00 00:00:00", "digitized": "2025:01:01 01:02:03"}, "2025-01-01T01:02:03"),
        ({"original": "    :  :     :  :  ", "date": "2023:07:08 09:10:11"}, "2023-07-08T09:10:11"),
        ({"original": "2023:02:29 10:00:00"}, None),  # 2023 was no leap year
        ({"original": "yesterday"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "HEIF"])
def test_date(kind: str, dates: dict[str, str], expected: str | None) -> None:
    dates = dict(dates)
    date = dates.pop("date", None)
    tags = exif(1, **dates)
    if date:
        tags[306] = date
    assert read_photo(encoded(drawn(), kind, exif=tags.tobytes())).taken_at == expected


def test_nothing_else_of_the_metadata_is_kept() -> None:
    tags = exif(1, original="2024:05:06 07:08:09")
    tags[271] = "SECRETMAKER"
    tags.get_ifd(0x8825)[29] = "2001:02:03"  # GPS date
    tags.get_ifd(0x8825)[2] = (47.0, 33.0, 12.5)
    data = encoded(drawn(), "JPEG", exif=tags, comment=b"SECRETNOTE")
    assert b"SECRETMAKER" in data
    photo = read_photo(data)
    kept = {name: value for name, value in vars(photo).items() if name != "rgb"}
    assert kept == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "file": None,
        "taken_at": "2024-05-06T07:08:09",
    }
    assert type(photo.rgb) is np.ndarray


@pytest.mark.parametrize(
    "garbage", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + bytes(range(200))]
)
def test_garbled_exif_is_no_reason_to_refuse(garbage: bytes) -> None:
    data = encoded(drawn(), "JPEG", exif=garbage, **KINDS["JPEG"])
    assert_near(read_photo(data).rgb, drawn(), 6)  # and no warning: they are errors here


def test_orientation_survives_a_garbled_rest_of_the_exif() -> None:
    tags = exif(6, original="2024:05:06 07:08:09").tobytes()
    data = encoded(stored(drawn(), 6), "JPEG", exif=tags[:-12], **KINDS["JPEG"])
    assert_near(read_photo(data).rgb, drawn(), 6)


# --- colour ---------------------------------------------------------------------------------------


def icc(space: bytes, tags: dict[bytes, bytes], device: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """A colour profile by hand (ICC.1:2022, 7.2 and 7.3)."""
    text = "drawn".encode("utf-16-be")
    note = b"mluc" + struct.pack(">5I", 0, 1, 12, int.from_bytes(b"enUS", "big"), len(text))[:16]
    note += struct.pack(">II", len(text), 28) + text
    white = (0.9642, 1.0, 0.8249)
    tags = {b"desc": note, b"cprt": note, b"wtpt": xyz(white)} | tags
    at, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", at + len(body), b"lcms", 0x04000000, device, space, pcs, bytes(12), b"acsp")
    return head.ljust(64, b"\0") + struct.pack(">I", 1) + xyz(white)[8:] + bytes(48) + table + body


def xyz(values: Any) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *[round(v * 65536) for v in values])


def gamma(value: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(value * 65536))


SRGB_CURVE = b"para" + bytes(4) + struct.pack(
    ">HH5i", 3, 0, *[round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)]
)  # fmt: skip
# Display P3: the colourants of Apple's profile, adapted to D50.
P3_COLOURANTS = [(0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)]


def matrix_profile(colourants: Any, curve: bytes) -> bytes:
    tags = {name + b"XYZ": xyz(values) for name, values in zip((b"r", b"g", b"b"), colourants, strict=True)}
    return icc(b"RGB ", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")})


def p3_to_srgb(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """By the primaries of SMPTE EG 432-1 and IEC 61966-2-1, both with white D65: no adaptation."""

    def to_xyz(primaries: Any) -> np.ndarray[Any, Any]:
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
        return columns * np.linalg.solve(columns, [0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])

    p3 = to_xyz([(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)])
    srgb = to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
    light = rgb / 255
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    light = (light @ (np.linalg.inv(srgb) @ p3).T).clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "HEIF"])
def test_display_p3_becomes_srgb(kind: str) -> None:
    profile = matrix_profile(P3_COLOURANTS, SRGB_CURVE)
    data = encoded(drawn(), kind, icc_profile=profile, **KINDS[kind])
    expected = p3_to_srgb(drawn())
    assert np.abs(expected - drawn()).max() > 15  # not telling them apart would be seen
    assert_near(read_photo(data).rgb, expected.round(), 1 if kind in LOSSLESS else 8)


def test_profile_and_orientation_together() -> None:
    profile = matrix_profile(P3_COLOURANTS, SRGB_CURVE)
    data = encoded(stored(drawn(), 6), "PNG", icc_profile=profile, exif=exif(6))
    assert_near(read_photo(data).rgb, p3_to_srgb(drawn()).round(), 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_profile_of_srgb_changes_nothing(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, tagged = (encoded(noisy(), kind, icc_profile=p) for p in (None, profile))
    assert np.array_equal(read_photo(plain).rgb, read_photo(tagged).rgb)


def test_grey_with_a_profile() -> None:
    grey = np.repeat(np.arange(WIDTH, dtype=np.uint8)[None] * 3, HEIGHT, 0)
    profile = icc(b"GRAY", {b"kTRC": gamma(1.8)})  # of old Macintoshes
    light = (grey / 255) ** 1.8
    expected = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    for kind in ("PNG", "TIFF"):
        rgb = read_photo(encoded(grey, kind, icc_profile=profile)).rgb
        assert_near(rgb, np.repeat(expected.round()[..., None], 3, 2), 1)


@pytest.mark.parametrize(
    "profile",
    [
        b"garbage",
        bytes(200),
        matrix_profile(P3_COLOURANTS, SRGB_CURVE)[:150],
        icc(b"GRAY", {b"kTRC": gamma(1.0)}),
    ],
    ids=["text", "zeros", "truncated", "of grey"],
)
def test_a_garbled_or_wrong_profile_is_ignored(profile: bytes) -> None:
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        rgb = read_photo(encoded(drawn(), kind, icc_profile=profile, **KINDS[kind])).rgb
        assert_near(rgb, drawn(), 6)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_without_profile(kind: str) -> None:
    image = Image.fromarray(drawn()).convert("CMYK")
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    assert_near(read_photo(encoded(image, kind, **options)).rgb, drawn(), 8)


def test_adobe_jpeg_has_its_inks_inverted() -> None:
    data = encoded(Image.new("CMYK", (WIDTH, HEIGHT), (0, 200, 200, 0)), "JPEG", quality=95)
    assert b"Adobe" in data  # Pillow writes them as Photoshop does
    rgb = read_photo(data).rgb
    assert_near(rgb[0, 0], (255, 55, 55), 4)


def cmyk_profile() -> bytes:
    """Inks by a 2 x 2 x 2 x 2 table: its cyan is red, so that the profile cannot be overlooked."""
    curve = bytes(range(256))
    table = b""
    for corner in range(16):  # C changes slowest, K fastest
        c, others = corner >> 3, corner & 7
        lightness, a = (0, 128) if others else (128, 188) if c else (255, 128)
        table += bytes([lightness, a, 128])
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + xyz((1, 0, 0))[8:] + xyz((0, 1, 0))[8:] + xyz((0, 0, 1))[8:]
    return icc(b"CMYK", {b"A2B0": lut + curve * 4 + table + curve * 3}, b"prtr", b"Lab ")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_with_a_profile(kind: str) -> None:
    inks = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    inks[:, 40:, 0] = 255
    image = Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes())
    rgb = read_photo(encoded(image, kind, icc_profile=cmyk_profile())).rgb
    assert_near(rgb[0, 0], (255, 255, 255), 2)
    # CIE Lab (50.2, 60, 0) relative to the white, by the formulas of CIE 15 and Bradford's adaptation.
    lab = np.array([[[128 / 2.55, 60.0, 0.0]]], np.float32)
    expected = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)[0, 0] * 255
    assert_near(rgb[0, -1], expected.round(), 4)


# --- kinds of pixel -------------------------------------------------------------------------------


def test_transparency_is_laid_on_white() -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[:, 20:60], alpha[:, 60:] = 128, 255
    expected = 255 + (drawn().astype(float) - 255) * (alpha / 255)[..., None]
    rgba = Image.fromarray(np.dstack([drawn(), alpha]))
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        assert_near(read_photo(encoded(rgba, kind, **options)).rgb, expected.round(), 1)
    grey = np.dstack([drawn()[..., 0], alpha])
    expected = 255 + (grey[..., :1].astype(float) - 255) * (alpha / 255)[..., None]
    assert_near(read_photo(encoded(Image.fromarray(grey), "PNG")).rgb, np.repeat(expected.round(), 3, 2), 1)


@pytest.mark.parametrize("transparency", [2, bytes([255, 255, 0, 255])])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    index = np.zeros((HEIGHT, WIDTH), np.uint8)
    index[:24, 40:], index[24:, :40], index[24:, 40:] = 1, 2, 3
    image = Image.fromarray(index, "P")
    image.putpalette([value for colour in CORNERS.values() for value in colour])
    assert_near(read_photo(encoded(image, "PNG")).rgb, drawn(), 0)
    expected = drawn()
    expected[24:, :40] = 255
    assert_near(read_photo(encoded(image, "PNG", transparency=transparency)).rgb, expected, 0)


def test_transparent_colour_of_grey_and_rgb() -> None:
    expected = drawn()
    expected[:24, :40] = 255
    assert_near(read_photo(encoded(drawn(), "PNG", transparency=CORNERS["red"])).rgb, expected, 0)
    grey = drawn()[..., 1]
    expected = np.repeat(np.where(grey == 40, 255, grey)[..., None], 3, 2)
    assert_near(read_photo(encoded(grey, "PNG", transparency=40)).rgb, expected, 0)


@pytest.mark.parametrize("kind", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_scaled_not_clipped(kind: str, channels: int) -> None:
    ramp = np.linspace(0, 65535, WIDTH).astype(np.uint16)
    deep = np.repeat(np.repeat(ramp[None], HEIGHT, 0)[..., None], channels, 2)
    if channels == 4:
        deep[..., 3] = 65535
    data = cv2.imencode(kind, deep)[1].tobytes()
    expected = np.repeat(np.rint(np.repeat(ramp[None], HEIGHT, 0) / 257)[..., None], 3, 2)
    assert_near(read_photo(data).rgb, expected, 1)


def grey_tiff(pixels: bytes, bits: int, photometric: int, order: str = "<") -> bytes:
    """An uncompressed TIFF by hand (TIFF 6.0, section 4)."""
    tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: HEIGHT}
    tags |= {279: len(pixels)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4  # the pixels follow the directory
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return mark + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4) + pixels


@pytest.mark.parametrize("order", "<>")
def test_16_bit_grey_tiff_of_either_byte_order_and_white_is_zero(order: str) -> None:
    ramp = np.repeat(np.linspace(0, 65535, WIDTH).astype(order + "u2")[None], HEIGHT, 0)
    expected = np.repeat(np.rint(ramp / 257)[..., None], 3, 2)
    assert_near(read_photo(grey_tiff(ramp.tobytes(), 16, 1, order)).rgb, expected, 1)
    if order == "<":  # the other is unknown to Pillow
        assert_near(read_photo(grey_tiff(ramp.tobytes(), 16, 0, order)).rgb, 255 - expected, 1)


def test_12_bit_tiff_is_scaled_by_its_own_white() -> None:
    ramp = np.repeat(np.linspace(0, 4095, WIDTH).astype(int)[None], HEIGHT, 0)
    first, second = ramp[:, ::2], ramp[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8)
    expected = np.repeat(np.rint(ramp / 4095 * 255)[..., None], 3, 2)
    assert_near(read_photo(grey_tiff(packed.tobytes(), 12, 1)).rgb, expected, 1)


def test_one_bit() -> None:
    black = np.zeros((HEIGHT, WIDTH), bool)
    black[:10, 30:] = True
    image = Image.fromarray(~black)
    assert image.mode == "1"
    for kind in ("PNG", "TIFF", "BMP"):
        assert_near(read_photo(encoded(image, kind)).rgb, np.where(black, 0, 255)[..., None].repeat(3, 2), 0)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_white_are_refused(mode: str) -> None:
    image = Image.new(mode, (WIDTH, HEIGHT), 1)
    refused(encoded(image, "TIFF"), "no defined white", "8 or 16 bits")


def test_a_raw_file_is_not_read_as_its_preview() -> None:
    for tag, value in ((50706, b"\x01\x04\0\0"), (254, 1)):
        tags = ImageFileDirectory_v2()
        tags[tag] = value
        refused(encoded(drawn(), "TIFF", tiffinfo=tags), "raw", "JPEG")


def test_heif_with_10_bits() -> None:
    deep = (noisy(96, 160).astype(np.uint16) << 8).tobytes()
    file = pillow_heif.from_bytes("RGB;16", (160, 96), deep)
    file.save(buffer := io.BytesIO(), quality=-1, chroma=444)
    assert_near(read_photo(buffer.getvalue()).rgb, noisy(96, 160), 4)


# --- limits ---------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header() -> None:
    refused(png_header(60_000, 60_000), "too large", "60000 x 60000", "120 megapixels")
    refused(png_header(12_001, 10_000), "too large")
    refused(png_header(2**31 - 1, 1), "too small")
    jpeg = bytearray(encoded(drawn(), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65500, 65500)
    refused(bytes(jpeg), "too large")


def test_the_limit_on_pixels_is_the_limit(tmp_path: Path) -> None:
    data = encoded(drawn(), "PNG")
    assert read_photo(data, PhotoLimits(max_pixels=WIDTH * HEIGHT)).width_px == WIDTH
    refused(data, "80 x 48", max_pixels=WIDTH * HEIGHT - 1)
    refused(drawn(), "80 x 48", max_pixels=WIDTH * HEIGHT - 1)


@pytest.mark.slow
def test_a_108_megapixel_photo_passes_without_a_warning() -> None:
    grey = np.full((9000, 12000), 200, np.uint8)
    assert read_photo(cv2.imencode(".jpg", grey)[1].tobytes()).rgb.shape == (9000, 12000, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_smallest_side(kind: str) -> None:
    assert read_photo(encoded(drawn()[:32, :40], kind)).height_px == 32
    refused(encoded(drawn()[:31, :40], kind), "too small", "40 x 31", "32")
    refused(encoded(drawn()[:40, :31], kind), "too small", "31 x 40", "32")
    refused(drawn()[:0], "too small")


def test_file_size_is_checked_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: reading it would take a terabyte
    refused(path, "too large", "1000000.0 MB", "200 MB")
    data = encoded(drawn(), "PNG")
    refused(data, "too large", max_bytes=len(data) - 1)
    assert read_photo(data, PhotoLimits(max_bytes=len(data))).width_px == WIDTH


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encoded(drawn(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    refused(data[:-2] + data[last:-2] * 200 + data[-2:], "JPEG")


# --- what is not a photo --------------------------------------------------------------------------

DISGUISED = {
    "PDF": b"%PDF-1.7\n" + bytes(3000),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 90\n" + bytes(3000),
    "film": b"\0\0\0\x20ftypisom" + bytes(3000),
    "page": b"<html><body>Sign in to download</body></html>",
    "zeros": bytes(5000),
    "one byte": b"\xff",
    "marker": b"\xff\xd8\xff",
    "PPM": b"P6 80 48 255\n" + bytes(80 * 48 * 3),
    "ICO": b"\0\0\1\0\1\0" + bytes(300),
}


@pytest.mark.parametrize("what", DISGUISED)
def test_disguised_files_are_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(DISGUISED[what])
    message = refused(path, "photo.jpg")
    assert ("JPEG, PNG" in message) == (what != "marker")
    refused(DISGUISED[what], "the bytes given")


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "folder")
    refused("", "folder")
    refused(tmp_path / "missing.jpg", "missing.jpg", "no such file")
    refused(tmp_path / "a" / "b.jpg", "no such file")
    refused("photo\0.jpg", "photo\\x00.jpg")
    refused("x" * 5000, "too long")
    (tmp_path / "empty.jpg").touch()
    refused(tmp_path / "empty.jpg", "empty")
    refused(b"", "empty")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(tmp_path / "pipe.jpg", "not an ordinary file")
    refused("/dev/zero", "not an ordinary file")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.jpg"
    path.write_bytes(encoded(drawn(), "JPEG"))
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything
        monkeypatch.setattr(Path, "open", _denied)
    refused(path, "permission denied", "mine.jpg")


def _denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("name", ["two\nlines.jpg", "\x1b[31mred\r.jpg", "caf\udce9.jpg", "\u202egpj.exe"])
def test_messages_keep_to_one_line_whatever_the_name(name: str, tmp_path: Path) -> None:
    try:
        (tmp_path / name).write_bytes(b"not a photo")
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    refused(tmp_path / name).encode("utf-8")
    (tmp_path / name).write_bytes(encoded(drawn(), "PNG"))
    file = read_photo(tmp_path / name).file
    assert file is not None
    file.encode("utf-8")  # can be written to JSON
    assert str(tmp_path) not in file


@pytest.mark.parametrize(
    "array",
    [
        drawn()[..., 0],
        np.dstack([drawn(), drawn()[..., 0]]),
        drawn().astype(float),
        drawn() > 99,
        np.zeros(3, np.uint8),
    ],
    ids=["grey", "rgba", "float", "bool", "flat"],
)
def test_other_arrays_are_refused(array: np.ndarray[Any, Any]) -> None:
    refused(array, "(H, W, 3) uint8", str(array.shape), str(array.dtype))


@pytest.mark.parametrize("thing", [None, 3, ["photo.jpg"], io.BytesIO(b"x")])
def test_other_things_are_refused(thing: Any) -> None:
    refused(thing, type(thing).__name__)


# --- damage ---------------------------------------------------------------------------------------

DAMAGEABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {"quality": 80}),
    "JPEG, thumbnail": ("JPEG", {"exif": b"Exif\0\0" + encoded(drawn(), "JPEG")}),
    "JPEG, progressive": ("JPEG", {"progressive": True}),
    "JPEG, restarts": ("JPEG", {"restart_marker_blocks": 4}),
    "JPEG, wide": ("JPEG", {"icc_profile": matrix_profile(P3_COLOURANTS, SRGB_CURVE)}),
    "PNG": ("PNG", {}),
    "TIFF": ("TIFF", {}),
    "TIFF, deflate": ("TIFF", {"compression": "tiff_deflate"}),
    "TIFF, JPEG": ("TIFF", {"compression": "jpeg"}),
    "WebP": ("WEBP", {}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "HEIF": ("HEIF", {}),
    "HEIF, tiles": ("HEIF", {"tile_size": 64}),
    "GIF": ("GIF", {}),
    "BMP": ("BMP", {}),
}


@pytest.mark.parametrize("name", DAMAGEABLE)
def test_a_truncated_photo_is_whole_or_refused(name: str) -> None:
    kind, options = DAMAGEABLE[name]
    data = encoded(noisy(), kind, **options)
    whole = read_photo(data).rgb
    step = max(1, len(data) // 60)
    for length in [*range(1, len(data), step), *range(len(data) - 12, len(data))]:
        try:
            rgb = read_photo(data[:length]).rgb
        except PhotoError:
            continue
        assert kind != "JPEG"  # without its end mark none is taken
        assert np.array_equal(rgb, whole)  # only trailing bytes that hold no pixels may lack


def read_or_refuse(data: bytes) -> None:
    try:
        photo = read_photo(data, PhotoLimits(max_pixels=4_000_000))
    except PhotoError as error:
        message = str(error)
    else:
        message = ""
        assert photo.rgb.dtype == np.uint8
        assert photo.rgb.shape == (photo.height_px, photo.width_px, 3)
    assert message.isprintable()


@pytest.mark.parametrize("name", DAMAGEABLE)
def test_hostile_bytes_are_read_or_refused(name: str) -> None:
    """Whatever a decoder raises, or warns of, becomes a PhotoError."""
    kind, options = DAMAGEABLE[name]
    data = encoded(noisy(), kind, **options)
    draw = random.Random(name)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(draw.randint(1, 8)):
            damaged[draw.randrange(min(len(data), 300 if draw.random() < 0.6 else len(data)))] = draw.randrange(256)
        read_or_refuse(bytes(damaged))


MAGIC = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"RIFF\0\0\0\0WEBP", b"GIF89a",
         b"BM", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypmif1"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(magic: bytes, rest: bytes) -> None:
    read_or_refuse(magic + rest)


# --- manners --------------------------------------------------------------------------------------


def test_threads_share_nothing_and_leave_nothing_behind() -> None:
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    files = [encoded(noisy(), kind) for kind in ("JPEG", "PNG", "TIFF", "HEIF")] * 6
    expected = [read_photo(data).rgb for data in files[:4]] * 6
    start = threading.Barrier(4)

    def read(share: int) -> list[np.ndarray[Any, Any]]:
        start.wait()
        return [read_photo(data).rgb for data in files[share::4]]

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(read, range(4)))
    for share, pictures in enumerate(shares):
        assert all(map(np.array_equal, pictures, expected[share::4]))
    assert warnings.filters == filters
    assert limit == Image.MAX_IMAGE_PIXELS


def test_only_the_decoder_needed_is_imported() -> None:
    code = """if True:
        import sys, cv2, numpy as np, spotscan.photo
        jpeg = cv2.imencode(".jpg", np.full((48, 80, 3), 99, np.uint8))[1].tobytes()
        spotscan.photo.read_photo(jpeg)
        others = ("pillow_heif", "PIL.ImageCms", "PIL.PngImagePlugin", "scipy", "skimage")
        print(*[name for name in others if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
