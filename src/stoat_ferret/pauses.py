"""Shorter pauses of Python's garbage collector in a process that is to answer quickly."""

import gc


def spare_what_is_loaded() -> None:
    """Exempt all that there is by now from garbage collection: call it once, after the imports and before the work.

    A full collection looks at every object, of which the imported modules make nearly all, and stops every thread
    meanwhile: 80 ms on a slow processor, during which a write lock may be held that others wait for.
    """
    gc.collect()
    gc.freeze()
