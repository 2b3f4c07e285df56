"""
Every failpoint that an operation passes, times every fault (tests/support/faults.py): SIGKILL of the daemon and of workers,
5 s of SIGSTOP of either, and a client that hangs up.

Which points an operation passes is found by doing it twice unharmed; every such pair with every fault is then a case. After
each: accounts with our tag == live leases, at most 30 s after the restart; every 2xx that a client saw has a lease or was
ended; nothing past its end, nothing before it, nothing that was gone comes back; no session of a dead run; and one more start
changes nothing (tests/support/crashsite.py, history.py).

LEASED_TEST_ALL: all of them; else a part: each point once and CASES in all, by LEASED_TEST_SEED (today's date). LEASED_TEST_CASE:
only cases whose name has these words in it ("Mint lease_issue_before_live"), as a failure prints it.
"""

import concurrent.futures
import contextlib
import datetime
import hashlib
import os
import subprocess
import threading
import time
import traceback

import pytest

import operations
from crashsite import SEEN, Site
from daemon import BUILD, Leased, poll
from faults import REACHED_S, DaemonKillsItself, ReplyLost, WorkerKillsItself, faults_at

ALL = bool(os.environ.get("LEASED_TEST_ALL"))
ONLY = os.environ.get("LEASED_TEST_CASE", "")
SEED = os.environ.get("LEASED_TEST_SEED") or datetime.date.today().isoformat()
# Most of a case is waiting: for a start, for a time to live, for a login, for the end of a fault.
JOBS = int(os.environ.get("LEASED_TEST_JOBS", "16" if ALL else "10"))
PASSES = 6 if ALL else 2
CASES = 220
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
    "audit_device_open": "at the start and when the file is renamed: tests/unit/audit",
    "lease_abandon_before": "of a server that is gone: tests/integration/test_abandon.py",
    "lease_abandon_write": "the same",
    "lease_abandon_after": "the same",
} | {f"lease_reconcile_{step}": "tests/integration/test_reconcile.py" for step in (
    "before_note", "note", "after_list", "before_write", "write", "after_write", "after_disarm")} | {
    "lease_look_before": "10 minutes after the end of a lease: tests/unit/lease has a clock of its own",
}
# Rotations have a test of their own: what may be told of a password is another oracle.
NOT_OF_AN_OPERATION |= {name: "tests/crash/test_rotation.py" for name in (
    "engine_rotate_static", "engine_rotate_before_candidate", "engine_rotate_candidate",
    "engine_rotate_after_candidate", "engine_rotate_before_set", "engine_rotate_after_set", "engine_rotate_after_login",
    "engine_rotate_before_publish", "engine_rotate_publish", "engine_rotate_after_publish", "engine_rotate_before_keep",
    "engine_rotate_keep", "engine_rotate_after_keep", "worker_set_password_begin", "worker_set_password_end")}
NOT_OF_AN_OPERATION |= {name: "of the keys of JWTs: tests/integration/test_jwt_keys.py" for name in (
    "engine_jwt_before_generate", "engine_jwt_after_generate", "engine_jwt_before_write", "engine_jwt_write",
    "engine_jwt_after_write", "engine_jwt_role", "engine_jwt_after_sign")}
NOT_OF_AN_OPERATION |= {f"engine_ssh_{name}": "of SSH certificates: tests/integration/test_ssh_kill.py" for name in (
    "ca_before_write", "ca_write", "ca_after_write", "before_certify", "after_certify", "krl_write", "after_krl", "ban_write",
    "ban_after_write", "sweep_page")}
NOT_OF_AN_OPERATION |= {name: "of a list that is brought to a host: tests/integration/test_ssh_push.py" for name in (
    "worker_push_uploading", "worker_push_rename")}
NOT_OF_AN_OPERATION |= {name: "of a command: tests/integration/test_fsck.py" for name in ("store_check_repair",)}
NOT_OF_AN_OPERATION |= {"config_load_read": "of a reload, which changes nothing yet: tests/integration/test_reload.py"}
NOT_OF_AN_OPERATION |= {name: "of backup, restore and its hold: tests/integration/test_backup.py" for name in (
    "store_copy_pages", "store_backup_rename", "store_restore_change", "store_restore_rename", "store_restore_after",
    "store_hold_release", "lease_hold_before_release", "lease_hold_after_release")}
# Points of the timer, and of one worker more: only some operations need them, in others they come by chance.
BY_CHANCE = {
    "lease_anchor_before": [], "lease_anchor_after": [],
    # The oracle lists leases, in every case: here it is the operation that reads.
    "store_read_before": [operations.Bulk, operations.TokenDeath, operations.ConfigWrite, operations.Recover],
    "lease_expire_before_disarm": [operations.Expire, operations.TokenExpiry, operations.Recover],
}
# Each write passes them, a moment later.
BY_CHANCE |= {name: [operations.Mint] for name in (
    "audit_outbox_put", "audit_outbox_before_delete", "audit_outbox_after_delete", "audit_device_before_write",
    "audit_device_in_line", "audit_device_after_write", "audit_device_sync")}
BY_CHANCE |= {name: [operations.ConfigWrite, operations.Recover] for name in (
    "lease_session_before_record", "lease_session_after_record", "worker_open_begin", "worker_open_end",
    "worker_session_begin", "worker_session_acked")}


