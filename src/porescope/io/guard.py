"""What a broken or hostile file can cause, said in one sentence that names the file."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from porescope.errors import PorescopeError

MAX_BLOCK_BYTES = 2 << 30
"""The most that is ever read at once: one slice, or one chunk of a chunked format."""

MAX_TOTAL_BYTES = 16 << 40
"""The largest volume that is taken for real rather than for a damaged header."""

MAX_BLOCKS = 10_000_000
"""The most chunks a volume may be divided into on the disk; 64 voxels a side is a good size."""

MAX_COMPRESSION = 5000
"""No microscope image shrinks further; the limit of deflate is 1032."""

SMALL_BYTES = 64 << 20
"""What may be allocated on the word of a header alone."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever a library raises over a file into a sentence with the file's name."""
    try:
        yield
    except PorescopeError:
        raise
    except FileNotFoundError as error:
        raise PorescopeError(f"There is no {path}; check the name.") from error
    except MemoryError as error:
        raise PorescopeError(f"{path} does not fit into memory; crop or bin it first.") from error
    except Exception as error:  # libraries raise anything over a damaged file
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise PorescopeError(
            f"{path} cannot be read: it is damaged or not what its name says ({reason})."
        ) from error


def check_holds_something(path: Path) -> None:
    """Refuse a file that is missing or empty.

    Raises
    ------
    PorescopeError
        With the name of the file.
    """
    with naming(path):
        if path.stat().st_size == 0:
            raise PorescopeError(f"{path} is empty (0 bytes); copy it again.")


def check_size(path: Path, shape: Sequence[int], itemsize: int, block: Sequence[int]) -> None:
    """Refuse sizes that no stack has, before anything is allocated.

    Parameters
    ----------
    path : Path
        The file that messages name.
    shape : sequence of ints
        Number of voxels (z, y, x).
    itemsize : int
        Bytes of a voxel.
    block : sequence of three ints
        What is stored and read at once.

    Raises
    ------
    PorescopeError
        If the volume, one block of it, or their number is beyond :data:`MAX_TOTAL_BYTES`,
        :data:`MAX_BLOCK_BYTES` or :data:`MAX_BLOCKS`, or there is no voxel in it.
    """
    if min(shape, default=0) < 1:
        raise PorescopeError(f"{path} holds no image: its shape is {tuple(shape)}.")
    for what, extent, limit in (
        ("volume", shape, MAX_TOTAL_BYTES),
        ("slice or chunk", block, MAX_BLOCK_BYTES),
    ):
        size = math.prod(extent) * itemsize
        if size > limit:
            raise PorescopeError(
                f"{path} declares a {what} of {size / 2**30:.3g} GiB, more than the "
                f"{limit >> 30} GiB that can be real; it is damaged, or must be split first."
            )
    blocks = math.prod(-(-n // b) for n, b in zip(shape, block, strict=True))
    if blocks > MAX_BLOCKS:
        raise PorescopeError(
            f"{path} is divided into {blocks:,} chunks of {tuple(block)} voxels; "
            "write it with larger ones."
        )


def check_plausible(path: Path, declared: int, stored: int, compressed: bool) -> None:
    """Refuse a header that declares more than the stored bytes can hold.

    Raises
    ------
    PorescopeError
        If ``declared`` bytes of image cannot come from ``stored`` bytes of file.
    """
    most = max(stored * MAX_COMPRESSION, SMALL_BYTES) if compressed else stored
    if declared > most:
        raise PorescopeError(
            f"{path} declares {declared:,} bytes of image but holds only {stored:,}; "
            "it is truncated or damaged, copy it again."
        )
