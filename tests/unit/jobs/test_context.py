"""What a handler says and asks."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.tables import catalogue, job_claims
from stoat_ferret.errors import FencedError
from stoat_ferret.jobs.context import NEARLY_DONE, JobCancelled, JobContext
from stoat_ferret.jobs.fence import raise_fence, shut_fence, stored_nothing
from stoat_ferret.jobs.model import Claim, Job, JobStatus, Progress


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_claim(attempt: int = 1, owner: str = "mine") -> Claim:
    job = Job(id="job", revision=1, type="scan", payload={}, status=JobStatus.RUNNING, created_at=0, attempt=attempt)
    return Claim(job, owner)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    """Give an empty catalogue."""
    database = open_sqlite(tmp_path / "library.db")
    catalogue.create_all(database.engine)
    yield database
    database.close()


def taken(context: JobContext) -> tuple[float | None, Progress]:
    unsent = context.take_progress()
    assert unsent is not None
    return unsent


class TestProgress:
    def test_what_was_said_last_is_passed_on_once(self) -> None:
        """The rest was overtaken."""
        context = JobContext(make_claim(), None)
        assert context.take_progress() is None
        context.progress("probe", 1, 4)
        context.progress("probe", 2, 4, unit="clips", current="a.mov")
        assert taken(context) == (0.5, Progress(phase="probe", done=2, total=4, unit="clips", current="a.mov"))
        assert context.take_progress() is None

    @given(st.lists(st.tuples(st.integers(-5, 50), st.none() | st.integers(0, 40)), min_size=1))
    def test_the_fraction_never_goes_back_and_never_says_complete(self, said: list[tuple[int, int | None]]) -> None:
        """Whatever the handler says: more than all, less than before, a total that grows or is not known."""
        context = JobContext(make_claim(), None)
        before: float | None = None
        for done, total in said:
            context.progress("probe", done, total)
            fraction = taken(context)[0]
            assert before is None or (fraction is not None and before <= fraction)
            assert fraction is None or 0.0 <= fraction <= NEARLY_DONE
            before = fraction

    def test_nothing_is_known_without_a_total(self) -> None:
        """Until there is one; then it stays known."""
        context = JobContext(make_claim(), None)
        fractions = []
        for done, total in ((5, None), (5, 0), (5, 10), (6, None)):
            context.progress("walk", done, total)
            fractions.append(taken(context)[0])
        assert fractions == [None, None, 0.5, 0.5]

    def test_rate_and_remaining_time_follow_the_pace(self) -> None:
        """A steady pace is met exactly."""
        clock = Clock()
        context = JobContext(make_claim(), None, clock=clock)
        context.progress("probe", 0, 100)
        assert (taken(context)[1].rate, taken_eta(context)) == (None, None)
        for second in range(1, 6):
            clock.now = float(second)
            context.progress("probe", second * 10, 100)
        progress = taken(context)[1]
        assert progress.rate == pytest.approx(10.0)
        assert progress.eta_seconds == pytest.approx(5.0)

    def test_the_rate_forgets(self) -> None:
        """A standstill of many windows brings it near zero; a burst between two samples does not make it jump."""
        clock = Clock()
        context = JobContext(make_claim(), None, clock=clock)
        context.progress("probe", 0, None)
        clock.now = 1.0
        context.progress("probe", 100, None)
        clock.now = 1.01
        context.progress("probe", 5000, None)
        assert taken(context)[1].rate == pytest.approx(100.0)
        clock.now = 40.0
        context.progress("probe", 100, None)
        progress = taken(context)[1]
        assert progress.rate is not None
        assert progress.rate < 1.0
        assert progress.eta_seconds is None

    def test_nothing_is_promised_in_the_first_second(self) -> None:
        """What had to be started first would make the rate far too low."""
        clock = Clock()
        context = JobContext(make_claim(), None, clock=clock)
        context.progress("probe", 0, 100)
        clock.now = 0.9
        context.progress("probe", 1, 100)
        assert (taken(context)[1].rate, taken_eta(context)) == (None, None)
        clock.now = 1.0
        context.progress("probe", 50, 100)
        assert taken(context)[1].rate == pytest.approx(50.0)

    def test_another_phase_has_its_own_pace(self) -> None:
        """Walking says nothing about probing."""
        clock = Clock()
        context = JobContext(make_claim(), None, clock=clock)
        context.progress("walk", 0, None)
        clock.now = 1.0
        context.progress("walk", 1000, None)
        context.progress("probe", 0, 10)
        assert taken(context)[1].rate is None


def fail_within(context: JobContext) -> None:
    with context.transaction():
        raise ZeroDivisionError


def enter(context: JobContext) -> None:
    with context.transaction():
        pytest.fail("it must not get here")


def taken_eta(context: JobContext) -> float | None:
    context.progress("probe", 0, 100)
    return taken(context)[1].eta_seconds


class TestEnding:
    def test_a_handler_is_told_to_end(self) -> None:
        """By asking, or by an exception."""
        context = JobContext(make_claim(), None)
        context.raise_if_cancelled()
        told = [context.cancelled]
        context.end()
        told.append(context.cancelled)
        assert told == [False, True]
        with pytest.raises(JobCancelled):
            context.raise_if_cancelled()
        assert not context.lost

    def test_a_lost_job_is_to_end(self) -> None:
        """Its handler works in vain."""
        context = JobContext(make_claim(), None)
        context.lose()
        assert context.cancelled
        assert context.lost


class TestTransaction:
    def test_each_transaction_counts(self, library: Database) -> None:
        """From any thread."""
        claim = make_claim()
        with library.write() as connection:
            raise_fence(connection, claim)
            assert stored_nothing(connection, "job", 1)
        context = JobContext(claim, library)

        def write() -> None:
            with context.transaction():
                pass

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with library.read() as connection:
            assert connection.execute(select(job_claims.c.batches)).scalar_one() == 4
            assert not stored_nothing(connection, "job", 1)
            assert stored_nothing(connection, "job", 2)

    def test_a_failed_transaction_does_not_count(self, library: Database) -> None:
        """It stored nothing."""
        claim = make_claim()
        with library.write() as connection:
            raise_fence(connection, claim)
        context = JobContext(claim, library)
        with pytest.raises(ZeroDivisionError):
            fail_within(context)
        with library.read() as connection:
            assert stored_nothing(connection, "job", 1)

    def test_a_later_attempt_shuts_out_an_earlier_one(self, library: Database) -> None:
        """Which learns that it lost the job."""
        with library.write() as connection:
            raise_fence(connection, make_claim(1, "old"))
            raise_fence(connection, make_claim(2, "new"))
        context = JobContext(make_claim(1, "old"), library)
        with pytest.raises(FencedError):
            enter(context)
        assert context.lost

    def test_each_attempt_counts_for_itself(self, library: Database) -> None:
        """What an earlier one stored says nothing about the next."""
        first, second = make_claim(1, "old"), make_claim(2, "new")
        with library.write() as connection:
            raise_fence(connection, first)
        with JobContext(first, library).transaction():
            pass
        with library.write() as connection:
            assert not stored_nothing(connection, "job", 1)
            raise_fence(connection, second)
            assert stored_nothing(connection, "job", 2)

    def test_an_earlier_attempt_that_comes_late_is_refused(self, library: Database) -> None:
        """It changes nothing; the same claim may come again."""
        new = make_claim(2, "new")
        with library.write() as connection:
            raise_fence(connection, new)
            with pytest.raises(FencedError):
                raise_fence(connection, make_claim(1, "old"))
            raise_fence(connection, new)
        with JobContext(new, library).transaction():
            pass

    def test_a_claim_of_the_same_attempt_takes_its_place(self, library: Database) -> None:
        """After a wait for parts, or a claim that a power cut undid: the earlier one may not write any more."""
        with library.write() as connection:
            raise_fence(connection, make_claim(2, "first"))
            raise_fence(connection, make_claim(2, "second"))
        with JobContext(make_claim(2, "second"), library).transaction():
            pass
        with pytest.raises(FencedError), JobContext(make_claim(2, "first"), library).transaction():
            pytest.fail("it must not get here")

    def test_nothing_is_written_before_the_claim_is_there(self, library: Database) -> None:
        """A run that skips the fence is refused."""
        with pytest.raises(FencedError), JobContext(make_claim(), library).transaction():
            pytest.fail("it must not get here")

    def test_nothing_is_written_after_the_run(self, library: Database) -> None:
        """By a thread that was left behind: neither when it is told nor when the fence is shut."""
        claim = make_claim()
        with library.write() as connection:
            raise_fence(connection, claim)
        context = JobContext(claim, library)
        context.lose()
        with pytest.raises(FencedError), context.transaction():
            pytest.fail("it must not get here")
        with library.write() as connection:
            shut_fence(connection, claim)
        with pytest.raises(FencedError), JobContext(claim, library).transaction():
            pytest.fail("it must not get here")

    def test_without_a_catalogue_there_is_no_transaction(self) -> None:
        """That is a mistake in the program."""
        with pytest.raises(RuntimeError, match="without a catalogue"), JobContext(make_claim(), None).transaction():
            pytest.fail("it must not get here")
