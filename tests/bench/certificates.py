"""What an SSH certificate with a durable lease costs, against OpenSSL's signatures alone. A part of tests/bench/run."""

import json
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

from daemon import BUILD, Leased


def openssl_per_second(seconds):
    """Ed25519 signatures of one core."""
    told = subprocess.run(["openssl", "speed", "-elapsed", "-seconds", str(seconds), "ed25519"], check=True, capture_output=True, text=True).stdout
    return float(next(line for line in told.splitlines() if "Ed25519" in line and "253 bits" in line).split()[-2])


def certificates(bench):
    with Leased() as leased, tempfile.TemporaryDirectory(prefix="leased-bench-") as directory:
        key = pathlib.Path(directory, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, stdin=subprocess.DEVNULL)
        assert leased.post("sys/mounts/ssh", {"type": "ssh"}).status == 204
        assert leased.post("ssh/config/ca", {}).status == 200
        assert leased.post("ssh/roles/r", {"key_type": "ca", "allow_user_certificates": True, "default_user": "bench", "ttl": "1h"}).status == 204
        body = json.dumps({"public_key": key.with_suffix(".pub").read_text()})
        turns = []
        for _ in range(3):
            raw = openssl_per_second(1 if bench.args.quick else 3)
            ours = bench.load(leased, "ssh/sign/r", count=10000 // bench.n, method="POST", more=["-b", body])
            assert ours["errors"] == 0 and ours["refused"] == 0, ours
            turns.append((ours["per_second"] / raw, raw, ours))
        _, raw, ours = sorted(turns, key=lambda turn: turn[0])[1]
        bench.row("sign an SSH certificate, durable, against openssl speed ed25519 on one core", "empty", ours["per_second"], "1/s", raw, 0.5,
                  p50_us=ours["p50_us"], p99_us=ours["p99_us"])


def runs(count, env, *command):
    """(wall, CPU) of the median of so many processes, in ms."""
    walls, cpus = [], []
    for _ in range(count):
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        _, status = os.waitpid(os.posix_spawn(command[0], command, env), 0)
        walls.append(1000 * (time.perf_counter() - begin))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
        assert status == 0, command
    return statistics.median(walls), statistics.median(cpus)


def ensure(bench):
    """What ssh runs each time when it reads its configuration, while the certificate is good: without a request."""
    with Leased() as leased, tempfile.TemporaryDirectory(prefix="leased-bench-") as directory:
        for path, body in (("sys/mounts/ssh", {"type": "ssh"}), ("ssh/config/ca", {}),
                           ("ssh/roles/r", {"key_type": "ca", "allow_user_certificates": True, "default_user": "bench", "ttl": "1h"})):
            assert leased.post(path, body).status < 300
        command = [str(BUILD / "bin" / "lease"), "ssh", "ensure", "--quiet", "--role", "r", "--dir", directory]
        env = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{leased.socket_path}"}
        subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL)
        env["LEASE_ADDR"] = "unix:///nowhere"
        count = 400 // bench.n
        (nothing, _), (wall, cpu) = runs(count, env, "/bin/true"), runs(count, env, *command)
        bench.row("lease ssh ensure, with a good certificate", "empty", round(wall, 2), "ms", at_most=20, cpu_ms=round(cpu, 2), bin_true_ms=round(nothing, 2))
