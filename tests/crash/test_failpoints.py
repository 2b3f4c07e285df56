"""
kill -9 at every failpoint that an operation passes: of the daemon, of a worker, and of the daemon while a worker is there.

Which points an operation passes is found by doing it once unharmed; every such pair is then a case. After each: accounts
with our tag == live leases, at most 30 s after the restart; every 2xx that a client saw has a lease or was ended; nothing
past its end; no session of a dead run; and one more start changes nothing (tests/support/crashsite.py).
"""

import concurrent.futures
import contextlib
import os
import subprocess
import threading
import time
import traceback

import pytest

import operations
from crashsite import Site
from daemon import BUILD, Leased, poll

ALL = bool(os.environ.get("LEASED_TEST_ALL"))
# Most of a case is waiting: for a start, for a time to live, for a login.
JOBS = int(os.environ.get("LEASED_TEST_JOBS", "10"))
PASSES = 6 if ALL else 2
REACHED_S = 10
COMMITS = (operations.Mint, operations.Renew, operations.Revoke)

OPERATIONS = [operations.Mint, operations.MintFails, operations.MintUnanswered, operations.Renew, operations.Revoke,
              operations.RevokeOwner, operations.Expire, operations.Bulk, operations.TokenDeath,
              operations.TokenExpiry, operations.RoleWrite, operations.ConfigWrite, operations.PolicyWrite,
              operations.FirstSight, operations.Recover]

# What only the first start of a store passes: test_a_first_start_that_is_killed_is_made_up_for().
FIRST_START = ["seal_root_file_write", "store_open_migrate", "store_open_birth", "store_reserve_make", "auth_setup",
               "lease_recover_before"]
NOT_OF_AN_OPERATION = {
    "base_test_first": "for the unit test of failpoints",
    "base_test_second": "for the unit test of failpoints",
    "lease_anchor_before": "every 30 s: a test of its own, below",
    "lease_anchor_after": "every 30 s: a test of its own, below",
    "lease_recount_before": "a minute after the start: tests/unit/lease has a clock of its own",
    "lease_recount_after": "the same",
    "lease_look_before": "10 minutes after the end of a lease: tests/unit/lease has a clock of its own",
}
# Points of the timer, and of one worker more: only some operations need them, in others they come by chance.
BY_CHANCE = {
    "lease_anchor_before": [], "lease_anchor_after": [],
    "lease_expire_before_disarm": [operations.Expire, operations.TokenExpiry, operations.Recover],
}
BY_CHANCE |= {name: [operations.ConfigWrite, operations.Recover] for name in (
    "lease_session_before_record", "lease_session_after_record", "worker_open_begin", "worker_open_end",
    "worker_session_begin", "worker_session_acked")}


class Case:
    def __init__(self, operation, point, how, action):
        self.operation, self.point, self.how, self.action = operation, point, how, action

    def __str__(self):
        return f"{self.operation.__name__} {self.point} {self.how} {self.action}"

    def act(self, site, operation):
        """The operation, and what is done to it; the site is up again when this is back."""
        watcher = threading.Thread(target=self.kill_daemon, args=(site,), daemon=True)
        if self.how == "daemon in call":
            watcher.start()
        try:
            operation.act()
        except AssertionError:
            if not site.acted(self.point):
                raise
        if not self.reached(site):
            return
        if self.how == "daemon in call":
            watcher.join()
        if self.how in ("daemon", "daemon in call"):
            assert site.leased.wait_exit(10) == -9
            operation.killed = True
            site.leased.start()
        assert site.alive(), "a worker's death must not be the daemon's"

    def reached(self, site):
        """The first pass must come; how many more there are is not always the same."""
        first = not self.action.startswith("kill@") or self.action == "kill@1"
        try:
            poll(lambda: site.acted(self.point), REACHED_S if first else 1, what=f"the pass of {self.point}")
        except AssertionError:
            if first:
                raise
            try:
                (site.marks / f"{self.point}.armed").unlink()
                return False
            except FileNotFoundError:
                poll(lambda: site.acted(self.point), REACHED_S, what=f"the pass of {self.point}")
        return True

    def kill_daemon(self, site):
        deadline = time.monotonic() + REACHED_S + operations.WAIT_S
        while not site.acted(self.point) and time.monotonic() < deadline:
            time.sleep(0.005)
        site.leased.process.kill()

    def run(self, site):
        site.label = str(self)
        operation = self.operation(site)
        if not operation.mints_first:
            assert site.revoke(site.ready()).status == 204
        operation.prepare()
        site.forget_marks()
        site.arm(self.point, self.action)
        self.act(site, operation)
        site.check(operation.credentials)
        operation.check()
        site.check_again()
        operation.check()
        site.clean()


def names():
    return subprocess.run([BUILD / "bin" / "leased", "--failpoints"], check=True, capture_output=True,
                          text=True).stdout.split()


