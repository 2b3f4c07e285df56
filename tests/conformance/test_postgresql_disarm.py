"""Ending access on PostgreSQL: no login, no session of any kind, nobody else's session, and the truth when it fails."""

import subprocess
import threading
import time

import psycopg2
import pytest

from pg import quote_ident, wait_until
from pg_plugin import Account, CREATE, CallFailed, Plugin, clean, elements, plugin, refusal, server  # noqa: F401


def is_cut(connection):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return False
    except psycopg2.Error:
        return True


def login(server, account, **more):
    return server.connect(account.name, account.password, **more)


def hidden_login(server, account, delay_s=30, count=1):
    """A client that has passed the login and is in no list of sessions for so long; count: with it, how many such there are."""
    environment = {"PATH": "/usr/bin:/bin", "PGPASSWORD": account.password,
                   "PGOPTIONS": f"-c post_auth_delay={delay_s}"}
    client = subprocess.Popen(["psql", "-X", "-h", server.host, "-p", str(server.port), "-U", account.name, "-d",
                               "postgres", "-c", "SELECT 1"], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: hidden_count(server) >= count, what="a process that holds a lock and is not listed")
    assert server.session_count(account.name) == 0
    return client


def hidden_count(server):
    return server.value("SELECT count(DISTINCT pid) FROM pg_locks l WHERE pid IS NOT NULL AND NOT EXISTS "
                        "(SELECT FROM pg_stat_activity a WHERE a.pid = l.pid)")


def test_login_is_refused_and_every_session_cut(server, plugin):
    account = plugin.mint()
    sessions = [login(server, account) for _ in range(3)]
    result = plugin.disarm(account)
    assert result == {"ok": True, "handle": account.handle, "server": account.server}
    assert all(is_cut(session) for session in sessions)
    assert not server.can_login(account.name, account.password)
    assert server.session_count(account.name) == 0
    assert account.name in server.role_names(), "disarm destroys nothing"


def test_a_session_that_did_set_role_is_cut(server, plugin):
    account = plugin.mint()
    session = login(server, account)
    with session.cursor() as cursor:
        cursor.execute("SET ROLE app")
        cursor.execute("SELECT count(*) FROM public.items")
    assert plugin.disarm(account)["ok"] is True
    assert is_cut(session)


def test_a_session_in_a_transaction_and_one_in_a_query_are_cut(server, plugin):
    account = plugin.mint()
    holding, busy = login(server, account), login(server, account)
    with holding.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE public.items IN ACCESS SHARE MODE")
    failures = []

    def sleep():
        try:
            with busy.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(60)")
        except psycopg2.Error as error:
            failures.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    wait_until(lambda: server.value("SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'active'", account.name))
    assert plugin.disarm(account)["ok"] is True
    thread.join(5)
    assert failures and is_cut(holding)


def test_a_client_that_has_passed_the_login_and_is_not_listed_yet_is_cut(server, plugin):
    account = plugin.mint()
    client = hidden_login(server, account)
    try:
        started = time.monotonic()
        assert plugin.disarm(account)["ok"] is True
        assert time.monotonic() - started < 1.5
        assert hidden_count(server) == 0
        output, _ = client.communicate(timeout=5)
        assert client.returncode != 0, output
    finally:
        client.kill()
        client.wait()


def test_a_client_that_is_not_listed_yet_is_cut_though_its_role_was_dropped(server, plugin):
    account = plugin.mint()
    client = hidden_login(server, account)
    try:
        server.sql(f"DROP ROLE {quote_ident(account.name)}")
        assert plugin.disarm(account)["ok"] is True
        assert hidden_count(server) == 0
        output, _ = client.communicate(timeout=5)
        assert client.returncode != 0, output
    finally:
        client.kill()
        client.wait()


@pytest.fixture
def slow_user(server):
    """Somebody who is no account of ours and takes 2 s to be listed, as on a busy server."""
    user = Account(name="somebody")
    server.sql(f"CREATE ROLE somebody LOGIN PASSWORD '{user.password}'; GRANT somebody TO leased WITH ADMIN OPTION")
    yield user
    server.sql("DROP ROLE somebody")


