"""The rows of tests/bench/run that need something to go wrong: a backend that is down while leases end, backends that hang, talk
garbage or are slow beside a healthy one, and many leases that end every second. Called by tests/bench/run only.
"""

import http.client
import socket
import sys
import threading
import time

from bad_backend import BadBackend
from daemon import Leased, poll

MINTS_A_SECOND = 10
# Of the isolation rows: enough of them that p99 is not the second worst.
ISOLATED_A_SECOND = 30
EXPIRIES_A_SECOND = 200


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Requests:
    """One request every 1/rate s, each at its own time however long the one before took: microseconds from then on."""

    def __init__(self, leased, path, rate):
        self.took_us, self.statuses = [], {}
        self._leased, self._path, self._rate = leased, path, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        connection = _Unix(self._leased.socket_path)
        headers = {"X-Vault-Token": self._leased.root_token}
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            connection.request("GET", f"/v1/{self._path}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            if answer.status == 200:
                self.took_us.append((time.monotonic() - due) * 1e6)
            # What came late is asked late, and its wait counted; more than a second of it is not caught up with.
            due = max(due + 1 / self._rate, time.monotonic() - 1)
        connection.close()

    def quantile(self, part):
        ordered = sorted(self.took_us)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("inf")


def mints_for(leased, seconds, rate=MINTS_A_SECOND):
    with Requests(leased, "database/creds/app", rate) as mints:
        time.sleep(seconds)
    return mints


def accounts_that_end(bench, leased, count, tag):
    """Real accounts for bench.fill(): the prefix of their names, and the file that lists them."""
    prefix = f"l-{tag}-fill-"
    bench.make_accounts(prefix, count)
    listing = leased.dir / "accounts"
    rows = bench.server.sql("SELECT rolname, oid FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY 1", prefix)
    listing.write_text("".join(f"{name} {oid}\n" for name, oid in rows))
    return prefix, listing


def left(bench, prefix):
    return bench.server.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, %s)", prefix)


def outage(bench):
    """The backend is down, leases end meanwhile, it comes back: mints go on at their pace while everything is ended."""
    count, down_s = bench.args.outage_leases, bench.args.outage
    with Leased() as leased:
        bench.configure(leased, 4096)
        tag = bench.tag_of(leased)
        raw = bench.raw_end(count)
        baseline = mints_for(leased, 30 / bench.n + 5)
        prefix, listing = accounts_that_end(bench, leased, count, tag)
        from_ms = int(time.time() * 1000) + 10000
        bench.fill(leased, "app", count, "--accounts", listing, "--ends", from_ms, from_ms + (down_s - 5) * 1000)
        leased.start()
        bench.server.stop()
        time.sleep(max(0.0, from_ms / 1000 + down_s - time.time()))
        bench.server.start()
        back = time.monotonic()
        with Requests(leased, "database/creds/app", MINTS_A_SECOND) as mints:
            poll(lambda: left(bench, prefix) < count, 60, every=0.02, what="the first removal")
            first_s = time.monotonic() - back
            poll(lambda: left(bench, prefix) == 0, 3600, every=0.1, what="the drain")
            took_s = time.monotonic() - back
        what = f"{count} leases ended in an outage of {down_s} s"
        bench.row(f"{what}: first removal", "filled", first_s * 1000, "ms", at_most=5000)
        bench.row(f"{what}: end them", "filled", count / took_s, "1/s", raw, 0.7)
        bench.row("mint meanwhile, p99 against p99 before", "filled", mints.quantile(0.99) / baseline.quantile(0.99), "times",
                  at_most=2, p50_us=mints.quantile(0.5), p99_us=mints.quantile(0.99),
                  before_p50_us=baseline.quantile(0.5), before_p99_us=baseline.quantile(0.99), statuses=mints.statuses)
        bench.clear(leased)


