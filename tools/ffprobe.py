"""Asks an ffprobe binary what is in a file: an oracle to be held against, never used by the program itself."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stoat_ferret.media import picture
from tools.readings import FRAME_SIDE_DATA, moving_picture

Json = dict[str, Any]
HOW_TO_GET_ONE = (
    "On Debian and Ubuntu `apt install ffmpeg` brings one; `npm install @ffprobe-installer/linux-x64` puts a static "
    "one below node_modules. Name it with --ffprobe (FFPROBE=... for make)."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What ffprobe said of a file: its JSON, or why there is none."""

    document: Json | None
    refusal: str = ""
    timed_out: bool = False


class Ffprobe:
    """One ffprobe binary; safe to use from several threads.

    Args:
        program: its path, or its name on the PATH.
        timeout: seconds for one file.

    Raises:
        FileNotFoundError: there is no such program, or it does not say which version it is.
    """

    def __init__(self, program: str, timeout: float) -> None:
        found = shutil.which(os.path.expanduser(program))  # noqa: PTH111 - it may be a bare name
        self._timeout = timeout
        self._program = found or program
        try:
            first, _, _ = self._output("-version").stdout.partition(b"\n")
        except (OSError, subprocess.SubprocessError) as error:
            msg = f"{program} cannot be run ({error})."
            raise FileNotFoundError(msg) from error
        self.version = (
            first.decode("utf-8", "replace").partition(" Copyright")[0].removeprefix("ffprobe version ").strip()
        )
        if not first.startswith(b"ffprobe version"):
            msg = f"{program} is no ffprobe: it answered {first[:80]!r} to -version."
            raise FileNotFoundError(msg)

    def ask(self, path: bytes) -> Answer:
        """Give everything it shows of a file, and of a PQ picture what comes with the first frame too.

        Args:
            path: absolute; any bytes.
        """
        try:
            done = self._read(path, "-show_format", "-show_streams", "-show_chapters")
            document = _parsed(done.stdout)
            if "format" not in document:
                lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
                return Answer(None, lines[-1] if lines else f"status {done.returncode}")
            stream = moving_picture(document)
            if stream is not None and stream.get("color_transfer") == picture.PQ:
                side_data = self._frame_side_data(path, int(stream["index"]))
                if side_data is not None:
                    stream[FRAME_SIDE_DATA] = side_data
                    document["frame_side_data"] = [str(data.get("side_data_type")) for data in side_data]
        except subprocess.TimeoutExpired:
            return Answer(None, f"no answer within {self._timeout:g} s", timed_out=True)
        return Answer(document)

    def _frame_side_data(self, path: bytes, index: int) -> list[Json] | None:
        """Give what comes with the first frame of a stream; None where none can be decoded."""
        done = self._read(path, "-select_streams", str(index), "-read_intervals", "%+#1", "-show_frames")
        frames = _parsed(done.stdout).get("frames", [])
        if not frames:
            return None
        return list(frames[0].get("side_data_list", []))

    def _read(self, path: bytes, *options: str) -> "subprocess.CompletedProcess[bytes]":
        # A playlist must not make it ask the network.
        return self._output("-v", "error", "-protocol_whitelist", "file", *options, "-of", "json", "-i", path)

    def _output(self, *arguments: str | bytes) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=self._timeout,
            check=False,
        )


def find(program: str | None) -> str:
    """Give the ffprobe to use: the one that was named, else the one on the PATH, else one that npm put below here.

    Raises:
        FileNotFoundError: none was named and none is there.
    """
    if program:
        return program
    if on_path := shutil.which("ffprobe"):
        return on_path
    for installed in sorted(Path("node_modules/@ffprobe-installer").glob("*/ffprobe")):
        return str(installed.resolve())
    raise FileNotFoundError("There is no ffprobe on the PATH.")


def _parsed(output: bytes) -> Json:
    """Read JSON as it comes: cut off, or with bytes that are not UTF-8, where the file was damaged."""
    try:
        document = json.loads(output.decode("utf-8", "replace"), strict=False)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
