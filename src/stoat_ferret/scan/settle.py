"""What may be concluded once the walk has ended: which folders are gone, and whether so much may be. Pure functions."""

from collections.abc import Collection, Iterable, Iterator

from stoat_ferret import paths
from stoat_ferret.errors import MassLossError
from stoat_ferret.library.models import KnownFolder

FEW = 20
"""So many files may always go at once, however small the library."""


def absent_folders(unseen: Iterable[KnownFolder], *, unproven: Collection[bytes]) -> Iterator[KnownFolder]:
    """Give the known folders that are gone.

    A folder is gone when the walk, which started above it, did not come across it (`unseen`). Below a folder that could
    not be listed (`unproven`) nothing is: absence needs a complete listing.
    """
    for folder in unseen:
        if not any(paths.is_below(folder.path, problem) for problem in unproven):
            yield folder


def guard_loss(*, gone: int, present: int, max_loss_fraction: float, library_path: bytes) -> None:
    """Stop where so much is gone that a disk is more likely to be at fault than a person.

    Args:
        gone: files of the library about to be marked missing.
        present: files of the library that were not missing before.
        max_loss_fraction: the part that may go at once, 0.0 to 1.0.
        library_path: for the message.

    Raises:
        MassLossError: more than the fraction, and more than a few, would go.
    """
    if gone > FEW and gone > max_loss_fraction * present:
        msg = (
            f"{gone} of the {present} videos in {paths.display(library_path)} are gone, more than the "
            f"{max_loss_fraction:.0%} that may go at once. Nothing was marked missing. Check the disk; if the files "
            "are really gone, scan with accept_loss."
        )
        raise MassLossError(msg)
