"""A client that never stops asking, and remembers every answer that promised something."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.test_blackbox.program import TERMINAL
from torture.fleet import Fleet
from torture.keys import KeyedSubmit, Keys
from torture.tree import LivingTree

MOST_WAITING = 12
"""Jobs that the client leaves unfinished at a time: more would only make the queue longer."""
PAUSE_SECONDS = 0.03
A_REPEAT, A_SUBMIT, A_CANCEL, A_LOOK = 0.1, 0.5, 0.01, 0.7
"""How likely each is to come next, where it can."""
A_KEY = 0.5
"""How likely a submit carries a key."""
SUBMIT = "/api/v1/videos/scan"
PROBLEM = "application/problem+json"


@dataclass
class Promises:
    """What was acknowledged. Any thread may use it while it holds `lock`."""

    kinds: dict[str, str] = field(default_factory=dict)
    """Job id → what was asked for, of every submit that was answered 202."""
    cancels: set[str] = field(default_factory=set)
    """Jobs whose cancel was answered 202."""
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Jobs that were seen to have ended, as they were first seen."""
    keys: Keys = field(default_factory=Keys)
    joined: int = 0
    violations: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def open_jobs(self) -> list[str]:
        """Give the acknowledged jobs that were not seen to have ended."""
        with self.lock:
            return [job_id for job_id in self.kinds if job_id not in self.ended]

    def note(self, record: dict[str, Any]) -> None:
        """Take in a job's record: what has ended must stay as it was."""
        with self.lock:
            job_id = record["job_id"]
            before = self.ended.get(job_id)
            if before is not None and before != record:
                self.violations.append(f"job {job_id} had ended as {before} and is now {record}")
            elif record["status"] in TERMINAL:
                self.ended[job_id] = record

    def whole_scan_is_complete(self) -> bool:
        """Tell whether a scan of the whole tree was seen to be complete: it is one library then."""
        with self.lock:
            ended = self.ended.items()
            return any(r["status"] == "complete" and self.kinds[job] in ("whole", "force") for job, r in ended)


