"""Bits of a sample."""

import pytest

from stoat_ferret.media.codecs.sound import sample_bits


@pytest.mark.parametrize(
    ("codec", "sample_format", "raw", "bits"),
    [
        ("pcm_s16le", "s16", None, 16),
        ("pcm_s24be", "s32", 24, 24),
        ("pcm_s24daud", "s32", None, 24),
        ("pcm_s16le_planar", None, None, 16),
        ("pcm_u8", "u8", None, 8),
        ("pcm_f32le", "flt", None, 32),
        ("pcm_alaw", "s16", None, 8),
        ("pcm_dvd", "s16", None, None),
        ("flac", "s32", 24, 24),
        ("flac", "s16", None, 16),
        ("alac", "s16p", None, 16),
        ("flac", None, None, None),
        ("aac", "fltp", None, None),
        ("dts", "s32p", 24, None),
    ],
)
def test_of_sound_that_loses_nothing(codec: str, sample_format: str | None, raw: int | None, bits: int | None) -> None:
    """Of other sound a number of bits would be the decoder's, not the file's."""
    assert sample_bits(codec, sample_format, raw) == bits
