"""push: what a worker is to bring where is checked before it connects, and one that has keys of a CA goes nowhere. How it does is test_ssh_push.py of integration."""

import base64
import socket

import pytest

from conftest import fails
from plugin_driver import Worker
from ssh_files import Files

pytestmark = pytest.mark.needs("push")
LIST = base64.b64encode(b"SSHKRL\n\0" + (1).to_bytes(4, "big") + (17).to_bytes(8, "big") + bytes(24)).decode()


@pytest.fixture(scope="module")
def request_of():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        key = Files().user_key("ed25519")

        def make(host=None, **more):
            there = {"address": "127.0.0.1", "port": port, "user": "leased-krl", "path": "/var/lib/leased-krl/revoked.krl", "host_keys": [key]}
            return {"host": there | (host or {}), "identity": {"private": "none", "certificate": "none"}, "list": LIST} | more
        yield make


def test_a_worker_with_keys_goes_to_no_host(worker, request_of):
    fails("invalid", worker.call, "push", request_of())


@pytest.fixture
def pusher(backend, request_of):
    with Worker(backend.program) as worker:
        worker.call("open", {"config": {"ports": [request_of()["host"]["port"]]}, "tag": "c0nf0r", "instance": "2f1c9a52-0a4e-4f5e-9d0a-6c2f5b8e9d11"})
        yield worker


@pytest.mark.parametrize("host", [{"address": ""}, {"address": "a b"}, {"port": 0}, {"port": 65536}, {"port": "22"}, {"user": ""}, {"user": "a\nb"}, {"path": "krl"}, {"path": "/a b"},
                                  {"path": "/" + 600 * "a"}, {"host_keys": []}, {"host_keys": [1]}, {"host_keys": ["ssh-ed25519 AAAA"]}, {"host_keys": None}])
def test_what_cannot_be_right_is_refused_before_anybody_is_connected_to(pusher, request_of, host):
    fails("invalid", pusher.call, "push", request_of(host))


@pytest.mark.parametrize("more", [{"list": ""}, {"list": "none"}, {"list": base64.b64encode(b"ssh-ed25519 AAAA somebody").decode()}, {"list": LIST[:-1]}, {"identity": {}}, {"identity": []}])
def test_what_is_no_list_goes_nowhere(pusher, request_of, more):
    fails("invalid", pusher.call, "push", request_of(**more))


def test_a_host_that_is_not_there_is_said_and_may_be_asked_again(pusher, request_of):
    for _ in range(2):
        fails("unavailable", pusher.call, "push", request_of())
