"""A process is alive by pid and start time."""

import os
import signal
import subprocess
import sys

from conftest import wait_for

from training.runs.process import is_alive, process_identity


def test_a_process_is_alive_by_pid_and_start_time():
    me = process_identity()
    assert is_alive(me) and me["pid"] == os.getpid()
    assert is_alive({**me, "started": me["started"] + 1.0}), (
        "the system's clock may be set right by a second"
    )
    assert not is_alive({**me, "started": me["started"] - 60}), (
        "this pid was another process's before"
    )
    assert not is_alive(None) and not is_alive({})


def test_a_zombie_and_an_ended_process_are_not_alive():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    identity = process_identity(child.pid)
    assert is_alive(identity)
    child.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(identity))
    assert child.returncode is None, "a zombie until it is waited for"
    child.wait()
    assert not is_alive(identity)


def test_a_frozen_process_is_alive():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.send_signal(signal.SIGSTOP)
    assert is_alive(process_identity(child.pid))
    child.kill()
    child.wait()
