"""Work behind the window: a thread that starts and follows a job, with progress and cancel.

The thread only waits for the job's process; starting one takes seconds when large arrays go along,
which the window must not feel.
"""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from napari.utils import progress
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from porescope.errors import Cancelled, PorescopeError
from porescope.pipeline.jobs import Job
from porescope.pipeline.project import RESULTS, ProjectLock, Taken, next_number
from porescope.pipeline.run import Report
from porescope.tracking import Cancel
from porescope.viewer.form import in_words
from porescope.viewer.temporary import TemporaryFolder, remove_abandoned

Task = Callable[[Report, Cancel], Any]
Then = Callable[[Any], Iterator[None] | None]

# A cancelled job ends within 1 s; closing the window waits for that, and no longer.
PATIENCE_S = 1.5
LISTENS_S = 0.1
ERROR_COLOUR = "#e5484d"
"""Legible on dark and on light."""
BAR_STEPS = 1000


class Session:
    """What lives as long as a window: its running work, and what it made.

    Attributes
    ----------
    taken : list of Taken
        The steps that were run, in their order.
    finish : callable()
        Called when the window closes, once nothing runs any more and before results are removed.
    closing : bool
        Whether the window closes.
    """

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.closing = False
        self.finish: Callable[[], None] = lambda: None
        self._lock: ProjectLock | None = None
        self._temporary: TemporaryFolder | None = None
        self._numbers: list[int] = []
        self._held = False
        self._running: dict[threading.Thread, threading.Event] = {}

    @property
    def project(self) -> Path | None:
        """The project that is open."""
        return None if self._lock is None else self._lock.folder

    @property
    def folder(self) -> Path | None:
        """Where results are, if there are any."""
        if self._temporary is not None and self._lock is None:
            return self._temporary.path
        return self.project

    def new_folder(self) -> Path:
        """Return a place for a result that does not exist yet.

        Raises
        ------
        PorescopeError
            If the folder in the plugin's settings cannot be written, or a project is being saved.
        """
        if self._held:
            raise PorescopeError("The project is being saved; run this once it is.")
        if self.folder is None:
            parent = results_folder()
            try:
                self._temporary = TemporaryFolder(parent)
            except OSError as error:
                raise PorescopeError(
                    f"Cannot write results to {parent}: {error.strerror}; choose another folder in "
                    "Preferences, Porescope."
                ) from error
            beside = self._temporary.path.parent
            self.start(lambda cancel: remove_abandoned(beside, cancel))
        assert self.folder is not None
        results = self.folder / RESULTS
        try:
            results.mkdir(exist_ok=True)
        except OSError as error:
            raise PorescopeError(f"Cannot write {results}: {error.strerror}.") from error
        self._numbers.append(next_number(results, self._numbers))
        return results / f"{self._numbers[-1]:03d}"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no result be made, while those that are there are copied."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def go_on_in(self, lock: ProjectLock | None, taken: Iterable[Taken]) -> None:
        """Make results in a project from now on, or in a temporary folder.

        Layers may still read what they show from the folder so far, which stays until the end.
        """
        if self._lock is not None:
            self._lock.release()
        self._lock = lock
        self.taken = list(taken)
        self._numbers = []

    def start(self, work: Callable[[Cancel], None]) -> threading.Event:
        """Run ``work(cancel)`` in a thread; setting the returned event cancels it."""
        cancel = threading.Event()

        def run() -> None:
            try:
                work(cancel.is_set)
            finally:
                self._running.pop(threading.current_thread(), None)

        thread = threading.Thread(target=run, daemon=True)
        self._running[thread] = cancel
        thread.start()
        return cancel

    def close(self) -> None:
        """Cancel what runs, save what is in a project, and remove what is not."""
        self.closing = True
        running = dict(self._running)
        for cancel in running.values():
            cancel.set()
        deadline = time.monotonic() + PATIENCE_S
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.finish()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._temporary is not None:
            self._temporary.remove()
            self._temporary = None


def hear(widget: QWidget, emitter: Any, callback: Callable[[Any], None]) -> None:
    """Call back on an event of napari as long as a widget lives."""
    connected = emitter.connect(callback)

    def let_go() -> None:
        # As the program ends, all is taken apart in any order.
        with suppress(AttributeError):
            emitter.disconnect(connected)

    widget.destroyed.connect(let_go)


def results_folder() -> Path | None:
    """Return the folder for results in the plugin's settings; None for the system's own."""
    from napari.settings import get_plugin_settings

    folder = get_plugin_settings("napari-porescope").results.folder.strip()
    return Path(folder).expanduser() if folder else None


