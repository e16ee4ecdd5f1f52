"""Reading photos: from a file, bytes or an array to upright sRGB pixels.

What comes in is hostile until shown otherwise: sizes are checked before anything is read or decoded, the kind
of file is told by its first bytes and must be on a short list, and whatever a decoder raises becomes one
`PhotoError`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from PIL import Image

from spotscan.errors import PhotoError
from spotscan.types import Photo, RGBArray


@dataclass(frozen=True)
class PhotoLimits:
    """What size of photo is read.

    Attributes
    ----------
    max_bytes : int
        Of the file. A 108-megapixel JPEG has about 40 MB, a 16-bit TIFF of 30 megapixels 180 MB.
    max_pixels : int
        Width times height, by the header. Room for the 108-megapixel sensors of phones; decoding takes up to
        about 9 bytes a pixel.
    min_side_px : int
        Below this the picture is an icon or a thumbnail, and no mark in it can be measured.
    """

    max_bytes: int = 200_000_000
    max_pixels: int = 120_000_000
    min_side_px: int = 32


_READABLE = "use a JPEG, PNG, TIFF, WebP or HEIC photo"
_AGAIN = "copy or export the photo again"
# First bytes -> the class that decodes it. The classes are called directly, never through Image.open: nothing
# else can be tried on the file, nothing is registered in Pillow, and our own limit on pixels holds instead of
# Pillow's global one.
_KINDS: dict[str, tuple[re.Pattern[bytes], str, str]] = {
    "JPEG": (re.compile(rb"\xff\xd8\xff"), "PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": (re.compile(rb"\x89PNG\r\n\x1a\n"), "PIL.PngImagePlugin", "PngImageFile"),
    "TIFF": (re.compile(rb"II[*+]\0|MM\0[*+]"), "PIL.TiffImagePlugin", "TiffImageFile"),
    "WebP": (re.compile(rb"(?s)RIFF....WEBP"), "PIL.WebPImagePlugin", "WebPImageFile"),
    "HEIF": (re.compile(rb"(?s)....ftyp(he[iv][cxms]|mif1|msf1)"), "pillow_heif", "HeifImageFile"),
    "GIF": (re.compile(rb"GIF8[79]a"), "PIL.GifImagePlugin", "GifImageFile"),
    "BMP": (re.compile(rb"BM"), "PIL.BmpImagePlugin", "BmpImageFile"),
}  # fmt: skip
# Pillow's mode -> the mode without alpha and palette in which its colour profile speaks. Modes that are not
# here (float, 32-bit, Lab) have no agreed white, and are refused.
_BASE = dict.fromkeys(("1", "L", "LA", "I;16", "I;16L", "I;16B"), "L") | {"CMYK": "CMYK"}
_BASE |= dict.fromkeys(("P", "PA", "RGB", "RGBX", "RGBA", "YCbCr"), "RGB")
_TURN: dict[int, Callable[[Any], Any]] = {  # EXIF orientation -> upright (CIPA DC-008, table of tag 274)
    2: lambda rgb: cv2.flip(rgb, 1),
    3: lambda rgb: cv2.rotate(rgb, cv2.ROTATE_180),
    4: lambda rgb: cv2.flip(rgb, 0),
    5: cv2.transpose,
    6: lambda rgb: cv2.rotate(rgb, cv2.ROTATE_90_CLOCKWISE),
    7: lambda rgb: cv2.flip(cv2.transpose(rgb), -1),
    8: lambda rgb: cv2.rotate(rgb, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
_EXIF_IFD, _ORIENTATION, _DATE_TIME, _DATE_ORIGINAL, _DATE_DIGITIZED = 0x8769, 274, 306, 36867, 36868
_TIFF_SUBFILE, _TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_DNG = 254, 258, 262, 50706
_STRIP_PX = 2**18  # pixels converted at a time: 1 MB, which stays in the processor's cache
_MAX_SCANS = 100  # of a progressive JPEG, each a pass over all pixels; encoders write about 10, attackers thousands
_SILENT = threading.Lock()


def read_photo(source: str | os.PathLike[str] | bytes | RGBArray, params: PhotoLimits = PhotoLimits()) -> Photo:
    """Read a photo, turn it upright and bring it to sRGB.

    JPEG, PNG, TIFF, WebP, HEIC/HEIF and the first picture of a BMP or GIF, told by content, not by name.
    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB; transparency is laid on white; an embedded
    colour profile is applied (LittleCMS, relative colorimetric, black point compensation), a garbled one is
    ignored.

    Parameters
    ----------
    source : str, path, bytes or (H, W, 3) uint8
        A file, the bytes of a file, or upright sRGB pixels, which are not copied.
    params : PhotoLimits, optional
        Limits on the size of the photo.

    Returns
    -------
    Photo
        Its pixels are read-only. Of the metadata only the date is kept.

    Raises
    ------
    PhotoError
        Whatever the reason for which this is not a photo that can be read, in one line.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, params)
    data, where, file = _read_bytes(source, params)
    kind, opener = _recognise(data, where)
    try:
        rgb, taken_at = _decode(kind, opener, data, where, params)
    except PhotoError:
        raise
    except Exception as error:  # decoders raise nearly anything on bytes made to hurt them
        what = f"this {kind} file is truncated, damaged or of an unknown variant"
        raise PhotoError(what, where, _AGAIN) from error
    return Photo(_frozen(rgb), hashlib.sha256(data).hexdigest(), file, taken_at)


