"""What a catalogue keeps, in both databases: batches of results, absence, ledger, change feed, libraries."""

import math
import threading
from typing import Any

import pytest
from sqlalchemy import delete, func, null, select, update

from stoat_ferret.db import tables
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import video_details
from stoat_ferret.errors import LibraryNotFoundError
from stoat_ferret.library import absence, batch, changes, ledger, own
from stoat_ferret.library.models import KnownFile, Origin, Outcome, Video, VideoDetail
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.results import FileResult, FolderBatch, FolderClosing
from stoat_ferret.library.search import find
from stoat_ferret.media.info import ChapterInfo, Location, StreamInfo, whole
from tests.contract.catalogues import JOB, Shelf, each_catalogue, reject, video  # noqa: F401


@pytest.fixture
def shelf(catalogue: Database) -> Shelf:
    """A library with nothing in it."""
    return Shelf(catalogue)


def only(shelf: Shelf) -> Video:
    """Give the one video that there is."""
    (found,) = find(shelf.database).videos
    return found


def feed(shelf: Shelf) -> list[tuple[str, bytes, str]]:
    """Give the change feed: kind, path, state."""
    return [(change.kind, change.path_bytes, change.state) for change in changes.read(shelf.database, 0, 1000)]


def numbers(shelf: Shelf) -> list[int]:
    """Give the numbers of all changes."""
    return [change.seq for change in changes.read(shelf.database, 0, 100_000)]


def known_file(shelf: Shelf, name: bytes) -> KnownFile:
    """Give what is known of a file."""
    return shelf.repository.files_in(shelf.folder().pk)[b"/v/" + name]


# Batches


def test_what_is_stored_is_read_back(shelf: Shelf) -> None:
    """Every fact of the file, and its streams, chapters and tags."""
    result = video(
        b"a.mp4",
        size=1 << 40,
        mtime_ns=(1 << 63) - 1,
        vfr=True,
        hdr="hlg",
        bit_rate=123,
        created_at_in_camera="2024-05-06T07:08:09.123456Z",
        streams=(StreamInfo(index=0, kind="video", duration=0.1, disposition=("default",)),),
        chapters=(ChapterInfo(index=0, start=0.0, end=1e-9, title="東京"),),
        tags={"title": "Été", "Comment": '"\\u0000"'},
    )
    shelf.store([result])
    found = only(shelf)
    assert (found.path_bytes, found.size, found.title, found.vfr) == (b"/v/a.mp4", 1 << 40, "Été", True)
    assert (found.hdr, found.bit_rate, found.fingerprint) == ("hlg", 123, "f" * 32)
    assert (found.duration, found.frame_rate_float, found.created_at_in_camera) == (1.5, 25.0, 1714979289123456)
    detail = shelf.repository.video_detail(found.id)
    assert detail.video == found
    assert detail.tags == {"title": "Été", "Comment": '"\\u0000"'}
    assert detail.chapters == [{"index": 0, "start": 0.0, "end": 1e-9, "title": "東京"}]
    assert detail.streams[0]["duration"] == 0.1
    assert detail.streams[0]["disposition"] == ["default"]
    assert known_file(shelf, b"a.mp4").key == result.key


def test_with_what_and_where_it_was_filmed_is_kept_apart(shelf: Shelf) -> None:
    """What is not known is not stored, and is read as null all the same."""
    place = Location(latitude=51.4779, longitude=-0.0015)
    shelf.store([video(b"a.mp4", camera_make="Apple", timecode="10:00:00:00", location=place)])
    detail = shelf.repository.video_detail(only(shelf).id)
    assert detail.origin == Origin(
        camera_make="Apple", timecode="10:00:00:00", location={"latitude": 51.4779, "longitude": -0.0015}
    )
    assert detail.streams == [whole(StreamInfo, {"index": 0, "kind": "video", "codec": "h264"})]
    assert set(detail.streams[0]) == set(StreamInfo.__dataclass_fields__)
    with shelf.database.read() as connection:
        [stored] = connection.execute(select(video_details.c.streams)).scalars()
    assert "sample_rate" not in stored[0]
    shelf.store([video(b"b.mp4")])
    assert [row.origin for row in details_of(shelf)] == [
        Origin(camera_make="Apple", timecode="10:00:00:00", location={"latitude": 51.4779, "longitude": -0.0015}),
        Origin(),
    ]


