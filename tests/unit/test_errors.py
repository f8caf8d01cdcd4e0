"""The tree of errors."""

import inspect
import re

import pytest

from stoat_ferret import errors
from stoat_ferret.errors import StoatError


def classes() -> list[type[StoatError]]:
    return [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, StoatError)]


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """Every class, at its parent's side."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│├└─ ]*)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            drawn[match[2]] = above[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in classes()}


@pytest.mark.parametrize("kind", classes())
def test_each_has_a_code_and_a_sentence(kind: type[StoatError]) -> None:
    """The class's docstring is the message where none is given."""
    assert re.fullmatch(r"[A-Z][A-Z_]+", kind.code)
    assert kind().message.endswith(".")
    assert str(kind("Something else.")) == kind("Something else.").message == "Something else."


def test_codes_tell_errors_apart() -> None:
    """But for the kinds of path, of which the general one is never raised."""
    codes = [kind.code for kind in classes() if kind is not errors.PathError]
    assert len(codes) == len(set(codes))
