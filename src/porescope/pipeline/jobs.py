"""Work in a process of its own, with progress and cancel.

Deep-learning libraries and long native calls inside the viewer's process make it stutter; a spawned
process does not, and can be stopped at once.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess, parent_process
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from porescope.errors import Cancelled, PorescopeError, show_warning
from porescope.files import remove

# A job that does not listen is ended after this long, so that cancelling takes under two seconds.
GRACE_S = 1.0
REPORTS_PER_S = 20
HOLDS_SIGNALS = hasattr(signal, "pthread_sigmask")  # not on Windows
UNGUARDED = (
    "The work could not begin in a process of its own, which reads the script that began it once "
    'more; put all that the script does under if __name__ == "__main__": and run it from a file.'
)


@dataclass(frozen=True)
class Progressed:
    """A job's news: what it does, and how much of that is done."""

    what: str
    done: int
    total: int


class Job:
    """A function running in a process of its own.

    Parameters
    ----------
    function : callable
        Importable by name; takes ``report`` and ``cancel`` besides ``arguments``, and returns
        something that can be pickled.
    *arguments, **keywords
        For the function.
    leftovers : tuple of Path
        Places that only an unfinished job leaves; removed when it is cancelled.

    Raises
    ------
    PorescopeError
        In a process that reads a script again and comes upon this very call.

    Examples
    --------
    >>> job = Job(run_recipe, recipe, "out")  # doctest: +SKIP
    >>> for news in job.news():  # doctest: +SKIP
    ...     print(news.what, news.done, news.total)
    >>> job.result()  # doctest: +SKIP
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        leftovers: tuple[Path, ...] = (),
        **keywords: Any,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._messages = context.Queue()
        self._cancel = context.Event()
        self._leftovers = leftovers
        self._outcome: tuple[str, Any] | None = None
        self._begun = False
        self._process: BaseProcess = context.Process(
            target=_work,
            args=(self._messages, self._cancel, function, arguments, keywords),
            daemon=True,
        )
        with _interrupts_held_back():
            try:
                self._process.start()
            except RuntimeError:  # a process that is still starting must start no other
                raise PorescopeError(UNGUARDED) from None

    def news(self) -> Iterator[Progressed]:
        """Yield progress until the job has ended."""
        while self._outcome is None:
            news = self.next_news(timeout_s=0.5)
            if news is not None:
                yield news

    def next_news(self, timeout_s: float) -> Progressed | None:
        """Return the next piece of progress, or None if none came in time or the job has ended."""
        alive = self._process.is_alive()
        try:
            kind, content = self._messages.get(timeout=timeout_s)
        except queue.Empty:
            if not alive and self._outcome is None:
                self._outcome = ("lost", self._process.exitcode)
            return None
        self._begun = True
        if kind == "begun":
            return None
        if kind == "progress":
            return Progressed(*content)
        self._outcome = (kind, content)
        self._process.join()
        return None

    @property
    def ended(self) -> bool:
        """Whether there is a result, or never will be."""
        return self._outcome is not None

    def result(self) -> Any:
        """Wait for the end and return what the function returned.

        Raises
        ------
        Cancelled
            If the job was cancelled.
        PorescopeError
            If the function failed, or its process was killed.
        """
        for _ in self.news():
            pass
        assert self._outcome is not None
        kind, content = self._outcome
        if kind == "done":
            return content
        if kind == "cancelled":
            raise Cancelled
        if kind == "error":
            raise PorescopeError(content)
        if not self._begun and content == 1:  # Python's for what was raised
            raise PorescopeError(UNGUARDED)
        raise PorescopeError(
            f"The work ended unexpectedly (exit status {content}), perhaps for lack of memory; "
            "run it again to go on from the last finished step."
        )

    def cancel(self) -> None:
        """Stop the job and remove what it left; returns within two seconds."""
        if self._outcome is not None:
            return
        self._cancel.set()
        deadline = time.monotonic() + GRACE_S
        while self._outcome is None and time.monotonic() < deadline:
            self.next_news(timeout_s=0.05)
        if self._outcome is None:
            self._process.kill()
            self._process.join()
        if self._outcome is None or self._outcome[0] != "done":
            self._outcome = ("cancelled", None)
            for path in self._leftovers:
                remove(path)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Keep Ctrl-C from a process that starts, which inherits this, until it ignores it itself."""
    if not HOLDS_SIGNALS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    messages: multiprocessing.Queue[Any],
    cancel: Event,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    # Ctrl-C reaches the whole terminal group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if HOLDS_SIGNALS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    last = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done in (0, total) or now - last > 1 / REPORTS_PER_S:
            last = now
            messages.put(("progress", (what, done, total)))

    def cancelled() -> bool:
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            os._exit(1)  # nobody waits any more; finished steps stay for the next run
        return cancel.is_set()

    warnings.showwarning = show_warning
    messages.put(("begun", None))
    try:
        messages.put(("done", function(*arguments, report=report, cancel=cancelled, **keywords)))
    except Cancelled:
        messages.put(("cancelled", None))
    except PorescopeError as error:
        messages.put(("error", str(error)))
    except MemoryError:
        messages.put(("error", "There is not enough memory; close other programs or crop first."))
    except Exception as error:
        import traceback

        traceback.print_exc()
        messages.put(("error", f"Porescope failed ({type(error).__name__}: {error}); report it."))
