"""`stoat search`: finds videos."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import clean_path, size

if TYPE_CHECKING:
    from stoat_ferret.library.models import Page, Video
    from stoat_ferret.library.repository import LibraryRepository

PAGE = 200
DEFAULT_LIMIT = 50

HELP = help_text(
    "Find videos that hold every word in their name, path, title or tags.",
    "Case and accents do not matter, and parts of words count. Words in quotes are looked for as they stand. Prints a "
    "table; to another program, a line a video: id, path, length, picture, codecs, size, state, separated by tabs.",
    examples="stoat search beach 2024\nstoat search '\"birthday party\"' --sort -duration\n"
    "stoat search mkv --all | cut -f2",
    related="stoat show, stoat scan",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Find videos in the catalogue.")(search)


def search(
    words: Annotated[list[str], typer.Argument(metavar="QUERY...", help="What to look for.", show_default=False)],
    sort: Annotated[
        str, typer.Option(metavar="FIELD", help="name, added, modified, duration or size; with a leading - descending.")
    ] = "-added",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Videos at most.")] = DEFAULT_LIMIT,
    everything: Annotated[bool, typer.Option("--all", help="All videos, however many.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Search the catalogue."""
    query = " ".join(words)
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        pages = _pages(runtime.repository, query, sort, None if everything else limit)
        if as_json:
            _print_json(query, pages)
        else:
            _print_pages(pages)
    return ExitStatus.OK


def _pages(repository: "LibraryRepository", query: str, sort: str, limit: int | None) -> "Iterator[Page]":
    """Give pages until there are `limit` videos, or all; at least one page."""
    from stoat_ferret.library.search import find

    cursor, left = None, limit
    while True:
        here = PAGE if left is None else min(PAGE, left)
        page = find(repository.database, query=query, sort=sort, cursor=cursor, limit=here)
        yield page
        cursor = page.next_cursor
        left = None if left is None else left - len(page.videos)
        if cursor is None or left == 0:
            return


def _print_json(query: str, pages: "Iterator[Page]") -> None:
    from stoat_ferret.api.schemas.video import VideoResponse, VideoSearchResponse

    videos: list[VideoResponse] = []
    last: dict[str, Any] = {}
    for page in pages:
        videos += [VideoResponse.of(video) for video in page.videos]
        last = {
            "next_cursor": page.next_cursor,
            "total": page.total,
            "total_is_lower_bound": page.total_is_lower_bound,
        }
    output.write_json(VideoSearchResponse(query=query, videos=videos, **last))


def _print_pages(pages: "Iterator[Page]") -> None:
    shown = 0
    for page in pages:
        if page.videos:
            _print_videos(page.videos)
        shown += len(page.videos)
    if not shown:
        output.say(
            "Nothing was found. Fewer or shorter words find more; `stoat scan FOLDER` brings the catalogue up to date."
        )
    elif page.next_cursor is not None:
        total = f"{'more than ' if page.total_is_lower_bound else ''}{page.total:,}"
        output.say(f"{shown:,} of {total} shown; --all shows the rest.")


def _print_videos(videos: "tuple[Video, ...]") -> None:
    columns = [Column("Path", fold=True), Column("Length", right=True), Column("Picture"), Column("Codecs")]
    columns += [Column("Size", right=True), Column("State")]
    rows = [
        (
            clean_path(video.path_bytes),
            wording.length(video),
            wording.picture(video),
            wording.codecs(video),
            size(video.size),
            video.state,
        )
        for video in videos
    ]
    if not output.in_terminal():
        columns = [Column("Id"), *columns]
        output.write_table(columns, [(video.id, *row) for video, row in zip(videos, rows, strict=True)])
    else:
        output.write_table(columns, rows)
