"""A short run of the fuzzer of the reader; `tests/fuzz_reader.py` runs for as long as is asked."""

from __future__ import annotations

import time

import pytest
from fuzz_reader import LIMIT_S, check, sound, wounded

from spotscan.photo import read_photo


def test_the_files_are_sound_before_they_are_wounded():
    for data in sound():
        assert min(read_photo(data).rgb.shape[:2]) >= 32
    assert wounded(5) == wounded(5) != wounded(6)


@pytest.mark.parametrize("seed", [0, 1_000, 2_000, 3_000])
def test_wounded_photos_are_read_or_refused(seed):
    for one in range(seed, seed + 75):
        began = time.monotonic()
        assert check(one) in ("read", "refused"), one
        assert time.monotonic() < began + LIMIT_S, one
