"""`lease` as tests run it, against a leased that the test writes."""

import os
import pathlib
import subprocess
import time

from fake_leased import LEASE_ID, credential, envelope

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEASE = str(ROOT / "build" / os.environ.get("LEASED_PRESET", "dev") / "bin" / "lease")
CREDS = "GET /v1/database/creds/app"
RENEW, REVOKE = "PUT /v1/sys/leases/renew", "PUT /v1/sys/leases/revoke"


def environment(leased, **more):
    names = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{leased.socket_path}"}
    names.update(more)
    return {name: value for name, value in names.items() if value is not None}


def run(leased, *arguments, stdin=b"", timeout=20, **more):
    return subprocess.run([LEASE, *arguments], input=stdin, capture_output=True, timeout=timeout,
                          env=environment(leased, **more))


def start(leased, *arguments, **more):
    return subprocess.Popen([LEASE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(leased, **more))


def with_credential(leased, duration=3600, **data):
    leased.answers[CREDS] = credential(duration, **data)
    leased.answers[REVOKE] = (204, None)
    leased.answers[RENEW] = (200, envelope(lease_id=LEASE_ID, renewable=True, lease_duration=duration))


def wait_for(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        time.sleep(0.02)