def punctual(bench):
    """When each of many accounts stopped being able to log in, as the server shows it, against the end of its lease."""
    count = EXPIRIES_A_SECOND * (5 if bench.n > 1 else 30)
    with Leased() as leased:
        bench.configure(leased, 4096)
        prefix, listing = accounts_that_end(bench, leased, count, bench.tag_of(leased))
        from_ms = int(time.time() * 1000) + 8000
        step_ms = 1000 / EXPIRIES_A_SECOND
        bench.fill(leased, "app", count, "--accounts", listing, "--ends", from_ms, from_ms + int(count * step_ms))
        leased.start()
        ends = {line.split()[0]: from_ms + int(i * step_ms) for i, line in enumerate(listing.read_text().splitlines())}
        late_ms, early = [], 0
        session = bench.server.connect()
        with session, session.cursor() as cursor:
            while ends:
                cursor.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) AND rolcanlogin", (prefix,))
                now_ms = time.time() * 1000
                armed = {name for name, in cursor}
                for name in [name for name in ends if name not in armed]:
                    late_ms.append(now_ms - ends.pop(name))
                    early += late_ms[-1] < 0
                if now_ms > from_ms + count * step_ms + 120000:
                    raise AssertionError(f"{len(ends)} accounts can log in 2 minutes after their end")
                time.sleep(0.02)
        session.close()
        late_ms.sort()
        bench.row(f"lateness at {EXPIRIES_A_SECOND} expiries a second, p99", "filled", late_ms[int(0.99 * count)], "ms",
                  at_most=2000, p50_us=late_ms[count // 2] * 1000, p99_us=late_ms[int(0.99 * count)] * 1000,
                  max_us=late_ms[-1] * 1000)
        bench.row("of these, ended before their time", "filled", early, "", at_most=0)
        poll(lambda: left(bench, prefix) == 0, 120, every=0.2, what="the end of the accounts")


def isolation(bench):
    """Mints of a healthy connection, with and without clients of bad ones beside them, in turns."""
    seconds = 6 if bench.n > 1 else 20
    with Leased() as leased, BadBackend("hang") as hang, BadBackend("garbage") as garbage, \
            BadBackend("slow", target=(bench.server.host, bench.server.port)) as slow:
        bench.configure(leased, 4096)
        for name, backend in (("hang", hang), ("garbage", garbage), ("slow", slow)):
            body = bench.server.config(port=str(backend.port), connect_timeout="60") | {
                "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "verify_connection": False}
            response = leased.post(f"database/config/{name}", body, timeout=60)
            assert response.status in (200, 204), response
            response = leased.post(f"database/roles/{name}", {"db_name": name, "grant_roles": ["app"], "default_ttl": "1h",
                                                              "verify_role": False})
            assert response.status in (200, 204), response
        mints_for(leased, 2)
        for name in ("hang", "garbage", "slow"):
            turns = []
            for _ in range(3):
                alone = mints_for(leased, seconds, ISOLATED_A_SECOND)
                with Requests(leased, f"database/creds/{name}", 5), Requests(leased, f"database/creds/{name}", 5):
                    beside = mints_for(leased, seconds, ISOLATED_A_SECOND)
                again = mints_for(leased, seconds, ISOLATED_A_SECOND)
                p99 = [mints.quantile(0.99) for mints in (alone, beside, again)]
                turns.append((2 * p99[1] / (p99[0] + p99[2]), p99[2] / p99[0], alone, beside))
            ratio, noise, alone, beside = sorted(turns, key=lambda turn: turn[0])[1]
            if set(beside.statuses) != {200}:
                print(f"mints beside a backend that is bad ({name}): {beside.statuses}", file=sys.stderr)
            bench.row(f"mint beside a backend: {name}, p99 against alone", "empty", ratio, "times", at_most=1.1,
                      p50_us=beside.quantile(0.5), p99_us=beside.quantile(0.99), alone_p50_us=alone.quantile(0.5),
                      alone_p99_us=alone.quantile(0.99), alone_again=noise)
        leased.put("sys/leases/revoke-prefix/database/creds/slow", {"sync": False}, timeout=120)
        bench.clear(leased)
