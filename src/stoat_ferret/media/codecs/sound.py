"""How finely sound is sampled: pure functions over FFmpeg's names."""

import re

_PCM = re.compile(r"pcm_[suf](?P<bits>8|16|24|32|64)(?:le|be|daud)?(?:_planar)?")
_EIGHT_BITS = {"pcm_alaw", "pcm_mulaw", "pcm_vidc", "pcm_sga"}
_LOSSLESS = {"flac", "alac", "wavpack", "tta", "truehd", "mlp", "ape", "als", "tak", "shorten", "wmalossless"}
_BITS = {"u8": 8, "s16": 16, "s32": 32}


def sample_bits(codec: str, sample_format: str | None, raw_bits: int | None) -> int | None:
    """Give the bits of a sample of a codec that keeps them all; None for other codecs.

    Args:
        codec: by FFmpeg's name.
        sample_format: what it is decoded to, such as `s16p`; None where that is not known.
        raw_bits: how many of its bits count, where it is fewer than all.
    """
    if found := _PCM.fullmatch(codec):
        return int(found["bits"])
    if codec in _EIGHT_BITS:
        return 8
    if codec not in _LOSSLESS or sample_format is None:
        return None
    return raw_bits or _BITS.get(sample_format.removesuffix("p"))
