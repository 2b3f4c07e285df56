"""Every test of the suite runs for every plugin that has a backend_<plugin>.py here. A test marked needs("op") does not exist for a plugin without it."""

import importlib
import pathlib
import re
import secrets
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "support"))

from plugin_driver import CallFailed, Worker  # noqa: E402

TAG = "c0nf0r"
EXPIRES = "2099-01-01T00:00:00Z"
BACKENDS = {
    path.stem.removeprefix("backend_"): importlib.import_module(path.stem).Backend
    for path in sorted(HERE.glob("backend_*.py"))
}


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*what): operations, or attributes of the backend, that the test is about")


def pytest_generate_tests(metafunc):
    if "backend" not in metafunc.fixturenames:
        return
    needs = [what for mark in metafunc.definition.iter_markers("needs") for what in mark.args]
    fitting = [
        name
        for name, backend in BACKENDS.items()
        if all(what in backend.ops or getattr(backend, what, False) for what in needs)
    ]
    metafunc.parametrize("backend", fitting, indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """A test that no plugin has is left out, not skipped: there is nothing that it could say."""
    empty = [item for item in items if any(mark.name == "skip" and "empty parameter set" in str(mark.kwargs) for mark in item.own_markers)]
    config.hook.pytest_deselected(items=empty)
    items[:] = [item for item in items if item not in empty]


@pytest.fixture(scope="session")
def backend(request):
    one = BACKENDS[request.param]()
    one.start()
    yield one
    one.stop()


class Plugin:
    """Opens workers of one plugin and speaks in accounts."""

    def __init__(self, backend):
        self.backend = backend
        self.workers = []

    def worker(self, opened=True, environment=None):
        worker = Worker(self.backend.program, environment)
        self.workers.append(worker)
        if opened:
            self.open(worker)
        return worker

    def open(self, worker, config=None):
        params = {"config": self.backend.config() if config is None else config, "tag": TAG, "instance": "2f1c9a52-0a4e-4f5e-9d0a-6c2f5b8e9d11"}
        return worker.call("open", params)

    def account(self, name=None, **more):
        return {"name": name or f"l-{TAG}-app-{secrets.token_hex(8)}", "role": self.backend.role(), **more}

    def password(self):
        return "Aa1-" + secrets.token_hex(10)

    def mint(self, worker, account, password=None):
        """Mints; the account as the daemon would know it then, and its password."""
        password = password or self.password()
        result = worker.call("mint", {"account": account, "password": password, "expires": EXPIRES})
        assert set(result) <= {"handle", "server", "values", "kept"}, result
        values = result.pop("values", {})
        assert len(values) <= 16 and all(re.fullmatch("[a-z0-9_]{1,64}", name) and isinstance(text, str) for name, text in values.items())
        assert sum(len(name.encode()) + len(text.encode()) for name, text in values.items()) <= 16384
        assert 1 <= len(result.get("kept", "-").encode()) <= 4096
        return {**account, **result, "expires": EXPIRES}, self.backend.password_of(values, password)

    def each(self, worker, op, *accounts):
        results = worker.call(op, {"accounts": list(accounts)})["results"]
        assert len(results) == len(accounts)
        for result in results:
            assert set(result) <= {"ok", "handle", "server", "error"}, result
            if not result["ok"]:
                assert set(result["error"]) == {"code", "text"} and result["error"]["text"], result
        return results

    def disarm(self, worker, account):
        (result,) = self.each(worker, "disarm", account)
        assert result["ok"], result
        return result

    def remove(self, worker, account):
        (result,) = self.each(worker, "remove", account)
        assert result["ok"], result
        return result

    def end(self, worker, account):
        self.disarm(worker, account)
        self.remove(worker, account)
        assert not self.backend.exists(account["name"])

    def reap(self, worker, sessions):
        if "reap" in self.backend.ops and sessions:
            results = worker.call("reap", {"sessions": sessions})["results"]
            assert all(result["ok"] for result in results) and len(results) == len(sessions), results


@pytest.fixture
def plugin(backend):
    one = Plugin(backend)
    yield one
    for worker in one.workers:
        worker.__exit__()


@pytest.fixture
def worker(plugin):
    return plugin.worker()


def fails(code, call, *args, **kwargs):
    """The call fails with code (or one of them); the failure."""
    codes = {code} if isinstance(code, str) else set(code)
    with pytest.raises(CallFailed) as failure:
        call(*args, **kwargs)
    assert failure.value.code in codes, failure.value
    return failure.value
