"""What may be concluded of what the walk did not meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.errors import MassLossError
from stoat_ferret.library.models import KnownFolder
from stoat_ferret.paths import is_below
from stoat_ferret.scan.settle import FEW, absent_folders, guard_loss

paths = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(paths), st.sets(paths))
def test_a_folder_that_was_not_met_is_gone_unless_it_lies_below_a_problem(unseen: set[str], unproven: set[str]) -> None:
    """A name that only begins alike is no folder below."""
    folders = [
        KnownFolder(pk=number, path=path.encode(), digest=None, unchanged_count=0, reject_count=0)
        for number, path in enumerate(sorted(unseen))
    ]
    problems = {path.encode() for path in unproven}
    found = {folder.path for folder in absent_folders(folders, unproven=problems)}
    for folder in folders:
        covered = any(is_below(folder.path, problem) for problem in problems)
        assert (folder.path in found) == (not covered)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
def test_a_loss_is_stopped_exactly_where_it_is_large(gone: int, present: int, fraction: float) -> None:
    """More than a few and more than the fraction, and the message names both numbers."""
    large = gone > FEW and gone > fraction * present
    if not large:
        guard_loss(gone=gone, present=present, max_loss_fraction=fraction, library_path=b"/v")
        return
    with pytest.raises(MassLossError, match=f"{gone} of the {present} videos in /v"):
        guard_loss(gone=gone, present=present, max_loss_fraction=fraction, library_path=b"/v")