class RestlessClient:
    """Submits, cancels and reads in a thread of its own, whether or not anyone answers; `strict`: someone has to."""

    def __init__(
        self, fleet: Fleet, tree: LivingTree, promises: Promises, rng: random.Random, *, strict: bool = False
    ) -> None:
        self._strict = strict
        self._fleet = fleet
        self._tree = tree
        self._promises = promises
        self._rng = rng
        self._opening = _nested_folders(tree, rng)
        """What is submitted before anything else, at once: none of it lies in a library that is known."""
        self._quiet = threading.Event()
        self._resting = threading.Event()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="client", daemon=True)

    def __enter__(self) -> "RestlessClient":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._quiet.clear()
        self._thread.join(120)
        if self._failure is not None:
            raise self._failure

    def rest(self) -> None:
        """Have it ask nothing more, and wait until it does not."""
        self._resting.clear()
        self._quiet.set()
        while not self._resting.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError("the client has ended") from self._failure

    def go_on(self) -> None:
        """Have it ask again."""
        self._quiet.clear()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                if self._quiet.is_set():
                    self._resting.set()
                    time.sleep(0.01)
                    continue
                try:
                    self._ask()
                except (httpx2.TransportError, OSError) as error:
                    self._note_silence(error)
                    time.sleep(PAUSE_SECONDS)
                time.sleep(PAUSE_SECONDS * self._rng.random())
        except BaseException as error:  # noqa: BLE001  # handed to the thread that closes this
            self._failure = error

    def _note_silence(self, error: Exception) -> None:
        with self._promises.lock:
            self._promises.answers["none"] += 1
            if self._strict and not self._over.is_set():
                self._promises.violations.append(f"a request was not answered: {error!r}")

    def _ask(self) -> None:
        if not self._fleet.announced:
            return
        with self._fleet.calls(20).client as client:
            for _ in range(self._rng.randint(1, 30)):
                if self._over.is_set() or self._quiet.is_set():
                    return
                self._ask_one(client)
                time.sleep(PAUSE_SECONDS * self._rng.random())

    def _ask_one(self, client: httpx2.Client) -> None:
        waiting = self._promises.open_jobs()
        earlier = self._promises.keys.elsewhere(str(client.base_url))
        if self._opening:
            folder = self._opening[0]
            self._submit_one(client, "whole" if folder == self._tree.root else "part", folder, {})
            self._opening.remove(folder)
        elif earlier and self._rng.random() < A_REPEAT:
            self.send(client, self._rng.choice(earlier))
        elif len(waiting) < MOST_WAITING and self._rng.random() < A_SUBMIT:
            self._submit(client)
        elif waiting and self._rng.random() < A_CANCEL:
            self._cancel(client, self._rng.choice(waiting))
        elif waiting and self._rng.random() < A_LOOK:
            answer = self._get(client, f"/api/v1/jobs/{self._rng.choice(waiting)}")
            if answer.status_code == 200:
                self._promises.note(answer.json())
            elif answer.status_code == 404:
                self._promises.violations.append(f"an acknowledged job is not known: {answer.text}")
        else:
            routes = ("/api/v1/videos?limit=5", "/api/v1/videos/search?q=clip", "/api/v1/jobs", "/health/ready")
            self._get(client, self._rng.choice(routes))

    def _submit(self, client: httpx2.Client) -> None:
        kind, folder, options = self._tree.scan(self._rng)
        first = self._submit_one(client, kind, folder, options)
        if first is None or self._rng.random() > 0.3:
            return
        second = self._submit_one(client, kind, folder, options)
        if second == first:
            self._promises.joined += 1
        elif second is not None:
            record = self._get(client, f"/api/v1/jobs/{first}").json()
            if record.get("status") == "pending" and record["attempt"] == 0:
                self._promises.violations.append(f"{second} was not joined to its equal {first}, which still waits")

    def _submit_one(self, client: httpx2.Client, kind: str, folder: Path, options: dict[str, bool]) -> str | None:
        # Before the whole is known, a folder becomes a library of its own, which is offline, rightly, once it is gone.
        if folder != self._tree.root and not self._promises.whole_scan_is_complete() and not self._tree.pin(folder):
            return None
        body = {"path": str(folder), **options}
        if self._rng.random() > A_KEY:
            return self._acknowledged(client.post(SUBMIT, json=body), kind)
        submit = KeyedSubmit(f"{self._rng.getrandbits(64):016x}", kind, body, str(client.base_url))
        with self._promises.lock:
            self._promises.keys.submits[submit.key] = submit
        try:
            return self.send(client, submit)
        finally:
            submit.sent_before = True

    def send(self, client: httpx2.Client, submit: KeyedSubmit) -> str | None:
        """Send a submit under its key, for the first time or again; gives the job that it is answered with."""
        answer = client.post(SUBMIT, json=submit.body, headers={"Idempotency-Key": submit.key})
        job_id = self._acknowledged(answer, submit.kind)
        with self._promises.lock:
            wrong = self._promises.keys.answered(submit, str(client.base_url), answer.status_code, job_id)
            self._promises.violations += [wrong] if wrong else []
        return job_id

    def _acknowledged(self, answer: httpx2.Response, kind: str) -> str | None:
        self._check(answer)
        if answer.status_code != 202:
            return None
        job_id = str(answer.json()["job_id"])
        with self._promises.lock:
            self._promises.kinds.setdefault(job_id, kind)
        return job_id

    def _cancel(self, client: httpx2.Client, job_id: str) -> None:
        answer = client.post(f"/api/v1/jobs/{job_id}/cancel")
        self._check(answer)
        if answer.status_code == 202:
            with self._promises.lock:
                self._promises.cancels.add(job_id)

    def _get(self, client: httpx2.Client, route: str) -> httpx2.Response:
        answer = client.get(route)
        self._check(answer)
        return answer

    def _check(self, answer: httpx2.Response) -> None:
        trouble = improper(answer)
        with self._promises.lock:
            self._promises.answers[str(answer.status_code)] += 1
            if trouble:
                self._promises.violations.append(trouble)


def _nested_folders(tree: LivingTree, rng: random.Random) -> list[Path]:
    """Give the root, a folder, one inside that and a few others, in any order."""
    folders = tree.folders()
    inner = max(folders, key=lambda folder: len(folder.parts))
    found = {tree.root, inner, inner.parent, *rng.sample(folders, min(3, len(folders)))}
    return rng.sample(sorted(found), len(found))


def improper(answer: httpx2.Response) -> str | None:
    """Say what is wrong with an answer; None where nothing is: it is a success, or a problem that says what to do."""
    asked = f"{answer.request.method} {answer.request.url.raw_path.decode()}: {answer.status_code}"
    if answer.is_success:
        return None
    if answer.request.url.path.startswith("/health/") and answer.status_code == 503:
        return None
    if not answer.headers.get("content-type", "").startswith(PROBLEM):
        return f"{asked} is no problem document: {answer.text[:300]}"
    if not answer.json().get("code") or answer.status_code == 500:
        return f"{asked} says nothing: {answer.text[:300]}"
    if answer.status_code in (503, 507) and not int(answer.headers.get("retry-after", 0)):
        return f"{asked} does not say when to try again: {answer.text[:300]}"
    return None
