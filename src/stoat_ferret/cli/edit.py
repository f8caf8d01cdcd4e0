"""`stoat edit`: sets what a person may set of a video."""

from typing import Annotated, Any

import typer

from stoat_ferret.cli import output, show
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.session import opened, quiet_settings

HELP = help_text(
    "Set a video's title, notes, rating and labels.",
    "They are kept in the catalogue; the file is never touched. They stay when the file is moved, edited, or missing "
    "for a while. An empty title, notes or rating takes it away. Prints the video as it then is.",
    examples='stoat edit ~/Videos/beach.mp4 --label holidays --label "to cut"\n'
    'stoat edit 01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3 --title "A day at the beach" --rating 4\n'
    'stoat edit ~/Videos/beach.mp4 --unlabel holidays --rating ""',
    related="stoat show, stoat search",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Set a video's title, notes, rating and labels.")(edit)


def edit(
    what: Annotated[str, typer.Argument(metavar="ID_OR_PATH", help="A video's id, or its file.", show_default=False)],
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is called.", show_default=False)] = None,
    notes: Annotated[str | None, typer.Option(metavar="TEXT", help="Whatever you like.", show_default=False)] = None,
    rating: Annotated[str | None, typer.Option(metavar="0-5", help="How good it is.", show_default=False)] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="Add it.", show_default=False)] = None,
    unlabel: Annotated[
        list[str] | None, typer.Option(metavar="LABEL", help="Take it away.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Set what is given."""
    from pydantic import ValidationError

    from stoat_ferret.api.schemas.video import VideoDetailResponse, VideoPatch
    from stoat_ferret.errors import plain_message
    from stoat_ferret.library.own import set_own

    given = _given(title, notes, rating)
    if not given and not label and not unlabel:
        raise typer.BadParameter("Nothing to set. Give --title, --notes, --rating, --label or --unlabel.")
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        detail = show.find_video(runtime.repository, what)
        if label or unlabel:
            given["labels"] = sorted({*detail.video.labels, *(label or ())} - set(unlabel or ()))
        try:
            patch = VideoPatch(**given)
        except ValidationError as error:
            raise typer.BadParameter(plain_message(error.errors()[0]["msg"])) from error
        set_own(runtime.catalogue, detail.video.id, patch.given())
        detail = runtime.repository.video_detail(detail.video.id)
    shown = VideoDetailResponse.of_detail(detail)
    if as_json:
        output.write_json(shown)
    else:
        show.print_detail(detail, shown)
    return ExitStatus.OK


def _given(title: str | None, notes: str | None, rating: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if title is not None:
        given["title"] = title or None
    if notes is not None:
        given["notes"] = notes or None
    if rating is not None:
        if rating and not (rating.isascii() and rating.isdigit()):
            raise typer.BadParameter("A rating is a number from 0 to 5.", param_hint="--rating")
        given["rating"] = int(rating) if rating else None
    return given
