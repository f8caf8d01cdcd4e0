"""Shorter pauses of Python's garbage collector, and a start without it."""

import gc


def load_quickly() -> None:
    """Collect no garbage until `spare_what_is_loaded`: call it before the imports.

    They make a million objects and hardly any garbage, and to look at those again and again took a seventh of them.
    """
    gc.disable()


def spare_what_is_loaded() -> None:
    """Exempt all that there is by now from garbage collection: call it once, after the imports and before the work.

    A full collection looks at every object, of which the imported modules make nearly all, and stops every thread
    meanwhile: 80 ms on a slow processor, during which a write lock may be held that others wait for.
    """
    gc.freeze()
    gc.enable()
