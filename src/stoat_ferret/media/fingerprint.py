"""A short identity of a file's content, cheap enough to take of every file."""

import xxhash

from stoat_ferret.media.source import Source

BLOCK = 64 * 1024
"""Bytes read at each of the three places."""


def fingerprint(source: Source) -> str:
    """Give the fingerprint of an open file, as 32 hexadecimal digits.

    It is the 128-bit XXH3 hash (seed 0, big-endian hexadecimal) of:

    1. the size in bytes as an unsigned 64-bit little-endian integer;
    2. of a file of at most 192 KiB, all of its bytes, once;
    3. of a longer one, 64 KiB each: the first, those from offset `(size - 65536) // 2`, and the last.

    Equal files have equal fingerprints. Files with equal fingerprints are equal only if a hash of the whole says so.
    What is read is kept in the source, so that whoever looks at the file's headers need not read it again. If the file
    is shorter than the source's size, what is there is hashed.

    Raises:
        OSError: the file cannot be read.
    """
    size = source.size
    digest = xxhash.xxh3_128(size.to_bytes(8, "little"))
    if size <= 3 * BLOCK:
        digest.update(source.part(0, size))
    else:
        for offset in (0, (size - BLOCK) // 2, size - BLOCK):
            digest.update(source.part(offset, BLOCK))
    return digest.hexdigest()


def bytes_hashed(size: int) -> int:
    """Say how many bytes of a file of this size `fingerprint` reads."""
    return min(size, 3 * BLOCK)