@pytest.mark.parametrize("role", [{"grant_roles": ["app"]}, {"grant_roles": ["somebody"]}], ids=["stranger", "member"])
def test_a_login_of_somebody_else_that_is_slow_to_be_listed_is_not_cut(server, plugin, slow_user, role):
    """Also when the account is a member of that role, and may end its sessions."""
    account = plugin.mint(Account(role=role))
    slow = hidden_login(server, slow_user, delay_s=2)
    hidden = hidden_login(server, account, count=2)
    try:
        started = time.monotonic()
        assert plugin.disarm(account)["ok"] is True
        assert time.monotonic() - started < 1.5
        assert hidden.wait(5) != 0
        output, _ = slow.communicate(timeout=10)
        assert slow.returncode == 0, output
        assert plugin.remove(account) == {"ok": True}
    finally:
        for client in (slow, hidden):
            client.kill()
            client.wait()


def test_a_session_that_survived_a_drop_of_its_role_is_ended_by_its_handle(server, plugin):
    account = plugin.mint()
    session = login(server, account)
    with session.cursor() as cursor:
        cursor.execute("SET ROLE app")
    server.sql(f"DROP ROLE {quote_ident(account.name)}")
    with session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.items")
        assert cursor.fetchone() == (2,), "the premise: a session survives DROP ROLE"
    assert plugin.disarm(account) == {"ok": True}
    assert is_cut(session)
    assert plugin.remove(account) == {"ok": True}


def test_remove_ends_the_session_of_a_dropped_role_too(server, plugin):
    account = plugin.mint()
    session = login(server, account)
    server.sql(f"DROP ROLE {quote_ident(account.name)}")
    assert plugin.remove(account) == {"ok": True}
    assert is_cut(session)


def test_an_intent_without_handle_gets_its_handle(plugin):
    account = plugin.mint()
    handle, account.handle, account.server = account.handle, None, None
    assert plugin.disarm(account)["handle"] == handle


def test_disarm_and_remove_may_be_repeated_and_what_is_gone_is_success(server, plugin):
    account = plugin.mint()
    for _ in range(2):
        assert plugin.disarm(account)["ok"] is True
    for _ in range(2):
        assert plugin.remove(account) == {"ok": True}
    assert plugin.disarm(account) == {"ok": True}
    assert plugin.disarm(Account()) == {"ok": True}
    assert server.role_names() == []


def test_an_account_armed_again_by_hand_is_disarmed_before_it_is_dropped(server, plugin):
    account = plugin.mint()
    plugin.disarm(account)
    server.sql(f"ALTER ROLE {quote_ident(account.name)} LOGIN")
    session = login(server, account)
    assert plugin.remove(account) == {"ok": True}
    assert is_cut(session)


def test_the_access_of_a_role_that_was_renamed_ends_and_it_is_not_called_gone(server, plugin):
    account = plugin.mint()
    session = login(server, account)
    server.sql(f"ALTER ROLE {quote_ident(account.name)} RENAME TO other")
    assert server.can_login("other", account.password)
    assert plugin.disarm(account)["ok"] is True
    assert is_cut(session) and not server.can_login("other", account.password)
    server.sql("ALTER ROLE other LOGIN")
    assert '"other"' in refusal(plugin.remove(account), "refused")
    assert not server.can_login("other", account.password) and "other" in server.role_names("")
    server.sql(f"ALTER ROLE other RENAME TO {quote_ident(account.name)}")
    plugin.end(account)


def test_an_oid_that_was_given_out_again_is_somebody_elses(server, plugin):
    """A server that was taken back to an earlier moment has forgotten roles, and gives their OIDs to new ones."""
    forgotten, lives = Account(), plugin.mint()
    forgotten.handle, forgotten.server = lives.handle, lives.server
    session = login(server, lives)
    for _ in range(2):
        assert plugin.disarm(forgotten) == {"ok": True} and plugin.remove(forgotten) == {"ok": True}
    assert not is_cut(session) and server.can_login(lives.name, lives.password)
    # Renamed by adding to its name it is the account still.
    server.sql(f"ALTER ROLE {quote_ident(lives.name)} RENAME TO {quote_ident(lives.name + '_old')}")
    assert plugin.disarm(lives)["ok"] is True and is_cut(session)
    server.sql(f"ALTER ROLE {quote_ident(lives.name + '_old')} RENAME TO {quote_ident(lives.name)}")
    plugin.end(lives)


