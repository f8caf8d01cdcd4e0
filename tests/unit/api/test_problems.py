"""Errors as problem documents."""

import inspect

import pytest
from fastapi.testclient import TestClient

from stoat_ferret import errors
from stoat_ferret.api.problems import STATUSES, _shown, _status_of
from stoat_ferret.errors import StoatError

KINDS = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, StoatError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status(kind: type[StoatError]) -> None:
    """That of the first row of the table that fits."""
    assert _status_of(kind()) in {400, 403, 404, 409, 410, 412, 422, 500, 503, 507}


def test_no_row_of_the_table_is_hidden_by_an_earlier_one() -> None:
    """A parent before its child would take its place."""
    for number, (kind, _) in enumerate(STATUSES):
        assert not any(issubclass(kind, earlier) for earlier, _ in STATUSES[:number]), kind


def test_every_route_says_that_its_database_may_be_locked_or_full(client: TestClient) -> None:
    """503 wherever one is read or written, 507 wherever one is written; only the sign of life needs none."""
    routes = [
        (method, path, set(operation["responses"]))
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(routes) > 20
    assert [f"{method} {path}" for method, path, answers in routes if "503" not in answers] == ["get /health/live"]
    assert [f"{method} {path}" for method, path, answers in routes if method != "get" and "507" not in answers] == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None), (True, True), (3, 3), (0.5, 0.5), ("text", "text"), ("x" * 900, "x" * 200), (b"\xff", "\ufffd"),
        ("\ud800", "?"), (float("nan"), "nan"), (float("inf"), "inf"), (1 << 60, str(1 << 60)), ({}, "(an object)"),
        ([[]], "(a list)"), ((), "(a list)"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_given_back_as_far_as_json_goes(value: object, shown: object) -> None:
    """Short, and never something that cannot be sent."""
    assert _shown(value) == shown
