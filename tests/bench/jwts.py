"""What JWTs cost: issue against signing alone, introspection and the list of keys against sys/health. A part of tests/bench/run."""

import json

from daemon import Leased

ALGORITHMS = ("RS256", "ES256", "EdDSA")


def as_peer(bench, leased, path, count):
    """By this process as the kernel knows it: root's token has no entity."""
    return bench.load(leased, path, count=count, token="-")


def issue(bench, leased, algorithm, raw):
    turns = []
    for _ in range(3):
        health = bench.load(leased, "sys/health")["per_second"]
        ours = as_peer(bench, leased, f"identity/oidc/token/{algorithm}", 6000 // bench.n)
        assert ours["errors"] == 0 and ours["refused"] == 0, ours
        turns.append((ours["per_second"], health, ours))
    figure, health, ours = sorted(turns, key=lambda turn: turn[0])[1]
    bench.row(f"issue a JWT by {algorithm}, durable, against signing", "empty", figure, "1/s", raw, p50_us=ours["p50_us"], p99_us=ours["p99_us"])
    bench.row(f"issue a JWT by {algorithm}, against sys/health", "empty", figure, "1/s", health)


def requests(bench, leased):
    body = json.dumps({"token": leased.get("identity/oidc/token/ES256").data["token"]})
    for what, path, more in (("introspect one JWT", "identity/oidc/introspect", {"method": "POST", "more": ["-b", body]}),
                             ("read the list of keys", "identity/oidc/.well-known/keys", {}),
                             ("read the list of ended JWTs", "identity/oidc/.well-known/denylist", {})):
        turns = []
        for _ in range(5):
            health = bench.load(leased, "sys/health")["per_second"]
            ours = bench.load(leased, path, **more)
            assert ours["errors"] == 0 and ours["refused"] == 0, ours
            turns.append((ours["per_second"] / health, health, ours))
        _, health, ours = sorted(turns, key=lambda turn: turn[0])[2]
        bench.row(f"{what}, against sys/health", "empty", ours["per_second"], "1/s", health, 0.5, p50_us=ours["p50_us"], p99_us=ours["p99_us"])


def jwts(bench, tool):
    with Leased() as leased:
        assert leased.post("identity/oidc/config", {"issuer": "https://leased.example"}).status == 200
        for algorithm in ALGORITHMS:
            assert leased.post(f"identity/oidc/key/{algorithm}", {"algorithm": algorithm, "allowed_client_ids": "*"}).status == 204
            assert leased.post(f"identity/oidc/role/{algorithm}", {"key": algorithm, "ttl": "1h"}).status == 204
            issue(bench, leased, algorithm, tool("jwt_raw", algorithm, 1 if bench.args.quick else 3)["per_s"])
        requests(bench, leased)