def _from_array(array: np.ndarray[Any, Any], params: PhotoLimits) -> Photo:
    where = f"given {array.shape} {array.dtype}"
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise PhotoError("an array must be (H, W, 3) uint8 in RGB", where, "convert it first")
    _check_size((array.shape[1], array.shape[0]), where, params)
    rgb = _frozen(np.ascontiguousarray(array))
    digest = hashlib.sha256(repr(rgb.shape).encode())
    digest.update(rgb.data)
    return Photo(rgb, digest.hexdigest())


def _frozen(rgb: RGBArray) -> RGBArray:
    view = rgb.view()
    view.flags.writeable = False
    return view


def _printable(text: str) -> str:
    """On one line, whatever is in it: control characters and lone surrogates are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _read_bytes(source: object, params: PhotoLimits) -> tuple[bytes, str, str | None]:
    """Bytes, where they come from (for messages), and the base name of the file."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, where, file = bytes(source), "the bytes given", None
    elif isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        where = _printable(path) or "an empty name"
        file = Path(path).name.encode("utf-8", "backslashreplace").decode("utf-8")
        try:
            data = _read_file(path, where, params)
        except (OSError, ValueError) as error:  # ValueError: a name with a null byte
            reason = (getattr(error, "strerror", None) or "not a file name").lower()
            what = f"the photo cannot be read ({reason})"
            raise PhotoError(what, where, "check its name and permissions") from error
    else:
        given = f"given {type(source).__name__}"
        raise PhotoError("a photo is a path, bytes or an array", given, "pass one of these")
    if not data:
        raise PhotoError("the photo is empty", where, _AGAIN)
    if len(data) > params.max_bytes:
        raise _too_many_bytes(len(data), where, params)
    return data, where, file


def _read_file(path: str, where: str, params: PhotoLimits) -> bytes:
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device would never end
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
        raise PhotoError(f"this is {kind}, not a photo", where, "give the photo itself")
    if status.st_size > params.max_bytes:
        raise _too_many_bytes(status.st_size, where, params)
    with Path(path).open("rb") as file:
        return file.read(params.max_bytes + 1)


def _too_many_bytes(n_bytes: int, where: str, params: PhotoLimits) -> PhotoError:
    limit = f"{n_bytes / 1e6:.1f} MB where {params.max_bytes / 1e6:g} MB is the limit"
    return PhotoError(f"the file is too large ({limit})", where, "export the photo as JPEG")


def _recognise(data: bytes, where: str) -> tuple[str, Callable[[io.BytesIO], Any]]:
    """Kind of picture by its first bytes, and its decoder; only that decoder's module is imported."""
    for kind, (magic, module, name) in _KINDS.items():
        if magic.match(data):
            return kind, getattr(import_module(module), name)
    raise PhotoError("not a kind of photo that can be read", where, _READABLE)


