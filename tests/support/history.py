"""
What clients asked and were answered, and what the backend held meanwhile: the oracle of the crash matrix judges a case by
all that was seen of it, not by its end alone.

    leased = RecordedLeased(history)        # every request is written down, with its times
    with history.watching(accounts):        # ... and the accounts on the backend, some ten times a second
        ...
    history.judge(live)                     # AssertionError: what was promised and not kept

Times are the wall clock's, as the ends of leases are.
"""

import contextlib
import socket
import threading
import time

from daemon import Leased

NEVER = float("inf")
EVERY_S = 0.1
# Ends are told in whole seconds.
ROUND_S = 1
# After the end of a lease, or after the last start or fault, whichever is later.
BOUND_S = 30


class Exchange:
    """One request. ended and response: None while nobody has answered; a client that got no answer knows nothing."""

    def __init__(self, method, path, body, token):
        self.method, self.path, self.body, self.token = method, path, body or {}, token
        self.begun, self.ended, self.response = time.time(), None, None
        self.sock = None

    @property
    def ok(self):
        return self.response is not None and self.response.status in (200, 202, 204)


class Given:
    """A lease that a client was given, and what it may expect of it: worked out from the exchanges."""

    def __init__(self, exchange):
        answer = exchange.response.json
        self.lease_id, self.user = answer["lease_id"], answer["data"]["username"]
        self.password = answer["data"]["password"]
        self.token = exchange.token
        self.begun, self.since = exchange.begun, exchange.ended
        self.may_end = exchange.begun + answer["lease_duration"] - ROUND_S
        self.end = exchange.ended + answer["lease_duration"] + ROUND_S
        self.gone_from = NEVER

    def renew(self, exchange):
        if exchange.ok:
            ttl = exchange.response.json["lease_duration"]
            self.may_end = exchange.begun + ttl - ROUND_S
            self.end = max(self.end, exchange.ended + ttl + ROUND_S)
            return
        # Nobody knows whether it was done: either end is good.
        increment = exchange.body.get("increment") or 0
        self.may_end = min(self.may_end, exchange.begun + increment - ROUND_S)
        self.end = max(self.end, exchange.begun + increment + BOUND_S)

    def revoke(self, exchange):
        self.may_end = min(self.may_end, exchange.begun)
        if exchange.response is not None and exchange.response.status == 204:
            self.gone_from = min(self.gone_from, exchange.ended)


class History:
    """Of one case: begin() forgets what was before."""

    def __init__(self):
        self.lock = threading.Lock()
        self.begin()

    def begin(self):
        with self.lock:
            self.exchanges, self.views, self.disturbed = [], [], time.time()

    def disturb(self):
        """A start, or the end of a fault: from here on everything has BOUND_S to come to rest."""
        self.disturbed = time.time()

    def add(self, exchange):
        with self.lock:
            self.exchanges.append(exchange)

    def hang_up(self):
        """Every client that waits for an answer goes away; how many there were."""
        with self.lock:
            waiting = [one for one in self.exchanges if one.ended is None and one.sock is not None
                       and "sys/health" not in one.path]
        for one in waiting:
            with contextlib.suppress(OSError):
                one.sock.shutdown(socket.SHUT_RDWR)
        return len(waiting)

    # ---- the backend's view ----

    @contextlib.contextmanager
    def watching(self, accounts):
        """accounts(): the names with our tag, or None when the backend does not answer."""
        stop = threading.Event()

        def watch():
            while not stop.is_set():
                before = time.time()
                names = accounts()
                if names is not None:
                    self.views.append((before, time.time(), frozenset(names)))
                stop.wait(EVERY_S)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    # ---- judgment ----

    def given(self):
        """What clients hold, with all that happened to it: account name to Given."""
        found, by_id = {}, {}
        with self.lock:
            exchanges = sorted(self.exchanges, key=lambda one: one.begun)
        for one in exchanges:
            if one.ok and one.path.startswith("database/creds/"):
                lease = Given(one)
                found[lease.user] = by_id[lease.lease_id] = lease
        for one in exchanges:
            self.apply(one, by_id)
        return found

    @staticmethod
    def apply(one, by_id):
        lease = by_id.get(one.body.get("lease_id"))
        if one.path == "sys/leases/renew" and lease is not None:
            lease.renew(one)
        elif one.path == "sys/leases/revoke" and lease is not None:
            lease.revoke(one)
        elif one.path.startswith("sys/leases/revoke-prefix/"):
            prefix = one.path.split("/", 3)[3]
            for other in by_id.values():
                if other.lease_id.startswith(prefix) and not (one.response is not None and other.begun > one.ended):
                    other.may_end = min(other.may_end, one.begun)
                    if one.response is not None and one.response.status == 204 and other.since < one.begun:
                        other.gone_from = min(other.gone_from, one.ended)
        elif one.path == "auth/token/create" and one.ok:
            for other in by_id.values():
                if other.token == one.response.auth["client_token"]:
                    other.may_end = min(other.may_end, one.begun + one.response.auth["lease_duration"] - ROUND_S)
                    other.end = min(other.end, one.ended + one.response.auth["lease_duration"] + ROUND_S)
        elif one.path == "auth/token/renew-self":
            for other in by_id.values():
                if other.token == one.token:
                    other.end = max(other.end, one.begun + 7200)
        elif one.path == "auth/token/revoke-self":
            for other in by_id.values():
                if other.token == one.token:
                    other.may_end = min(other.may_end, one.begun)

    def judge(self, live):
        """live: account name to lease id, of a daemon that has come to rest."""
        given, now = self.given(), time.time()
        for lease in given.values():
            if lease.user in live:
                assert live[lease.user] == lease.lease_id
                assert now < lease.gone_from, f"{lease.lease_id} was told to have ended, and lives"
                assert now < max(lease.end, self.disturbed) + BOUND_S, f"{lease.lease_id} is past its end"
            else:
                assert now >= lease.may_end, f"{lease.lease_id} was given to a client, nobody ended it, and it is lost"
        self.judge_views(given)

    def judge_views(self, given):
        seen, ended = set(), set()
        for before, after, names in self.views:
            back = names & ended
            assert not back, f"{sorted(back)} came back {after - self.views[0][0]:.2f} s after the first look"
            ended |= seen - names
            seen |= names
            for lease in given.values():
                if lease.since < before and after < lease.may_end:
                    assert lease.user in names, (f"{lease.user} had gone {before - lease.since:.2f} s after it was given; "
                                                 "nobody had ended it")
                if lease.gone_from < before:
                    assert lease.user not in names, f"{lease.user} was told to be gone, and is there"
                if before > max(lease.end, self.disturbed) + BOUND_S:
                    assert lease.user not in names, f"{lease.user} is there {BOUND_S} s past its end"


class RecordedLeased(Leased):
    """A Leased whose every request is in a History."""

    def __init__(self, history, **kwargs):
        self.history = history
        super().__init__(**kwargs)

    def start(self, *args, **kwargs):
        started = super().start(*args, **kwargs)
        self.history.disturb()
        return started

    def _exchange(self, connection, method, path, body, token, headers, raw):
        exchange = Exchange(method, path, body, token)
        connect = connection.connect

        def connect_noted():
            connect()
            exchange.sock = connection.sock

        connection.connect = connect_noted
        self.history.add(exchange)
        try:
            exchange.response = super()._exchange(connection, method, path, body, token, headers, raw)
            return exchange.response
        finally:
            exchange.ended = time.time()
