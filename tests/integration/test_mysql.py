"""The main job on a real MariaDB: made on the spot, used with its own client, renewed, and gone with its lease."""

import contextlib
import pathlib
import re
import subprocess
import time

import pymysql
import pymysql.err
import pytest

from daemon import poll
from job import Job, gone
from lease_cli import LEASE
from mariadb_server import MariaDB, admin_grants, is_cut, quote_name
from proxy import Proxy

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "how-to" / "mysql.md"
GONE_S = 2
ACCOUNT, OLD = "reporting", "the-password-of-before-1"


@pytest.fixture
def job(mariadb):
    with Job(mariadb) as one:
        yield one.set_up()


def client(server, credential, statement, *options):
    """The server's own command-line client, as people use it."""
    command = ["mariadb", "--no-defaults", "-N", "-h", server.host, "-P", str(server.port), "-u", credential.user, *options,
               "-e", statement, server.database]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", "MYSQL_PWD": credential.password}, capture_output=True,
                          text=True, timeout=60)


@contextlib.contextmanager
def as_root(server, before, after):
    """Something about the server that holds for a while."""
    for statement in before:
        server.sql(statement)
    try:
        yield
    finally:
        for statement in after:
            server.sql(statement)


def may_be_served(job):
    """A credential, once a server that was away serves again."""
    response = poll(lambda: (found := job.leased.get("database/creds/app")).status == 200 and found, 20, what="a mint")
    return response.data


# ---- the life of an account ----


def test_a_minted_login_works_in_the_servers_own_client_and_holds_what_its_role_grants(job, mariadb):
    credential = job.mint()
    assert credential.ttl == 3600 and len(credential.user.encode()) <= 32
    done = client(mariadb, credential, "SELECT COUNT(*), CURRENT_USER(), CURRENT_ROLE() FROM items")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", f"{credential.user}@%", mariadb.group_role]
    assert "denied" in client(mariadb, credential, "DELETE FROM items").stderr
    assert job.accounts() == [credential.user]
    assert job.lookup(credential).data["ttl"] in (3599, 3600)


def test_the_answer_says_where_the_login_is_good_and_that_the_server_ends_nothing_by_itself(job, mariadb):
    response = job.leased.get("database/creds/app")
    data = response.data
    assert (data["scheme"], data["host"], data["port"]) == ("mysql", mariadb.host, str(mariadb.port))
    assert any("expir" in warning for warning in response.warnings), response.warnings


