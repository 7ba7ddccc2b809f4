"""Progress and cancelling, the same for every long function.

A long function takes ``progress(done, total)`` and ``cancel() -> bool`` and walks its work through
:func:`track`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from porescope.errors import Cancelled

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]
Item = TypeVar("Item")


def no_progress(done: int, total: int) -> None:
    """Report to nobody."""


def never_cancel() -> bool:
    """Run to the end."""
    return False


def track(
    items: Sequence[Item], progress: Progress = no_progress, cancel: Cancel = never_cancel
) -> Iterator[Item]:
    """Yield ``items`` one by one, reporting after each and stopping when asked.

    Raises
    ------
    Cancelled
        As soon as ``cancel()`` is true between two items.
    """
    progress(0, len(items))
    for done, item in enumerate(items, start=1):
        if cancel():
            raise Cancelled
        yield item
        progress(done, len(items))
