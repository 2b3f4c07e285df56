import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from pg import Postgres  # noqa: E402


@pytest.fixture(scope="session")
def server():
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(autouse=True)
def _clean(request):
    """Every case begins with no account of an earlier one."""
    if "server" not in request.fixturenames:
        return
    postgres = request.getfixturevalue("server")
    for name in postgres.role_names("l-"):
        postgres.sql(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
