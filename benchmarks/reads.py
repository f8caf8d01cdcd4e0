"""How often files are opened and how much of them is read, by a first scan and by a thumbnail, for each container.

usage: reads.py [--corpus DIR | --files 60] [--a-container 24]

The films are shown to the server through a FUSE mirror that counts each open and each read as the program makes them
(no page cache, no reading ahead): so it is measured what is asked of a disk, not what the program says of itself.
Beside it stands how many bytes the container's headers take, the least that there is to read, and how many the
fingerprint takes (64 KiB at three places). `distinct` counts a byte that is read twice once. Not about time; any
machine gives the same.
"""

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import _corpus
from benchmarks._harness import publish, scratch, serve
from benchmarks._headers import header_bytes
from benchmarks._mirror import CannotMirrorError, Traffic, mirror
from benchmarks.probing import thumbnails
from stoat_ferret.media.fingerprint import bytes_hashed


def distinct(reads: Iterable[tuple[int, int]]) -> int:
    """Count the bytes of ranges, given as offset and length; those in several once."""
    total = end = 0
    for offset, length in sorted(reads):
        total += max(0, offset + length - max(end, offset))
        end = max(end, offset + length)
    return total


def copy_some(films: Path, folder: Path, a_container: int) -> list[Path]:
    """Link or copy a few films of each container into a new folder; gives their paths in it."""
    made = []
    for files in _corpus.by_container(_corpus.films(films)).values():
        for path in _corpus.some(files, a_container):
            target = folder / path.relative_to(films)
            target.parent.mkdir(parents=True, exist_ok=True)
            _corpus.link_or_copy(path, target)
            made.append(target)
    return made


def measure(folder: Path, scratch_folder: Path) -> tuple[dict[str, Traffic], dict[str, Traffic], int]:
    """Scan a folder through a mirror, then make all thumbnails.

    Returns:
        What each asked of each file, by path relative to the folder, and how many bytes the scan says that it read.
    """
    with mirror(folder, scratch_folder / "mirror", cached=False) as shown, serve(scratch_folder / "data") as server:
        result = server.finish(server.scan(shown.folder))["result"]
        by_scan = shown.take()
        made = thumbnails(server)
        assert made == server.client.get("/api/v1/videos").json()["total"], "some thumbnails could not be made"
        return by_scan, shown.take(), int(result["bytes_read"])


def of_container(files: list[Path], root: Path, scans: dict[str, Traffic], shown: dict[str, Traffic]) -> dict[str, Any]:
    """Give the figures of one container: means over its files, and the most opens of any."""
    names = [str(path.relative_to(root)) for path in files]
    headers = [size for path in files if (size := header_bytes(path)) is not None]
    figures: dict[str, Any] = {"files": len(files)}
    for what, traffic in (("scan", scans), ("thumbnail", shown)):
        of_files = [traffic.get(name, Traffic()) for name in names]
        figures[what] = {
            "most_opens": max(each.opens for each in of_files),
            "opens": round(statistics.mean(each.opens for each in of_files), 2),
            "reads": round(statistics.mean(len(each.reads) for each in of_files), 1),
            "bytes": round(statistics.mean(each.bytes_read for each in of_files)),
            "distinct_bytes": round(statistics.mean(distinct(each.reads) for each in of_files)),
        }
    figures["fingerprint_bytes"] = round(statistics.mean(bytes_hashed(path.stat().st_size) for path in files))
    figures["header_bytes"] = round(statistics.mean(headers)) if headers else None
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _corpus.add_arguments(parser, files=60)
    parser.add_argument("--a-container", type=int, default=24, help="films of each container looked at, at most")
    args = parser.parse_args()
    with _corpus.chosen(args) as folder, scratch() as place:
        files = copy_some(folder, place / "films", args.a_container)
        try:
            scans, shown, said = measure(place / "films", place)
        except CannotMirrorError as error:
            raise SystemExit(str(error)) from error
        figures: dict[str, Any] = {
            name: of_container(found, place / "films", scans, shown)
            for name, found in _corpus.by_container(files).items()
        }
    read = sum(traffic.bytes_read for traffic in scans.values())
    most = max(scans[name].opens + shown.get(name, Traffic()).opens for name in scans)
    mean = statistics.mean(scans[name].opens + shown.get(name, Traffic()).opens for name in scans)
    figures |= {"bytes_read_by_scan": read, "bytes_read_as_reported": said, "most_opens": most, "opens": round(mean, 2)}
    sentence = (
        f"{mean:.1f} opens a file, at most {most}, for its entry and its picture together; the scan read "
        f"{read / len(scans) / 1024:.0f} KiB a file"
    )
    publish("reads", sentence, figures)


if __name__ == "__main__":
    main()
