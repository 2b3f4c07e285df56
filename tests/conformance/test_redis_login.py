"""Logging in to what answers as Redis does: its words are told, and never what came with the command."""

import contextlib
import socket
import threading

import pytest

from backend_redis import Backend
from conftest import TAG
from plugin_driver import CallFailed, Worker

SECRET = "s3cr3t-Password-of-leased"


@contextlib.contextmanager
def answering(answer):
    """A server that has one answer for whatever comes; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        while connection.recv(65536):
                            connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("words", [f"ERR unknown command 'AUTH', with args beginning with: 'leased' '{SECRET}' ", f"ERR {SECRET[:12]}", SECRET, ""])
def test_an_answer_that_repeats_the_password_is_not_told(words):
    with answering(f"-{words}\r\n".encode()) as port, Worker(Backend().program) as worker:
        with pytest.raises(CallFailed) as failure:
            worker.call("open", {"config": {"host": "127.0.0.1", "port": port, "username": "leased", "password": SECRET}, "tag": TAG,
                                 "instance": "i"})
        assert SECRET[:6] not in failure.value.text + worker.log()
        assert failure.value.code == "refused" and "AUTH" in failure.value.text


def test_a_server_that_is_loading_is_waited_for():
    with answering(b"-LOADING Redis is loading the dataset in memory\r\n") as port, Worker(Backend().program) as worker:
        with pytest.raises(CallFailed) as failure:
            worker.call("open", {"config": {"host": "127.0.0.1", "port": port, "username": "leased", "password": SECRET}, "tag": TAG,
                                 "instance": "i"})
        assert failure.value.code == "unavailable" and "LOADING" in failure.value.text
