"""Making accounts on PostgreSQL: what they can do, what is refused and with which reason, and what no log shows."""

import datetime
import secrets
import time

import psycopg2
import pytest

from pg import quote_ident
from pg_plugin import Account, CREATE, CallFailed, Plugin, clean, elements, plugin, server, statement  # noqa: F401


def test_a_minted_account_logs_in_with_the_rights_of_its_groups_until_its_end(server, plugin):
    account = plugin.mint(seconds=600)
    assert server.sql("SELECT count(*) FROM public.items", user=account.name, password=account.password) == [(2,)]
    row = server.sql("SELECT oid, rolsuper, rolcreaterole, extract(epoch FROM rolvaliduntil - now()) FROM pg_roles "
                     "WHERE rolname = %s", account.name)[0]
    assert (str(row[0]), row[1], row[2]) == (account.handle, False, False)
    assert 598 < row[3] < 603
    assert account.server == server.system_identifier == plugin.opened["server"]


def test_native_expiry_refuses_a_login_without_us(server, plugin):
    account = plugin.mint(seconds=1)
    assert server.can_login(account.name, account.password)
    time.sleep(3.5)
    assert not server.can_login(account.name, account.password)
    plugin.renew(account, 60)
    assert server.can_login(account.name, account.password)


def test_expiration_follows_the_clock_of_the_server_and_its_time_is_told(plugin):
    theirs = datetime.datetime.fromisoformat(plugin.opened["server_time"].replace("Z", "+00:00"))
    assert abs((theirs - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) < 5


@pytest.mark.parametrize("iterations", [1, 4096, 10000])
def test_a_verifier_of_any_count_is_taken_by_a_real_login(server, iterations):
    with Plugin(server, scram_iterations=iterations) as plugin:
        account = plugin.mint()
        verifier = server.value("SELECT rolpassword FROM pg_authid WHERE rolname = %s", account.name)
        assert verifier.startswith(f"SCRAM-SHA-256${iterations}:")
        assert server.can_login(account.name, account.password)
        assert not server.can_login(account.name, account.password + "x")


def test_two_accounts_with_one_password_have_different_verifiers(server, plugin):
    accounts = [Account(), Account()]
    accounts[1].password = accounts[0].password
    for account in accounts:
        plugin.mint(account)
    rows = server.sql("SELECT DISTINCT rolpassword FROM pg_authid WHERE rolname LIKE 'l-%%'")
    assert len(rows) == 2


def test_no_password_is_in_the_logs_of_the_server_or_the_worker(server, plugin):
    assert server.value("SHOW log_statement") == "all"
    account = plugin.mint()
    broken = Account(role={"creation_statements": elements([CREATE, "SELECT * FROM no_such_table"])})
    broken_syntax = Account(role={"creation_statements": elements(["CREATE ROLE \"{{name}}\" LOGIN LOGGIN '{{password}}'"])})
    for one in (broken, broken_syntax):
        with pytest.raises(CallFailed) as failed:
            plugin.mint(one)
        assert one.password not in failed.value.text
        assert failed.value.code == "refused"
    log = server.log() + plugin.worker.log()
    assert account.name in log and broken.name in log, "the canaries' statements must be in the log"
    for one in (account, broken, broken_syntax):
        assert one.password not in log
    assert server.admin_password not in log


def test_password_authentication_password_sends_the_password_and_hides_it_in_errors(server):
    with Plugin(server, password_authentication="password") as plugin:
        account = plugin.mint()
        assert server.can_login(account.name, account.password)
        broken = Account(role={"creation_statements": elements(["CREATE ROLE \"{{name}}\" LOGIN LOGGIN '{{password}}'"])})
        with pytest.raises(CallFailed) as failed:
            plugin.mint(broken)
        assert broken.password not in failed.value.text


def test_statements_of_a_role_run_a_transaction_an_element(server, plugin):
    role = {"creation_statements": elements([CREATE, "GRANT app TO \"{{name}}\""],
                                            ["ALTER ROLE \"{{name}}\" CONNECTION LIMIT 3", "COMMENT ON ROLE \"{{name}}\" IS '{{expiration}}'"])}
    account = plugin.mint(Account(role=role))
    assert server.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", account.name) == 3
    assert server.sql("SELECT 1 FROM public.items LIMIT 1", user=account.name, password=account.password) == [(1,)]


def test_an_element_that_fails_is_rolled_back_whole_and_the_earlier_ones_stay(server, plugin):
    role = {"creation_statements": elements([CREATE], ["GRANT app TO \"{{name}}\"", "SELECT 1/0"])}
    account = Account(role=role)
    with pytest.raises(CallFailed) as failed:
        plugin.mint(account)
    assert failed.value.code == "refused" and failed.value.sent is True
    assert "creation_statements, element 2" in failed.value.text and "division by zero" in failed.value.text
    assert server.value("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
                        account.name) == 0
    plugin.end(account)
    assert server.role_names() == []


def test_what_statements_set_does_not_outlive_their_call(server, plugin):
    role = {"creation_statements": elements(
        [CREATE, "SET ROLE app", "SET search_path = public", "SELECT pg_advisory_lock(4711)", "CREATE TEMP TABLE scratch (id int)"])}
    first = plugin.mint(Account(role=role))
    assert server.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    probe = "SELECT 1 / (CASE WHEN current_user = 'leased' AND current_setting('search_path') = '' AND to_regclass('scratch') IS NULL THEN 1 ELSE 0 END)"
    second = plugin.mint(Account(role={"creation_statements": elements([CREATE, probe])}))
    failing = {"creation_statements": elements([CREATE, "SET ROLE app"], ["SELECT 1/0"])}
    with pytest.raises(CallFailed) as failed:
        plugin.mint(third := Account(role=failing))
    assert failed.value.code == "refused"
    for account in (first, second, third):
        plugin.end(account)
    assert server.role_names() == []


def test_statements_that_make_no_role_are_refused(plugin):
    with pytest.raises(CallFailed) as failed:
        plugin.mint(Account(role={"creation_statements": elements(["SELECT 1"])}))
    assert failed.value.code == "refused" and "must create {{name}}" in failed.value.text


def test_a_copy_from_the_client_is_refused_and_does_not_hang_the_worker(server, plugin):
    account = Account(role={"creation_statements": elements([CREATE, "CREATE TEMP TABLE t (id int)", "COPY t FROM STDIN"])})
    with pytest.raises(CallFailed) as failed:
        plugin.mint(account)
    assert failed.value.code == "refused" and "COPY" in failed.value.text
    assert account.name not in server.role_names()
    plugin.mint()


def test_a_copy_to_the_client_is_read_over(plugin):
    plugin.mint(Account(role={"creation_statements": elements([CREATE, "COPY public.items TO STDOUT"])}))
    plugin.mint()


def test_a_statement_without_a_value_for_its_slot_is_invalid(plugin):
    account = plugin.mint(Account(role={"grant_roles": ["app"], "revocation_statements": elements(["SELECT '{{password}}'"])}))
    plugin.disarm(account)
    result = plugin.remove(account)
    assert result["error"]["code"] == "invalid" and "{{password}}" in result["error"]["text"]


@pytest.mark.parametrize("role", [None, {"creation_statements": elements(["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'"])}])
def test_a_mint_over_an_account_says_exists_and_leaves_its_password(server, plugin, role):
    account = plugin.mint()
    again = Account(account.name, role)
    with pytest.raises(CallFailed) as failed:
        plugin.mint(again)
    assert failed.value.code == "exists"
    assert server.can_login(account.name, account.password)
    assert not server.can_login(account.name, again.password)


HOSTILE = ["l-k3x9ab-\"; DROP TABLE public.items; --", "l-k3x9ab-'; DROP TABLE public.items; --", "l-k3x9ab-%s%n%d%p",
           "l-k3x9ab-\\'\\\"", "l-k3x9ab-$$;--$$", "l-k3x9ab-{{name}}", "l-k3x9ab-\n\t ", "l-k3x9ab-é漢", "l-k3x9ab-" + "x" * 54]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name_in_every_operation(server, plugin, name):
    role = {"creation_statements": elements([CREATE, "GRANT app TO \"{{name}}\"", "SELECT '{{name}}'"]),
            "renew_statements": elements(["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"])}
    account = plugin.mint(Account(name, role))
    assert server.role_names() == [name]
    plugin.renew(account, 7200)
    plugin.check(account)
    assert [one["name"] for one in plugin.call("inventory", {"tag": "k3x9ab"})["accounts"]] == [name]
    plugin.call("set_password", {"account": account.object(), "password": "another-Pass-word-123"})
    assert server.can_login(name, "another-Pass-word-123")
    plugin.end(account)
    assert server.role_names() == []
    assert server.value("SELECT count(*) FROM public.items") == 2


@pytest.mark.parametrize("name", ["l-" + "x" * 62, "l-" + "é" * 31, "pg_signal_backend"])
def test_a_name_that_postgresql_would_cut_or_keeps_for_itself_is_invalid_before_anything_is_sent(server, plugin, name):
    with pytest.raises(CallFailed) as failed:
        plugin.mint(Account(name))
    assert failed.value.code == "invalid" and failed.value.sent is False
    result = plugin.disarm(Account(name))
    assert result["error"]["code"] == "invalid"


@pytest.mark.parametrize("group", ['g"; DROP ROLE leased; --', "g'roup", "Große Gruppe"])
def test_a_hostile_group_is_only_a_group(server, plugin, group):
    server.sql(f"CREATE ROLE {quote_ident(group)}")
    server.sql(f"GRANT {quote_ident(group)} TO leased WITH ADMIN OPTION")
    account = plugin.mint(Account(role={"grant_roles": [group, "app"]}))
    plugin.end(account)
    server.sql(f"DROP ROLE {quote_ident(group)}")


def test_a_group_that_is_not_there_is_named(plugin):
    with pytest.raises(CallFailed) as failed:
        plugin.mint(Account(role={"grant_roles": ["nowhere"]}))
    assert failed.value.code == "refused"
    assert '"nowhere"' in failed.value.text and "grant_roles" in failed.value.text


def test_a_role_without_statements_and_groups_is_invalid_and_sends_nothing(plugin):
    with pytest.raises(CallFailed) as failed:
        plugin.mint(Account(role={"owned_objects": "keep"}))
    assert failed.value.code == "invalid" and failed.value.sent is False and "grant_roles" in failed.value.text


def test_an_empty_role_is_the_barest_account_that_can_log_in(server, plugin):
    account = plugin.mint(Account(role={}))
    plugin.check(account)
    assert server.value("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
                        account.name) == 0
    plugin.end(account)


def test_an_admin_without_createrole_is_told_so(server):
    server.sql("ALTER ROLE leased NOCREATEROLE")
    try:
        with Plugin(server) as plugin, pytest.raises(CallFailed) as failed:
            plugin.mint()
        assert failed.value.code == "denied" and 'ALTER ROLE "leased" CREATEROLE' in failed.value.text
    finally:
        server.sql("ALTER ROLE leased CREATEROLE")


def test_an_admin_that_may_not_grant_the_group_is_told_which_grant_is_missing(server, plugin):
    server.sql("CREATE ROLE strong SUPERUSER NOLOGIN")
    try:
        with pytest.raises(CallFailed) as failed:
            plugin.mint(Account(role={"grant_roles": ["strong"]}))
        assert failed.value.code == "denied"
        assert 'GRANT "strong" TO "leased" WITH ADMIN OPTION' in failed.value.text
    finally:
        server.sql("DROP ROLE strong")


def test_a_renewal_of_an_account_that_is_gone_is_not_found(plugin):
    with pytest.raises(CallFailed) as failed:
        plugin.renew(Account(), 60)
    assert failed.value.code == "not_found"


def test_a_role_that_somebody_made_anew_under_the_name_is_not_renewed(server, plugin):
    account = plugin.mint()
    server.sql(f"DROP ROLE {quote_ident(account.name)}; CREATE ROLE {quote_ident(account.name)} LOGIN VALID UNTIL '2001-01-01'")
    with pytest.raises(CallFailed) as failed:
        plugin.renew(account, 60)
    assert failed.value.code == "not_found"
    assert server.value("SELECT rolvaliduntil < now() FROM pg_roles WHERE rolname = %s", account.name) is True
    plugin.end(account)


def test_a_renewal_may_be_repeated_and_go_either_way(server, plugin):
    account = plugin.mint()
    for seconds in (7200, 60, 7200, 7200):
        plugin.renew(account, seconds)
        left = server.value("SELECT extract(epoch FROM rolvaliduntil - now())::int FROM pg_roles WHERE rolname = %s",
                            account.name)
        assert abs(left - seconds) <= 2


def test_a_mint_that_the_server_stops_at_the_deadline_leaves_no_role(server, plugin):
    account = Account(role={"creation_statements": elements([CREATE, "SELECT pg_sleep(30)"])})
    started = time.monotonic()
    with pytest.raises(CallFailed) as failed:
        plugin.mint(account, deadline_ms=1500)
    assert failed.value.code == "timed_out" and time.monotonic() - started < 1.6
    assert server.role_names() == []


def test_inventory_pages_by_name_and_names_only_our_tag(server, plugin):
    names = sorted(f"l-{tag}-{number:04}" for tag in ("k3x9ab",) for number in range(300))
    foreign = ["l-k3x9ac-1", "l-k3x9ab_1", "k3x9ab", "L-k3x9ab-1"]
    server.sql(";".join(f"CREATE ROLE {quote_ident(name)}" + (" LOGIN" if name[-1] == "7" else "")
                        for name in names + foreign))
    found, after, pages = [], None, 0
    while True:
        page = plugin.call("inventory", {"tag": "k3x9ab"} | ({"after": after} if after else {}))
        found += page["accounts"]
        pages += 1
        if not page["more"]:
            break
        after = page["accounts"][-1]["name"]
    server.sql(";".join(f"DROP ROLE {quote_ident(name)}" for name in foreign))
    assert [one["name"] for one in found] == names and pages == 2
    assert [one["name"] for one in found if one["armed"]] == [name for name in names if name[-1] == "7"]


def test_set_password_of_the_administrator_is_used_from_then_on(server):
    server.sql("CREATE ROLE rotated LOGIN CREATEROLE PASSWORD 'first-Password-1'")
    try:
        with Plugin(server, username="rotated", password="first-Password-1") as plugin:
            fresh = secrets.token_hex(12)
            account = {"name": "rotated", "role": {}}
            for _ in range(2):
                result = plugin.call("set_password", {"account": account, "password": fresh})
                assert result["server"] == server.system_identifier
            assert server.can_login("rotated", fresh) and not server.can_login("rotated", "first-Password-1")
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'")
            time.sleep(0.2)
            plugin.call("ping")
    finally:
        server.sql("DROP ROLE rotated")


def test_set_password_of_a_role_that_is_not_there_is_not_found(plugin):
    with pytest.raises(CallFailed) as failed:
        plugin.call("set_password", {"account": {"name": "nobody", "role": {}}, "password": "x-Y-1"})
    assert failed.value.code == "not_found"


def test_a_killed_worker_leaves_nothing_once_its_session_is_reaped(server):
    account = Account(role={"creation_statements": elements([CREATE, "SELECT pg_sleep(20)"])})
    with Plugin(server) as first, Plugin(server) as second:
        first.worker.start("mint", {"account": account.object(), "password": account.password,
                                    "expires": "2030-01-01T00:00:00Z"})
        time.sleep(0.5)
        session = first.worker.sessions[-1][1]
        first.worker.kill()
        assert server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(20)%%' AND usename = 'leased'") == 1
        assert second.call("reap", {"sessions": [session]})["results"] == [{"ok": True}]
        assert server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(20)%%' AND usename = 'leased'") == 0
        second.end(account)
    time.sleep(0.2)
    assert server.role_names() == []
    with pytest.raises(psycopg2.OperationalError):
        server.connect(account.name, account.password)


def test_statement_helper_types_slots_by_their_quotes():
    assert statement("a \"{{name}}\" '{{password}}'") == [{"sql": "a "}, {"identifier": "name"}, {"sql": " "},
                                                        {"literal": "password"}]


def test_check_of_scope_login_proves_a_password_and_ends_nothing(server, plugin):
    account = plugin.mint(seconds=600)
    session = server.connect(account.name, account.password)
    params = {"account": account.object(), "scope": "login"}
    plugin.call("check", params | {"password": account.password})
    with pytest.raises(CallFailed) as failed:
        plugin.call("check", params | {"password": "not-the-password-1"})
    assert failed.value.code == "denied"
    with session.cursor() as cursor:
        cursor.execute("SELECT 1")
    session.close()


def test_check_of_scope_static_changes_nothing_and_names_what_is_missing(server, plugin):
    account = plugin.mint(seconds=600)
    params = {"account": account.object(), "scope": "static", "password": "a-random-one-1234567890"}
    plugin.call("check", params)
    assert server.can_login(account.name, account.password)
    server.sql(f"ALTER ROLE {quote_ident(account.name)} NOLOGIN")
    with pytest.raises(CallFailed) as failed:
        plugin.call("check", params)
    assert failed.value.code == "refused" and "LOGIN" in failed.value.text
    with pytest.raises(CallFailed) as failed:
        plugin.call("check", params | {"account": {"name": server.admin_role, "role": {}}})
    assert failed.value.code == "invalid" and "rotate-root" in failed.value.text


@pytest.mark.parametrize("right", ["password", "password_candidate"])
def test_a_connection_opens_with_either_of_two_passwords(server, right):
    passwords = {"password": "wrong-one-123456", "password_candidate": "wrong-two-123456", right: server.admin_password}
    with Plugin(server, **passwords) as plugin:
        assert server.can_login(plugin.mint(seconds=60).name, "no") is False
