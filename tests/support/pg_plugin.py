"""
The PostgreSQL plugin under test: one worker, opened on a server, and short words for its calls.

A test module imports the fixtures that it uses by name: server, plugin, other_database, clean (which acts by itself).
"""

import pathlib
import re
import secrets
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from daemon import BUILD  # noqa: E402
from pg import Postgres, in_seconds, quote_ident  # noqa: E402
from plugin_driver import CallFailed, Worker  # noqa: E402

PROGRAM = BUILD / "libexec" / "leased" / "plugins" / "postgresql"
TAG = "k3x9ab"

CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


def statement(text):
    """One statement as the daemon sends it: parts, with the slots typed by their quotes."""
    parts = []
    for piece in re.split(r"""("\{\{name\}\}"|'\{\{[a-z]+\}\}')""", text):
        if piece.startswith('"{{'):
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
        self.name = name or f"l-{TAG}-app-{secrets.token_hex(10)}"
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

    # ---- accounts ----

    def mint(self, account=None, seconds=3600, **kwargs):
        account = account or Account()
        result = self.call("mint", {"account": account.object(), "password": account.password,
                                    "expires": in_seconds(seconds)}, **kwargs)
        account.handle, account.server = result["handle"], result["server"]
        return account

    def renew(self, account, seconds):
        return self.call("renew", {"account": account.object(), "expires": in_seconds(seconds)})

    def check(self, account):
        return self.call("check", {"account": account.object(), "password": account.password})

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


# ---- fixtures ----


@pytest.fixture(scope="session")
def server():
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def plugin(server):
    with Plugin(server) as one:
        yield one


@pytest.fixture
def other_database(server):
    """A second database, with a name that needs quotes."""
    name = 'o"the\'r;--'
    server.sql(f"CREATE DATABASE {quote_ident(name)}")
    server.sql(f"GRANT CONNECT ON DATABASE {quote_ident(name)} TO leased")
    yield name
    server.sql(f"DROP DATABASE {quote_ident(name)} WITH (FORCE)")


@pytest.fixture(autouse=True)
def clean(request):
    """Every case begins with no account of an earlier one."""
    if "server" not in request.fixturenames:
        return
    postgres = request.getfixturevalue("server")
    databases = postgres.sql("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
    for name in postgres.role_names("l-"):
        for (database,) in databases:
            postgres.sql(f"DROP OWNED BY {quote_ident(name)} CASCADE", dbname=database)
        postgres.sql(f"DROP ROLE {quote_ident(name)}")
