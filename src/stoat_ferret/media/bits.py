"""Bits of a header, one after the other, as standards write them down."""


class TooShortError(Exception):
    """The header ends before what it is said to hold. Never leaves the modules that read headers."""


class Bits:
    """Reads bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self.left = len(data) * 8

    def take(self, count: int) -> int:
        if count > self.left:
            raise TooShortError
        self.left -= count
        return self._value >> self.left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Read an unsigned Exp-Golomb code (H.264, 9.1): as many zeros as bits follow the first one."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise TooShortError
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)
