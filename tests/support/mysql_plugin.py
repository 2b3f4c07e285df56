"""
The MySQL plugin under test: one worker, opened on a MariaDB server, and short words for its calls.

A test module imports the fixtures that it uses by name: server, plugin, clean (which acts by itself).
"""

import hashlib
import pathlib
import re
import secrets
import socket
import struct
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from daemon import BUILD  # noqa: E402
from mariadb_server import MariaDB  # noqa: E402
from pg import in_seconds  # noqa: E402
from plugin_driver import CallFailed, Worker  # noqa: E402, F401

PROGRAM = BUILD / "libexec" / "leased" / "plugins" / "mysql"
TAG = "k3x9ab"
CREATE = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"
SCHEMA_GRANTS = ("GRANT SELECT, INSERT, UPDATE, DELETE, SHOW VIEW ON app.* TO {admin} WITH GRANT OPTION",
                 "GRANT SELECT, SHOW VIEW ON `my\\_app`.* TO {admin} WITH GRANT OPTION")


def statement(text):
    """One statement as the daemon sends it: parts, with the slots typed by their quotes."""
    parts = []
    for piece in re.split(r"""(`\{\{name\}\}`|'\{\{[a-z]+\}\}')""", text):
        if piece.startswith("`{{"):
            parts.append({"identifier": "name"})
        elif piece.startswith("'{{"):
            parts.append({"literal": piece[3:-3]})
        elif piece:
            parts.append({"sql": piece})
    return parts


def elements(*lists):
    """A list of elements, each a list of statements."""
    return [[statement(text) for text in texts] for texts in lists]


class Account:
    """What the daemon remembers of an account."""

    def __init__(self, name=None, role=None):
        self.name = name or f"l-{TAG}-app-{secrets.token_hex(9)}"
        self.password = secrets.token_urlsafe(18).replace("_", "-")
        self.role = {"grant_roles": ["app"]} if role is None else role
        self.handle = None
        self.server = None

    def object(self, **more):
        known = {"name": self.name, "role": self.role, "handle": self.handle, "server": self.server}
        return {key: value for key, value in (known | more).items() if value is not None}


class Plugin:
    """A worker that is opened on a server."""

    def __init__(self, server, open_now=True, environment=None, **config):
        self.server = server
        self.config = server.config(**config)
        self.worker = Worker(PROGRAM, environment)
        if open_now:
            try:
                self.opened = self.open()
            except BaseException:
                self.worker.__exit__()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.worker.__exit__()

    def call(self, op, params=None, **kwargs):
        return self.worker.call(op, params, **kwargs)

    def open(self):
        return self.call("open", {"config": self.config, "tag": TAG, "instance": "test"})

    def mint(self, account=None, seconds=3600, **kwargs):
        account = account or Account()
        result = self.call("mint", {"account": account.object(), "password": account.password,
                                    "expires": in_seconds(seconds)}, **kwargs)
        account.handle, account.server = result["handle"], result["server"]
        return account

    def renew(self, account, seconds=3600):
        return self.call("renew", {"account": account.object(), "expires": in_seconds(seconds)})

    def check(self, account, **more):
        return self.call("check", {"account": account.object(), "password": account.password, **more})

    def _each(self, op, accounts, more, **kwargs):
        results = self.call(op, {"accounts": [one.object(**more) for one in accounts]}, **kwargs)["results"]
        assert len(results) == len(accounts)
        return results

    def disarm_all(self, accounts, **kwargs):
        return self._each("disarm", accounts, {}, **kwargs)

    def remove_all(self, accounts, failed_mint=None, **kwargs):
        return self._each("remove", accounts, {"failed_mint": failed_mint}, **kwargs)

    def disarm(self, account, **kwargs):
        return self.disarm_all([account], **kwargs)[0]

    def remove(self, account, **kwargs):
        return self.remove_all([account], **kwargs)[0]

    def end(self, account):
        assert self.disarm(account)["ok"] is True
        result = self.remove(account)
        assert result["ok"] is True, result


def refusal(result, code):
    """The text of an account's own failure."""
    assert result["ok"] is False, result
    assert result["error"]["code"] == code, result
    return result["error"]["text"]


def fails(code, call, *args, **kwargs):
    """The call fails with code; the failure."""
    with pytest.raises(CallFailed) as failed:
        call(*args, **kwargs)
    assert failed.value.code == code, failed.value
    return failed.value


# ---- a login by hand ----


class HalfLogin:
    """
    A client that stops in the middle of its login: it has said its name, and the server, which has looked the account up and
    wants another method than the client offered, waits for its answer.
    """

    def __init__(self, server, name, password):
        self.password = password
        self.socket = socket.create_connection((server.host, server.port), 10)
        self.packet()
        flags = 1 | 0x200 | 0x8000 | 0x80000  # long password, protocol 4.1, secure connection, methods by name
        self.send(1, struct.pack("<IIB23x", flags, 1 << 24, 45) + name.encode() + b"\0" + b"\0" + b"client_ed25519\0")
        request = self.packet()
        assert request[0] == 0xFE, request
        method, self.scramble = request[1:].split(b"\0", 1)
        assert method == b"mysql_native_password"

    def packet(self):
        header = self.read(4)
        return self.read(header[0] | header[1] << 8 | header[2] << 16)

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def send(self, number, payload):
        self.socket.sendall(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)

    def finish(self):
        """Answers. Is it let in?"""
        first = hashlib.sha1(self.password.encode()).digest()
        mask = hashlib.sha1(self.scramble[:20] + hashlib.sha1(first).digest()).digest()
        try:
            self.send(3, bytes(a ^ b for a, b in zip(first, mask)))
            return self.packet()[0] == 0
        except OSError:
            return False

    def close(self):
        self.socket.close()


# ---- fixtures ----


@pytest.fixture(scope="session")
def server():
    with MariaDB() as one:
        one.quietly(*(grant.format(admin=one.admin) for grant in SCHEMA_GRANTS))
        yield one


@pytest.fixture
def plugin(server):
    with Plugin(server) as one:
        yield one


@pytest.fixture(autouse=True)
def clean(request):
    """Every case begins with no account of an earlier one."""
    if "server" in request.fixturenames:
        request.getfixturevalue("server").drop_accounts()
