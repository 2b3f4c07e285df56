"""Clients that read their answer over TLS and hang up, each in its way: what they were given stays theirs."""

import json
import socket
import struct
import subprocess
import time
import urllib.request

import pytest

from daemon import poll
from job import Job
from served import Served

TIMES = 30
# What a client of this sort would have lost is ended at once; by then it is.
REVOKED_BY_S = 1


def by_urllib(leased, path, body, token):
    """It always asks for a close, and never says goodbye."""
    request = urllib.request.Request(f"https://{leased.address}/v1/{path}", data=body, headers={"X-Vault-Token": token})
    with urllib.request.urlopen(request, context=leased.context(), timeout=10) as answer:
        return json.load(answer)


def by_curl(*more):
    def send(leased, path, body, token):
        data = ["-d", body.decode()] if body else []
        done = subprocess.run(["curl", "-sS", "--cacert", str(leased.authority.ca_file), "-H", f"X-Vault-Token: {token}",
                               *more, *data, f"https://{leased.address}/v1/{path}"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done
        return json.loads(done.stdout)
    return send


def open_and_send(leased, path, body, token, more=b""):
    sock = leased.context().wrap_socket(socket.create_connection(("127.0.0.1", leased.port), timeout=10),
                                        server_hostname="127.0.0.1")
    sock.sendall(b"%s /v1/%s HTTP/1.1\r\nHost: leased\r\nX-Vault-Token: %s\r\n%sContent-Length: %d\r\n\r\n%s"
                 % (b"POST" if body else b"GET", path.encode(), token.encode(), more, len(body or b""), body or b""))
    return sock


def say_goodbye(sock):
    """Without waiting for the other side's."""
    sock.setblocking(False)
    try:
        sock.unwrap()
    except OSError:
        pass


def by_socket(more=b"", goodbye=False, wait_s=0.0):
    def send(leased, path, body, token):
        with open_and_send(leased, path, body, token, more) as sock:
            head, _, text = b"", b"", b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(65536)
            head, _, text = head.partition(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length:")[1].split()[0])
            while len(text) < size:
                text += sock.recv(65536)
            if goodbye:
                say_goodbye(sock)
            time.sleep(wait_s)
        return json.loads(text)
    return send


CLOSE = b"Connection: close\r\n"
CLIENTS = {
    "urllib": by_urllib,
    "curl": by_curl(),
    "curl that asks for a close": by_curl("-H", "Connection: close"),
    "close": by_socket(),
    "goodbye and close": by_socket(goodbye=True),
    "goodbye, and close later": by_socket(goodbye=True, wait_s=0.005),
    "last, close": by_socket(CLOSE),
    "last, close later": by_socket(CLOSE, wait_s=0.02),
    "last, goodbye and close": by_socket(CLOSE, goodbye=True),
    "last, goodbye, and close later": by_socket(CLOSE, goodbye=True, wait_s=0.02),
}


@pytest.fixture(scope="module")
def leased():
    with Served() as one:
        yield one


@pytest.mark.parametrize("name", CLIENTS)
def test_a_token_stays_with_a_client_that_read_it_and_hung_up(leased, name):
    token, body = leased.root_like_token(), json.dumps({"policies": ["admin"], "ttl": "1h"}).encode()
    given = [CLIENTS[name](leased, "auth/token/create", body, token)["auth"]["client_token"] for _ in range(TIMES)]
    time.sleep(REVOKED_BY_S)
    dead = [one for one in given if leased.post("auth/token/lookup", {"token": one}).status != 200]
    assert not dead, f"{len(dead)} of {TIMES}"


def test_a_last_answer_that_gives_nothing_away_ends_with_a_goodbye(leased):
    plain = socket.create_connection(("127.0.0.1", leased.port), timeout=10)
    with leased.context().wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as sock:
        sock.sendall(b"GET /v1/sys/health HTTP/1.1\r\nHost: leased\r\n%s\r\n" % CLOSE)
        while sock.recv(65536):  # an end without a goodbye raises
            pass


@pytest.fixture(scope="module")
def job(server):
    with Served() as one:
        one.post("sys/mounts/database", {"type": "database"})  # it may be there already
        yield Job(server, leased=one).set_up()


@pytest.mark.parametrize("name", ["urllib", "curl", "close", "goodbye, and close later", "last, close later"])
def test_a_lease_stays_with_a_client_that_read_it_and_hung_up(job, name):
    token = job.leased.root_like_token()
    given = [CLIENTS[name](job.leased, "database/creds/app", None, token)["data"]["username"] for _ in range(TIMES)]
    time.sleep(REVOKED_BY_S)
    accounts = job.accounts()
    dead = [one for one in given if one not in accounts]
    assert not dead, f"{len(dead)} of {TIMES}"


# With a goodbye in front of it the same is shown in tests/unit/http/test_tls.c: Python's reads what is there.
@pytest.mark.parametrize("more", [b"", CLOSE])
@pytest.mark.parametrize("reset", [False, True])
def test_a_lease_is_taken_back_from_a_client_that_hung_up_before_it_read(job, reset, more):
    before = set(job.accounts())
    sock = open_and_send(job.leased, "database/creds/app", None, job.leased.root_like_token(), more)
    poll(lambda: set(job.accounts()) - before, what="the account")
    time.sleep(0.3)  # the answer lies in its socket
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    poll(lambda: set(job.accounts()) == before, 8, what="the account to be taken back")
