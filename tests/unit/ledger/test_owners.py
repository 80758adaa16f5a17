"""Who runs a job, and whether that owner is alive."""

import os
import socket
import subprocess
import sys

import pytest

from transforms.ledger.owners import Owner


def ended():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


@pytest.mark.parametrize(
    ("owner", "is_dead"),
    [
        pytest.param(lambda: Owner(), False, id="this process"),
        pytest.param(lambda: Owner(pid=1), False, id="a process of another user or the system"),
        pytest.param(lambda: Owner(pid=ended()), True, id="a process that has ended"),
        pytest.param(lambda: Owner("another-host", ended()), False, id="a process of another host"),
    ],
)
def test_only_a_process_of_this_host_is_known_to_be_dead(owner, is_dead):
    assert owner().is_dead_here is is_dead


def test_a_process_that_was_killed_and_that_its_parent_has_not_asked_about_yet_is_dead():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not Owner(pid=process.pid).is_dead_here
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert Owner(pid=process.pid).is_dead_here


def test_an_owner_is_this_process_unless_told_otherwise():
    assert Owner() == Owner(socket.gethostname(), os.getpid())
