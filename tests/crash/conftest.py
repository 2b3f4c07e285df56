import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from crashsite import SEEN  # noqa: E402
from mariadb_server import MariaDB  # noqa: E402
from pg import Postgres  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--runs", type=int, default=0, help="how many random kills (test_random.py)")
    parser.addoption("--only-run", type=int, default=None, help="of the random kills of LEASED_TEST_SEED this one alone")


@pytest.fixture(scope="session")
def server():
    with Postgres(settings={"max_connections": 300, "log_statement": "none", "log_connections": "off"}) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def mariadb():
    # performance_schema has the names of sessions, by which those of dead daemons are known.
    with MariaDB(settings={"performance_schema": "ON", "general_log": "OFF", "max_connections": 400}) as one:
        yield one


@pytest.fixture(params=["server", "mariadb"], ids=["PostgreSQL", "MariaDB"])
def database(request):
    """What must hold on both."""
    return request.getfixturevalue(request.param)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("what each case saw")
    for line in sorted(SEEN):
        terminalreporter.write_line(line)
