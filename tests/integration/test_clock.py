"""Clocks that jump, machines that sleep and reboot: no lease ends before its time, none is extended, and none is late.

A test build reads what is to be added to its clocks from a file (base/wclock.c), since nobody may set a container's clock.
"""

import pathlib
import struct
import tempfile
import time

import pytest

from daemon import Leased, poll
from job import Job

DAY_S = 24 * 3600
LATE_S = 2
SLACK_S = 2  # of this machine, which runs other tests beside this one


class Clock:
    """The shifts of a daemon's clocks against the machine's."""

    def __init__(self):
        self._file = tempfile.NamedTemporaryFile(prefix="leased-clock-", dir="/tmp")
        self.path = self._file.name
        self.wall_s = self.boot_s = self.boot = 0
        self._write()

    def _write(self):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=qqq", int(self.wall_s * 1e6), int(self.boot_s * 1e6), self.boot))

    def jump(self, seconds):
        """Somebody sets the wall clock."""
        self.wall_s += seconds
        self._write()

    def sleep(self, seconds):
        """The machine sleeps: both clocks go on, and nothing else does."""
        self.wall_s += seconds
        self.boot_s += seconds
        self._write()

    def reboot(self, off_s):
        """Another boot, a minute ago; the machine was off for so long. The daemon must not run."""
        self.boot += 1
        self.boot_s = 60 - time.clock_gettime(time.CLOCK_BOOTTIME)
        self.wall_s += off_s
        self._write()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def job(server, clock):
    leased = Leased(env={"LEASED_TEST_CLOCK": clock.path})
    with Job(server, leased=leased) as one:
        one.set_up()
        for ttl in (16, 300, 3600):
            assert one.role(f"s{ttl}", default_ttl=f"{ttl}s", verify_role=False).status == 204
        yield one


def may_log_in(job, credential):
    return job.server.value("SELECT count(*) FROM pg_roles WHERE rolname = %s AND rolcanlogin", credential.user) == 1


def ends_at(job, credential, due):
    """Its access ends at that moment of the machine's clock: not before, and not much after."""
    while may_log_in(job, credential):
        assert time.monotonic() < due + LATE_S + SLACK_S, "a lease has not ended in its time"
        time.sleep(0.05)
    assert time.monotonic() > due - 0.1, f"ended {due - time.monotonic():.1f} s before its time"


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S, 5, -5])
def test_a_wall_clock_that_is_set_moves_no_lease_while_it_runs_nor_across_a_restart(job, clock, seconds):
    started = time.monotonic()
    first = job.mint("s16")
    clock.jump(seconds)
    time.sleep(3)
    assert may_log_in(job, first)
    ttl = job.lookup(first).data["ttl"]
    assert 16 - (time.monotonic() - started) - 1 <= ttl <= 16, ttl
    job.leased.stop()
    clock.jump(seconds)
    job.leased.start()
    ends_at(job, first, started + 16)


def test_a_machine_that_sleeps_ten_minutes_ends_what_is_over_when_it_wakes(job, clock):
    over, kept = job.mint("s300"), job.mint("s3600")
    clock.sleep(600)
    poll(lambda: not may_log_in(job, over), LATE_S + SLACK_S, what="the end of a lease that was over in the sleep")
    assert may_log_in(job, kept)
    assert 2990 - 20 <= job.lookup(kept).data["ttl"] <= 3000


def test_a_reboot_counts_the_time_that_the_machine_was_off(job, clock):
    over, kept = job.mint("s300"), job.mint("s3600")
    job.leased.stop()
    clock.reboot(600)
    job.leased.start()
    poll(lambda: not may_log_in(job, over), LATE_S + SLACK_S, what="the end of a lease that was over when it was off")
    assert may_log_in(job, kept)
    assert 2990 - 60 <= job.lookup(kept).data["ttl"] <= 3000


@pytest.mark.parametrize("seconds", [-DAY_S, -5])
def test_a_reboot_with_a_clock_that_was_set_back_extends_nothing(job, clock, seconds):
    credential = job.mint("s16")
    time.sleep(4)
    job.leased.stop()
    stopped = time.monotonic()
    clock.reboot(seconds)
    job.leased.start()
    assert job.lookup(credential).data["ttl"] <= 13
    # Nobody knows how long the machine was off: time goes on from where it was stopped.
    poll(lambda: not may_log_in(job, credential), 30, what="the end of the lease")
    assert time.monotonic() - stopped < 13 + 5 + LATE_S + SLACK_S
