"""`stoat show`: everything that is known of a video."""

import os
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from stoat_ferret import paths
from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, clean, clean_path, duration, moment, size
from stoat_ferret.errors import VideoNotFoundError

if TYPE_CHECKING:
    from stoat_ferret.api.schemas.video import VideoDetailResponse
    from stoat_ferret.library.models import KnownFile, VideoDetail
    from stoat_ferret.library.repository import LibraryRepository

HELP = help_text(
    "Show everything that is known of a video.",
    "Prints its facts, then its streams, chapters and tags. For a file that was found not to be a usable video it says "
    "why. Where a video was filmed is shown with --location only.",
    examples="stoat show ~/Videos/beach.mp4\nstoat show 01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3 --json",
    related="stoat search, stoat scan",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Show all that is known of a video.")(show)


def show(
    what: Annotated[str, typer.Argument(metavar="ID_OR_PATH", help="A video's id, or its file.", show_default=False)],
    location: Annotated[bool, typer.Option("--location", help="Also show where it was filmed.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Show a video."""
    from stoat_ferret.api.schemas.video import VideoDetailResponse
    from stoat_ferret.library.fixity import checksum_of
    from stoat_ferret.library.history import former_places_of

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        detail = find_video(runtime.repository, what)
        places = former_places_of(runtime.catalogue, detail.video.id)
        checksum = checksum_of(runtime.catalogue, detail.video.id)
    shown = VideoDetailResponse.of_detail(detail, places, checksum, with_location=location)
    if as_json:
        output.write_json(shown)
    else:
        print_detail(detail, shown)
    return ExitStatus.OK


def find_video(repository: "LibraryRepository", what: str) -> "VideoDetail":
    """Give the video of an id or a path.

    Raises:
        VideoNotFoundError: there is none.
    """
    try:
        return repository.video_detail(str(UUID(what)))
    except ValueError:
        return repository.video_detail(_id_of(repository, absolute_path(what)))


def _id_of(repository: "LibraryRepository", path: bytes) -> str:
    known = _known(repository, paths.absolute(path)) or _known(repository, os.path.realpath(path))
    if known is not None and known.video_id is not None:
        return known.video_id
    shown = clean_path(path)
    if known is not None:
        raise VideoNotFoundError(f"{shown} is no usable video: {known.reason or known.code}")
    if os.path.lexists(path):
        folder = clean_path(os.path.dirname(path))  # noqa: PTH120 - bytes, which pathlib does not take
        raise VideoNotFoundError(f"{shown} is not in the catalogue. `stoat scan {folder}` brings it up to date.")
    raise VideoNotFoundError(f"{shown} is neither in the catalogue nor on disk. `stoat search` finds by name.")


def _known(repository: "LibraryRepository", path: bytes) -> "KnownFile | None":
    folder = repository.folder(os.path.dirname(path))  # noqa: PTH120 - bytes, which pathlib does not take
    return None if folder is None else repository.files_in(folder.pk).get(path)


def print_detail(detail: "VideoDetail", shown: "VideoDetailResponse") -> None:
    """Print everything that is known of a video."""
    output.write_facts(_facts(detail, shown))
    if shown.streams:
        output.write()
        columns = [
            Column("#", right=True),
            Column("Kind"),
            Column("Codec"),
            Column("Language"),
            Column("Facts", fold=True),
        ]
        output.write_table(columns, [_stream(stream) for stream in shown.streams])
    if shown.chapters:
        output.write()
        output.write_table([Column("Chapter"), Column("From", right=True), Column("To", right=True)], _chapters(shown))
    if shown.tags:
        output.write()
        output.write_table([Column("Tag"), Column("Value", fold=True)], sorted(shown.tags.items()))


def _facts(detail: "VideoDetail", shown: "VideoDetailResponse") -> list[tuple[str, str | None]]:
    video = detail.video
    turned = f", turned by {video.rotation}°" if video.rotation else ""
    rate = f"{video.bit_rate / 1000:,.0f} kbit/s" if video.bit_rate else None
    return [
        ("Id", video.id),
        ("Path", clean_path(video.path_bytes)),
        ("Title", shown.title),
        ("Labels", ", ".join(map(clean, video.labels)) or None),
        ("Rating", None if video.rating is None else f"{video.rating} of 5"),
        ("Notes", video.notes and clean(video.notes)),
        ("State", video.state),
        ("Problem", video.probe_error),
        ("Size", f"{size(video.size)} ({video.size:,} bytes)"),
        ("Length", wording.length(video)),
        ("Picture", (wording.picture(video) + turned) or None),
        ("Codecs", wording.codecs(video)),
        ("Bit rate", rate),
        ("Dynamic range", video.hdr),
        ("Container", video.container),
        ("Recorded", moment(shown.created_at_in_camera)),
        ("Camera", _camera(shown)),
        ("Timecode", shown.timecode),
        ("Location", _location(shown)),
        ("Modified", moment(shown.modified_at)),
        ("Added", moment(shown.added_at)),
        ("Missing since", moment(shown.missing_since)),
        *(("Was at", f"{clean(place.path)} until {moment(place.until)}") for place in shown.places),
        ("Fingerprint", video.fingerprint),
        *_content(shown),
    ]


def _content(shown: "VideoDetailResponse") -> list[tuple[str, str]]:
    """Give what is known of the whole content."""
    if (checksum := shown.checksum) is None:
        return []
    facts = [("Checksum", f"{checksum.algorithm} {checksum.digest}, checked {moment(checksum.checked_at)}")]
    if checksum.damaged_at is not None:
        found = f": it hashes to {checksum.found}" if checksum.found else ""
        facts.append(("Damaged since", moment(checksum.damaged_at) + found))
    return facts


def _camera(shown: "VideoDetailResponse") -> str | None:
    make, model = (clean(name) if name else "" for name in (shown.camera_make, shown.camera_model))
    return model if make and model.lower().startswith(make.lower()) else f"{make} {model}".strip() or None


def _location(shown: "VideoDetailResponse") -> str | None:
    if (place := shown.location) is None:
        return None
    altitude = "" if place.altitude is None else f", {place.altitude:g} m"
    return f"{place.latitude:.6f}, {place.longitude:.6f}{altitude}"


STREAM_COLUMNS = frozenset({"index", "kind", "codec", "language", "tags"})


def _stream(stream: dict[str, Any]) -> tuple[str, ...]:
    """Give a stream's row: the facts that it has beside the ones with columns of their own, as `name=value`."""
    others = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in stream.items()
        if name not in STREAM_COLUMNS and value not in (None, "", False, [], {})
    ]
    first = [
        str(stream.get(name) if stream.get(name) is not None else "") for name in ("index", "kind", "codec", "language")
    ]
    return (*first, " ".join(others))


def _chapters(shown: "VideoDetailResponse") -> list[tuple[str, ...]]:
    return [
        (str(chapter.get("title") or ""), duration(chapter.get("start")), duration(chapter.get("end")))
        for chapter in shown.chapters
    ]
