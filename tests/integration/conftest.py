import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from daemon import PRESET  # noqa: E402
from mariadb_server import MariaDB  # noqa: E402
from pg import Postgres  # noqa: E402


# Whoever runs the tests in the background (nohup, a shell's &) has these ignored, and what is ignored is inherited: a
# test that sends one to `lease` would then test nothing.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_sandbox: what it shows is refused by the sandbox, which a build with sanitizers has not")


def pytest_collection_modifyitems(items):
    if PRESET in ("asan", "tsan"):
        for item in items:
            if item.get_closest_marker("needs_sandbox"):
                item.add_marker(pytest.mark.skip(reason="a build with sanitizers has no sandbox, which is what refuses"))


@pytest.fixture(scope="session")
def server():
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def mariadb():
    with MariaDB() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(request):
    """Every case begins with no account of an earlier one."""
    for name in ("server", "mariadb"):
        if name in request.fixturenames:
            request.getfixturevalue(name).drop_accounts()
