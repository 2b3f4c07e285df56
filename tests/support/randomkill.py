"""
One run of the random mode: clients at work, and SIGKILL for the daemon or a worker at a system call that a seed chose.

strace counts the calls of each thread and sends the signal as the n-th one begins; what it wrote says which call that was. A
number that is not reached within the time that the seed gives the run is made up for by kill -9 at that moment.
"""

import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

from crashsite import attempt
from daemon import poll
from faults import send
from job import Credential

CLIENTS = 4
# What ends a durable write, what talks to clients and workers, what hands over between threads: and any at all.
CALLS = ["all", "all", "all", "pwrite64", "fdatasync,fsync", "sendmsg,sendto,write,writev", "recvfrom,recvmsg,read",
         "futex", "epoll_wait,poll", "pread64,lseek,fcntl,ftruncate", "accept4,close,shutdown,getsockopt"]
WORKER_CALLS = ["all", "all", "sendto,write", "recvfrom,read", "poll"]


def client(site, rng, stop):
    """Mints, and renews or revokes some of what it got, until told to stop."""
    leased = site.leased
    while not stop.is_set():
        token = None
        if rng.random() < 0.1:
            made = attempt(lambda: leased.post("auth/token/create", {"policies": ["root"], "ttl": "1h"}))
            token = made.auth["client_token"] if made is not None and made.status == 200 else None
        role = rng.choice(("app", "app", "app", "brief", "broken"))
        response = attempt(lambda: leased.get(f"database/creds/{role}", token=token))
        if response is None:
            time.sleep(0.01)
            continue
        if response.status == 200:
            go_on(site, rng.random(), Credential(response), token)


def go_on(site, what, credential, token):
    if token is not None:
        attempt(lambda: site.leased.post("auth/token/revoke-self", token=token))
    elif what < 0.4:
        attempt(lambda: site.revoke(credential))
    elif what < 0.6 and "/app/" in credential.lease_id:
        attempt(lambda: site.renew(credential, 7200))
    elif what < 0.63:
        attempt(lambda: site.leased.put("sys/leases/revoke-prefix/database/creds/app", {"sync": True}))
    elif what < 0.66:
        attempt(lambda: site.leased.put("sys/leases/revoke-prefix/database/creds/app", {"sync": False}))
    elif what < 0.7:
        attempt(lambda: site.role("other"))


class Run:
    """Everything that is chance comes from seed and number."""

    def __init__(self, site, seed, number):
        self.site, self.seed, self.number = site, seed, number
        self.rng = random.Random(f"{seed} {number}")
        self.of_worker = self.rng.random() < 0.3
        self.calls = self.rng.choice(WORKER_CALLS if self.of_worker else CALLS)
        self.nth = int(10 ** self.rng.uniform(0, 1.2 if self.of_worker else 1.7))
        self.after_s = self.rng.uniform(0.1, 2)
        self.reached, self.where = False, None

    def __str__(self):
        return (f"LEASED_TEST_SEED={self.seed} run {self.number}: SIGKILL of {'a worker' if self.of_worker else 'the daemon'} "
                f"at call {self.nth} of {self.calls}")

    @contextlib.contextmanager
    def tracing(self, pid):
        with tempfile.TemporaryDirectory(prefix="leased-strace-", dir="/tmp") as name:
            calls, complaints = pathlib.Path(name) / "calls", pathlib.Path(name) / "complaints"
            command = ["strace", "-f", "-qq", "-o", str(calls), "-e", f"trace={self.calls}", "-e", "signal=none",
                       "-e", f"inject={self.calls}:signal=KILL:when={self.nth}", "-p", str(pid)]
            # A file, and a group of its own: at its start strace forks, and what it forks may outlive it.
            with open(complaints, "wb") as stderr, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr,
                                                                    start_new_session=True) as strace:
                try:
                    yield strace
                finally:
                    self.end(strace)
            complaint = complaints.read_text(errors="replace")
            text = calls.read_text(errors="replace") if calls.exists() else ""
        # A thread or worker that ended as strace came; test_random.py asks that this is not always so.
        vanished = "No such process" in complaint or "not permitted" in complaint
        if strace.returncode not in (0, -signal.SIGTERM, -signal.SIGKILL) and not vanished:
            raise RuntimeError(f"strace ended with status {strace.returncode}: {complaint}")
        if self.reached and not vanished:
            self.where = self.last_call(text)

    @staticmethod
    def end(strace):
        """It may wait for ever for a thread that is gone, and its end lets the process that it traces go."""
        with contextlib.suppress(ProcessLookupError):
            strace.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            strace.wait(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(strace.pid, signal.SIGKILL)
        strace.wait()

    @staticmethod
    def last_call(text):
        """The last one that began and did not end: nearly always the one that the signal was for."""
        found = re.findall(r"^\d+ +(\w+)\(.*(?:<unfinished \.\.\.>|= \?)", text, re.M)
        return found[-1] if found else "unknown"

    def victim(self):
        if not self.of_worker:
            return self.site.leased.pid
        workers = self.site.workers()
        return self.rng.choice(sorted(workers)) if workers else self.site.leased.pid

    def strike(self):
        pid = self.victim()
        with self.tracing(pid) as strace:
            deadline = time.monotonic() + self.after_s
            while time.monotonic() < deadline and strace.poll() is None:
                time.sleep(0.01)
            self.reached = strace.poll() is not None
            send([pid], signal.SIGKILL)
        if pid == self.site.leased.pid:
            assert self.site.leased.wait_exit(10) == -signal.SIGKILL, "the daemon ended by itself"
        else:
            time.sleep(self.rng.uniform(0, 0.3))
            assert self.site.alive(), "a worker's death must not be the daemon's"

    def go(self):
        site, stop = self.site, threading.Event()
        site.label = str(self)
        site.ready()
        clients = [threading.Thread(target=client, args=(site, random.Random(self.rng.random()), stop))
                   for _ in range(CLIENTS)]
        with site.watching():
            for one in clients:
                one.start()
            try:
                self.strike()
            finally:
                stop.set()
                for one in clients:
                    one.join()
            if not site.alive():
                site.leased.start()
            site.history.disturb()
            site.label += f" ({self.where or 'by the clock'})"
            site.check(list(site.history.given().values()))
            poll(lambda: all("/brief/" not in lease["id"] for lease in site.leases()), 10, what="the end of the brief")
        site.check_again()
        site.clean()
