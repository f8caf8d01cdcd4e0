"""What was found in a file's headers, as it is stored and read: streams, chapters, tags, origin.

Only what is known is stored: most streams lack most of the fields, and a library has millions of them. What an earlier
version has stored is read as if this one had, so that nobody is shown where a video was filmed who did not ask.
"""

from typing import Any

from sqlalchemy import Row

from stoat_ferret.library.models import Origin, Video, VideoDetail
from stoat_ferret.media.info import ChapterInfo, MediaInfo, StreamInfo, known, whole
from stoat_ferret.media.origin import origin, without_location

COLUMNS = ("streams", "chapters", "tags", "origin")
_ORIGIN = ("camera_make", "camera_model", "timecode")


def stored(info: MediaInfo) -> dict[str, Any]:
    """Give the columns of `video_details`."""
    found = {name: value for name in _ORIGIN if (value := getattr(info, name)) is not None}
    return {
        "streams": [known(stream) for stream in info.streams],
        "chapters": [known(chapter) for chapter in info.chapters],
        "tags": info.tags,
        "origin": found if info.location is None else found | {"location": known(info.location)},
    }


def detail(video: Video, row: Row[Any]) -> VideoDetail:
    """Put together a video and its row of `video_details`."""
    return VideoDetail(
        video=video,
        streams=[_stream(stream) for stream in row.streams],
        chapters=[whole(ChapterInfo, chapter) for chapter in row.chapters],
        tags=without_location(row.tags),
        origin=_of_tags(row.tags) if row.origin is None else Origin(**row.origin),
    )


def _stream(stored_stream: dict[str, Any]) -> dict[str, Any]:
    stream = whole(StreamInfo, stored_stream)
    return stream | {"tags": without_location(stream["tags"])}


def _of_tags(tags: dict[str, str]) -> Origin:
    """Give the origin of a video that was examined when it still stood among the tags."""
    found = origin(tags)
    place = found["location"]
    return Origin(
        camera_make=found["camera_make"],
        camera_model=found["camera_model"],
        location=None if place is None else known(place),
    )
