"""How leased ends while something is under way: in time, in order, and with nobody told who is gone."""

import os
import pathlib
import signal
import socket
import tempfile
import time

import pytest

from daemon import Leased, poll


@pytest.fixture
def points():
    """A directory in which failpoints are armed while leased runs."""
    with tempfile.TemporaryDirectory(prefix="leased-points-") as path:
        yield pathlib.Path(path)


def ask(leased, line):
    """A request whose answer is not waited for."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(leased.socket_path))
    client.sendall(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def lose_spawner(leased):
    """The shortest way to a stop: calls in flight have 2 seconds."""
    (spawner,) = pathlib.Path(f"/proc/{leased.pid}/task/{leased.pid}/children").read_text().split()
    os.kill(int(spawner), signal.SIGKILL)


def test_whoever_waits_for_the_reader_at_a_stop_is_told_while_all_is_there(points):
    # What is freed is overwritten, so that a use of it shows without a sanitizer, too.
    tunables = "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"
    env = {"GLIBC_TUNABLES": tunables, "LEASED_FAILPOINT_DIR": str(points)}
    with Leased(env=env) as leased:
        (points / "store_read_before.armed").write_text("sleep:4000")
        clients = [ask(leased, "LIST /v1/sys/policies/acl")]
        poll(lambda: not (points / "store_read_before.armed").exists(), what="a read that is held")
        lines = ["GET /v1/sys/leases/count", "GET /v1/sys/leases/mine", "LIST /v1/sys/policies/acl"]
        clients += [ask(leased, line) for line in lines]
        time.sleep(0.2)
        lose_spawner(leased)
        assert leased.wait_exit(20) == 1, leased.output()[-3000:]
        for client in clients:
            client.close()
