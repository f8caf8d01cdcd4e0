"""Pools that are kept between uses."""

from typing import cast

import pytest

from stoat_ferret.media.pool import ProbePool
from stoat_ferret.media.shelf import PoolShelf


class Pool:
    """Stands in for a pool: is busy or not, is closed or not."""

    def __init__(self) -> None:
        self.outstanding = 0
        self.closed = False

    def close(self) -> None:
        """Be closed."""
        self.closed = True


@pytest.fixture
def made() -> list[Pool]:
    """Every pool that was opened."""
    return []


def shelf_of(made: list[Pool], keep_seconds: float = 60.0) -> PoolShelf:
    def open_pool() -> ProbePool:
        made.append(Pool())
        return cast("ProbePool", made[-1])

    return PoolShelf(open_pool, keep_seconds=keep_seconds)


def test_a_pool_is_opened_when_it_is_first_asked_for_and_used_again(made: list[Pool]) -> None:
    """One user gets the same at each call; the next one gets it after them."""
    shelf = shelf_of(made)
    with shelf.lend():
        assert made == []
    with shelf.lend() as pool:
        assert pool() is pool()
    with shelf.lend() as pool:
        pool()
    assert len(made) == 1
    assert not made[0].closed
    shelf.close()
    assert made[0].closed


def test_who_is_given_a_pool_at_once_puts_it_back(made: list[Pool]) -> None:
    """The next one of either kind gets the same; a busy one is closed."""
    shelf = shelf_of(made)
    with shelf.open() as pool, shelf.open() as other:
        assert pool is not other
    with shelf.open(), shelf.lend() as lent:
        lent()
    assert len(made) == 2
    with shelf.open():
        made[0].outstanding = made[1].outstanding = 1
    assert [pool.closed for pool in made].count(True) == 1
    shelf.close()


def test_two_users_at_a_time_have_a_pool_each(made: list[Pool]) -> None:
    """Outcomes never come to another one's tasks."""
    shelf = shelf_of(made)
    with shelf.lend() as first, shelf.lend() as second:
        assert first() is not second()
    shelf.close()
    assert [pool.closed for pool in made] == [True, True]


def test_a_pool_that_comes_back_busy_is_closed(made: list[Pool]) -> None:
    """Its outcomes would come to the next user."""
    shelf = shelf_of(made)
    with shelf.lend() as pool:
        pool()
        made[0].outstanding = 1
    assert made[0].closed
    with shelf.lend() as pool:
        pool()
    assert len(made) == 2
    shelf.close()


def test_what_comes_back_after_the_end_is_closed(made: list[Pool]) -> None:
    """The shelf may be closed while its pools are in use."""
    shelf = shelf_of(made)
    with shelf.lend() as pool:
        pool()
        shelf.close()
        assert not made[0].closed
    assert made[0].closed


def test_a_pool_that_nobody_uses_is_closed_after_a_while(made: list[Pool]) -> None:
    """Its processes hold memory."""
    shelf = shelf_of(made, keep_seconds=0.0)
    with shelf.lend() as pool:
        pool()
    timer = shelf._timer
    if timer is not None:
        timer.join(30)
    assert made[0].closed