def test_a_role_of_people_that_has_the_oid_of_a_forgotten_account_is_not_touched(server, plugin):
    forgotten, known = Account(), plugin.mint()
    server.sql("CREATE ROLE alice LOGIN PASSWORD 'alice'")
    try:
        forgotten.handle, forgotten.server = str(server.value("SELECT oid FROM pg_roles WHERE rolname = 'alice'")), known.server
        session = server.connect("alice", "alice")
        assert '"alice"' in refusal(plugin.disarm(forgotten), "refused")
        assert '"alice"' in refusal(plugin.remove(forgotten), "refused")
        assert not is_cut(session) and server.can_login("alice", "alice")
        known.handle = forgotten.handle  # there under its own name: alice is not it, and nobody is in doubt
        assert plugin.disarm(known)["ok"] is True and plugin.remove(known) == {"ok": True}
        assert not is_cut(session) and server.can_login("alice", "alice")
    finally:
        server.sql("DROP ROLE IF EXISTS alice")


def test_other_sessions_and_background_workers_are_spared(server, plugin):
    other = plugin.mint()
    bystander = login(server, other)
    server.sql("CREATE TABLE IF NOT EXISTS public.big AS SELECT g AS id, repeat('x', 100) AS text FROM generate_series(1, 200000) g")
    server.sql("ALTER TABLE public.big SET (parallel_workers = 2)")
    stop, failures, parallel = threading.Event(), [], []

    def query():
        connection = server.connect(options="-c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c min_parallel_table_scan_size=0")
        while not stop.is_set():
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM public.big a JOIN public.big b USING (id)")
            except psycopg2.Error as error:
                failures.append(error)
                return
        connection.close()

    def vacuum():
        while not stop.is_set():
            try:
                server.sql("VACUUM (PARALLEL 2) public.big")
            except psycopg2.Error as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=query), threading.Thread(target=vacuum)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            account = plugin.mint()
            login(server, account)
            parallel += server.sql("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'parallel worker'")
            assert plugin.disarm(account)["ok"] is True
            assert plugin.remove(account) == {"ok": True}
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        server.sql("DROP TABLE public.big")
    assert failures == []
    assert parallel, "no parallel worker was ever seen: the case tests nothing"
    assert not is_cut(bystander)
    assert "terminating background worker" not in server.log()


def test_autovacuum_is_spared(server):
    """An autovacuum worker holds locks and has no role in the list."""
    server.sql("CREATE TABLE public.slow AS SELECT g AS id FROM generate_series(1, 300000) g")
    server.sql("ALTER SYSTEM SET autovacuum_naptime = '1s'; ")
    server.sql("ALTER SYSTEM SET autovacuum_vacuum_cost_delay = '20ms'")
    server.sql("ALTER SYSTEM SET autovacuum_vacuum_cost_limit = 50")
    server.sql("SELECT pg_reload_conf()")
    try:
        server.sql("DELETE FROM public.slow WHERE id % 2 = 0; ALTER TABLE public.slow SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0)")
        worker = wait_until(lambda: server.sql("SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE backend_type = 'autovacuum worker'"),
                            60, "an autovacuum worker")[0][0]
        with Plugin(server, username="postgres", password=server.super_password) as plugin:
            account = plugin.mint()
            session = login(server, account)
            assert plugin.disarm(account)["ok"] is True and is_cut(session)
        assert server.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", worker) == 1
        assert "terminating autovacuum process" not in server.log()
    finally:
        for name in ("autovacuum_naptime", "autovacuum_vacuum_cost_delay", "autovacuum_vacuum_cost_limit"):
            server.sql(f"ALTER SYSTEM RESET {name}")
        server.sql("SELECT pg_reload_conf()")
        server.sql("DROP TABLE public.slow")


def test_a_login_that_stalls_before_its_password_blocks_nobody(server, plugin):
    """Anybody can open a connection and stop half-way: it holds a lock, is not listed, and is nobody's yet."""
    account = plugin.mint()
    stalled = stalled_login(server, account.name)
    try:
        wait_until(lambda: hidden_count(server) > 0, what="a process that holds a lock and is not listed")
        assert plugin.disarm(account)["ok"] is True
        assert plugin.remove(account) == {"ok": True}
    finally:
        stalled.close()


def stalled_login(server, user):
    import socket
    import struct
    sock = socket.create_connection((server.host, server.port))
    body = struct.pack(">I", 196608) + b"user\0" + user.encode() + b"\0database\0postgres\0\0"
    sock.sendall(struct.pack(">I", len(body) + 4) + body)
    assert sock.recv(1) == b"R", "the server asks for the password"
    return sock