def test_what_an_earlier_version_stored_tells_nobody_where(shelf: Shelf) -> None:
    """Its rows have the place among their tags and lack the fields that came later."""
    tags = {"location": "+51.4779-000.0015/", "com.apple.quicktime.make": "Apple", "title": "A title"}
    shelf.store([video(b"a.mp4")])
    old_stream = {"index": 0, "kind": "video", "disposition": ["default"]}
    with shelf.database.write() as connection:
        connection.execute(update(video_details).values(tags=tags, streams=[old_stream], origin=null()))
        own.describe(connection, list(connection.execute(select(video_details.c.video_pk)).scalars()))
    [detail] = details_of(shelf)
    assert detail.tags == {"com.apple.quicktime.make": "Apple", "title": "A title"}
    assert detail.origin == Origin(camera_make="Apple", location={"latitude": 51.4779, "longitude": -0.0015})
    assert detail.streams[0] == whole(StreamInfo, old_stream)
    assert detail.streams[0]["tags"] == {}
    assert find(shelf.database, query="51.4779").total == 0


def details_of(shelf: Shelf) -> list[VideoDetail]:
    """Give every video in full, in the order of names."""
    page = find(shelf.database, sort="name")
    return [shelf.repository.video_detail(found.id) for found in page.videos]


def test_a_second_batch_updates_in_place(shelf: Shelf) -> None:
    """The id stays; facts, details, search index and feed follow; the library's number does not grow."""
    shelf.store([video(b"a.mp4", tags={"title": "before"}), video(b"b.mp4")])
    first = find(shelf.database, query="before").videos[0]
    shelf.store([video(b"a.mp4", Outcome.UPDATED, width=7, tags={"title": "after"})])
    assert find(shelf.database, query="before").total == 0
    (found,) = find(shelf.database, query="after").videos
    assert (found.id, found.added_at, found.width) == (first.id, first.added_at, 7)
    assert shelf.repository.library(shelf.library.id).video_count == 2
    assert feed(shelf) == [
        ("added", b"/v/a.mp4", "available"),
        ("added", b"/v/b.mp4", "available"),
        ("updated", b"/v/a.mp4", "available"),
    ]


def test_rejects_are_remembered_until_they_are_videos(shelf: Shelf) -> None:
    """And a video that cannot be read any more is kept as broken."""
    shelf.store([reject(b"a.mp4"), reject(b"b.mp4", Outcome.SKIPPED)])
    shelf.store([reject(b"a.mp4", reason="It still is none.")])
    assert known_file(shelf, b"a.mp4").reason == "It still is none."
    assert known_file(shelf, b"b.mp4").reject_outcome is Outcome.SKIPPED
    shelf.store([video(b"a.mp4")])
    assert known_file(shelf, b"a.mp4").state == "available"
    shelf.store([reject(b"a.mp4", reason="Damaged.")])
    broken = only(shelf)
    assert (broken.state, broken.probe_error) == ("broken", "Damaged.")
    assert known_file(shelf, b"a.mp4").reject_outcome is Outcome.FAILED
    assert feed(shelf)[-1] == ("updated", b"/v/a.mp4", "broken")


def test_what_is_gone_is_missing_and_comes_back(shelf: Shelf) -> None:
    """With the same id; whoever was broken is so again."""
    shelf.store([video(b"a.mp4"), video(b"b.mp4")])
    shelf.store([reject(b"b.mp4")])
    ids = {found.path_bytes: found.id for found in find(shelf.database).videos}
    gone = [known_file(shelf, name) for name in (b"a.mp4", b"b.mp4")]
    closing = FolderClosing(digest=None, unchanged_count=0, reject_count=0, newly_counted=0, gone=tuple(gone))
    shelf.store([], known=shelf.folder(), closing=closing)
    shelf.store([], known=shelf.folder(), closing=closing)  # noted twice, gone once
    with shelf.database.write() as connection:
        assert absence.count(connection, JOB) == 2
        assert absence.mark_missing(connection, JOB) == 2
        assert absence.mark_missing(connection, JOB) == 0
    assert {found.state for found in find(shelf.database).videos} == {"missing"}
    shelf.store([video(b"a.mp4", Outcome.RESTORED), _unchanged(gone[1])])
    states = {found.path_bytes: (found.id, found.state) for found in find(shelf.database).videos}
    assert states == {
        b"/v/a.mp4": (ids[b"/v/a.mp4"], "available"),
        b"/v/b.mp4": (ids[b"/v/b.mp4"], "broken"),
    }
    replayed = changes.replay(changes.read(shelf.database, 0, 1000))
    assert replayed == {video_id: (path, state) for path, (video_id, state) in states.items()}


