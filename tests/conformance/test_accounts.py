"""Accounts: made whole, ended in two steps, each again and again, by any worker, whatever the name."""

import time

import pytest

from conftest import EXPIRES, TAG, fails
from plugin_driver import CallFailed, PluginGone

# A plugin that has no accounts (it signs) has no such tests.
pytestmark = pytest.mark.needs("mint")


def test_an_account_lives_from_mint_to_remove(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    assert backend.can_log_in(account["name"], password)
    assert bool(account.get("handle")) == backend.repeats_handles
    assert len(account.get("handle", "").encode()) <= 64 and 1 <= len(account["server"].encode()) <= 127
    plugin.disarm(worker, account)
    assert backend.exists(account["name"]) == backend.keeps_disarmed and not backend.can_log_in(account["name"], password)
    plugin.remove(worker, account)
    assert not backend.exists(account["name"])


def test_mint_over_an_existing_account_fails_and_leaves_it_as_it_was(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    failure = fails("exists", plugin.mint, worker, plugin.account(account["name"]), plugin.password())
    assert failure.sent is True
    assert backend.can_log_in(account["name"], password)
    plugin.end(worker, account)


def test_disarm_and_remove_may_come_twice(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    for _ in range(2):
        plugin.disarm(worker, account)
        assert not backend.can_log_in(account["name"], password)
    for _ in range(2):
        plugin.remove(worker, account)
        assert not backend.exists(account["name"])
    plugin.disarm(worker, account)


def test_what_is_gone_already_is_success(plugin, worker, backend):
    account = plugin.account()
    result = plugin.disarm(worker, account)
    assert "handle" not in result
    plugin.remove(worker, account)
    plugin.remove(worker, {**account, "failed_mint": True})
    account, _ = plugin.mint(worker, account)
    backend.remove_foreign(account["name"])
    plugin.end(worker, account)


def test_a_failed_mint_is_ended_like_any(plugin, worker, backend):
    account, _ = plugin.mint(worker, plugin.account())
    plugin.disarm(worker, account)
    plugin.remove(worker, {**account, "failed_mint": True})
    assert not backend.exists(account["name"])


@pytest.mark.needs("repeats_handles")
def test_disarm_tells_the_handle_of_an_account_that_has_none_yet(plugin, worker):
    account, _ = plugin.mint(worker, plugin.account())
    bare = {"name": account["name"], "role": account["role"]}
    result = plugin.disarm(worker, bare)
    assert result["handle"] == account["handle"] and result["server"] == account["server"]
    plugin.end(worker, bare)


def test_nothing_is_touched_on_another_server(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    elsewhere = {**account, "server": "another-server"}
    for op in ("disarm", "remove"):
        (result,) = plugin.each(worker, op, elsewhere)
        assert result["error"]["code"] == "moved", result
        (result,) = plugin.each(worker, op, {**plugin.account(), "server": "another-server"})
        assert result["error"]["code"] == "moved", "gone already is success on the right server only"
    if "renew" in backend.ops:
        fails("moved", worker.call, "renew", {"account": elsewhere, "expires": EXPIRES})
    assert backend.can_log_in(account["name"], password)
    plugin.end(worker, account)


# ---- batches ----


def test_a_batch_answers_for_each_in_order_and_one_failure_stops_nothing(plugin, worker, backend):
    accounts = [plugin.mint(worker, plugin.account())[0] for _ in range(6)]
    mixed = [accounts[0], plugin.account("x" * 300), accounts[1], {**accounts[2], "server": "another-server"}, plugin.account(), accounts[3]]
    for op in ("disarm", "remove"):
        results = plugin.each(worker, op, *mixed)
        assert [result["ok"] for result in results] == [True, False, True, False, True, True], results
        assert results[1]["error"]["code"] == "invalid" and results[3]["error"]["code"] == "moved"
    assert [backend.exists(account["name"]) for account in accounts[:4]] == [False, False, True, False]
    for account in (accounts[2], accounts[4], accounts[5]):
        plugin.end(worker, account)


def test_a_batch_of_64_works_and_may_name_one_account_twice(plugin, worker, backend):
    accounts = [plugin.mint(worker, plugin.account())[0] for _ in range(8)]
    batch = accounts + [plugin.account() for _ in range(55)] + accounts[:1]
    for op in ("disarm", "remove"):
        assert all(result["ok"] for result in plugin.each(worker, op, *batch))
    assert not any(backend.exists(account["name"]) for account in accounts)


# ---- names ----

HOSTILE = {
    "double quotes": 'l-"; DROP ROLE x; --',
    "single quotes": "l-'; DROP ROLE x; --",
    "backticks": "l-`x`",
    "backslashes": "l-\\x\\'\\\\",
    "percent": "l-%s%n%d%%",
    "dollars": "l-$$x$tag$",
    "semicolons": "l-;--;/*",
    "braces": "l-{{name}}{{password}}",
    "spaces": " l- x ",
    "tab and newline": "l-\t\n\rx",
    "control bytes": "l-\x01\x1f\x7f",
    "slashes": "../../l-x",
    "a dot": ".",
    "not ASCII": "l-\u00e9\u4e2d\U0001f600",
    "upper case": "L-ABC-Def",
    "a keyword": "select",
    "public": "public",
    "one byte": "x",
    "63 bytes": "l-" + "x" * 61,
    "64 bytes": "l-" + "x" * 62,
    "63 bytes that are the start of 64": "l-" + "x" * 61,
    "300 bytes": "l-" + "x" * 298,
    "cut within a character": "l-" + "x" * 60 + "\u00e9",
}


@pytest.mark.parametrize("what", HOSTILE, ids=lambda what: what.replace(" ", "-"))
def test_a_name_works_in_every_operation_or_is_refused(plugin, worker, backend, what):
    account = plugin.account(HOSTILE[what])
    canary, canary_password = plugin.mint(worker, plugin.account())
    name_max = worker.call("describe")["name_max"]
    try:
        account, password = plugin.mint(worker, account)
    except CallFailed as failure:
        assert failure.code in ("invalid", "refused"), failure
        assert failure.sent is False or failure.code == "refused", failure
        for op in ("disarm", "remove"):
            (result,) = plugin.each(worker, op, account)
            assert result["ok"] or result["error"]["code"] in ("invalid", "refused"), result
    else:
        assert len(account["name"].encode()) <= name_max
        assert backend.exists(account["name"]) and backend.can_log_in(account["name"], password)
        if "renew" in backend.ops:
            worker.call("renew", {"account": account, "expires": EXPIRES})
        if "check" in backend.ops:
            worker.call("check", {"account": account, "password": password})
        if "set_password" in backend.ops:
            password = plugin.password()
            worker.call("set_password", {"account": account, "password": password})
            assert backend.can_log_in(account["name"], password)
        plugin.disarm(worker, account)
        assert not backend.can_log_in(account["name"], password)
        plugin.remove(worker, account)
    assert not backend.exists(HOSTILE[what])
    assert backend.can_log_in(canary["name"], canary_password), "another account was hit"
    plugin.end(worker, canary)


def test_names_are_never_cut(plugin, worker, backend):
    name_max = worker.call("describe")["name_max"]
    longest = ("l-" + "y" * 255)[:name_max]
    account, password = plugin.mint(worker, plugin.account(longest))
    over = plugin.account(longest + "z")
    assert fails("invalid", plugin.mint, worker, over).sent is False
    for op in ("disarm", "remove"):
        (result,) = plugin.each(worker, op, over)
        assert not result["ok"] and result["error"]["code"] == "invalid", result
    assert backend.can_log_in(longest, password), "a longer name hit this account"
    plugin.end(worker, account)


@pytest.mark.parametrize("password", ["Aa1-'\"\\;--%$${{name}}", "Aa1- \u00e9\u4e2d", "x" * 120], ids=["quotes", "not-ASCII", "long"])
@pytest.mark.needs("registers_sessions")
def test_a_password_may_hold_anything(plugin, worker, backend, password):
    account, _ = plugin.mint(worker, plugin.account(), password)
    assert backend.can_log_in(account["name"], password)
    assert not backend.can_log_in(account["name"], password + "x")
    plugin.end(worker, account)


# ---- sessions of accounts ----


@pytest.mark.needs("registers_sessions")
def test_disarm_cuts_open_sessions(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    sessions = [backend.open_session(account["name"], password) for _ in range(3)]
    assert all(session.alive() for session in sessions)
    plugin.disarm(worker, account)
    assert not any(session.alive() for session in sessions)
    plugin.remove(worker, account)
    for session in sessions:
        session.close()


# ---- killed in the middle ----

MOMENTS_S = [0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.02, 0.05]


def cut(plugin, worker, op, params, moment_s):
    """Starts op, serves its sessions, kills the worker after moment_s."""
    call_id = worker.start(op, params)
    deadline = time.monotonic() + moment_s
    while (left := deadline - time.monotonic()) > 0:
        try:
            message = worker.receive(timeout_s=left)
        except (AssertionError, PluginGone):
            break
        if message["op"] == "session":
            worker._answer_session(call_id, message)
        elif message["op"] != "session_end":
            break  # it was faster
    worker.kill()
    return [session for _, session in worker.sessions]


@pytest.mark.parametrize("moment_s", MOMENTS_S)
def test_a_mint_that_was_cut_is_ended_by_another_worker(plugin, backend, moment_s):
    account, password = plugin.account(), plugin.password()
    sessions = cut(plugin, plugin.worker(), "mint", {"account": account, "password": password, "expires": EXPIRES}, moment_s)
    second = plugin.worker()
    plugin.reap(second, sessions)
    plugin.disarm(second, account)
    assert not backend.can_log_in(account["name"], password)
    plugin.remove(second, {**account, "failed_mint": True})
    assert not backend.exists(account["name"])
    time.sleep(0.05)
    assert not backend.exists(account["name"]), "the cut mint landed later"


@pytest.mark.parametrize("op", ["disarm", "remove"])
@pytest.mark.parametrize("moment_s", MOMENTS_S)
def test_an_end_that_was_cut_is_done_again_by_another_worker(plugin, backend, op, moment_s):
    first = plugin.worker()
    accounts = [plugin.mint(first, plugin.account()) for _ in range(4)]
    if op == "remove":
        for account, _ in accounts:
            plugin.disarm(first, account)
    sessions = cut(plugin, first, op, {"accounts": [account for account, _ in accounts]}, moment_s)
    second = plugin.worker()
    plugin.reap(second, sessions)
    for each in ("disarm", "remove"):
        assert all(result["ok"] for result in plugin.each(second, each, *(account for account, _ in accounts)))
    assert not any(backend.exists(account["name"]) for account, _ in accounts)


@pytest.mark.needs("renew")
@pytest.mark.parametrize("moment_s", MOMENTS_S)
def test_a_renewal_that_was_cut_is_done_again_by_another_worker(plugin, backend, moment_s):
    first = plugin.worker()
    account, password = plugin.mint(first, plugin.account())
    sessions = cut(plugin, first, "renew", {"account": account, "expires": EXPIRES}, moment_s)
    second = plugin.worker()
    plugin.reap(second, sessions)
    assert second.call("renew", {"account": account, "expires": EXPIRES}) == {}
    assert backend.can_log_in(account["name"], password)
    plugin.end(second, account)


# ---- the other operations ----


@pytest.mark.needs("renew")
def test_renew_may_come_twice_and_go_back_and_needs_the_account(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    for expires in (EXPIRES, EXPIRES, "2098-01-01T00:00:00Z"):
        assert worker.call("renew", {"account": account, "expires": expires}) == {}
    assert backend.can_log_in(account["name"], password)
    plugin.end(worker, account)
    fails("not_found", worker.call, "renew", {"account": account, "expires": EXPIRES})
    assert not backend.exists(account["name"])


@pytest.mark.needs("check")
def test_check_logs_in_and_leaves_no_session(plugin, worker):
    account, password = plugin.mint(worker, plugin.account())
    assert worker.call("check", {"account": account, "password": password}) == {}
    failure = fails({"denied", "refused"}, worker.call, "check", {"account": account, "password": "wrong-password"})
    assert "wrong-password" not in failure.text and password not in failure.text
    plugin.end(worker, account)
    fails({"not_found", "denied", "refused"}, worker.call, "check", {"account": account, "password": password})


@pytest.mark.needs("set_password")
def test_set_password_replaces_the_old_one_and_needs_the_account(plugin, worker, backend):
    account, old = plugin.mint(worker, plugin.account())
    new = plugin.password()
    for _ in range(2):
        worker.call("set_password", {"account": account, "password": new})
    assert backend.can_log_in(account["name"], new) and not backend.can_log_in(account["name"], old)
    plugin.end(worker, account)
    fails("not_found", worker.call, "set_password", {"account": account, "password": new})


@pytest.mark.needs("inventory")
def test_inventory_lists_ours_only_in_pages(plugin, worker, backend):
    accounts = sorted(plugin.mint(worker, plugin.account())[0]["name"] for _ in range(5))
    plugin.disarm(worker, plugin.account(accounts[2]))
    foreign = [f"l-{TAG}x", f"l-other1-{accounts[0][-8:]}", f"L-{TAG.upper()}-x", f"xl-{TAG}-x", f"l-{TAG.replace('0', '_')}-x"]
    for name in foreign:
        backend.make_foreign(name)
    try:
        seen, after = [], None
        while True:
            page = worker.call("inventory", {"tag": TAG, **({"after": after} if after else {})})
            seen += page["accounts"]
            assert len(page["accounts"]) <= 256
            if not page["more"]:
                break
            after = page["accounts"][-1]["name"]
        listed = accounts if backend.keeps_disarmed else accounts[:2] + accounts[3:]
        assert [entry["name"] for entry in seen] == listed
        assert [entry["armed"] for entry in seen] == [name != accounts[2] for name in listed]
        rest = worker.call("inventory", {"tag": TAG, "after": accounts[2]})["accounts"]
        assert [entry["name"] for entry in rest] == accounts[3:]
        for tag in ("%", "_", "' OR true --", "c0nf0"):
            assert worker.call("inventory", {"tag": tag})["accounts"] == [], tag
        assert all(backend.exists(name) for name in foreign)
    finally:
        for name in foreign:
            backend.remove_foreign(name)
        for name in accounts:
            plugin.end(worker, plugin.account(name))
