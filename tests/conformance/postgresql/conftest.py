import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))

from pg import Postgres, quote_ident  # noqa: E402
from pg_plugin import Plugin  # noqa: E402


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
def _clean(request):
    """Every case begins with no account of an earlier one."""
    if "server" not in request.fixturenames:
        return
    postgres = request.getfixturevalue("server")
    databases = [row[0] for row in postgres.sql("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")]
    for name in postgres.role_names("l-"):
        for database in databases:
            postgres.sql(f"DROP OWNED BY {quote_ident(name)} CASCADE", dbname=database)
        postgres.sql(f"DROP ROLE {quote_ident(name)}")
