"""What keeps the catalogue quick."""

from stoat_ferret.db.engine import Database
from stoat_ferret.library.search import find
from stoat_ferret.library.upkeep import analyze
from tests.contract.catalogues import Shelf, each_catalogue, video  # noqa: F401


def test_tables_are_looked_at_anew(catalogue: Database) -> None:
    """The planner knows of rows that it knew nothing of; what is found stays the same."""
    Shelf(catalogue).store([video(b"%d.mp4" % number) for number in range(300)])
    before = find(catalogue, query="1")
    analyze(catalogue)
    analyze(catalogue)
    known = (
        "SELECT count(*) FROM pg_class WHERE relname = 'videos' AND reltuples = 300"
        if catalogue.is_postgres
        else "SELECT count(*) FROM sqlite_stat1 WHERE idx = 'ix_videos_size_id' AND stat LIKE '300 %'"
    )
    with catalogue.read() as connection:
        assert connection.exec_driver_sql(known).scalar_one() == 1
    assert find(catalogue, query="1") == before
