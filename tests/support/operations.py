"""
What a client, an operator or time does to leased, one operation each, for the crash matrix: prepare() on a healthy
daemon, act() with a failpoint armed (the daemon may die under it), check() when everything has come to rest.
"""

import os
import socket
import time

from daemon import poll
from crashsite import attempt

WAIT_S = 20


class Operation:
    """The base: nothing to prepare, nothing more to check. credentials: what the client was given."""

    mints_first = False  # prepare() does, and so waits for a daemon that serves

    def __init__(self, site):
        self.site = site
        self.credentials = []
        self.response = None
        self.killed = False  # was the daemon?

    def prepare(self):
        pass

    def act(self):
        raise NotImplementedError

    def check(self):
        pass

    def ok(self):
        """The client was told that it is done."""
        return self.response is not None and self.response.status in (200, 204)

    def mint(self):
        self.credentials.append(self.site.ready())
        return self.credentials[-1]

    def accounts_gone(self, within_s=0):
        poll(lambda: self.site.accounts() == [], within_s, what="the end of the account")


class Mint(Operation):
    def act(self):
        self.response = attempt(lambda: self.site.leased.get("database/creds/app"))
        self.credentials += self.site.credential(self.response)

    def check(self):
        if self.ok():
            assert self.credentials[0].user in self.site.accounts(), "an acknowledged lease is lost"


class MintFails(Operation):
    def act(self):
        self.response = attempt(lambda: self.site.leased.get("database/creds/broken"))
        assert not self.ok()

    def check(self):
        self.accounts_gone()


class MintUnanswered(Operation):
    """The client hangs up before its answer."""

    def act(self):
        # A commit of the daemon's own may have passed the point before, and nobody listens any more.
        attempt(self.ask_and_hang_up)
        time.sleep(1.5)

    def ask_and_hang_up(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.site.leased.socket_path))
            client.sendall(b"GET /v1/database/creds/slow HTTP/1.1\r\nHost: leased\r\n\r\n")
            time.sleep(0.3)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def check(self):
        # A daemon that died after LIVE knows nothing of the delivery: the lease is left to its time.
        if not self.killed:
            poll(lambda: self.site.accounts() == [], 6, what="the end of what nobody was given")


class Renew(Operation):
    mints_first = True

    def prepare(self):
        self.credential = self.mint()

    def act(self):
        self.response = attempt(lambda: self.site.renew(self.credential, 7200))

    def check(self):
        described = self.site.lookup(self.credential)
        assert described.status == 200, "a renewal must not end a lease"
        if self.ok():
            assert described.data["ttl"] > 3600, "an acknowledged renewal is lost"


class Revoke(Operation):
    mints_first = True

    def prepare(self):
        self.credential = self.mint()

    def act(self):
        self.response = attempt(lambda: self.site.revoke(self.credential))

    def check(self):
        if self.ok() or self.marked():
            self.accounts_gone()

    def marked(self):
        return self.response is not None and self.response.status == 503


class RevokeOwner(Revoke):
    """Its account owns a table at first: the removal is refused, and completes once the table is gone."""

    def prepare(self):
        super().prepare()
        server, user = self.site.server, self.credential.user
        self.table = "theirs_" + user.replace("-", "_")
        server.sql(f'CREATE TABLE public.{self.table} (id int); ALTER TABLE public.{self.table} OWNER TO "{user}"')

    def act(self):
        try:
            super().act()
        finally:
            self.site.server.sql(f"DROP TABLE public.{self.table}")


class Expire(Operation):
    def act(self):
        response = attempt(lambda: self.site.leased.get("database/creds/brief"))
        self.credentials += self.site.credential(response)
        poll(lambda: not self.site.alive() or self.site.accounts() == [], WAIT_S, what="the end of the lease")

    def check(self):
        self.accounts_gone(5)


class Bulk(Operation):
    mints_first = True

    def prepare(self):
        self.mint()
        self.mint()

    def act(self):
        self.response = attempt(
            lambda: self.site.leased.put("sys/leases/revoke-prefix/database/creds/app", {"sync": True}))

    def check(self):
        if self.ok():
            self.accounts_gone()


class TokenDeath(Operation):
    """A token is made, used, renewed and revoked; its lease dies with it."""

    def act(self):
        leased = self.site.leased
        made = attempt(lambda: leased.post("auth/token/create", {"policies": ["root"], "ttl": "1h", "num_uses": 5}))
        if made is None:
            return
        token = made.auth["client_token"]
        minted = attempt(lambda: leased.get("database/creds/app", token=token))
        if minted is None:
            return
        self.credentials += self.site.credential(minted)
        attempt(lambda: leased.post("auth/token/renew-self", {"increment": "2h"}, token=token))
        self.response = attempt(lambda: leased.post("auth/token/revoke-self", token=token))
        if self.ok():
            poll(lambda: not self.site.alive() or self.site.accounts() == [], WAIT_S, what="the end of its lease")

    def check(self):
        if self.ok():
            self.accounts_gone()


class TokenExpiry(Operation):
    def act(self):
        leased = self.site.leased
        made = attempt(lambda: leased.post("auth/token/create", {"policies": ["root"], "ttl": "2s"}))
        if made is None:
            return
        minted = attempt(lambda: leased.get("database/creds/app", token=made.auth["client_token"]))
        self.credentials += self.site.credential(minted)
        time.sleep(2)
        poll(lambda: not self.site.alive() or self.site.accounts() == [], WAIT_S, what="the end of its lease")

    def check(self):
        self.accounts_gone(5)


class RoleWrite(Operation):
    """With its preflight."""

    def act(self):
        self.response = attempt(lambda: self.site.role("other"))

    def check(self):
        self.accounts_gone()
        if self.ok():
            assert self.site.leased.get("database/roles/other").status == 200, "an acknowledged role is lost"


class ConfigWrite(Operation):
    """With its preflight, on a candidate of its own."""

    def act(self):
        self.response = attempt(lambda: self.site.configure("second"))

    def check(self):
        self.accounts_gone()
        if self.ok():
            assert self.site.leased.get("database/config/second").status == 200, "an acknowledged config is lost"


class PolicyWrite(Operation):
    def act(self):
        rules = 'path "sys/health" { capabilities = ["read"] }'
        self.response = attempt(lambda: self.site.leased.put("sys/policies/acl/some", {"policy": rules}))

    def check(self):
        if self.ok():
            assert self.site.leased.get("sys/policies/acl/some").status == 200, "an acknowledged policy is lost"


class FirstSight(Operation):
    """Somebody of this machine whom the store has never seen."""

    uid = 20000

    def act(self):
        FirstSight.uid += 1
        self.response = attempt(
            lambda: self.site.leased.request_as(FirstSight.uid, os.getegid(), "GET", "auth/token/lookup-self"))


class Recover(Operation):
    """A start after kill -9 in the middle of a mint."""

    mints_first = True

    def prepare(self):
        self.mint()
        attempt(lambda: self.site.leased.get("database/creds/slow", timeout=0.3))
        self.site.leased.kill()

    def act(self):
        self.site.leased.start(wait=False)
        poll(lambda: not self.site.alive() or
             attempt(lambda: self.site.leased.get("sys/health", timeout=2)) is not None, WAIT_S, what="the start")
        poll(lambda: not self.site.alive() or len(self.site.accounts()) == 1, WAIT_S, what="the recovery")

    def check(self):
        assert self.site.accounts() == [self.credentials[0].user]
