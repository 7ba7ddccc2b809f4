"""Work behind the window: jobs that are cancelled while they begin, results shown in turns."""

import inspect
import os
import sys
import threading

import pytest

from porescope.errors import Cancelled, PorescopeError

pytest.importorskip("napari", reason="napari is not installed")
if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("windows need a display; try xvfb-run", allow_module_level=True)
from qtpy.QtCore import QTimer

from porescope.viewer import work
from porescope.viewer.work import Runner, in_process

PATIENCE_S = 60


@pytest.fixture
def runner(qtbot, session):
    runner = Runner(session, "Run", lambda: None)
    qtbot.addWidget(runner)
    return runner


def wait(qtbot, runner):
    qtbot.wait_until(lambda: not runner.running, timeout=1000 * PATIENCE_S)


def test_who_cancels_does_not_wait_for_a_job_to_begin(monkeypatch):
    begun, cancelled = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, function):
            begun.wait(PATIENCE_S)

        def cancel(self):
            cancelled.set()

    monkeypatch.setattr(work, "Job", Slow)
    with pytest.raises(Cancelled):
        in_process(print)(lambda *news: None, lambda: True)
    assert not cancelled.is_set()
    begun.set()
    assert cancelled.wait(PATIENCE_S), "it does not run on unseen"


def test_a_job_that_cannot_begin_says_so(monkeypatch):
    def refuse(function):
        raise PorescopeError("The oven is cold.")

    monkeypatch.setattr(work, "Job", refuse)
    with pytest.raises(PorescopeError, match="oven"):
        in_process(print)(lambda *news: None, lambda: False)


@pytest.mark.parametrize("burnt", [False, True])
def test_the_window_goes_on_while_a_result_is_shown(qtbot, runner, burnt):
    seen = []

    def then(result):
        for loaf in result:
            QTimer.singleShot(0, lambda loaf=loaf: seen.append((loaf, runner.running)))
            yield
            assert seen[-1] == (loaf, True)
            assert runner.bar.format() == "Showing…"
            assert not runner.run_button.isEnabled()
        if burnt:
            raise PorescopeError("The bread is burnt.")
        runner.say("Done.")

    ended = []
    runner.ended.connect(lambda: ended.append(len(seen)))
    runner.start(lambda report, cancel: "ab", then)
    wait(qtbot, runner)
    assert [loaf for loaf, _ in seen] == ["a", "b"]
    assert runner.message.text() == ("The bread is burnt." if burnt else "Done.")
    assert runner.run_button.isEnabled()
    assert runner.bar.isHidden()
    assert ended == [2]


def test_there_is_no_percentage_where_none_is_known(qtbot, runner):
    told = []

    def task(report, cancel):
        for news in (("align", 1, 4), ("align", 4, 4), ("Opening the result", 0, 0)):
            report(*news)

    show = runner._show_bar
    runner._show_bar = lambda *news: (show(*news), told.append(runner.bar.text()))
    runner.start(task, lambda result: None)
    wait(qtbot, runner)
    assert told == ["align 25%", "align…", "Opening the result…"]


def test_much_news_at_once_does_not_pile_up(qtbot, runner, make_napari_viewer, monkeypatch):
    make_napari_viewer()
    depths = []

    def task(report, cancel):
        for done in range(300):
            report("counting", done, 300)

    show_bar = Runner._show_bar

    def show(self, *news):
        depths.append(len(inspect.stack(0)))
        show_bar(self, *news)

    monkeypatch.setattr(Runner, "_show_bar", show)
    runner.start(task, lambda result: None)
    wait(qtbot, runner)
    assert len(depths) == 300
    assert max(depths) - min(depths) < 50
