"""Who may call."""

import pytest

from stoat_ferret.api.security import is_loopback, require_loopback
from stoat_ferret.errors import UnsafeBindError


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("LOCALHOST.", True), (".".join("0000"), False), ("::", False), ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.nip.io", False), ("", False), ("2130706433", False), ("127.1", False),
    ],
)  # fmt: skip
def test_what_names_this_machine_only(host: str, loopback: bool) -> None:
    """Spelt as browsers and clients spell it; nothing that others could make point here."""
    assert is_loopback(host) is loopback
    if loopback:
        require_loopback(host)
    else:
        with pytest.raises(UnsafeBindError, match="Refusing to listen on"):
            require_loopback(host)
