"""
kill -9 in the middle of a rotation: of the daemon, of a worker, of the server; and a reply that is lost. After each, at
most 30 s later: static-creds tells a password that logs in, leased can log in itself, and whatever was told before was
good when it was told. Nobody is ever locked out.
"""

import os
import pathlib
import shutil
import signal
import tempfile
import threading
import time

import pytest

from crashsite import attempt
from daemon import poll
from job import Job
from pg import Postgres
from proxy import Proxy

ALL = bool(os.environ.get("LEASED_TEST_ALL"))
RECOVERED_S = 30
DAEMON = [f"engine_rotate_{step}" for step in (
    "before_candidate", "candidate", "after_candidate", "before_set", "after_set", "after_login", "before_publish",
    "publish", "after_publish")]
WORKER = ["worker_set_password_begin", "worker_set_password_end", "worker_check_begin", "worker_check_end"]
FAILS = ["engine_rotate_before_keep", "engine_rotate_keep", "engine_rotate_after_keep"]
BOTH = ["after_candidate", "after_set", "before_publish"]


class Site(Job):
    """A leased whose points are armed while it runs, with a static role and a login of its own to rotate."""

    number = 0

    def __init__(self, server, proxy=None):
        Site.number += 1
        self.account, self.admin = f"static{Site.number}", f"rooted{Site.number}"
        self.marks = pathlib.Path(tempfile.mkdtemp(prefix="leased-marks-", dir="/tmp"))
        server.sql(f"CREATE ROLE {self.account} LOGIN PASSWORD 'before'; "
                   f"CREATE ROLE {self.admin} LOGIN CREATEROLE PASSWORD 'before'; "
                   f"GRANT pg_signal_backend TO {self.admin}; GRANT {server.group_role} TO {self.admin} WITH ADMIN OPTION")
        super().__init__(server, env={"LEASED_FAILPOINT_DIR": str(self.marks)})
        self.config = {"username": self.admin, "password": "before", "max_open_connections": 2}
        if proxy is not None:
            self.config["port"] = str(proxy.port)
        for response in (self.configure(**self.config), self.role(),
                         self.leased.post("database/static-roles/report", {
                             "db_name": "main", "username": self.account, "rotation_period": "1h"})):
            assert response.status in (200, 204), response

    def __exit__(self, *_):
        self.leased.put("sys/leases/revoke-prefix/database", {"sync": True})
        self.leased.close()
        shutil.rmtree(self.marks, ignore_errors=True)
        for name in (self.account, self.admin):
            self.server.sql(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")

    def arm(self, name, action="kill"):
        whole = self.marks / "whole"
        whole.write_text(action)
        whole.rename(self.marks / f"{name}.armed")

    def acted(self, name):
        return (self.marks / f"{name}.acted").exists()

    def told(self):
        """A password that was told must log in, whenever it was told; None: none was told (503)."""
        response = attempt(lambda: self.leased.get("database/static-creds/report"))
        if response is None or response.status == 503:
            return None
        assert response.status == 200, response
        return response.data["password"]

    def good(self):
        password = self.told()
        return password is not None and self.server.can_login(self.account, password)

    def check(self):
        """Also by how much was promised: what is told is good, at every moment."""
        deadline = time.monotonic() + RECOVERED_S
        while (password := self.told()) is None:
            assert time.monotonic() < deadline, f"no password is told:\n{self.leased.output()[-3000:]}"
            time.sleep(0.1)
        if not self.server.can_login(self.account, password):  # it may have been rotated since
            again = poll(self.told, RECOVERED_S, what="a password that is told")
            assert password != again, "a password that was told is none"
        poll(self.good, RECOVERED_S, what="a static password that is told and good")
        poll(self.mints, RECOVERED_S, what="a login of leased's own")

    def mints(self):
        response = self.leased.get("database/creds/app")
        return response.status == 200 and self.server.can_login(response.data["username"], response.data["password"])

    def settled(self):
        read = self.leased.get("database/static-roles/report").data
        root = self.leased.get("database/config/main").data
        return "rotation_pending" not in read and "rotation_pending" not in root

    def rotate(self, what):
        return attempt(lambda: self.leased.post(f"database/{what}"))


@pytest.fixture
def site(server):
    with Site(server) as one:
        yield one


def survive(site, point, action, what):
    site.arm(point, action)
    response = site.rotate(what)
    if point.startswith("engine") and action == "kill":
        assert site.leased.wait_exit(10) == -9
        site.leased.start()
    assert site.acted(point), f"{point} was not passed: {response}"
    site.check()
    poll(site.settled, RECOVERED_S, what="the end of what was left half done")
    site.check()


def points(kind):
    if ALL or kind == "rotate-role/report":
        return DAEMON + WORKER
    return [f"engine_rotate_{step}" for step in BOTH] + WORKER[:2]


@pytest.mark.parametrize("what", ["rotate-role/report", "rotate-root/main"])
def test_a_kill_at_any_step_locks_nobody_out(site, what):
    for point in points(what):
        survive(site, point, "kill", what)
        site.leased.put("sys/leases/revoke-prefix/database/creds", {"sync": True})


def test_a_kill_while_a_failure_is_written_locks_nobody_out(site, server):
    for point in FAILS:
        server.sql(f"ALTER ROLE {site.admin} NOCREATEROLE")
        try:
            site.arm(point)
            site.rotate("rotate-role/report")
            assert site.leased.wait_exit(10) == -9
        finally:
            server.sql(f"ALTER ROLE {site.admin} CREATEROLE")
        site.leased.start()
        site.check()


def test_a_write_that_fails_locks_nobody_out(site):
    for point in ("engine_rotate_candidate", "engine_rotate_publish"):
        for what in ("rotate-role/report", "rotate-root/main"):
            survive(site, point, "error:no_space", what)


def test_a_worker_that_hangs_with_the_change_made_locks_nobody_out(site):
    for what in ("rotate-role/report", "rotate-root/main") if ALL else ("rotate-root/main",):
        survive(site, "worker_set_password_end", "sleep:11000", what)


def test_a_daemon_that_dies_while_the_change_is_under_way_leaves_no_late_one(site, server):
    """The ALTER waits for a lock when the daemon dies, and could be done after its recovery."""
    for what, account in (("rotate-role/report", site.account), ("rotate-root/main", site.admin)):
        blocker = server.connect()
        blocker.autocommit = False
        with blocker.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM pg_authid WHERE rolname = '{account}' FOR UPDATE")
        thread = threading.Thread(target=site.rotate, args=(what,))
        thread.start()
        waiting = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{site.admin}' AND wait_event_type = 'Lock'"
        poll(lambda: server.value(waiting) > 0, 10, what="an ALTER ROLE that waits")
        site.leased.kill()
        thread.join()
        site.leased.start()
        time.sleep(1)
        blocker.rollback()
        blocker.close()
        site.check()
        poll(site.settled, RECOVERED_S, what="the end of what was left half done")
        site.check()


def test_a_server_that_is_killed_in_the_change_locks_nobody_out():
    with Postgres() as server, Site(server) as site:
        cases = [("rotate-root/main", site.admin), ("rotate-role/report", site.account)]
        for what, account in cases if ALL else cases[:1]:
            blocker = server.connect()
            blocker.autocommit = False
            with blocker.cursor() as cursor:
                cursor.execute(f"SELECT 1 FROM pg_authid WHERE rolname = '{account}' FOR UPDATE")
            thread = threading.Thread(target=site.rotate, args=(what,))
            thread.start()
            waiting = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{site.admin}' AND wait_event_type = 'Lock'"
            poll(lambda: server.value(waiting) > 0, 10, what="an ALTER ROLE that waits")
            server.kill()
            thread.join()
            server.start()
            site.check()
            poll(site.settled, RECOVERED_S, what="the end of what was left half done")


def test_a_reply_that_is_lost_locks_nobody_out(server):
    """The server makes the change; its answer never comes."""
    with Proxy((server.host, server.port)) as proxy, Site(server, proxy) as site:
        for what in ("rotate-role/report", "rotate-root/main"):
            proxy.lose_answer(b"ALTER ROLE")
            site.rotate(what)
            assert proxy.lost.wait(10)
            site.check()
            poll(site.settled, RECOVERED_S, what="the end of what was left half done")
            site.check()
