"""Ending access on MariaDB: no login, no session, one in the middle of its login neither, nobody else's session, and the truth when it fails."""

import threading
import time

import pymysql
import pytest

from mariadb_server import is_cut, quote_name
from mysql_plugin import TAG, Account, CallFailed, HalfLogin, Plugin, clean, fails, plugin, refusal, server  # noqa: F401
from pg import wait_until


def login(server, account, **more):
    return server.connect(account.name, account.password, **more)


def account_names(server):
    return server.role_names("l-")


def test_login_is_refused_and_every_session_cut(server, plugin):
    account = plugin.mint()
    sessions = [login(server, account) for _ in range(3)]
    assert plugin.disarm(account) == {"ok": True, "handle": "%", "server": server.server_uid}
    assert all(is_cut(session) for session in sessions)
    assert not server.can_login(account.name, account.password)
    assert server.session_count(account.name) == 0
    assert account.name in account_names(server), "disarm destroys nothing"


def test_a_session_in_a_transaction_and_one_in_a_query_are_cut(server, plugin):
    account = plugin.mint()
    holding, busy = login(server, account, database="app"), login(server, account)
    with holding.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM items")
    failures = []

    def sleep():
        try:
            with busy.cursor() as cursor:
                cursor.execute("SELECT SLEEP(60)")
                failures.append(cursor.fetchall())
        except (pymysql.err.Error, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    wait_until(lambda: server.value("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = %s AND STATE = 'User sleep'",
                                    account.name))
    started = time.monotonic()
    assert plugin.disarm(account)["ok"] is True
    assert time.monotonic() - started < 1
    thread.join(5)
    assert failures and isinstance(failures[0], Exception) and is_cut(holding)


def test_a_client_in_the_middle_of_its_login_is_cut(server, plugin):
    """The server has looked its account up before the lock, and does not look again."""
    account = plugin.mint()
    free, cut = (HalfLogin(server, account.name, account.password) for _ in range(2))
    assert free.finish(), "the premise: it would be let in"
    server.sql(f"ALTER USER {quote_name(account.name)}@'%' ACCOUNT LOCK")
    late = HalfLogin(server, account.name, account.password)
    assert plugin.disarm(account)["ok"] is True
    assert not cut.finish() and not late.finish()
    assert server.session_count(account.name) == 0
    for one in (free, cut, late):
        one.close()


def test_a_client_that_was_let_in_halfway_before_the_lock_would_come_in_after_it(server, plugin):
    """What makes the test above one: a lock alone does not keep it out."""
    account = plugin.mint()
    half = HalfLogin(server, account.name, account.password)
    server.sql(f"ALTER USER {quote_name(account.name)}@'%' ACCOUNT LOCK")
    assert half.finish()
    half.close()


def test_clients_that_have_said_no_name_yet_are_left_alone(server, plugin):
    account, other = plugin.mint(), plugin.mint()
    import socket
    silent = socket.create_connection((server.host, server.port), 10)
    theirs = login(server, other)
    half = HalfLogin(server, other.name, other.password)
    assert plugin.disarm(account)["ok"] is True
    assert not is_cut(theirs) and half.finish()
    silent.settimeout(0.2)
    assert silent.recv(4), "the server's greeting"
    silent.close()
    half.close()


def test_what_is_disarmed_twice_or_removed_twice_is_success(server, plugin):
    account = plugin.mint()
    for _ in range(2):
        assert plugin.disarm(account)["ok"] is True
    for _ in range(2):
        assert plugin.remove(account) == {"ok": True}
    assert plugin.disarm(account) == {"ok": True}
    assert plugin.disarm(Account()) == {"ok": True}
    assert account_names(server) == []


def test_a_session_that_survived_a_drop_by_hand_is_cut(server, plugin):
    for op in (plugin.disarm, plugin.remove):
        account = plugin.mint()
        session = login(server, account)
        server.sql(f"DROP USER {quote_name(account.name)}@'%'")
        assert not is_cut(session), "the premise: a session survives DROP USER"
        assert op(account) == {"ok": True}
        assert is_cut(session)


def test_an_account_armed_again_by_hand_is_disarmed_before_it_is_dropped(server, plugin):
    account = plugin.mint()
    plugin.disarm(account)
    server.sql(f"ALTER USER {quote_name(account.name)}@'%' ACCOUNT UNLOCK")
    session = login(server, account)
    assert plugin.remove(account) == {"ok": True}
    assert is_cut(session) and account_names(server) == []


def test_sessions_of_a_name_that_begins_or_ends_alike_are_not_cut(server, plugin):
    first = plugin.mint(Account(f"l-{TAG}-app-1"))
    others = [plugin.mint(Account(name)) for name in (f"l-{TAG}-app-11", f"L-{TAG}-app-1", f"l-{TAG}-app-")]
    sessions = [login(server, other) for other in others]
    assert plugin.disarm(first)["ok"] is True
    assert not any(is_cut(session) for session in sessions)
    server.drop_accounts("L-")


def test_an_account_that_was_made_with_another_host_is_found_after_the_configuration_changed(server):
    with Plugin(server, user_host="127.0.0.%") as plugin:
        account = plugin.mint()
        assert account.handle == "127.0.0.%"
    with Plugin(server, user_host="10.%") as plugin:
        assert plugin.renew(account) == {}
        session = login(server, account)
        assert plugin.disarm(account)["handle"] == "127.0.0.%"
        assert is_cut(session)
        account.handle = None
        assert plugin.disarm(account)["handle"] == "127.0.0.%", "by its name, which has our tag"
        assert plugin.remove(account) == {"ok": True}
    assert account_names(server) == []


def test_a_name_without_our_tag_is_ours_with_its_own_host_only(server, plugin):
    server.sql("CREATE USER somebody@localhost IDENTIFIED BY 'x'")
    try:
        account = Account("somebody")
        assert plugin.disarm(account) == {"ok": True} and plugin.remove(account) == {"ok": True}
        assert server.value("SELECT count(*) FROM mysql.global_priv WHERE User = 'somebody' AND "
                            "COALESCE(JSON_VALUE(Priv, '$.account_locked'), 0) = 0") == 1
    finally:
        server.sql("DROP USER somebody@localhost")


@pytest.mark.parametrize("missing,text", [("CONNECTION ADMIN", "GRANT CONNECTION ADMIN ON *.*"), ("PROCESS", "GRANT PROCESS ON *.*")])
def test_a_missing_grant_is_named_by_check(server, plugin, missing, text):
    server.sql(f"REVOKE {missing} ON *.* FROM {server.admin}")
    try:
        with Plugin(server) as poor:
            account = poor.mint()
            failure = fails("denied", poor.check, account)
            assert text in failure.text, failure.text
    finally:
        server.sql(f"GRANT {missing} ON *.* TO {server.admin}")


def test_a_session_that_may_not_be_cut_is_a_refusal_that_names_the_grant(server):
    server.sql(f"REVOKE CONNECTION ADMIN ON *.* FROM {server.admin}")
    try:
        with Plugin(server) as poor:
            account = poor.mint()
            session = login(server, account)
            assert "GRANT CONNECTION ADMIN" in refusal(poor.disarm(account), "denied")
            assert "GRANT CONNECTION ADMIN" in refusal(poor.remove(account), "denied"), "never dropped with a session left"
            assert not is_cut(session) and account.name in account_names(server)
    finally:
        server.sql(f"GRANT CONNECTION ADMIN ON *.* TO {server.admin}")


def test_an_administrator_who_sees_no_sessions_does_not_call_them_gone(server):
    server.sql(f"REVOKE PROCESS ON *.* FROM {server.admin}")
    try:
        with Plugin(server) as poor:
            account = poor.mint()
            session = login(server, account)
            for op in (poor.disarm, poor.remove):
                assert "GRANT PROCESS ON *.*" in refusal(op(account), "denied")
            assert not is_cut(session) and not server.can_login(account.name, account.password)
    finally:
        server.sql(f"GRANT PROCESS ON *.* TO {server.admin}")


@pytest.mark.parametrize("missing", ["CREATE USER ON *.*", "PROCESS ON *.*", "CONNECTION ADMIN ON *.*", "SELECT ON mysql.global_priv"])
@pytest.mark.parametrize("op", ["disarm", "remove"])
def test_a_missing_privilege_counts_from_its_grant_on(server, plugin, missing, op):
    """What a session may do is settled when it begins: a worker that went on with the one that was refused would never end them."""
    account = plugin.mint()
    session = login(server, account)
    server.sql(f"REVOKE {missing} FROM {server.admin}")
    try:
        with Plugin(server) as poor:
            try:
                refusal(getattr(poor, op)(account), "denied")
            except CallFailed as failure:
                assert failure.code == "denied"
            server.sql(f"GRANT {missing} TO {server.admin}")
            assert getattr(poor, op)(account)["ok"] is True
            assert is_cut(session) and (account.name in account_names(server)) == (op == "disarm")
    finally:
        server.sql(f"GRANT {missing} TO {server.admin}")


def test_a_session_that_was_denied_stays_where_no_other_can_be_had(server, plugin):
    """It may still end what it could: here the administrator's password was changed behind it."""
    account = plugin.mint()
    server.sql(f"REVOKE CONNECTION ADMIN ON *.* FROM {server.admin}")
    try:
        with Plugin(server) as poor:
            session = login(server, account)
            refusal(poor.disarm(account), "denied")
            server.quietly(f"ALTER USER {server.admin} IDENTIFIED BY 'another-Password'")
            session.close()
            wait_until(lambda: server.session_count(account.name) == 0)
            assert poor.disarm(account)["ok"] is True
    finally:
        server.quietly(f"ALTER USER {server.admin} IDENTIFIED BY '{server.admin_password}'")
        server.sql(f"GRANT CONNECTION ADMIN ON *.* TO {server.admin}")


def test_64_accounts_with_sessions_end_in_one_call(server, plugin):
    accounts = [plugin.mint() for _ in range(64)]
    sessions = [login(server, account) for account in accounts]
    assert all(result["ok"] for result in plugin.disarm_all(accounts))
    assert all(is_cut(session) for session in sessions)
    assert all(result["ok"] for result in plugin.remove_all(accounts))
    assert account_names(server) == []


def test_reap_ends_the_session_of_a_dead_worker_and_no_other(server, plugin):
    with Plugin(server) as dead:
        ((_, session),) = dead.worker.sessions
        number, start, nonce = session.split(":")
        others = [f"{number}:1000000000", f"{number}:1000000000:{nonce}", f"{number}:{start}:{'0' * 16}"]
        results = plugin.call("reap", {"sessions": [*others, "x", session + "x"]})["results"]
        assert [result["ok"] for result in results] == [True, True, True, False, False], results
        assert dead.call("ping") and len(dead.worker.sessions) == 1, "the number alone is not the session"
        assert plugin.call("reap", {"sessions": [session, session]})["results"] == [{"ok": True}] * 2
        number = int(session.split(":")[0])
        assert server.value("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = %s", number) == 0
        assert dead.call("ping"), "it connects again"
        assert len(dead.worker.sessions) == 2
