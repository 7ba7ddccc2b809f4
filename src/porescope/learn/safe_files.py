"""Files of tensors that say what they are: safetensors, never unpickled, checked before use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from porescope.errors import PorescopeError

LARGEST_BYTES = 1 << 30


@contextmanager
def opened(
    path: Path, mark: str, version: str, what: str
) -> Iterator[tuple[Any, Mapping[str, str]]]:
    """Open such a file; whatever turns out to be wrong with it inside is told in one sentence.

    Parameters
    ----------
    path : Path
    mark, version : str
        Key in its header, and what must be there.
    what : str
        What it should be, such as ``"file of weights"``.

    Yields
    ------
    file, metadata
        As of :func:`safetensors.safe_open`, and its header.

    Raises
    ------
    PorescopeError
        If it cannot be read, is too large, or is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PorescopeError(f"{path} is larger than any {what} of Porescope.")
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get(mark) != version:
                raise ValueError("another format")
            yield file, metadata
    except OSError as error:
        raise PorescopeError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PorescopeError(
            f"{path} is no {what} that this version of Porescope can read; name another."
        ) from error