def _check_size(size: tuple[int, int], where: str, params: PhotoLimits) -> None:
    width, height = size
    if min(size) < params.min_side_px:
        what = f"the picture is too small ({width} x {height} px, at least {params.min_side_px} a side)"
        raise PhotoError(what, where, "use the photo in its full size")
    if width * height > params.max_pixels:
        limit = f"at most {params.max_pixels / 1e6:g} megapixels"
        what = f"the picture is too large ({width} x {height} px, {limit})"
        raise PhotoError(what, where, "use a smaller photo")


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Pillow says about odd metadata from being printed, or raised where warnings are errors.

    The filters of `warnings` belong to the whole process, so that two threads must not change them at once.
    """
    log = logging.getLogger("PIL.TiffImagePlugin")
    with _SILENT, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before


def _decode(
    kind: str, opener: Callable[[io.BytesIO], Any], data: bytes, where: str, params: PhotoLimits
) -> tuple[RGBArray, str | None]:
    """Upright sRGB pixels and the date."""
    with _silence():
        image = opener(io.BytesIO(data))  # reads the header only
        _check_size(image.size, where, params)
        if kind in _CHECK_WHOLE:
            _CHECK_WHOLE[kind](data)
        transform = _to_srgb(image.info.get("icc_profile"), _BASE.get(image.mode))
        # OpenCV decodes the plain JPEG straight to an array; copying out of Pillow costs up to 40 % more.
        plain = kind == "JPEG" and image.mode in ("RGB", "L") and transform is None
        if not plain:
            _check_main_picture(image, where)
            image.load()
            _check_size(image.size, where, params)  # a HEIF file may hold another size than it says
        exif = _exif(image)
        if kind == "HEIF":  # pillow_heif writes "upright" over what it read
            exif[_ORIENTATION] = image.info.get("original_orientation")
    if plain:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        rgb = cast(RGBArray, cv2.imdecode(np.frombuffer(data, np.uint8), flags))
        if rgb is None or rgb.shape != (image.height, image.width, 3):
            raise ValueError("the decoded picture is not that of the header")
    else:
        rgb = _rgb(image, transform, where)
    del image
    orientation = exif.get(_ORIENTATION)
    turned = kind == "TIFF" or (kind == "HEIF" and _says_how_to_turn(data))  # by their decoders: not again
    if not turned and isinstance(orientation, int) and orientation in _TURN:
        rgb = _TURN[orientation](rgb)
    return rgb, _taken_at(exif)


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in coded data 0xFF is followed by 0 or a restart


def _check_whole_jpeg(data: bytes) -> None:
    """Walk from marker to marker until the end of the image; raise where the file ends first.

    Decoders fill what is missing with grey, some of them silently. What follows the end (a second picture, a
    film) does not matter; a thumbnail's own end lies within a segment and is stepped over.
    """
    at, n_scans = 2, 0
    while match := _JPEG_MARKER.search(data, at):
        code, at = data[match.end() - 1], match.end()
        if code == 0xD9:  # end of image
            return
        n_scans += code == 0xDA
        if n_scans > _MAX_SCANS:
            raise ValueError("too many scans")
        if code not in (0x01, 0xD8):  # all but these two have a length
            at += int.from_bytes(data[at : at + 2], "big")
    raise ValueError("the file ends before the picture does")


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start of the content and end of each box between two offsets (ISO/IEC 14496-12, 4.2).

    An end beyond that of the data is told as it stands.
    """
    while at + 8 <= end:
        size, box, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:  # a 64-bit size follows
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if size < start - at:  # 0: the last box, to the end
            yield box, start, end
            return
        yield box, start, at + size
        at += size


def _check_whole_heif(data: bytes) -> None:
    """Walk over the top-level boxes; libheif leaves tiles that are missing green."""
    if any(end > len(data) and box in (b"meta", b"mdat") for box, _, end in _boxes(data, 0, len(data))):
        raise ValueError("the file ends before the picture does")


def _says_how_to_turn(data: bytes) -> bool:
    """Whether a HEIF file holds rotation or mirror boxes (ISO/IEC 23008-12, 6.5): then they alone decide.

    Some writers leave the orientation to the EXIF data.
    """
    inside = [(0, len(data))]
    for parent in (b"meta", b"iprp", b"ipco"):
        skip = 4 if parent == b"meta" else 0  # its version and flags
        children = [(box, a, min(b, end)) for at, end in inside for box, a, b in _boxes(data, at, end)]
        inside = [(a + skip, b) for box, a, b in children if box == parent]
    return any(box in (b"irot", b"imir") for at, end in inside for box, _, _ in _boxes(data, at, end))