class Case:
    def __init__(self, operation, point, fault, arguments):
        self.operation, self.point, self.fault, self.arguments = operation, point, fault, arguments

    def __str__(self):
        return " ".join([self.operation.__name__, self.point, self.fault.name, *map(str, self.arguments)])

    def rank(self):
        """Its place in the lot that the seed draws; that of no other case changes it."""
        return hashlib.sha256(f"{SEED} {self}".encode()).digest()

    @property
    def is_kill(self):
        return self.fault in (DaemonKillsItself, WorkerKillsItself) and self.arguments == (1,)

    def act(self, site, operation, fault):
        """The operation, and what is done to it; the site is up again when this is back."""
        try:
            operation.act()
        except AssertionError:
            if not site.acted(self.point):
                raise
        reached = self.reached(site)
        fault.finish()
        if reached and fault.kills_daemon:
            assert site.leased.wait_exit(10) == -9
            operation.killed = True
            site.leased.start()
        assert site.alive(), "a worker's death must not be the daemon's"
        return reached

    def reached(self, site):
        """The first pass must come; how many more there are is not always the same."""
        first = self.arguments in ((), (1,))
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

    def run(self, site):
        """False: the operation did not pass the point so often this time, or there was nobody to hang up."""
        site.label = str(self)
        operation = self.operation(site)
        if not operation.mints_first:
            assert site.revoke(site.ready()).status == 204
        operation.prepare()
        site.forget_marks()
        fault = self.fault(site, self.point, *self.arguments)
        with site.watching():
            site.arm(self.point, fault.action)
            fault.start()
            reached = self.act(site, operation, fault)
            if not fault.kills_daemon:
                site.wait_still()
            if self.fault is ReplyLost and fault.waiting:
                site.unanswered_end()
            site.check(operation.credentials)
            operation.check()
        site.check_again()
        operation.check()
        site.clean()
        return reached and (self.fault is not ReplyLost or fault.waiting > 0)


def names():
    return subprocess.run([BUILD / "bin" / "leased", "--failpoints"], check=True, capture_output=True,
                          text=True).stdout.split()


def cases_of(operation, passes):
    for point, count in sorted(passes.items()):
        if operation not in BY_CHANCE.get(point, [operation]):
            continue
        # Every operation commits more than once; elsewhere one kill at a place shows what a second would.
        often = ALL or (point.startswith("store_commit_") and operation in COMMITS)
        for fault, arguments in faults_at(point, min(count, PASSES) if often else 1):
            yield Case(operation, point, fault, arguments)


def drawn(cases):
    """The part of a run that is not the whole: a kill at each point, and what else the seed draws."""
    if ONLY:
        return [case for case in cases if ONLY in str(case)]
    if ALL:
        return cases
    cases = sorted(cases, key=Case.rank)
    part = {case.point: case for case in reversed(cases) if case.is_kill}
    chosen = set(part.values())
    return list(chosen) + [case for case in cases if case not in chosen][:max(0, CASES - len(chosen))]


class Matrix:
    """
    All operations, then all cases that draw() leaves, in parallel: each thread has a daemon of its own that lives through many
    of them.
    """

    def __init__(self, server, all_operations=None, draw=drawn, label="PostgreSQL"):
        self.server = server
        self.operations, self.draw, self.label = all_operations or OPERATIONS, draw, label
        self.lock = threading.Lock()
        self.sites = {}
        self.cases, self.reached, self.failures, self.cost_s = [], set(), {}, {}
        self.pairs = self.void = self.done = 0

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
        with site.watching():
            one.act()
            site.check(one.credentials)
            one.check()
        passes = site.passes()
        site.clean()
        return passes

    def run_case(self, case):
        try:
            happened = case.run(self.site())
            with self.lock:
                self.reached.add(case.point)
                self.void += not happened
        except Exception:  # noqa: BLE001: whatever it is, it belongs to this case
            site = self.sites.get(threading.get_ident())
            output = site.leased.output()[-2500:] if site is not None else ""
            text = f"{case}\n{traceback.format_exc()}"
            print(f"VIOLATION {text}", flush=True)
            with self.lock:
                self.failures.setdefault(case.operation, []).append(f"{text}{output}")
            self.drop_site()
        with self.lock:
            self.done += 1
            if self.done % 50 == 0:
                print(f"{time.strftime('%H:%M:%S')} {self.done} of {len(self.cases)} cases, "
                      f"{sum(map(len, self.failures.values()))} violations", flush=True)

    def run(self):
        with contextlib.ExitStack() as ends, concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            ends.callback(self.close)
            for cases in pool.map(self.find, self.operations):
                self.cases += cases
            self.pairs = len({(case.point, case.operation) for case in self.cases})
            self.cases, whole = self.draw(self.cases), len(self.cases)
            SEEN.append(f"! {self.label}: LEASED_TEST_SEED={SEED}: {len(self.cases)} of {whole} cases, of {self.pairs} pairs of a failpoint "
                        "and an operation")
            # The long ones first, or a few of them would be waited for at the end.
            self.cases.sort(key=lambda case: -self.cost_s[case.operation])
            list(pool.map(self.run_case, self.cases))
        SEEN.append(f"! {len(self.cases) - self.void} cases did what they say, at {len(self.reached)} failpoints; "
                    f"{sum(map(len, self.failures.values()))} failed; in {self.void} nobody waited for an answer, or "
                    "the pass did not come again")
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
    assert count >= 1 or ONLY, f"{operation.__name__} passes no failpoints"
    failures = matrix.failures.get(operation, [])
    assert not failures, f"LEASED_TEST_SEED={SEED}: {len(failures)} of {count} cases:\n" + "\n\n".join(failures)


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
    if ONLY:
        pytest.skip("only some cases")
    reasons = set(NOT_OF_AN_OPERATION) | set(FIRST_START)
    missing = set(names()) - matrix.reached - reasons
    assert not missing, f"no operation of the matrix passes {sorted(missing)}"
