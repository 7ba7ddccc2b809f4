import os
import signal
import subprocess
import sys
import time

import pytest

from porescope.errors import Cancelled, PorescopeError
from porescope.pipeline.jobs import Job
from porescope.tracking import track


def count(to, report, cancel):
    total = 0
    for number in track(range(to), lambda done, all_: report("counting", done, all_), cancel):
        total += number
    return total


def count_slowly(folder, report, cancel):
    try:
        for _ in track(range(1000), lambda done, all_: report("counting", done, all_), cancel):
            time.sleep(0.01)
    finally:
        (folder / "stopped").touch()


def deaf(folder, report, cancel):
    (folder / "begun").mkdir()
    report("sleeping", 0, 1)
    time.sleep(60)


def refuse(report, cancel):
    raise PorescopeError("The cheese is missing; buy some.")


def crash(report, cancel):
    raise ZeroDivisionError("by zero")


def die(report, cancel):
    os._exit(9)


def test_progress_and_result_come_back():
    job = Job(count, 5)
    news = list(job.news())
    assert job.result() == 10
    assert (news[0].what, news[0].done, news[-1].done, news[-1].total) == ("counting", 0, 5, 5)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back")
def test_ctrl_c_does_not_reach_a_job_that_just_starts(capfd):
    job = Job(count, 5)
    os.kill(job._process.pid, signal.SIGINT)
    assert job.result() == 10
    assert not capfd.readouterr().err
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_job_that_listens_is_cancelled_and_finishes_its_clean_up(tmp_path):
    job = Job(count_slowly, tmp_path)
    next(job.news())
    job.cancel()
    with pytest.raises(Cancelled):
        job.result()
    assert (tmp_path / "stopped").exists()


def test_a_job_that_does_not_listen_is_killed_and_what_it_left_removed(tmp_path):
    job = Job(deaf, tmp_path, leftovers=(tmp_path / "begun",))
    next(job.news())
    job.cancel()
    with pytest.raises(Cancelled):
        job.result()
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize(
    ("function", "says"),
    [(refuse, "cheese is missing"), (crash, "ZeroDivisionError: by zero"), (die, "unexpectedly")],
)
def test_failures_are_sentences(function, says):
    with pytest.raises(PorescopeError, match=says):
        Job(function).result()


UNGUARDED = """
import sys
from porescope.errors import PorescopeError
from porescope.pipeline.jobs import Job
try:
    Job(len, []).result()
except PorescopeError as error:
    print(error)
    sys.exit(1)
"""


@pytest.mark.parametrize("from_file", [True, False])
def test_a_script_that_is_not_guarded_is_told_so(tmp_path, from_file):
    (tmp_path / "script.py").write_text(UNGUARDED)
    words = [sys.executable, *(["script.py"] if from_file else [])]
    ended = subprocess.run(
        words, cwd=tmp_path, input=UNGUARDED, capture_output=True, text=True, timeout=60
    )
    said = ended.stdout.splitlines()
    assert len(said) == 1 + from_file  # the process of its own says it too
    assert all('under if __name__ == "__main__":' in each for each in said)


def test_cancelling_what_has_ended_changes_nothing():
    job = Job(count, 3)
    assert job.result() == 3
    job.cancel()
    assert job.result() == 3