def _unchanged(known: KnownFile) -> FileResult:
    return FileResult(path=known.path, key=known.key, outcome=Outcome.RESTORED, known=known)


def test_folders_that_are_gone_are_forgotten_once_nothing_is_kept_in_them(shelf: Shelf) -> None:
    """What lies in them is noted as gone, each video once."""
    pk = shelf.store([video(b"a.mp4"), reject(b"b.mp4")])
    for _ in range(2):
        with shelf.database.write() as connection:
            absence.note_folders(connection, JOB, [pk])
            absence.drop_empty_folders(connection, [pk])
            assert absence.count(connection, JOB) == 1
    assert list(shelf.repository.files_in(pk)) == [b"/v/a.mp4"]
    shelf.repository.delete_video(only(shelf).id)
    with shelf.database.write() as connection:
        assert absence.count(connection, JOB) == 0
        absence.drop_empty_folders(connection, [pk])
    assert shelf.repository.folder(b"/v") is None


def test_a_folder_s_digest_stands_for_as_many_files_as_were_counted(shelf: Shelf) -> None:
    """Otherwise an entry was deleted meanwhile, and the next scan has to look."""
    results = [video(b"a.mp4"), reject(b"b.mp4")]
    closing = FolderClosing(digest=b"\x00\xff", unchanged_count=1, reject_count=1, newly_counted=0)
    shelf.store(results, closing=closing)
    known = shelf.folder()
    assert (known.digest, known.unchanged_count, known.reject_count) == (b"\x00\xff", 1, 1)
    wrong = FolderClosing(digest=b"other", unchanged_count=2, reject_count=1, newly_counted=2)
    shelf.store([], known=known, closing=wrong)
    assert shelf.folder().digest is None
    assert ledger.totals(shelf.database, JOB)[Outcome.UNCHANGED] == 2


def test_a_batch_that_fails_leaves_nothing(shelf: Shelf) -> None:
    """Nor does a number of the feed get lost with it."""
    shelf.store([video(b"a.mp4")])
    with pytest.raises(ZeroDivisionError), shelf.database.write() as connection:  # noqa: PT012
        changes.append(connection, [("added", "x", b"/x", "available")] * 3, 0)
        raise ZeroDivisionError
    shelf.store([video(b"b.mp4")])
    assert numbers(shelf) == [1, 2]


# What files say of themselves


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\ud83d", "\udcff\x00\udc00", "NaN", "\\u0000", "\ufffe\uffff", "\U0001d54f"]
)
def test_no_text_is_refused(shelf: Shelf, text: str) -> None:
    """What a database cannot hold becomes U+FFFD; what was stored is found by what it was called."""
    stream = StreamInfo(index=0, kind="video", title=text, codec_tag=text)
    tags = {"title": f"x{text}", text: text}
    shelf.store([video(b"a.mp4", container=text, pixel_format=text, streams=(stream,), tags=tags)])
    shelf.store([reject(b"b\x00.mp4", reason=text)])
    told = "".join("\ufffd" if c == "\x00" or "\ud800" <= c <= "\udfff" else c for c in text)
    found = only(shelf)
    assert (found.title, found.container, found.pixel_format) == ("x" + told, told, told)
    detail = shelf.repository.video_detail(found.id)
    assert detail.tags[told] == told
    assert detail.streams[0]["title"] == told
    assert known_file(shelf, b"b\x00.mp4").reason == told
    assert find(shelf.database, query=f'"x{text}"').total == 1
    rows, _ = ledger.page(shelf.database, JOB, outcome=Outcome.FAILED, cursor=None, limit=5)
    assert [(row.path_bytes, row.reason) for row in rows] == [(b"/v/b\x00.mp4", told)]