def test_a_command_gets_a_login_and_gives_it_back(job, mariadb):
    environment = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{job.leased.socket_path}"}
    done = subprocess.run([LEASE, "exec", "app", "--", "sh", "-c",
                           'mariadb --no-defaults -N -u "$MYSQL_USER" -e "SELECT COUNT(*), CURRENT_USER() FROM app.items"'],
                          env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    count, who = done.stdout.split()
    assert count == "2" and who.startswith("l-")
    poll(lambda: job.accounts() == [], GONE_S, what="the end of the account")


def test_revoke_refuses_logins_cuts_sessions_and_drops_the_account(job, mariadb):
    credential = job.mint()
    idle = mariadb.connect(credential.user, credential.password)
    busy = subprocess.Popen(["mariadb", "--no-defaults", "-h", mariadb.host, "-P", str(mariadb.port), "-u", credential.user,
                             "-e", "SELECT SLEEP(60)"], env={"PATH": "/usr/bin:/bin", "MYSQL_PWD": credential.password},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    poll(lambda: mariadb.session_count(credential.user) == 2, 10, what="two sessions")
    started = time.monotonic()
    assert job.revoke(credential).status == 204
    output, _ = busy.communicate(timeout=GONE_S)
    assert time.monotonic() - started < GONE_S
    assert busy.returncode != 0 and ("Lost connection" in output or "gone away" in output or "interrupted" in output), output
    assert is_cut(idle)
    poll(lambda: gone(job, credential), GONE_S, what="the end of the account")
    assert time.monotonic() - started < 2 * GONE_S
    assert "denied" in client(mariadb, credential, "SELECT 1").stderr
    assert job.revoke(credential).status == 204, "again is fine"
    assert job.lookup(credential).data["state"] == "gone"


def test_expiry_is_never_early_and_at_most_two_seconds_late(job, mariadb):
    assert job.role("brief", default_ttl="3s").status in (200, 204)
    started = time.monotonic()
    credential = job.mint("brief")
    minted = time.monotonic()
    session = mariadb.connect(credential.user, credential.password)
    while time.monotonic() - minted < 2.9 - (minted - started):
        assert not is_cut(session), "ended before its time"
        time.sleep(0.1)
    poll(lambda: gone(job, credential), 3 + GONE_S - (time.monotonic() - minted), what="the end of the account")
    assert is_cut(session)


def test_a_renewal_moves_the_end(job, mariadb):
    assert job.role("brief", default_ttl="3s", max_ttl="1h").status in (200, 204)
    credential = job.mint("brief")
    response = job.renew(credential, 600)
    assert response.status == 200 and response.json["lease_duration"] == 600
    time.sleep(5)
    assert mariadb.can_login(credential.user, credential.password)


def test_an_account_that_was_removed_by_hand_ends_well_and_is_not_renewed(job, mariadb):
    credential, other = job.mint(), job.mint()
    mariadb.sql(f"DROP USER {quote_name(credential.user)}@'%'")
    response = job.renew(credential, 600)
    assert response.status >= 400, response
    assert job.revoke(credential).status == 204
    assert mariadb.can_login(other.user, other.password) and job.accounts() == [other.user]


def test_a_session_of_an_account_that_was_removed_by_hand_is_cut(job, mariadb):
    credential = job.mint()
    session = mariadb.connect(credential.user, credential.password)
    mariadb.sql(f"DROP USER {quote_name(credential.user)}@'%'")
    assert not is_cut(session), "the server itself leaves it alone"
    assert job.revoke(credential).status == 204
    assert is_cut(session)


# ---- the server's own life ----


def test_a_server_that_was_started_again_in_the_middle_is_worked_on(job, mariadb):
    before = job.mint()
    mariadb.kill()
    mariadb.start()
    after = may_be_served(job)
    assert mariadb.can_login(after["username"], after["password"])
    assert job.renew(before, 600).status == 200
    assert job.revoke(before).status == 204
    assert job.accounts() == [after["username"]]


def test_leases_that_end_while_the_server_is_down_end_when_it_is_back(job, mariadb):
    assert job.role("brief", default_ttl="3s").status in (200, 204)
    credentials = [job.mint("brief") for _ in range(4)]
    mariadb.stop()
    try:
        time.sleep(4)
        started = time.monotonic()
        response = job.leased.get("database/creds/app")
        assert response.status == 503 and time.monotonic() - started < 12, response
    finally:
        mariadb.start()
    poll(lambda: job.accounts() == [], 65, what="the drain after the outage")
    assert all(gone(job, credential) for credential in credentials)
    job.wait_settled()


def test_a_daemon_that_is_killed_in_the_middle_of_a_mint_leaves_nothing(job, mariadb):
    assert job.slow_role(3).status in (200, 204)
    kept = job.mint()
    with contextlib.suppress(OSError):
        job.leased.get("database/creds/slow", timeout=1)
    job.leased.kill()
    job.leased.start()
    poll(lambda: job.accounts() == [kept.user], 30, what="the end of what was begun")
    job.wait_settled()
    assert mariadb.can_login(kept.user, kept.password)


def test_another_server_at_the_same_address_is_noticed_and_left_alone(mariadb):
    """By server_uid, which MariaDB makes of the machine and its port: the address that both are reached at is a proxy's."""
    with MariaDB(admin_password=mariadb.admin_password) as other, Proxy((mariadb.host, mariadb.port)) as proxy, \
            Job(mariadb) as job:
        for response in (job.configure(port=str(proxy.port)), job.role()):
            assert response.status in (200, 204), response
        credential = job.mint()
        proxy.target = (other.host, other.port)
        proxy.cut()
        poll(lambda: "another server" in job.leased.get("database/creds/app").error, 30, what="the flag")
        assert other.role_names() == []
        poll(lambda: job.leased.get("database/config/main").data.get("moved_to") == other.server_uid, 10, what="the flag's cause")
        proxy.target = (mariadb.host, mariadb.port)
        proxy.cut()
        may_be_served(job)
        assert mariadb.can_login(credential.user, credential.password)
        assert job.revoke(credential).status == 204


# ---- passwords of accounts that stay ----


@pytest.fixture
def account(mariadb):
    mariadb.quietly(f"CREATE USER {ACCOUNT}@'%' IDENTIFIED BY '{OLD}'")
    yield ACCOUNT
    mariadb.sql(f"DROP USER {ACCOUNT}@'%'")


def static_creds(job):
    response = job.leased.get("database/static-creds/report")
    assert response.status == 200, response
    return response.data


def test_a_static_roles_password_is_taken_over_and_rotated(job, mariadb, account):
    body = {"db_name": "main", "username": account, "rotation_period": "1h"}
    response = job.leased.post("database/static-roles/report", body)
    assert response.status in (200, 204), response
    first = static_creds(job)["password"]
    assert not mariadb.can_login(account, OLD) and mariadb.can_login(account, first)
    session = mariadb.connect(account, first)
    assert job.leased.post("database/rotate-role/report").status == 204
    second = static_creds(job)["password"]
    assert not mariadb.can_login(account, first) and mariadb.can_login(account, second)
    assert not is_cut(session), "whoever uses the account is not cut off"
    log = mariadb.log() + job.leased.output()
    assert first not in log and second not in log


@contextlib.contextmanager
def another_admin(server, account, password):
    """An admin as documented, besides the one that all tests use."""
    server.quietly(f"CREATE USER {account} IDENTIFIED BY '{password}'",
                   *admin_grants(account, server.group_role))
    try:
        yield {"username": account.split("@")[0], "password": password}
    finally:
        server.sql(f"DROP USER {account}")


def test_the_own_login_is_rotated_and_works_on_after_a_restart(mariadb):
    with another_admin(mariadb, "rooted@'%'", "first-password") as login, Job(mariadb) as job:
        for response in (job.configure(**login), job.role()):
            assert response.status in (200, 204), response
        credential = job.mint()
        response = job.leased.post("database/rotate-root/main")
        assert response.status in (200, 204), response
        assert not mariadb.can_login("rooted", "first-password")
        job.leased.kill()
        job.leased.start()
        may_be_served(job)
        assert job.revoke(credential).status == 204
        assert job.leased.put("sys/leases/revoke-prefix/database", {"sync": True}).status in (200, 204)


# ---- an end by itself ----


def test_with_events_the_server_ends_accounts_though_leased_is_gone(mariadb):
    """As docs/how-to/mysql.md has it; test_what_the_page_of_the_documentation_grants_is_enough runs its statements."""
    with as_root(mariadb, ["CREATE DATABASE leased_events", f"GRANT EVENT ON leased_events.* TO {mariadb.admin}",
                           "SET GLOBAL event_scheduler = ON"],
                 ["SET GLOBAL event_scheduler = OFF", f"REVOKE EVENT ON leased_events.* FROM {mariadb.admin}",
                  "DROP DATABASE leased_events"]), Job(mariadb) as job:
        for response in (job.configure(expiry_event="true", event_schema="leased_events"), job.role("brief", default_ttl="3s"),
                         job.role("kept")):
            assert response.status in (200, 204), response
        response = job.leased.get("database/creds/brief")
        assert response.status == 200 and not response.warnings, response
        kept = job.mint("kept")
        assert job.revoke(kept).status == 204
        assert [row[0] for row in mariadb.sql("SELECT EVENT_NAME FROM information_schema.EVENTS")] == [response.data["username"]]
        user, password = response.data["username"], response.data["password"]
        session = mariadb.connect(user, password)
        job.leased.kill()
        time.sleep(2)
        assert mariadb.can_login(user, password), "ended before its time"
        poll(lambda: not mariadb.can_login(user, password) and is_cut(session), 20, what="the end of access")
        assert job.accounts() == [user], "the drop is leased's"
        job.leased.start()
        poll(lambda: job.accounts() == [], 20, what="the end of the account")
        assert mariadb.sql("SELECT EVENT_NAME FROM information_schema.EVENTS") == []


# ---- reconcile ----


def test_an_account_with_our_tag_that_no_lease_has_is_told_and_removed_on_command(job, mariadb):
    kept = job.mint()
    orphan, other = f"l-{job.tag()}-orphan-1", f"l-{job.tag()[::-1]}-app-1"
    for name in (orphan, other):
        mariadb.sql(f"CREATE USER {quote_name(name)}@'%'")
    try:
        answer = job.leased.post("sys/leases/reconcile", {"connection": "main"})
        assert answer.status == 200, answer
        (one,) = answer.data["connections"]
        assert [(found["what"], found["account"]) for found in one["findings"]] == [("unknown", orphan)], one
        assert orphan in job.accounts(), "it is told, no more"
        environment = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{job.leased.socket_path}"}
        fixed = subprocess.run([LEASE, "reconcile", "--fix", "database/main"], env=environment, capture_output=True, text=True,
                               timeout=60)
        assert fixed.returncode == 0, fixed
        assert sorted(job.accounts()) == sorted([kept.user, other])
    finally:
        mariadb.sql(f"DROP USER {quote_name(other)}@'%'")
    assert mariadb.can_login(kept.user, kept.password)


# ---- grants that are missing, settings that are hostile ----


def test_what_the_page_of_the_documentation_grants_is_enough():
    """Word for word; ADMIN_GRANTS, which all other tests live on, is on it too."""
    statements = [statement.strip() for block in re.findall("```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
                  for statement in block.split(";\n") if statement.strip()]
    assert set(admin_grants("leased@'%'", "app")) <= set(statements)
    (password,) = (word for statement in statements for word in re.findall("CREATE USER leased@'%' IDENTIFIED BY '(.*)'", statement))
    with MariaDB(admin=False, admin_password=password) as server, Job(server) as job:
        server.quietly(*statements)
        job.set_up()
        assert job.role("writer", grant_roles=[], schemas="app", access="read-write").status in (200, 204)
        reader, writer = job.mint(), job.mint("writer")
        assert client(server, reader, "SELECT COUNT(*) FROM items").stdout == "2\n"
        assert client(server, writer, "INSERT INTO items VALUES (3)").returncode == 0
        assert "denied" in client(server, writer, "DROP TABLE items").stderr
        for credential in (reader, writer):
            assert job.revoke(credential).status == 204
        assert job.accounts() == []


def test_each_grant_that_is_missing_is_named_by_the_preflight():
    named = {}
    with MariaDB() as server, Job(server) as job:
        job.set_up()
        server.sql(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {server.admin}")
        for missing, revoke in (
                ("CREATE USER", "REVOKE CREATE USER ON *.* FROM"),
                ("CONNECTION ADMIN", "REVOKE CONNECTION ADMIN ON *.* FROM"),
                ("PROCESS", "REVOKE PROCESS ON *.* FROM"),
                ("GRANT SELECT ON mysql.global_priv", "REVOKE SELECT ON mysql.global_priv FROM"),
                ("ADMIN OPTION", f"REVOKE {server.group_role} FROM")):
            for grant in admin_grants(server.admin, server.group_role):
                server.sql(grant)
            server.sql(f"{revoke} {server.admin}")
            job.leased.post("database/reset/main")  # what a session may do is settled when it begins
            response = job.role(f"without-{len(named)}")
            named[missing] = (response.status, response.error)
    for missing, (status, error) in named.items():
        assert status == 400 and missing in error, (missing, status, error)


def test_the_canary_of_a_refused_configuration_ends_once_its_grant_is_there():
    """By itself: the connection was the refused write's own, which nothing else reaches."""
    with MariaDB() as server, Job(server) as job:
        server.sql(f"REVOKE PROCESS ON *.* FROM {server.admin}")
        body = {"plugin_name": server.plugin_name, "allowed_roles": "*"} | server.config()
        response = job.leased.post("database/config/main", body, timeout=60)
        assert response.status == 400 and "GRANT PROCESS ON *.* TO it" in response.error, response
        assert len(job.accounts()) == 1, "locked, and not to be dropped while its sessions cannot be seen"
        server.sql(f"GRANT PROCESS ON *.* TO {server.admin}")
        poll(lambda: job.accounts() == [], 90, what="the end of the canary")


HOSTILE = ["x'; DROP TABLE app.kept; -- x", 'x"; DROP TABLE app.kept; -- x', "x`; DROP TABLE app.kept", "x\\", "x\\'; DROP TABLE app.kept -- x",
           "%n%s", "'@'%", "\u00e9'"]


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"])
def test_hostile_names_of_accounts_and_roles_are_only_names(mariadb, mode):
    """Of accounts that stay, and of the server's roles: these people choose."""
    before = mariadb.value("SELECT @@GLOBAL.sql_mode")
    with as_root(mariadb, [f"SET GLOBAL sql_mode = '{mode}'", "CREATE TABLE app.kept (id int)"],
                 [f"SET GLOBAL sql_mode = '{before}'", "DROP TABLE app.kept"]), Job(mariadb) as job:
        job.set_up()
        for number, name in enumerate(HOSTILE):
            account = f"{quote_name(name)}@'%'"
            mariadb.quietly(f"CREATE USER {account} IDENTIFIED BY '{OLD}'")
            try:
                body = {"db_name": "main", "username": name, "rotation_period": "1h"}
                assert job.leased.post(f"database/static-roles/s{number}", body).status in (200, 204), name
                data = job.leased.get(f"database/static-creds/s{number}").data
                assert data["username"] == name and mariadb.can_login(name, data["password"])
                assert job.leased.delete(f"database/static-roles/s{number}").status == 204
            finally:
                mariadb.sql(f"DROP USER {account}")
            mariadb.sql(f"CREATE ROLE {quote_name(name + 'r')} WITH ADMIN {mariadb.admin}")
            try:
                job.leased.post("database/reset/main")
                response = job.role(f"r{number}", grant_roles=[name + "r"])
                assert response.status in (200, 204), (name, response)
                credential = job.mint(f"r{number}")
                assert mariadb.sql("SELECT CURRENT_ROLE()", user=credential.user, password=credential.password) == [(name + "r",)]
                assert job.revoke(credential).status == 204
            finally:
                mariadb.sql(f"DROP ROLE {quote_name(name + 'r')}")
        assert mariadb.value("SELECT COUNT(*) FROM app.kept") == 0, "the canary"
        assert job.accounts() == []


@pytest.mark.parametrize("mode", ["ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH", "ORACLE", ""])
def test_the_servers_sql_mode_changes_nothing(job, mariadb, mode):
    before = mariadb.value("SELECT @@GLOBAL.sql_mode")
    try:
        with as_root(mariadb, [f"SET GLOBAL sql_mode = '{mode}'"], [f"SET GLOBAL sql_mode = '{before}'"]):
            assert job.leased.post("database/reset/main").status in (200, 204)  # sessions that have it from their start
            credential = job.mint()
            assert mariadb.can_login(credential.user, credential.password)
            assert job.renew(credential, 600).status == 200
            assert job.revoke(credential).status == 204
            assert job.accounts() == []
    finally:
        job.leased.post("database/reset/main")


def test_an_account_without_a_name_that_would_stand_in_front_is_named_by_the_preflight(mariadb):
    with another_admin(mariadb, "near@'localhost'", "some-password") as login, Job(mariadb) as job, as_root(
            mariadb, ["CREATE USER ''@'localhost'"], ["DROP USER ''@'localhost'"]):
        response = job.configure(**login)
        assert response.status == 400 and "DROP USER ''@'localhost'" in response.error, response
        poll(lambda: mariadb.role_names() == [], 15, what="the end of the canary")


def test_a_server_without_tls_is_not_talked_to_where_tls_is_asked_for(mariadb):
    with Job(mariadb) as job:
        response = job.configure(tls_mode="verify")
        assert response.status == 400 and "TLS" in response.error.upper(), response


def test_a_server_is_verified_and_accounts_log_in_over_tls_alone():
    with MariaDB(tls=True) as server, Job(server) as job:
        refused = job.configure(tls_ca=None)
        assert refused.status == 400, refused
        credential = job.set_up().mint()
        assert server.can_login(credential.user, credential.password)
        assert not server.can_login(credential.user, credential.password, ssl=None)
        assert job.revoke(credential).status == 204


def test_a_server_that_is_read_only_is_said_and_left_alone(job, mariadb):
    kept = job.mint()
    with as_root(mariadb, ["SET GLOBAL read_only = 1"], ["SET GLOBAL read_only = 0"]):
        job.leased.post("database/reset/main")
        response = job.leased.get("database/creds/app")
        assert response.status in (502, 503) and "read-only" in response.error, response
    may_be_served(job)
    assert job.revoke(kept).status == 204


def test_no_secret_reaches_a_log_or_the_servers_own(job, mariadb):
    credential = job.mint()
    job.renew(credential)
    job.revoke(credential)
    for text in (job.leased.output(), mariadb.log()):
        assert credential.password not in text and mariadb.admin_password not in text