def in_process(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Task:
    """Return a task that runs a function as a :class:`Job`; the arguments are the job's."""

    def task(report: Report, cancel: Cancel) -> Any:
        job = _begun(lambda: Job(function, *arguments, **keywords), cancel)
        while not job.ended:
            news = job.next_news(timeout_s=LISTENS_S)
            if news is not None:
                report(news.what, news.done, news.total)
            if cancel():
                job.cancel()
        return job.result()

    return task


def _begun(begin: Callable[[], Job], cancel: Cancel) -> Job:
    """Return a job once it has begun.

    Large arrays take seconds to reach its process. Who cancels meanwhile does not wait for that:
    the job is then cancelled as soon as it can be.
    """
    outcome: SimpleQueue[tuple[Job, PorescopeError | None]] = SimpleQueue()
    threading.Thread(target=lambda: outcome.put(_outcome(begin)), daemon=True).start()
    while True:
        try:
            job, error = outcome.get(timeout=LISTENS_S)
        except Empty:
            if cancel():
                threading.Thread(target=lambda: _cancel_late(outcome), daemon=True).start()
                raise Cancelled from None
            continue
        if error is not None:
            raise error
        return job


def _cancel_late(outcome: SimpleQueue[tuple[Job, PorescopeError | None]]) -> None:
    job, error = outcome.get()
    if error is None:
        job.cancel()


class Latest(QObject):
    """Work on the newest of many questions, such as a slider asks; those in between are skipped.

    Parameters
    ----------
    parent : QWidget
        Nothing is called any more once it is gone.
    session : Session
        Of the window.
    then : callable(result)
        Called in the window with what the work returned.
    otherwise : callable(PorescopeError)
        Called in the window where the work failed.
    """

    def __init__(
        self,
        parent: QWidget,
        session: Session,
        then: Callable[[Any], None],
        otherwise: Callable[[PorescopeError], None],
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._then, self._otherwise = then, otherwise
        self._lock = threading.Lock()
        self._next: Callable[[], Any] | None = None
        self._busy = False
        self._messages = _Messages()
        self._messages.ended.connect(self._end)

    def ask(self, work: Callable[[], Any]) -> None:
        """Do ``work()`` in a thread as soon as what it is busy with has ended."""
        with self._lock:
            self._next = work
            if not self._busy:
                self._busy = True
                self._session.start(self._answer)

    def _answer(self, cancel: Cancel) -> None:
        messages = self._messages  # outlives the window's widgets
        while True:
            with self._lock:
                work, self._next = self._next, None
                if work is None or cancel():
                    self._busy = False
                    return
            messages.ended.emit(*_outcome(work))

    def _end(self, result: Any, error: PorescopeError | None) -> None:
        if error is None:
            self._then(result)
        else:
            self._otherwise(error)


def _outcome(work: Callable[[], Any]) -> tuple[Any, PorescopeError | None]:
    """Return what the work returned, or why it failed."""
    try:
        return work(), None
    except PorescopeError as told:
        return None, told
    except MemoryError:
        return None, PorescopeError(
            "There is not enough memory; close other programs or crop first."
        )
    except Exception as unexpected:
        traceback.print_exc()
        kind = type(unexpected).__name__
        return None, PorescopeError(f"Porescope failed ({kind}: {unexpected}); report it.")


class _Messages(QObject):
    """What the thread tells the window; Qt carries it over."""

    reported = Signal(str, object, object)
    ended = Signal(object, object)


class Message(QLabel):
    """A line for what happened or went wrong; nothing where there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setVisible(False)

    def say(self, told: PorescopeError | str | None) -> None:
        """Show a sentence, an error in red, or nothing."""
        wrong = isinstance(told, PorescopeError) and not isinstance(told, Cancelled)
        self.setStyleSheet(f"color: {ERROR_COLOUR};" if wrong else "")
        self.setText(in_words(told) if isinstance(told, PorescopeError) else told or "")
        self.setVisible(told is not None)


class Runner(QWidget):
    """Run and Cancel buttons with a bar and a line for what went wrong.

    Parameters
    ----------
    session : Session
        Of the window.
    title : str
        On the button and in napari's activity dock.
    on_run : callable()
        Called by the button; starts the work with :meth:`start`, or raises PorescopeError.
    can_cancel : bool
        Whether there is a Cancel button.
    """

    ended = Signal()
    """There is something to read: the work has ended, or was refused."""

    def __init__(
        self, session: Session, title: str, on_run: Callable[[], None], can_cancel: bool = True
    ) -> None:
        super().__init__()
        self._session = session
        self._title = title
        self._on_run = on_run
        self._activity: Any = None
        self._stop: threading.Event | None = None
        self._refused = False
        self._updating = False
        self._showing: Iterator[None] | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._go_on)
        self._then: Then = lambda result: None
        self._otherwise: Callable[[PorescopeError], None] = lambda error: None
        self._messages = _Messages()
        self._messages.reported.connect(self._show_progress)
        self._messages.ended.connect(self._end)

        self.run_button = QPushButton(title)
        self.run_button.clicked.connect(self._run)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setEnabled(False)
        self.cancel_button.setVisible(can_cancel)
        self.cancel_button.clicked.connect(self._cancel)
        self.bar = QProgressBar()
        self.bar.setVisible(False)
        self.message = Message()

        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button)
        if can_cancel:
            buttons.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)

    @property
    def running(self) -> bool:
        """Whether there is work that has not ended, or is not shown yet."""
        return self._stop is not None or self._showing is not None

    def start(
        self,
        task: Task,
        then: Then,
        otherwise: Callable[[PorescopeError], None] = lambda error: None,
    ) -> None:
        """Do ``task(report, cancel)`` in a thread, and then ``then(result)`` in the window.

        Where that yields, the window goes on before the rest is done.
        Where the task fails, the sentence is shown and ``otherwise(error)`` is called.
        """
        messages = self._messages  # outlives this widget, should the window close meanwhile

        def work(cancel: Cancel) -> None:
            messages.ended.emit(*_outcome(lambda: task(messages.reported.emit, cancel)))

        self._then, self._otherwise = then, otherwise
        self.say(None)
        self.run_button.setEnabled(False)
        self.cancel_button.setEnabled(True)
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.bar.setVisible(True)
        self._activity = progress(total=0, desc=self._title)
        self._stop = self._session.start(work)

    def say(self, told: PorescopeError | str | None) -> None:
        """Show a sentence, an error in red, or nothing."""
        self._refused = False
        self.message.say(told)

    def refuse(self, error: PorescopeError) -> None:
        """Say why nothing is begun, until :meth:`forget_refusal`."""
        self.say(error)
        self._refused = True
        self.ended.emit()

    def forget_refusal(self) -> None:
        """Say no more why nothing was begun, as what it was about has changed."""
        if self._refused:
            self.say(None)

    def _run(self) -> None:
        try:
            self._on_run()
        except PorescopeError as error:
            self.refuse(error)

    def _cancel(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self.cancel_button.setEnabled(False)
            self.say("Cancelling…")

    def _show_progress(self, what: str, done: int, total: int) -> None:
        self._show_bar(what, done, total)
        if self._updating:  # napari lets the window go on in there, and more may be told meanwhile
            return
        self._updating = True
        try:
            self._activity.set_description(what)
            self._activity.total = total
            self._activity.update(done - self._activity.n)
        finally:
            self._updating = False

    def _show_bar(self, what: str, done: int, total: int) -> None:
        """Say what is done; a percentage only as long as there is one to come."""
        self.bar.setRange(0, BAR_STEPS)
        if total:
            self.bar.setValue(BAR_STEPS * done // total)
        told = f"{what} {100 * done // total}%" if done < total else f"{what}…"
        room_px = self.bar.width() - 2 * self.bar.fontMetrics().averageCharWidth()
        short = self.bar.fontMetrics().elidedText(told, Qt.TextElideMode.ElideMiddle, room_px)
        self.bar.setFormat(short)
        self.bar.setToolTip(told)

    def _end(self, result: Any, error: PorescopeError | None) -> None:
        self._stop = None
        self.say(None)
        self._activity.close()
        self._rest()
        try:
            if error is not None:
                raise error
            self._showing = self._then(result)
        except PorescopeError as told:
            self.say(told)
            self._otherwise(told)
        if self._showing is None:
            self.ended.emit()
        else:
            self._show_bar("Showing", 0, 0)
            self.bar.setVisible(True)
            self.run_button.setEnabled(False)
            self._turn.start(0)

    def _go_on(self) -> None:
        """Show some more of the result."""
        if self._showing is None:
            return
        try:
            next(self._showing)
            self._turn.start(0)
            return
        except StopIteration:
            pass
        except PorescopeError as told:
            self.say(told)
        self._showing = None
        self._rest()
        self.ended.emit()

    def _rest(self) -> None:
        self.bar.setVisible(False)
        self.cancel_button.setEnabled(False)
        self.run_button.setEnabled(True)
