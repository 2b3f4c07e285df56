"""What opaque tokens cost: issue and introspection, with no token in the store and with many. A part of tests/bench/run."""

import json
import time

from daemon import Leased

ROLE = {"scopes": "read,write", "ttl": "24h", "audience": "https://shop"}
ASKED = 2000  # tokens that are asked for in turn: more than the daemon remembers


def introspection(bench, leased, store, what, *words):
    """In turns with sys/health, and the turn in the middle by its ratio."""
    turns = []
    for _ in range(5):
        health = bench.load(leased, "sys/health")["per_second"]
        ours = bench.load(leased, "token/introspect", method="POST", more=words)
        assert ours["errors"] == 0 and ours["refused"] == 0, ours
        turns.append((ours["per_second"] / health, health, ours))
    _, health, ours = sorted(turns, key=lambda turn: turn[0])[2]
    bench.row(f"introspect {what}, against sys/health", store, ours["per_second"], "1/s", health, 0.5,
              p50_us=ours["p50_us"], p99_us=ours["p99_us"])


def issue(bench, leased, store):
    ours = bench.load(leased, "token/creds/app", count=20000 // bench.n)
    assert ours["errors"] == 0 and ours["refused"] == 0, ours
    bench.row("issue an opaque token, durable", store, ours["per_second"], "1/s", p50_us=ours["p50_us"], p99_us=ours["p99_us"])


def requests(bench, leased, store):
    issue(bench, leased, store)
    bodies = leased.dir / "tokens"
    bodies.write_text("".join(json.dumps({"token": leased.get("token/creds/app").data["token"]}) + "\n" for _ in range(ASKED)))
    first = bodies.read_text().splitlines()[0]
    introspection(bench, leased, store, "one token", "-b", first)
    introspection(bench, leased, store, f"{ASKED} tokens in turn", "-f", bodies)


def tokens(bench):
    with Leased() as leased:
        assert leased.post("sys/mounts/token", {"type": "token"}).status == 204
        assert leased.post("token/roles/app", ROLE).status == 204
        assert leased.post("token/roles/old", ROLE).status == 204
        requests(bench, leased, "empty")
        bench.fill(leased, "old", bench.args.leases, "--plain")
        leased.start()
        requests(bench, leased, str(bench.args.leases))
        started = time.monotonic()
        done = leased.put("sys/leases/revoke-prefix/token/creds/app", {"sync": True}, timeout=300)
        assert done.status in (202, 204), done
        bench.row(f"revoke {20000 // bench.n * 2 + 2 * ASKED} tokens in bulk", str(bench.args.leases),
                  (20000 // bench.n * 2 + 2 * ASKED) / (time.monotonic() - started), "1/s")