def test_without_pg_signal_backend_nothing_is_called_gone_while_a_session_lives(server, plugin):
    account = plugin.mint()
    session = login(server, account)
    server.sql("REVOKE pg_signal_backend FROM leased")
    try:
        text = refusal(plugin.disarm(account), "denied")
        assert 'GRANT pg_signal_backend TO "leased"' in text
        assert not server.can_login(account.name, account.password), "NOLOGIN holds all the same"
        refusal(plugin.remove(account), "denied")
        assert account.name in server.role_names() and not is_cut(session)
        with pytest.raises(CallFailed) as failed:
            plugin.check(plugin.mint())
        assert failed.value.code == "denied" and 'GRANT pg_signal_backend TO "leased"' in failed.value.text
        client = hidden_login(server, other := plugin.mint())
        try:
            assert plugin.disarm(other)["ok"] is True, "its own processes an account may end"
            assert "FATAL" in client.communicate(timeout=5)[0]
        finally:
            client.kill()
            client.wait()
        client = hidden_login(server, dropped := plugin.mint())
        try:
            server.sql(f"DROP ROLE {quote_ident(dropped.name)}")
            assert "pg_signal_backend" in refusal(plugin.disarm(dropped), "refused")
            assert client.poll() is None
        finally:
            client.kill()
            client.wait()
    finally:
        server.sql("GRANT pg_signal_backend TO leased")
    plugin.end(account)
    assert is_cut(session)


def test_the_account_of_a_superuser_is_refused_with_the_way_out(server, plugin):
    account = plugin.mint()
    session = login(server, account)
    server.sql(f"ALTER ROLE {quote_ident(account.name)} SUPERUSER")
    text = refusal(plugin.disarm(account), "denied")
    assert "NOSUPERUSER" in text
    server.sql(f"ALTER ROLE {quote_ident(account.name)} NOSUPERUSER")
    assert plugin.disarm(account)["ok"] is True
    assert is_cut(session)


def test_one_account_that_fails_does_not_end_the_batch(server, plugin):
    accounts = [plugin.mint() for _ in range(5)]
    server.sql(f"ALTER ROLE {quote_ident(accounts[2].name)} SUPERUSER")
    plugin.end(accounts[3])
    accounts[3] = Account("x" * 64)
    sessions = [login(server, accounts[0]), login(server, accounts[4])]
    results = plugin.disarm_all(accounts)
    assert [result["ok"] for result in results] == [True, True, False, False, True]
    assert all(is_cut(session) for session in sessions)
    results = plugin.remove_all(accounts)
    assert [result["ok"] for result in results] == [True, True, False, False, True]
    assert server.role_names() == [accounts[2].name]
    server.sql(f"ALTER ROLE {quote_ident(accounts[2].name)} NOSUPERUSER")


def test_sixty_four_accounts_end_in_one_call_each(server, plugin):
    accounts = [plugin.mint(Account(role={"creation_statements": elements([CREATE.replace("'{{password}}'", "'x'")])}))
                for _ in range(64)]
    assert all(result["ok"] for result in plugin.disarm_all(accounts))
    assert all(result["ok"] for result in plugin.remove_all(accounts))
    assert server.role_names() == []


def test_check_proves_login_and_our_power_to_end_it(server, plugin):
    account = plugin.mint()
    assert plugin.check(account) == {}
    assert server.session_count(account.name) == 0
    account.password += "x"
    with pytest.raises(CallFailed) as failed:
        plugin.check(account)
    assert failed.value.code == "denied" and "the new account cannot log in" in failed.value.text


def test_check_of_a_role_without_login_says_so(plugin):
    role = {"creation_statements": elements([CREATE.replace(" LOGIN ", " NOLOGIN ")])}
    account = plugin.mint(Account(role=role))
    with pytest.raises(CallFailed) as failed:
        plugin.check(account)
    assert "not permitted to log in" in failed.value.text


def test_reap_ends_exactly_the_session_that_an_id_names(server, plugin):
    with Plugin(server) as other:
        session = other.worker.sessions[-1][1]
        pid, start = session.split(":", 1)
        mine = plugin.worker.sessions[-1][1]
        wrong = [f"{pid}:2001-01-01 00:00:00+00", f"999999:{start}", f"{mine.split(':', 1)[0]}:{start}"]
        assert plugin.call("reap", {"sessions": wrong})["results"] == [{"ok": True}] * 3
        other.call("ping")
        assert len(other.worker.sessions) == 1, "its session lives"
        assert plugin.call("reap", {"sessions": [session]})["results"] == [{"ok": True}]
        assert server.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", int(pid)) == 0
        assert plugin.call("reap", {"sessions": [session]})["results"] == [{"ok": True}]
        results = plugin.call("reap", {"sessions": ["nonsense", session]})["results"]
        assert results[0]["error"]["code"] == "invalid" and results[1] == {"ok": True}
