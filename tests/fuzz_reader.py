"""Broken photos without end, for the reader: `python tests/fuzz_reader.py MINUTES [FIRST_SEED]`.

Each is a sound file of one of the kinds that are read, with a few wounds; a seed gives the same bytes. It must be
read or refused with a `PhotoError`, within ten seconds, and must not end the process.
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from functools import lru_cache

import numpy as np
from PIL import Image

from spotscan.batch.pool import Lost, Pool
from spotscan.batch.work import prepare
from spotscan.errors import PhotoError
from spotscan.photo import read_photo

LIMIT_S = 10.0
_WORDS = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\1",
    b"\1\0\0\0",
    b"\x80\0\0\0",
]


@lru_cache(maxsize=1)
def sound() -> tuple[bytes, ...]:
    """Small sound files of every kind."""
    rng = np.random.default_rng(1)
    rgb = Image.fromarray(rng.integers(0, 256, (48, 70, 3), np.uint8)).resize((140, 96))
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = 6, "2024:05:06 07:08:09"
    deep = Image.fromarray(rng.integers(0, 65536, (40, 50)).astype(np.uint16))
    made = [
        (rgb, "JPEG", {"exif": exif}), (rgb, "JPEG", {"progressive": True}), (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "PNG", {"exif": exif}), (rgb.quantize(), "PNG", {}), (deep, "PNG", {}), (rgb.convert("RGBA"), "PNG", {}),
        (rgb, "TIFF", {}), (rgb, "TIFF", {"compression": "tiff_lzw"}), (deep, "TIFF", {}),
        (rgb, "TIFF", {"compression": "jpeg"}), (rgb, "WEBP", {"exif": exif}), (rgb, "WEBP", {"lossless": True}),
        (rgb, "HEIF", {}), (rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(90)]}), (rgb, "BMP", {}),
    ]  # fmt: skip
    from pillow_heif import register_heif_opener

    register_heif_opener()
    files = []
    for picture, kind, options in made:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        files.append(file.getvalue())
    return tuple(files)


def wounded(seed: int) -> bytes:
    """The same bytes for the same seed."""
    rng = np.random.default_rng(seed)
    files = sound()
    data = bytearray(files[int(rng.integers(len(files)))])
    for _ in range(int(rng.integers(1, 5))):
        # Half of the wounds go to the head, where lengths and sizes stand.
        reach = len(data) if rng.random() < 0.5 else min(len(data), 256)
        at, length = int(rng.integers(max(reach, 1))), int(rng.geometric(0.05))
        match int(rng.integers(7)):
            case 0:
                data[at : at + 1] = bytes([data[at] ^ 1 << int(rng.integers(8))]) if data else b""
            case 1:
                data[at : at + 4] = _WORDS[int(rng.integers(len(_WORDS)))]
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * int(rng.integers(1, 4))
            case 4:
                data[at : at + length] = rng.bytes(length)
            case 5:
                del data[int(rng.integers(len(data) + 1)) :]
            case 6:
                other = files[int(rng.integers(len(files)))]
                data[at:] = other[int(rng.integers(len(other))) :]
    return bytes(data)


def check(seed: int) -> str:
    """What came of it: ``read``, ``refused``, or the fault."""
    try:
        photo = read_photo(wounded(seed))
    except PhotoError as error:
        return "refused" if "\n" not in str(error) and str(error).isprintable() else f"unprintable: {error!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    sound_picture = photo.rgb.dtype == np.uint8 and photo.rgb.ndim == 3 and photo.rgb.size <= 3 * 120_000_000
    return "read" if sound_picture else f"shape {photo.rgb.shape}"


def main(minutes: float, seed: int) -> int:
    """Until the time is over; the number of faults."""
    counts: Counter[str] = Counter()
    faults: dict[int, object] = {}
    slowest, began, first = 0.0, time.monotonic(), seed
    pool = Pool(check, 1, LIMIT_S, prepare)
    while time.monotonic() < began + 60 * minutes:
        pool.submit(seed)
        start = time.monotonic()
        ((_, result),) = pool.results()
        slowest = max(slowest, time.monotonic() - start) if seed > first else 0.0
        if isinstance(result, Lost) or result not in ("read", "refused"):
            faults[seed] = result
            print(seed, result, flush=True)
        counts[result if isinstance(result, str) and result in ("read", "refused") else "fault"] += 1
        seed += 1
    pool.close()
    print(f"{seed - first} files from seed {first}: {dict(counts)}, slowest {slowest:.2f} s, faults {faults}")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) > 0)
