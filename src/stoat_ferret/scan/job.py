"""What a scan needs of the job that it is."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection


class ScanJob(Protocol):
    """The job of a scan, or of a part of one."""

    job_id: str
    attempt: int

    def transaction(self, *, durable: bool = ...) -> AbstractContextManager[Connection]:
        """Give a write transaction on the catalogue in which this run's right to write was checked.

        With `durable` its commit waits for the disk, and for all that was committed before.
        """
        ...

    def progress(self, phase: str, done: int, total: int | None, *, unit: str = ..., current: str | None = ...) -> None:
        """Say how far it is."""
        ...

    def raise_if_cancelled(self) -> None:
        """End the scan if it is to end."""
        ...


@dataclass(frozen=True, slots=True)
class FailedPart:
    """A part of a scan that ended without having done its work."""

    payload: dict[str, Any]
    code: str
    reason: str


class Distributor(Protocol):
    """Hands parts of a scan to whoever is free, on this machine or another."""

    def submit(self, payload: dict[str, Any]) -> None:
        """Hand on a part; waits while very many wait already."""
        ...

    def counts(self) -> tuple[int, int]:
        """Give how many parts have ended, and how many there are."""
        ...

    def failed(self) -> list[FailedPart]:
        """Give the parts that failed or were cancelled."""
        ...
