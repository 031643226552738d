"""A process is alive by its pid, the boot and its start, whatever the clock says."""

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from conftest import wait_for

from training.runs import process
from training.runs.process import is_alive, process_identity


def test_a_process_is_alive_by_pid_boot_and_start():
    me = process_identity()
    assert is_alive(me) and me["pid"] == os.getpid()
    assert not is_alive(None) and not is_alive({})


@pytest.mark.skipif(not process.PROC.exists(), reason="this system has no /proc")
@pytest.mark.parametrize("step", [-3600.0, -3.0, 3.0, 86_400.0])
def test_a_clock_that_is_set_changes_nothing(monkeypatch, step):
    """By it a live run was "lost", and a second job started beside the first."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    identity = process_identity(child.pid)
    told = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: told(self) + step)
    assert is_alive(identity)
    child.kill()
    child.wait()
    assert not is_alive(identity)


@pytest.mark.skipif(not process.PROC.exists(), reason="this system has no /proc")
def test_a_pid_that_was_given_out_again_or_before_the_machine_was_restarted_is_another_process():
    me = process_identity()
    assert not is_alive({**me, "ticks": me["ticks"] + 1})
    assert not is_alive({**me, "boot": "another"})


def test_what_an_earlier_version_wrote_goes_by_the_time_that_it_wrote():
    me = process_identity()
    old = {"pid": me["pid"], "started": me["started"]}
    assert is_alive({**old, "started": me["started"] + 1.0}), "the clock may be set by a second"
    assert not is_alive({**old, "started": me["started"] - 60}), "this pid was another process's"


@pytest.mark.skipif(not process.PROC.exists(), reason="this system has no /proc")
def test_a_program_of_any_name_is_read(tmp_path):
    name = tmp_path / "a) b (c 1 2"
    name.symlink_to(shutil.which("sleep"))
    child = subprocess.Popen([name, "60"])
    assert is_alive(process_identity(child.pid))
    child.kill()
    child.wait()


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
