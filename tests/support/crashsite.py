"""
A leased that is killed and started many times: its failpoints are armed by files while it runs, and the oracle of
the crash matrix says whether everything is as it must be afterwards.
"""

import datetime
import functools
import http.client
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from daemon import BUILD, poll
from history import History, RecordedLeased
from job import Credential, Job

SETTLED_S = 30
# Longer than the longest statement of a role here.
STILL_S = 1.5

# What every check saw, a line each: printed at the end of the run (tests/crash/conftest.py).
SEEN = []


@functools.cache
def has_audit():
    done = subprocess.run([BUILD / "bin" / "leased", "--help"], check=True, capture_output=True, text=True)
    return "--dev-audit" in done.stdout


def attempt(action):
    """The response, or None when the daemon died under it."""
    try:
        return action()
    except (OSError, http.client.HTTPException):
        return None


def children(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(word) for word in words]


def lease_end(lease):
    return datetime.datetime.fromisoformat(lease["expire_time"].replace("Z", "+00:00"))


class Site(Job):
    """
    A configured leased with the roles that operations need, on a server that it may share with others: its accounts are
    those with its own tag.
    """

    def __init__(self, server, **config):
        self.config = config
        self.marks = pathlib.Path(tempfile.mkdtemp(prefix="leased-marks-", dir="/tmp"))
        self.prefix = "l-"
        self.session = None
        self.label = os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[-1].split(" ")[0]
        self.history, self.watcher = History(), None
        super().__init__(server, leased=RecordedLeased(self.history, env={"LEASED_FAILPOINT_DIR": str(self.marks)}, start=False))
        self.audit = self.leased.dir / "audit.log" if has_audit() else None
        self.leased.args = ["--dev-audit", str(self.audit)] if self.audit is not None else []
        try:
            self.leased.start()
            self.prepare()
        except BaseException:
            self.close()
            raise

    def prepare(self):
        broken = [self.server.create_statement, self.server.failing_statement]
        for response in (self.configure(**self.config), self.role(), self.role("brief", default_ttl="1s"),
                         self.role("broken", grant_roles=[], creation_statements=broken, verify_role=False),
                         self.slow_role(1)):
            assert response.status in (200, 204), response
        credential = self.mint()
        self.prefix = "-".join(credential.user.split("-")[:2]) + "-"
        assert self.revoke(credential).status == 204
        assert self.accounts() == []
        self.forget_marks()
        self.history.begin()

    def __exit__(self, *_):
        self.close()

    def close(self):
        """No account of ours is left on the server, whatever went wrong."""
        self.leased.close()
        shutil.rmtree(self.marks, ignore_errors=True)
        if self.prefix != "l-":
            self.server.drop_accounts(self.prefix)
        for session in (self.session, self.watcher):
            if session is not None:
                session.close()

    def watch(self, statement, *arguments):
        """Rows, over a session that stays: a poll of a new login each time would be most of what a case costs."""
        for _ in range(2):
            try:
                self.session = self.session or self.server.connect()
                with self.session.cursor() as cursor:
                    cursor.execute(statement, arguments)
                    return list(cursor.fetchall())
            except self.server.errors:
                self.session = None  # the server was started again
        return self.server.sql(statement, *arguments)

    def accounts(self):
        return [row[0] for row in self.watch(self.server.names_sql, self.prefix)]

    def look(self):
        """accounts() for another thread, over a session of its own; None when the server does not answer."""
        try:
            self.watcher = self.watcher or self.server.connect()
            with self.watcher.cursor() as cursor:
                cursor.execute(self.server.names_sql, (self.prefix,))
                return [row[0] for row in cursor.fetchall()]
        except self.server.errors:
            self.watcher = None
            return None

    def watching(self):
        return self.history.watching(self.look)

    # ---- processes ----

    def workers(self):
        """Children of the spawner, which is the daemon's child."""
        return [worker for spawner in children(self.leased.pid) for worker in children(spawner)]

    # ---- failpoints ----

    def arm(self, name, action="kill"):
        whole = self.marks / "whole"
        whole.write_text(action)
        whole.rename(self.marks / f"{name}.armed")

    def acted(self, name):
        return (self.marks / f"{name}.acted").exists()

    def passes(self):
        """How often each point was passed."""
        return {path.stem: len(path.read_text().splitlines()) for path in self.marks.glob("*.passed")}

    def wait_still(self):
        """Until the daemon and its workers pass no failpoint any more: what a client asked for that has gone is done."""
        before, since = None, 0
        deadline = time.monotonic() + SETTLED_S
        while time.monotonic() < deadline:
            now = sum(self.passes().values())
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STILL_S:
                return
            time.sleep(0.1)
        raise AssertionError(f"the daemon does not come to rest within {SETTLED_S} s: {self.passes()}")

    def forget_marks(self):
        for path in self.marks.iterdir():
            path.unlink(missing_ok=True)

    def alive(self):
        return self.leased.process.poll() is None

    # ---- the oracle ----

    def state(self):
        """What a second recovery may not change."""
        return sorted((lease["id"], lease["state"], lease["account"]) for lease in self.leases())

    def ends(self):
        return [lease_end(lease) for lease in sorted(self.leases(), key=lambda lease: lease["id"])]

    def sessions_of_the_dead(self):
        """Backend sessions of ours that no run of this daemon that lives has: [] once all are reaped."""
        rows = self.watch(self.server.runs_sql, f"leased {self.prefix.split('-')[1]} %")
        return rows[:-1]

    def nothing_past_its_end(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        for lease in self.leases():
            assert lease_end(lease) > now - datetime.timedelta(seconds=2), f"past its end: {lease}"

    def check(self, credentials=()):
        """(a), (b), (c) of the oracle, and what history.py judges. credentials: those that a client was given."""
        started = time.monotonic()
        self.wait_settled(SETTLED_S)
        poll(lambda: self.sessions_of_the_dead() == [], 5, what="the end of the sessions of dead runs")
        SEEN.append(f"{self.label}: after {time.monotonic() - started:.1f} s {len(self.accounts())} accounts, "
                    f"{len(self.leases())} live leases; a client was given {len(credentials)}")
        self.nothing_past_its_end()
        live = {lease["account"]: lease["id"] for lease in self.leases()}
        self.history.judge(live)
        for credential in credentials:
            if credential.user in live:
                assert live[credential.user] == credential.lease_id
                # Its end may have come since.
                poll(lambda one=credential: self.server.can_login(one.user, one.password)
                     or one.user not in [lease["account"] for lease in self.leases()], 3,
                     what=f"a login of {credential.user}, whose lease lives")
            else:
                assert not self.server.can_login(credential.user, credential.password), "it lives without a lease"

    def unanswered_end(self):
        """What was made for somebody who hung up ends by itself."""
        given = self.history.given()
        poll(lambda: all(lease["account"] in given for lease in self.leases()), 10, what="the end of what nobody was given")

    def check_again(self):
        """(d): the audit's chain holds over the kill; (e): one more start changes nothing."""
        before, accounts, ends = self.state(), self.accounts(), self.ends()
        self.leased.kill()
        self.leased.start()
        time.sleep(0.3)
        after = (self.state(), self.accounts())
        assert after == (before, accounts), f"a second recovery changed something: {(before, accounts)} to {after}"
        for was, now in zip(ends, self.ends()):
            # Shown by the wall clock, in whole seconds.
            assert abs(now - was) <= datetime.timedelta(seconds=1), "a second recovery moved the end of a lease"
        self.check_audit()

    def check_audit(self):
        if self.audit is None:
            return
        command = [self.leased.binary, "audit", "verify", "--dev", "--dev-dir", self.leased.dir, self.audit]
        # The daemon writes on: what is half a line now is none a moment later.
        poll(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, 5,
             what=f"an audit whose chain holds: {subprocess.run(command, capture_output=True, text=True, check=False)}")

    def clean(self):
        """Ends all leases; the next case begins with none."""
        response = self.leased.put("sys/leases/revoke-prefix/database", {"sync": True})
        assert response.status in (200, 204), response
        poll(lambda: self.accounts() == [], 10, what="the end of all leases of a case")
        self.history.begin()

    def ready(self):
        """It mints: after a start its connection may still be on its way."""
        response = poll(lambda: self.answer_of_mint(), 10, what="a connection that serves")
        return self.credential(response)[0]

    def answer_of_mint(self):
        response = self.leased.get("database/creds/app")
        assert response.status in (200, 503), response
        return response if response.status == 200 else None

    def credential(self, response):
        return [Credential(response)] if response is not None and response.status == 200 else []