def test_no_number_is_refused(shelf: Shelf) -> None:
    """What no column holds is not known."""
    huge: dict[str, Any] = {
        "width": 1 << 31,
        "height": 1 << 62,
        "rotation": -(1 << 31),
        "bit_rate": 1 << 70,
        "audio_channels": 1 << 63,
    }
    odd: dict[str, Any] = {"duration": math.inf, "frame_rate_float": math.nan}
    stream = StreamInfo(index=0, kind="video", duration=math.nan, bit_rate=1 << 80)
    shelf.store([video(b"a.mp4", streams=(stream,), **huge, **odd)])
    found = only(shelf)
    assert (found.width, found.height, found.rotation) == (1 << 31, 1 << 62, -(1 << 31))
    assert (found.bit_rate, found.audio_channels, found.duration, found.frame_rate_float) == (None,) * 4
    detail = shelf.repository.video_detail(found.id)
    assert (detail.streams[0]["duration"], detail.streams[0]["bit_rate"]) == (None, 1 << 80)


@pytest.mark.parametrize(
    "name", [bytes(range(1, 47)) + bytes(range(48, 256)), b"%s %(x)s :y ?", b"-", b"\n", "é".encode()]
)
def test_names_are_bytes(shelf: Shelf, name: bytes) -> None:
    """Whatever they are, they come back as they were."""
    shelf.store([video(name), reject(name + b"!")])
    path = b"/v/" + name
    assert only(shelf).path_bytes == path
    assert set(shelf.repository.files_in(shelf.folder().pk)) == {path, path + b"!"}
    assert feed(shelf) == [("added", path, "available")]
    assert ledger.stored_paths(shelf.database, JOB, shelf.folder().pk) == {path}


def test_a_whole_batch_is_stored_at_once(shelf: Shelf) -> None:
    """As many files as a scan gathers, new and then changed."""
    files = [video(b"%04d.mp4" % number, tags={"title": f"t{number}"}) for number in range(1500)]
    shelf.store(files)
    shelf.store([video(b"%04d.mp4" % number, Outcome.UPDATED, tags={"title": f"u{number}"}) for number in range(1500)])
    assert find(shelf.database, query="u1499").total == 1
    assert numbers(shelf) == list(range(1, 3001))
    assert shelf.repository.count_present(shelf.library.id) == 1500
    assert shelf.repository.count_brought(shelf.library.id, JOB) == 0  # they were updated since


# The change feed


def test_numbers_are_in_order_and_without_gaps_whoever_writes(shelf: Shelf) -> None:
    """Two writers at once: whoever reads on from the last number never misses a change."""
    with shelf.database.write() as connection:
        changes.append(connection, [("added", "first", b"/", "available")], 0)
    seen: list[int] = []
    ended = threading.Event()

    def write(writer: str) -> None:
        for _ in range(20):
            with shelf.database.write(durable=False) as connection:
                changes.append(connection, [("added", writer, b"/", "available")] * 3, 0)

    def follow() -> None:
        while not ended.is_set():
            seen.extend(change.seq for change in changes.read(shelf.database, seen[-1] if seen else 0, 7))
        while more := changes.read(shelf.database, seen[-1], 7):
            seen.extend(change.seq for change in more)

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    follower = threading.Thread(target=follow)
    for thread in (*writers, follower):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    follower.join()
    assert seen == numbers(shelf) == list(range(1, 122))


def test_a_number_is_never_given_again(shelf: Shelf) -> None:
    """Also where the newest changes are not kept."""
    shelf.store([video(b"a.mp4"), video(b"b.mp4")])
    with shelf.database.write() as connection:
        connection.execute(delete(tables.changes))
    shelf.store([video(b"c.mp4")])
    assert numbers(shelf) == [3]


# The ledger


def test_what_a_job_cost_adds_up(shelf: Shelf) -> None:
    """Over its attempts."""
    for _ in range(2):
        with shelf.database.write() as connection:
            ledger.add_cost(connection, JOB, 1 << 40, 0.25)
    assert ledger.costs(shelf.database, JOB) == (1 << 41, 0.5)


