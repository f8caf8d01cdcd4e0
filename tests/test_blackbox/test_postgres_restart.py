"""A Postgres that is restarted under a server at work: what it acknowledged is done, and it answers again by itself."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import RestartableServer, restartable_server
from tests.test_blackbox.conftest import Start
from tests.test_blackbox.program import Program
from tools.trees import make_tree

FILES = 1500
FOLDERS = 40
RESTARTS = 2
SECONDS_DOWN = 1.5

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture
def server() -> Iterator[RestartableServer]:
    """A server that nobody else uses."""
    with restartable_server() as server:
        yield server
        server.close()


def submit_over_restarts(program: Program, server: RestartableServer, tree: Path) -> tuple[list[str], list[int]]:
    """Ask for scans of folder after folder meanwhile; gives the acknowledged jobs, and the other answers' statuses."""
    acknowledged: list[str] = []
    refused: list[int] = []

    def restart() -> None:
        for _ in range(RESTARTS):
            time.sleep(1)
            server.restart(down_seconds=SECONDS_DOWN)

    restarts = threading.Thread(target=restart)
    restarts.start()
    number = 0
    while restarts.is_alive() or number < FOLDERS:
        answer = program.client.post("/api/v1/videos/scan", json={"path": str(tree / f"folder {number % FOLDERS}")})
        number += 1
        if answer.status_code == 202:
            acknowledged.append(answer.json()["job_id"])
        else:
            refused.append(answer.status_code)
            assert answer.json()["code"] in ("STORAGE_UNREACHABLE", "STORAGE_BUSY"), answer.text
            assert int(answer.headers["retry-after"]) >= 1
        time.sleep(0.05)
    restarts.join()
    return acknowledged, refused


def test_the_api_answers_again_and_what_it_acknowledged_is_done(
    start: Start, server: RestartableServer, tmp_path: Path
) -> None:
    """Meanwhile it says 503 and when to come back; the scan that ran has every file in its report, each once."""
    tree = tmp_path / "films"
    make_tree(tree, FILES)
    for number in range(FOLDERS):
        (tree / f"folder {number}").mkdir()
    with server.database(migrated=True) as url:
        program = start(STOAT_DATABASE_URL=url.render_as_string(hide_password=False))
        whole = program.submit(tree)
        acknowledged, refused = submit_over_restarts(program, server, tree)
        assert refused, "no request met a server that was down"
        assert set(refused) == {503}
        result = program.finish(whole)["result"]
        assert (result["scanned"], result["new"], result["failed"]) == (FILES, FILES, 0)
        assert len({row["path"] for row in program.ledger(whole)}) == FILES
        # An empty folder is offline to whoever scans it as a library, not as a part of one.
        assert {program.finish(job_id)["status"] for job_id in acknowledged} == {"complete"}
        assert len(program.videos()) == FILES
        assert program.client.get("/health/ready").status_code == 200
        program.stop()
