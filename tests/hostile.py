"""A folder of everything that people, machines and attackers put among photos.

`make(folder)` writes it and tells of each name what must come of it: ``done``, ``failed``, ``any`` (a right
result or a reason) or ``other`` (left alone).
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

MARK = "hostile-metadata-must-not-come-out"


def make(folder: Path, jpeg: bytes) -> dict[bytes, str]:
    """Write the corpus around a sound photo; name below the folder -> what must come of it."""
    folder.mkdir(parents=True, exist_ok=True)
    expected: dict[bytes, str] = {}

    def put(name: str | bytes, content: bytes, result: str) -> None:
        raw = os.fsencode(name)
        path = folder / os.fsdecode(raw)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        expected[raw] = result

    _put_damaged(put, jpeg)
    _put_kinds(put, jpeg)
    _put_metadata(put, jpeg)
    _put_sizes(put)
    _put_names(put, jpeg)
    expected |= _put_things(folder, put, jpeg)
    return expected


def _put_damaged(put, jpeg: bytes) -> None:
    for kilobytes in range(0, len(jpeg) // 1024 + 1, 4):  # the reader's own tests cut at every kilobyte
        put(f"cut-{kilobytes:03d}k.jpg", jpeg[: kilobytes * 1024], "failed")
    rng = np.random.default_rng(7)
    for i in range(8):
        flipped = bytearray(jpeg)
        for at in rng.integers(0, len(jpeg), 3):
            flipped[at] ^= 1 << int(rng.integers(8))
        put(f"flipped-{i}.jpg", bytes(flipped), "any")
    put("zeros.jpg", bytes(5_000), "failed")
    put("zeros.png", bytes(5_000), "failed")
    put("noise.jpg", b"\xff\xd8\xff" + rng.bytes(20_000), "failed")
    put("twice.jpg", jpeg + jpeg, "done")
    put("rubbish-behind.jpg", jpeg + rng.bytes(999), "done")


def _put_kinds(put, jpeg: bytes) -> None:
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    put("really-a-jpeg.png", jpeg, "done")
    put("really-a-png.JPG", _saved(picture, "PNG"), "done")
    put("text.jpg", b'=HYPERLINK("http://example.invalid")\n' * 50, "failed")
    put("page.tif", b"<html><script>alert(1)</script></html>" * 9, "failed")
    put("archive.heic", b"PK\x03\x04" + bytes(99), "failed")
    put("animated.gif", _saved(picture, "GIF", save_all=True, append_images=[picture.rotate(90)] * 3), "done")
    put("pages.tiff", _saved(picture, "TIFF", save_all=True, append_images=[picture.rotate(90)] * 3), "done")
    put("grey.png", _saved(picture.convert("L"), "PNG"), "done")
    put("clear.png", _saved(picture.convert("RGBA"), "PNG"), "done")
    put("notes.txt", b"not a photo", "other")
    put("program.exe", b"MZ", "other")
    put(".hidden.jpg", jpeg, "other")
    put("._IMG_1.jpg", b"\0\5\x16\7" + bytes(90), "other")


def _put_metadata(put, jpeg: bytes) -> None:
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = f"<script>alert('{MARK}')</script>"
    exif[0x0112] = 4_711  # no such orientation
    exif[0x0132] = "9999:99:99 99:99:99"
    exif[0x013B] = f"=cmd|'/c {MARK}'!A0"
    exif[0x8825] = {1: "N", 2: (999_999.0, 999_999.0, 0.5), 29: MARK}
    put("exif.jpg", _saved(picture, "JPEG", quality=92, exif=exif), "done")
    put("icc.jpg", _saved(picture, "JPEG", quality=92, icc_profile=b"ICC_PROFILE" + bytes(range(256)) * 9), "done")
    put("comment.jpg", jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(MARK)) + MARK.encode() + jpeg[2:], "done")


def _put_sizes(put) -> None:
    put("1x1.png", _saved(Image.new("RGB", (1, 1)), "PNG"), "failed")
    put("1x60000.png", _saved(Image.new("RGB", (1, 60_000)), "PNG"), "failed")
    put("32x60000.jpg", _saved(Image.new("RGB", (32, 60_000), (200, 150, 130)), "JPEG"), "any")
    put("bomb-65535.png", _png_bomb(65_535, 65_535), "failed")
    put("bomb-2e9.png", _png_bomb(2_000_000_000, 2_000_000_000), "failed")
    jpeg = bytearray(_saved(Image.new("RGB", (64, 48)), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_535, 65_535)
    put("says-65535.jpg", bytes(jpeg), "failed")


def _put_names(put, jpeg: bytes) -> None:
    names = [
        *("=cmd|'/c calc'!A0.jpg", "+1+1.jpg", "@SUM(A1).jpg", "-rf.jpg", "--out.jpg", "a,b;=c.jpg", "＝wide.jpg"),
        *(
            "quo\"te's.jpg",
            "new\nline.jpg",
            "tab\tand\rreturn.jpg",
            "<script>alert(1)<\\script>.jpg",
            "back\\slash.jpg",
        ),
        *("😀 Äö 中文.jpg", "\u202egpj.evil.jpg", "%s%n{0}$(touch x)`x`.jpg", "CON.jpg", " leading.jpg"),
    ]
    for i, name in enumerate(names):
        put(name, jpeg + bytes([i]), "done")
    put("x" * 251 + ".jpg", jpeg, "done")
    if sys.platform == "linux":
        put(b"not-utf8-\xff\xfe.jpg", jpeg, "done")


def _put_things(folder: Path, put, jpeg: bytes) -> dict[bytes, str]:
    deep = "/".join(["d"] * 60)
    put(f"{deep}/deep.jpg", jpeg, "done")
    expected = {}
    outside = folder.parent / "outside.jpg"
    outside.write_bytes(jpeg)
    links = {
        "link-in.jpg": "twice.jpg", "link-out.jpg": str(outside), "link-up.jpg": "../outside.jpg",
        "link-zero.jpg": "/dev/zero", "loop.jpg": "loop.jpg", "nowhere.jpg": "nothing",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
        expected[name.encode()] = "done" if name == "link-in.jpg" else "failed"
    with (folder / "terabyte.jpg").open("wb") as file:
        file.truncate(10**12)  # sparse: it takes no room
    expected[b"terabyte.jpg"] = "failed"
    os.mkfifo(folder / "pipe.jpg")
    expected[b"pipe.jpg"] = "failed"
    (folder / "folder.jpg").mkdir()
    if os.geteuid():  # root reads everything
        put("locked.jpg", jpeg, "failed")
        (folder / "locked.jpg").chmod(0)
    return expected


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that says it holds so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(3_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