def cases_of(operation, passes):
    for point, count in sorted(passes.items()):
        if operation not in BY_CHANCE.get(point, [operation]):
            continue
        worker = point.startswith("worker_")
        for nth in range(1, min(count, PASSES) + 1):
            # Every operation commits more than once; elsewhere one kill at a place shows what a second would.
            if nth > 1 and not (ALL or (point.startswith("store_commit_") and operation in COMMITS)):
                continue
            yield Case(operation, point, "worker" if worker else "daemon", f"kill@{nth}")
        if worker:
            yield Case(operation, point, "daemon in call", "sleep:3000")
            if ALL:
                yield Case(operation, point, "worker hangs", "stop:1500")
        elif ALL:
            yield Case(operation, point, "daemon hangs", "stop:1500")


class Matrix:
    """All operations, then all cases, in parallel: each thread has a daemon of its own that lives through many of them."""

    def __init__(self, server):
        self.server = server
        self.lock = threading.Lock()
        self.sites = {}
        self.cases, self.reached, self.failures, self.cost_s = [], set(), {}, {}

    def site(self):
        """This thread's."""
        thread = threading.get_ident()
        if thread not in self.sites:
            self.sites[thread] = Site(self.server)
        return self.sites[thread]

    def drop_site(self):
        site = self.sites.pop(threading.get_ident(), None)
        if site is not None:
            site.close()

    def find(self, operation):
        started = time.monotonic()
        first, second = self.trace(operation), self.trace(operation)
        self.cost_s[operation] = time.monotonic() - started
        return cases_of(operation, {point: min(first[point], second[point]) for point in first.keys() & second.keys()})

    def trace(self, operation):
        """What one pass of the operation passes; once more, since some points come by chance."""
        site = self.site()
        site.label = f"{operation.__name__} unharmed"
        one = operation(site)
        if not one.mints_first:
            assert site.revoke(site.ready()).status == 204
        one.prepare()
        site.forget_marks()
        one.act()
        site.check(one.credentials)
        one.check()
        passes = site.passes()
        site.clean()
        return passes

    def run_case(self, case):
        try:
            case.run(self.site())
            self.reached.add(case.point)
        except Exception:  # noqa: BLE001: whatever it is, it belongs to this case
            site = self.sites.get(threading.get_ident())
            output = site.leased.output()[-2500:] if site is not None else ""
            with self.lock:
                self.failures.setdefault(case.operation, []).append(f"{case}\n{traceback.format_exc()}{output}")
            self.drop_site()

    def run(self):
        with contextlib.ExitStack() as ends, concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            ends.callback(self.close)
            for cases in pool.map(self.find, OPERATIONS):
                self.cases += cases
            # The long ones first, or a few of them would be waited for at the end.
            self.cases.sort(key=lambda case: -self.cost_s[case.operation])
            list(pool.map(self.run_case, self.cases))
        return self

    def close(self):
        with contextlib.ExitStack() as ends:
            for site in self.sites.values():
                ends.callback(site.close)


@pytest.fixture(scope="session")
def matrix(server):
    return Matrix(server).run()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_nothing_is_left_and_nothing_is_lost_by_a_kill_in_the_middle_of(matrix, operation):
    count = sum(case.operation is operation for case in matrix.cases)
    assert count >= 3, f"{operation.__name__} passes no failpoints"
    failures = matrix.failures.get(operation, [])
    assert not failures, f"{len(failures)} of {count} cases:\n" + "\n\n".join(failures)


@pytest.mark.parametrize("point", FIRST_START)
def test_a_first_start_that_is_killed_is_made_up_for(point):
    leased = Leased(start=False)
    try:
        leased.start(failpoint=f"{point}=kill", wait=False)
        assert leased.wait_exit(20) == -9, f"{point} was not reached"
        leased.start()
        made = leased.post("auth/token/create", {"policies": ["default"]})
        assert made.status == 200, made
        leased.kill()
        leased.start()
        assert leased.get("auth/token/lookup-self", token=made.auth["client_token"]).status == 200
    finally:
        leased.close()


@pytest.mark.parametrize("point", ["lease_anchor_before", "lease_anchor_after"])
def test_a_kill_where_lease_time_is_written_loses_nothing(server, point):
    with Site(server) as site:
        site.label = f"{point} daemon kill"
        credential = site.mint()
        site.leased.kill()
        site.arm(point)
        site.leased.start(wait=False)
        assert site.leased.wait_exit(20) == -9
        site.leased.start()
        site.check([credential])
        assert site.accounts() == [credential.user]


def test_every_failpoint_was_reached_or_has_a_reason_not_to_be(matrix):
    reasons = set(NOT_OF_AN_OPERATION) | set(FIRST_START)
    missing = set(names()) - matrix.reached - reasons
    assert not missing, f"no operation of the matrix passes {sorted(missing)}"
