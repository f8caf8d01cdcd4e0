"""How many files a scan will meet, as early as that can be said honestly."""

import threading
from types import TracebackType

from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import Target
from stoat_ferret.scan.walk import count_files

LEAVE_SECONDS = 2.0
"""How long the end of a scan waits for the count: on a disk that hangs, it never comes."""


class Estimate:
    """The total: what the catalogue knows of the place, or a count made beside the scan.

    The count reads folders only, and only of a place that is new or has grown: an unchanged tree is not listed twice.
    """

    def __init__(self, target: Target, rules: Rules, *, recursive: bool, known: int) -> None:
        self._known = known
        self._counted: int | None = None
        self._stop = threading.Event()

        def count() -> None:
            self._counted = count_files(
                target.start, rules, recursive=recursive, exclude=target.exclude, stop=self._stop
            )

        self._thread = threading.Thread(target=count, name="count", daemon=True)
        self._counting = False

    def __enter__(self) -> "Estimate":
        if not self._known:
            self._count()
        return self

    def _count(self) -> None:
        if not self._counting:
            self._counting = True
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._counting:
            self._thread.join(LEAVE_SECONDS)

    def total(self, listed: int) -> int | None:
        """Give the number of files expected, at least the `listed` ones; None while it is not known."""
        if listed > self._known:
            self._count()  # there is more than was known: what was known is no estimate any longer
        expected = self._counted if self._counting else self._known
        return None if expected is None else max(expected, listed)
