"""
What the crash matrix does to leased while an operation is at a failpoint, one fault each.

The process that passes the point sleeps there; meanwhile the fault is done from outside, to the daemon, to the workers of
its pool, or to the client. At a point of its own a process may also kill itself, at the very instruction.
"""

import contextlib
import os
import signal
import threading
import time

HOLD_MS = 800
STOP_S = 5
REACHED_S = 10


class Fault:
    """The base: nothing happens. One object for each case."""

    name = "nothing"
    action = f"sleep:{HOLD_MS}"
    kills_daemon = False

    def __init__(self, site, point):
        self.site, self.point = site, point
        self.struck = False
        self.thread = threading.Thread(target=self.wait, daemon=True)
        self.given_up = threading.Event()

    def start(self):
        self.thread.start()

    def finish(self):
        """After the operation: waits until all is done."""
        self.given_up.set()
        self.thread.join()
        self.site.history.disturb()

    def wait(self):
        while not self.site.acted(self.point):
            if self.given_up.wait(0.004) and not self.site.acted(self.point):
                return
        self.strike()

    def strike(self):
        self.struck = True


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class DaemonKillsItself(Fault):
    """At a point of the daemon's; nth: at that pass of it."""

    name = "daemon"
    kills_daemon = True

    def __init__(self, site, point, nth=1):
        super().__init__(site, point)
        self.action = f"kill@{nth}"


class WorkerKillsItself(DaemonKillsItself):
    name = "worker"
    kills_daemon = False


class DaemonDies(Fault):
    """At a point of a worker's: the call is still there when the next daemon starts."""

    name = "daemon in call"
    action = "sleep:3000"
    kills_daemon = True

    def strike(self):
        super().strike()
        self.site.leased.process.kill()


class WorkersDie(Fault):
    """At a point of the daemon's."""

    name = "all workers"

    def strike(self):
        super().strike()
        send(self.site.workers(), signal.SIGKILL)


class DaemonStops(Fault):
    name = "daemon stops"

    def pids(self):
        return [self.site.leased.pid]

    def strike(self):
        super().strike()
        stopped = self.pids()
        send(stopped, signal.SIGSTOP)
        time.sleep(STOP_S)
        send(stopped, signal.SIGCONT)


class WorkersStop(DaemonStops):
    name = "all workers stop"

    def pids(self):
        return self.site.workers()


class ReplyLost(Fault):
    """Whoever waits for an answer hangs up; waiting: how many did."""

    name = "reply lost"
    waiting = 0

    def strike(self):
        super().strike()
        self.waiting = self.site.history.hang_up()


def faults_at(point, passes):
    """Every fault that there is at a point which is passed so often: (class, further arguments)."""
    worker = point.startswith("worker_")
    for nth in range(1, passes + 1):
        yield (WorkerKillsItself if worker else DaemonKillsItself), (nth,)
    yield (DaemonDies if worker else WorkersDie), ()
    for fault in (DaemonStops, WorkersStop, ReplyLost):
        yield fault, ()
