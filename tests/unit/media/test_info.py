"""What is known of a file, as JSON and back."""

import json

from pydantic import TypeAdapter

from stoat_ferret.media.info import ChapterInfo, Location, MediaInfo, StreamInfo, known, whole

INFO = MediaInfo(
    container="mov",
    duration=1.5,
    location=Location(latitude=51.4779, longitude=-0.0015),
    streams=(
        StreamInfo(
            index=0, kind="video", disposition=("default",), mastering_primaries=(0.708, 0.292), tags={"a": "b"}
        ),
        StreamInfo(index=1, kind="audio"),
    ),
    chapters=(ChapterInfo(index=0, start=0.0, end=1.0),),
)


def test_json_gives_back_what_was_put_in() -> None:
    """Only what is known is written."""
    data = INFO.to_json()
    assert TypeAdapter(MediaInfo).validate_json(json.dumps(data), strict=True) == INFO
    assert "width" not in data
    assert "codec" not in data["streams"][0]


def test_the_whole_of_a_part_has_every_field() -> None:
    """Null, or empty, where nothing is known; as the API shows it."""
    stream = whole(StreamInfo, {"index": 0, "kind": "video", "codec": "h264"})
    assert list(stream) != []
    assert set(stream) == set(StreamInfo.__dataclass_fields__)
    assert (stream["codec"], stream["width"], stream["disposition"], stream["tags"]) == ("h264", None, [], {})
    assert stream["tags"] is not whole(StreamInfo, {})["tags"]
    assert StreamInfo(**whole(StreamInfo, known(INFO.streams[1])) | {"disposition": ()}) == INFO.streams[1]