_CHECK_WHOLE: dict[str, Callable[[bytes], None]] = {"JPEG": _check_whole_jpeg, "HEIF": _check_whole_heif}


def _check_main_picture(image: Any, where: str) -> None:
    """Refuse camera raw files: they are TIFF files whose first picture is a preview."""
    tags = getattr(image, "tag_v2", {})
    if _TIFF_DNG in tags or tags.get(_TIFF_SUBFILE, 0) & 1:
        what = "this is a camera raw file or holds only a preview"
        raise PhotoError(what, where, "export the photo as JPEG")


def _exif(image: Any) -> dict[int, Any]:
    """Orientation and dates, as far as the EXIF data can be read."""
    found: dict[int, Any] = {}
    try:
        exif = image.getexif()
        found |= {tag: exif.get(tag) for tag in (_ORIENTATION, _DATE_TIME)}
        inner = exif.get_ifd(_EXIF_IFD)
        found |= {tag: inner.get(tag) for tag in (_DATE_ORIGINAL, _DATE_DIGITIZED)}
    except Exception:  # garbled metadata are no reason to refuse a photo
        pass
    return found


def _taken_at(exif: dict[int, Any]) -> str | None:
    for tag in (_DATE_ORIGINAL, _DATE_DIGITIZED, _DATE_TIME):
        try:
            return datetime.strptime(str(exif.get(tag)).strip(" \0"), "%Y:%m:%d %H:%M:%S").isoformat()
        except ValueError:  # absent, blank, or 0000:00:00 of a camera whose clock was never set
            continue
    return None


@lru_cache(maxsize=8)  # the photos of one phone all have the same profile, and this takes as long as a megapixel
def _to_srgb(profile: bytes | None, base: str | None) -> Any:
    """Transform from a profile to sRGB; None where none is needed or the profile is garbled."""
    if not profile or base is None:
        return None
    from PIL import ImageCms

    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), base, "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION)  # fmt: skip
        levels = np.linspace(0, 255, 9 if base == "RGB" else 3).round().astype(np.uint8)
        probe = np.stack(np.meshgrid(*[levels] * len(base)), -1)
        patch = Image.frombytes(base, (levels.size ** len(base), 1), probe.tobytes())
        change = np.abs(np.asarray(transform.apply(patch), int) - np.asarray(patch.convert("RGB"), int))
    except Exception:  # LittleCMS cannot use it: neither would a viewer
        return None
    # Profiles of sRGB differ in rounding and in the foot of the curve: up to two codes of 255.
    return transform if change.max() > 2 else None


def _rgb(image: Any, transform: Any, where: str) -> RGBArray:
    """Pixels of a loaded picture as (H, W, 3) uint8 sRGB, strip by strip, so that no second copy is made."""
    if image.mode not in _BASE:
        what = f"the picture's kind of pixel ({_printable(image.mode)}) has no defined white"
        raise PhotoError(what, where, "export the photo with 8 or 16 bits a channel")
    width, height = image.size
    tags = getattr(image, "tag_v2", {})
    white = 2 ** int(np.ravel(tags.get(_TIFF_BITS, 16))[0]) - 1
    inverted = tags.get(_TIFF_PHOTOMETRIC) == 0  # white is zero; Pillow turns it over for 8 bits, not for 16
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if strip.mode.startswith("I;16"):
            grey = np.rint(np.asarray(strip) * (255 / white)).clip(0, 255).astype(np.uint8)
            strip = Image.fromarray(255 - grey if inverted else grey)
        rgb[top : top + rows] = _strip_rgb(strip, transform)
    return rgb


def _strip_rgb(strip: Image.Image, transform: Any) -> Image.Image:
    alpha = None
    if strip.mode in ("LA", "PA", "RGBA") or "transparency" in strip.info:
        base, strip = _BASE[strip.mode], strip.convert("RGBA")
        alpha, strip = strip.getchannel("A"), strip.convert("RGB").convert(base)
    colour = strip.convert(_BASE[strip.mode])
    colour = colour.convert("RGB") if transform is None else transform.apply(colour)
    if alpha is None:
        return colour
    return Image.composite(colour, Image.new("RGB", colour.size, "white"), alpha)
