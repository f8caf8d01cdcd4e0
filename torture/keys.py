"""Submits that carry an `Idempotency-Key`: under one key there is one job, whatever was killed in between."""

from dataclasses import dataclass, field
from typing import Any

MUST_KNOW = frozenset({202, 500, 503, 507})
"""What a key that has a job may be answered with: it, or that the storage cannot be asked; a 500 is told elsewhere."""


@dataclass
class KeyedSubmit:
    """What was sent under a key, and what came of it."""

    key: str
    kind: str
    body: dict[str, Any]
    sent_to: str
    """The server's address when it was sent last with an answer, or for the first time; another after each start."""
    sent_before: bool = False
    job_id: str | None = None
    """None as long as no answer named a job: the answer was cut off, or none could be given."""


@dataclass
class Keys:
    """All keys that were used."""

    submits: dict[str, KeyedSubmit] = field(default_factory=dict)
    repeats: int = 0
    """Submits that were sent again, the same body under the same key, and answered,"""
    repeats_after_restart: int = 0
    """so many of them by a server that had been started since."""

    def answered(self, submit: KeyedSubmit, server: str, status: int, job_id: str | None) -> str | None:
        """Take in what a submit under a key was answered with; gives what is wrong with it, if anything is.

        Args:
            submit: what was sent, perhaps not for the first time.
            server: who answered.
            status: of the answer.
            job_id: the job that the answer names, if its status is 202.
        """
        if submit.sent_before:
            self.repeats += 1
            self.repeats_after_restart += submit.sent_to != server
        submit.sent_to, submit.sent_before = server, True
        if submit.job_id is None:
            submit.job_id = job_id
        elif status not in MUST_KNOW:
            return f"the key {submit.key}, under which {submit.job_id} was acknowledged, is answered {status}"
        elif job_id is not None and job_id != submit.job_id:
            return f"the key {submit.key} has the jobs {submit.job_id} and {job_id}"
        return None

    def elsewhere(self, server: str) -> list[KeyedSubmit]:
        """Give the submits that were last sent to another server, that is before this one was started."""
        return [submit for submit in self.submits.values() if submit.sent_to != server]

    def with_a_job(self) -> list[KeyedSubmit]:
        """Give the submits that were answered with a job."""
        return [submit for submit in self.submits.values() if submit.job_id is not None]
