"""A job followed in the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from porescope.pipeline.jobs import Job
from porescope.pipeline.run import work_folder

TERMINATED = 143
"""As shells count SIGTERM."""


def wait_with_bars(job: Job) -> Any:
    """Show a job's progress in the terminal until it ends; Ctrl-C cancels it.

    On SIGTERM, with which batch systems end what takes too long, all processes end, and what is
    finished stays for the next call.
    """
    with _ended_by_sigterm():
        _show_bars(job)
        return job.result()


def write_with_bars(
    write: Callable[..., Any], *arguments: Any, out: Path, overwrite: bool, **keywords: Any
) -> Any:
    """Write a result in a process of its own, and wait for it as :func:`wait_with_bars` does.

    Parameters
    ----------
    write : callable
        Takes the arguments, ``out`` after them, ``overwrite`` and the keywords.
    out : Path
        The result; what only an unfinished job leaves beside it is removed.
    """
    out = out.absolute()
    leftovers = (work_folder(out),)
    return wait_with_bars(
        Job(write, *arguments, out, overwrite=overwrite, leftovers=leftovers, **keywords)
    )


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    def leave(*_: object) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_bars(job: Job) -> None:
    bar: Any = None
    what = ""
    try:
        for news in job.news():
            if news.what != what:
                what = news.what
                if bar is not None:
                    bar.close()
                # Bars are for eyes; a log file gets a line a step.
                bar = tqdm(total=news.total, desc=what, file=sys.stderr, disable=None)
                if bar.disable:
                    print(what, file=sys.stderr, flush=True)
            bar.total = news.total
            bar.update(news.done - bar.n)
    except KeyboardInterrupt:
        job.cancel()
    except BrokenPipeError:
        pass  # nobody reads the progress any more, but the result is still wanted
    finally:
        if bar is not None:
            bar.close()
