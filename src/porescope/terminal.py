"""A job followed in the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from porescope.pipeline.jobs import Job

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
