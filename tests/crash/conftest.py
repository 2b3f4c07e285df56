import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from pg import Postgres  # noqa: E402


@pytest.fixture(scope="session")
def server():
    with Postgres(settings={"max_connections": 200, "log_statement": "ddl"}) as postgres:
        yield postgres
