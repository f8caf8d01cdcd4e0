"""Bits of a header, one after the other, as standards write them down."""


class TooShortError(Exception):
    """The header ends before what it is said to hold. Never leaves the modules that read headers."""


class Bits:
    """Reads bits, the highest of each byte first, but for some spare ones at the end."""

    def __init__(self, data: bytes, spare: int = 0) -> None:
        self._value = int.from_bytes(data, "big") >> spare
        self.left = len(data) * 8 - spare

    def take(self, count: int) -> int:
        if count > self.left:
            raise TooShortError
        self.left -= count
        return self._value >> self.left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Read an unsigned Exp-Golomb code (H.264, 9.1): as many zeros as bits follow the first one."""
        rest = self._value & ((1 << self.left) - 1)
        zeros = self.left - rest.bit_length()
        if zeros > 32 or 2 * zeros >= self.left:
            raise TooShortError
        self.left -= 2 * zeros + 1
        return (rest >> self.left) - 1

    def signed_golomb(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)
