"""What open event streams cost the server, and whether other requests notice them.

usage: event_streams.py [--streams 200] [--seconds 20] [--files 2000]

Streams of all jobs (`GET /api/v1/events`) are opened and left open. The server's processor time (the worker is another
process) and memory are compared without streams, with idle ones (a heartbeat each 15 s), and while a scan of FILES
small clips runs, whose every change goes to each stream. A plain GET of one job is timed beside all three.
"""

import argparse
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks._harness import Server, percentile, publish, scratch, serve
from tools.trees import make_tree

REQUEST = b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Readers:
    """Many clients that read whatever comes, in one thread, and count the events."""

    def __init__(self, server: Server, count: int) -> None:
        host, port = server.client.base_url.host, int(server.client.base_url.port or 0)
        self.events = 0
        self._done = False
        self._waiting = selectors.DefaultSelector()
        self._clients = [socket.create_connection((host, port)) for _ in range(count)]
        for client in self._clients:
            client.sendall(REQUEST)
            if not client.recv(12).endswith(b"200"):
                raise RuntimeError("a stream was refused")
            self._waiting.register(client, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._done:
            for key, _ in self._waiting.select(0.2):
                self.events += key.fileobj.recv(1 << 20).count(b"event: job")  # type: ignore[union-attr]  # a socket

    def close(self) -> None:
        """Close all of them."""
        self._done = True
        self._thread.join()
        for client in self._clients:
            client.close()


@contextmanager
def reading(server: Server, count: int) -> Iterator[Readers]:
    """Open streams, and close them afterwards."""
    readers = Readers(server, count)
    try:
        yield readers
    finally:
        readers.close()


def measure(server: Server, seconds: float, job_id: str) -> dict[str, float]:
    """Give the server's processor share and memory over some time, and how long a GET takes meanwhile."""
    process = psutil.Process(server.process.pid)
    taken: list[float] = []
    before, started = process.cpu_times(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        began = time.perf_counter()
        server.client.get(f"/api/v1/jobs/{job_id}").raise_for_status()
        taken.append(time.perf_counter() - began)
        time.sleep(0.2)
    after, over = process.cpu_times(), time.perf_counter() - started
    used = (after.user + after.system) - (before.user + before.system)
    return {
        "cpu_percent": round(100 * used / over, 2),
        "memory_mib": round(process.memory_info().rss / 2**20, 1),
        "get_p50_ms": round(percentile(taken, 0.5) * 1e3, 2),
        "get_p99_ms": round(percentile(taken, 0.99) * 1e3, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--files", type=int, default=2000)
    args = parser.parse_args()
    result: dict[str, Any] = {"streams": args.streams}
    with scratch() as folder, serve(folder / "data") as server:
        make_tree(folder / "tree", args.files)
        (folder / "small").mkdir()
        job_id = server.scan(folder / "small")
        server.finish(job_id)
        measure(server, 2.0, job_id)
        result["without"] = measure(server, args.seconds, job_id)
        with reading(server, args.streams) as readers:
            result["idle"] = measure(server, args.seconds, job_id)
            scan = server.scan(folder / "tree")
            events, began = readers.events, time.perf_counter()
            result["during_scan"] = measure(server, args.seconds, job_id)
            result["events_sent_a_second"] = round((readers.events - events) / (time.perf_counter() - began), 1)
        result["during_scan_without"] = measure(server, args.seconds / 2, job_id)
        server.client.post(f"/api/v1/jobs/{scan}/cancel")
    idle, without = result["idle"], result["without"]
    sentence = (
        f"{args.streams} idle streams cost {idle['cpu_percent'] - without['cpu_percent']:.1f} % of a processor and "
        f"{idle['memory_mib'] - without['memory_mib']:.0f} MiB; a GET beside them takes p50 {idle['get_p50_ms']} ms, "
        f"p99 {idle['get_p99_ms']} ms (without: {without['get_p50_ms']} and {without['get_p99_ms']})"
    )
    publish("event streams", sentence, result)


if __name__ == "__main__":
    main()
