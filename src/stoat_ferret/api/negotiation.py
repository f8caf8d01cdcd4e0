"""What a client would rather have: the header `Accept` (RFC 9110, 12.5.1)."""

import re

_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
Wish = tuple[float, int]
"""How much (0.0 to 1.0), and how exactly the type was named: 0 not at all, 1 `*/*`, 2 `type/*`, 3 by its name."""


def prefers(accept: str | None, other: str, usual: str) -> bool:
    """Tell whether a client would rather have another media type than the usual one.

    Between two that it likes equally, it is the one that it names more exactly; else the usual one, which is also
    given to a client that takes neither: a wrong picture is worth more than none.
    """
    return accept is not None and _wish(accept, other) > _wish(accept, usual)


def takes(accept: str | None, media_type: str) -> bool:
    """Tell whether a client takes a media type at all."""
    return accept is None or _wish(accept, media_type)[0] > 0


def _wish(accept: str, media_type: str) -> Wish:
    """The most exact range that fits decides."""
    best: Wish = (0.0, 0)
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        exactness = _exactness(name, media_type)
        if exactness > best[1]:
            best = (_quality(parameters), exactness)
    return best if best[0] else (0.0, 0)


def _exactness(name: str, media_type: str) -> int:
    if name == media_type:
        return 3
    if name == media_type.partition("/")[0] + "/*":
        return 2
    return int(name == "*/*")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            found = _QUALITY.fullmatch(value.strip())
            return float(value) if found else 0.0
    return 1.0