def test_totals_count_unchanged_files_by_folder(shelf: Shelf) -> None:
    """Until an attempt that goes on finds that there are none."""
    closing = FolderClosing(digest=None, unchanged_count=9, reject_count=0, newly_counted=9)
    shelf.store([video(b"a.mp4"), reject(b"b.mp4")], closing=closing)
    totals = ledger.totals(shelf.database, JOB)
    assert {outcome: count for outcome, count in totals.items() if count} == {
        Outcome.NEW: 1,
        Outcome.FAILED: 1,
        Outcome.UNCHANGED: 9,
    }
    assert all(type(count) is int for count in totals.values())
    none = FolderClosing(digest=None, unchanged_count=9, reject_count=0, newly_counted=0)
    shelf.store([], known=shelf.folder(), closing=none)
    assert ledger.totals(shelf.database, JOB)[Outcome.UNCHANGED] == 0


def test_pages_of_the_ledger_are_in_order_of_bytes(shelf: Shelf) -> None:
    """As they are compared by a program, not by a language."""
    names = [b"Z", b"a", b"\xff", b"\x01", "é".encode(), b"a/b", b"a b"]
    shelf.store([video(name) for name in names])
    found: list[bytes] = []
    cursor = None
    while True:
        rows, cursor = ledger.page(shelf.database, JOB, outcome=Outcome.NEW, cursor=cursor, limit=3)
        found += [row.path_bytes for row in rows]
        if cursor is None:
            break
    assert found == sorted(b"/v/" + name for name in names)


def test_a_dry_run_writes_the_ledger_only(shelf: Shelf) -> None:
    """Nothing else is changed."""
    dry = FolderBatch(path=b"/v", library_id=shelf.library.id, known=None, files=[video(b"a.mp4")])
    with shelf.database.write() as connection:
        assert batch.apply(connection, JOB, [dry], dry_run=True) == {}
    assert find(shelf.database).total == 0
    assert ledger.totals(shelf.database, JOB)[Outcome.NEW] == 1


# Libraries


def test_a_library_is_changed_in_what_is_given(shelf: Shelf) -> None:
    """None takes the schedule away; what is not given stays."""
    repository, library_id = shelf.repository, shelf.library.id
    assert repository.scheduled_libraries() == []
    changed = repository.update_library(library_id, name="Holidays\x00", schedule="0 3 * * *")
    assert (changed.name, changed.schedule, changed.max_loss_fraction) == ("Holidays\ufffd", "0 3 * * *", 0.5)
    assert repository.scheduled_libraries() == [changed] == [repository.library(library_id)]
    assert repository.update_library(library_id) == changed
    changed = repository.update_library(library_id, max_loss_fraction=0.125, schedule=None)
    assert (changed.name, changed.schedule, changed.max_loss_fraction) == ("Holidays\ufffd", None, 0.125)
    assert repository.scheduled_libraries() == []


def test_a_library_that_is_not_there_cannot_be_changed(shelf: Shelf) -> None:
    """Its id is named."""
    with pytest.raises(LibraryNotFoundError, match="the id nothing"):
        shelf.repository.update_library("nothing", name="y")
    with pytest.raises(LibraryNotFoundError, match="the id nothing"):
        shelf.repository.update_library("nothing")


def test_deleting_takes_all_of_a_video_with_it(shelf: Shelf) -> None:
    """Details, text, grams; the feed says that it was removed."""
    shelf.store([video(b"a.mp4"), video(b"b.mp4")])
    for found in find(shelf.database).videos:
        shelf.repository.delete_video(found.id)
    with shelf.database.read() as connection:
        for table in (tables.videos, tables.video_details, tables.video_texts):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert find(shelf.database, query="mp4").total == 0
    assert shelf.repository.library(shelf.library.id).video_count == 0
    assert [kind for kind, _, _ in feed(shelf)] == ["added", "added", "removed", "removed"]


def test_a_repository_reads_one_state(catalogue: Database) -> None:
    """What is committed while a block reads is not seen in it."""
    repository = LibraryRepository(catalogue)
    with catalogue.read() as connection:
        count = select(func.count()).select_from(tables.libraries)
        assert connection.execute(count).scalar_one() == 0
        with catalogue.write() as writer:
            repository.add_library(writer, b"/new", 0.5)
        assert connection.execute(count).scalar_one() == 0
    assert len(repository.libraries()) == 1
