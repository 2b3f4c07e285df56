"""The main job on a real PostgreSQL: made on the spot, used, renewed, and gone with its lease."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import psycopg2
import pytest

from daemon import poll
from job import CREATE, Job, Postgres, gone
from privilege import read_as_root

GONE_S = 2


@pytest.fixture
def job(server):
    with Job(server) as one:
        yield one.set_up()


def session_is_cut(connection):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return False
    except psycopg2.Error:
        return True


def test_a_minted_login_works_and_holds_what_its_role_grants(job, server):
    credential = job.mint()
    assert credential.ttl == 3600
    assert server.sql("SELECT count(*) FROM public.items", user=credential.user, password=credential.password) == [(2,)]
    assert job.accounts() == [credential.user]
    assert job.lookup(credential).data["ttl"] in (3599, 3600)


def test_revoke_refuses_logins_cuts_sessions_and_drops_the_role(job, server):
    credential = job.mint()
    plain = server.connect(credential.user, credential.password)
    as_group = server.connect(credential.user, credential.password)
    with as_group.cursor() as cursor:
        cursor.execute("SET ROLE app")
    started = time.monotonic()
    assert job.revoke(credential).status == 204
    poll(lambda: gone(job, credential), GONE_S, what="the end of the account")
    assert time.monotonic() - started < 10
    assert session_is_cut(plain) and session_is_cut(as_group)
    assert job.revoke(credential).status == 204, "again is fine"
    assert job.lookup(credential).data["state"] == "gone"


def test_a_client_that_has_passed_the_login_and_is_not_listed_yet_is_cut(job, server):
    credential = job.mint()
    arguments = ["psql", "-X", "-h", server.host, "-p", str(server.port), "-U", credential.user, "-d", "postgres",
                 "-c", "SELECT 1"]
    environment = {"PATH": "/usr/bin:/bin", "PGPASSWORD": credential.password, "PGOPTIONS": "-c post_auth_delay=30"}
    client = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(0.7)
        assert client.poll() is None
        assert job.revoke(credential).status == 204
        output, _ = client.communicate(timeout=5)
        assert client.returncode != 0, output
    finally:
        client.kill()
        client.wait()
    assert credential.user not in job.accounts()


def test_expiry_is_never_early_and_at_most_two_seconds_late(job, server):
    assert job.role("brief", default_ttl="3s").status in (200, 204)
    started = time.monotonic()
    credential = job.mint("brief")
    minted = time.monotonic()
    session = server.connect(credential.user, credential.password)
    while time.monotonic() - minted < 2.9 - (minted - started):
        assert not session_is_cut(session), "ended before its time"
        time.sleep(0.1)
    poll(lambda: gone(job, credential), 3 + GONE_S - (time.monotonic() - minted), what="the end of the account")
    assert session_is_cut(session)


def test_a_renewal_moves_the_end_in_both_places(job, server):
    credential = job.mint()
    response = job.renew(credential, 7200)
    assert response.status == 200 and response.json["lease_duration"] == 7200
    assert response.json["data"] is None
    until = server.value("SELECT extract(epoch FROM rolvaliduntil - now()) FROM pg_authid WHERE rolname = %s",
                         credential.user)
    assert 7150 < until < 7300


def test_a_renewal_cannot_pass_the_maximum(job):
    assert job.role("capped", default_ttl="60s", max_ttl="90s").status in (200, 204)
    credential = job.mint("capped")
    response = job.renew(credential, 3600)
    assert response.status == 200 and 85 <= response.json["lease_duration"] <= 90
    assert response.json["warnings"], "a capped TTL is said"


def test_a_role_that_owns_a_table_stays_disarmed_and_completes_by_itself(job, server):
    credential = job.mint()
    server.sql("GRANT CREATE ON SCHEMA public TO app")
    server.sql("CREATE TABLE public.theirs (id int); INSERT INTO public.theirs VALUES (7)", user=credential.user,
               password=credential.password)
    response = job.revoke(credential)
    assert response.status == 200, response
    assert "theirs" in " ".join(response.warnings), response
    assert not server.can_login(credential.user, credential.password)
    assert server.value("SELECT id FROM public.theirs") == 7
    described = job.lookup(credential).data
    assert described["state"].lower() == "disarmed" and "theirs" in described["revoke_error"]
    said = [line for line in job.leased.output().splitlines() if "cannot be removed yet" in line]
    assert any(credential.lease_id in line for line in said), "the log says what to give to `lease show`"
    server.sql("DROP TABLE public.theirs")
    poll(lambda: credential.user not in job.accounts(), 70, what="removal once the table is gone")


def test_a_bulk_revocation_says_what_still_stands(job, server):
    free, keeper = job.mint(), job.mint()
    server.sql("GRANT CREATE ON SCHEMA public TO app")
    server.sql("CREATE TABLE public.held (id int)", user=keeper.user, password=keeper.password)
    answer = job.leased.put("sys/leases/revoke-prefix/database/creds/app")
    assert answer.status == 200 and "1 account is still to be removed" in str(answer.warnings), answer
    assert "held" in str(answer.warnings)
    assert free.user not in job.accounts() and not server.can_login(keeper.user, keeper.password)
    server.sql("DROP TABLE public.held")
    assert job.revoke(keeper).status == 204
    assert job.accounts() == []


def test_an_admin_that_cannot_end_sessions_is_refused_with_the_missing_grant(server):
    with Job(server) as job:
        server.sql("REVOKE pg_signal_backend FROM leased")
        try:
            response = job.configure()
            assert response.status == 400, response
            assert "pg_signal_backend" in response.error
        finally:
            server.sql("GRANT pg_signal_backend TO leased")
        poll(lambda: job.accounts() == [], 30, what="the canary to be gone")


def test_nothing_is_called_gone_while_a_session_lives(job, server):
    credential = job.mint()
    session = server.connect(credential.user, credential.password)
    server.sql("REVOKE pg_signal_backend FROM leased")
    try:
        response = job.revoke(credential)
        assert response.status == 503 and "recorded, will be retried" in response.error, response
        assert not session_is_cut(session)
        assert not server.can_login(credential.user, credential.password), "no new login meanwhile"
        assert credential.user in job.accounts()
    finally:
        server.sql("GRANT pg_signal_backend TO leased")
    poll(lambda: gone(job, credential), 70, what="the end once the grant is back")
    assert session_is_cut(session)


def test_a_role_write_names_the_group_role_that_cannot_be_granted(job, server):
    server.sql("CREATE ROLE locked NOLOGIN SUPERUSER")  # what no CREATEROLE may grant, whatever the version
    try:
        response = job.role("other", grant_roles=["locked"])
        assert response.status == 400 and "locked" in response.error, response
    finally:
        server.sql("DROP ROLE locked")
    assert job.leased.get("database/roles/other").status == 404
    poll(lambda: job.accounts() == [], 30, what="the canary to be gone")


def test_a_grant_that_the_backend_lacks_is_no_denial_of_the_client(job, server):
    server.sql("ALTER ROLE leased NOCREATEROLE")
    try:
        response = job.leased.get("database/creds/app")
        assert response.status == 502 and "CREATEROLE" in response.error, response
        command = [str(job.leased.binary.parent / "lease"), "get", "database/creds/app"]
        environment = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{job.leased.socket_path}"}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=20)
        assert done.returncode == 7 and b"CREATEROLE" in done.stderr, done
    finally:
        server.sql("ALTER ROLE leased CREATEROLE")
    poll(lambda: job.accounts() == [], 30, what="nothing left behind")


def test_a_server_that_was_exchanged_is_flagged_and_nothing_is_made_there():
    with Postgres() as one, Job(one) as job:
        credential = job.set_up().mint()
        one.stop()
        other = Postgres(admin_password=one.admin_password)
        other.port = one.port
        with other:
            # The first call may be the one that finds its session dead, or the connection in back-off.
            poll(lambda: "leads to another server" in job.leased.get("database/creds/app").error, 30, what="the flag")
            response = job.leased.get("database/creds/app")
            assert response.status == 503 and "another server" in response.error, response
            assert other.role_names("l-") == []
            assert job.leased.get("database/config/main").data["moved_to"] == str(other.system_identifier)
            assert "another server answers" in job.leased.output()
            job.server = other
            refused = job.configure()
            assert refused.status == 400 and "confirm_move" in refused.error, refused
            assert job.configure(confirm_move=True).status in (200, 204)
            minted = job.mint()
            assert other.can_login(minted.user, minted.password)
            assert job.revoke(credential).status == 204, "it is not on the server that took over"


def test_the_right_server_is_found_when_it_is_back_though_nothing_is_due():
    with Postgres() as one, Job(one) as job:
        credential = job.set_up().mint()
        one.stop()
        other = Postgres(admin_password=one.admin_password)
        other.port = one.port
        with other:
            poll(lambda: "leads to another server" in job.leased.get("database/creds/app").error, 30, what="the flag")
        one.start()
        # Each of these is refused without asking the server, for as long as the flag stands.
        poll(lambda: job.leased.get("database/creds/app").status == 200, 20, what="the right server")
        assert "the server of a connection is back" in job.leased.output()
        assert one.can_login(credential.user, credential.password)


def test_a_client_that_vanishes_before_its_answer_leaves_no_user(job):
    assert job.slow_role(1).status in (200, 204)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(job.leased.socket_path))
    client.sendall(b"GET /v1/database/creds/slow HTTP/1.1\r\nHost: leased\r\n\r\n")
    time.sleep(0.4)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    time.sleep(1)  # now the mint has ended, and the answer had nobody to go to
    poll(lambda: job.accounts() == [], 6, what="the account to be taken back")
    assert re.search(r'CREATE ROLE "(l-[a-z0-9]+-slow-[a-z0-9]+)"(?s:.*)DROP ROLE (?:IF EXISTS )?"?\1',
                     job.server.log()), "an account was made, and dropped"


def test_a_backend_that_is_down_is_a_503_within_the_deadline_and_leaves_nothing(server, job):
    server.stop()
    try:
        started = time.monotonic()
        response = job.leased.get("database/creds/app")
        assert response.status == 503 and time.monotonic() - started < 12, response
    finally:
        server.start()
    job.wait_settled()
    assert job.accounts() == []


def test_leases_that_end_while_the_backend_is_down_end_when_it_is_back(server, job):
    assert job.role("brief", default_ttl="3s").status in (200, 204)
    credentials = [job.mint("brief") for _ in range(5)]
    server.stop()
    try:
        time.sleep(5)
    finally:
        server.start()
    poll(lambda: job.accounts() == [], 65, what="the drain after the outage")
    assert all(gone(job, credential) for credential in credentials)


def test_max_leases_is_exact(job):
    assert job.role("few", max_leases=2).status in (200, 204)
    first = job.mint("few")
    job.mint("few")
    response = job.leased.get("database/creds/few")
    assert response.status == 429 and "max_leases" in response.error
    assert job.revoke(first).status == 204
    job.mint("few")


def test_a_prefix_is_revoked_as_a_whole(job):
    for _ in range(5):
        job.mint()
    response = job.leased.put("sys/leases/revoke-prefix/database/creds/app", {"sync": True})
    assert response.status in (200, 204), response
    poll(lambda: job.accounts() == [], GONE_S, what="the end of all")


def test_a_tokens_leases_and_children_end_with_it(job, server):
    parent = job.leased.post("auth/token/create", {"policies": ["root"], "ttl": "1h"}).auth["client_token"]
    child = job.leased.post("auth/token/create", {"ttl": "1h"}, token=parent).auth["client_token"]
    credential = job.mint(token=child)
    assert job.leased.post("auth/token/revoke-self", token=parent).status == 204
    assert job.leased.get("auth/token/lookup-self", token=child).status == 403
    poll(lambda: gone(job, credential), 5, what="the end of the child's lease")


def test_a_connection_with_leases_is_not_deleted(job):
    credential = job.mint()
    response = job.leased.delete("database/config/main")
    assert response.status == 400 and "leases" in response.error
    assert job.revoke(credential).status == 204
    poll(lambda: job.leased.delete("database/config/main").status == 204, 5, what="the delete")


def test_the_first_login_after_a_start_says_where_it_is_good(job, server):
    told = job.leased.get("database/creds/app").data
    job.leased.restart()
    first = job.leased.get("database/creds/app").data
    assert job.leased.post("database/reset/main").status in (200, 204)
    after_reset = job.leased.get("database/creds/app").data
    for field in ("host", "port", "database"):
        assert told[field] == first[field] == after_reset[field], field


def test_a_daemon_that_stops_keeps_its_leases(job, server):
    credential = job.mint()
    assert job.leased.stop() == 0
    assert server.can_login(credential.user, credential.password)
    job.leased.start()
    assert job.lookup(credential).status == 200
    assert job.revoke(credential).status == 204
    assert credential.user not in job.accounts()


def test_no_secret_reaches_a_log_or_the_command_line(job, server):
    credential = job.mint()
    job.renew(credential)
    job.revoke(credential)
    texts = [job.leased.output(), server.log()]
    processes = [job.leased.pid, *job.leased.descendants()]
    assert len(processes) >= 3, "the daemon, its spawner, a worker"
    for pid in processes:
        for path in (pathlib.Path(f"/proc/{pid}/cmdline"), pathlib.Path(f"/proc/{pid}/environ")):
            texts.append(read_as_root(path).decode(errors="replace"))
    for secret in (credential.password, server.admin_password, job.leased.root_token):
        for text in texts:
            # The server's log has what this test itself told it of the admin.
            assert secret not in text or (secret == server.admin_password and text == texts[1])


@pytest.mark.parametrize("body,reason", [
    ({"default_ttl": "-5s"}, "negative"),
    ({"default_ttl": "2h", "max_ttl": "1h"}, "below default_ttl"),
    ({"username_template": "{{role}}"}, "64"),
    ({"username_template": "{{nonsense}}-{{random 20}}"}, "nonsense"),
    ({"creation_statements": ["CREATE ROLE \"{{nmae}}\""], "grant_roles": []}, "name"),
    ({"creation_statements": ["CREATE ROLE \"x{{name}}\" LOGIN"], "grant_roles": []}, "{{name}}"),
    ({"creation_statements": [], "grant_roles": []}, "grant_roles"),
    ({"creation_statements": [CREATE], "grant_roles": ["app"]}, "GRANT"),
    ({"db_name": ""}, "db_name"),
    ({"owned_objects": "burn"}, "keep"),
])
def test_bad_roles_are_refused_when_written(job, body, reason):
    response = job.role("bad", **body)
    assert response.status == 400 and reason in response.error, response
    assert job.leased.get("database/roles/bad").status == 404


def test_an_unknown_field_is_a_warning_that_names_the_nearest(job):
    response = job.role("typo", defualt_ttl="1h")
    assert response.status == 200, response
    assert "defualt_ttl" in response.warnings[0] and "default_ttl" in response.warnings[0]


def test_null_in_a_role_leaves_what_is_stored(job):
    assert job.role("kept", default_ttl="30m").status == 204
    assert job.role("kept", default_ttl=None, max_ttl="2h").status == 204
    kept = job.leased.get("database/roles/kept").data
    assert (kept["default_ttl"], kept["max_ttl"]) == (1800, 7200)


def test_custom_creation_statements_work(job, server):
    response = job.role("custom", grant_roles=[], creation_statements=[CREATE, 'GRANT app TO "{{name}}"'])
    assert response.status in (200, 204), response
    credential = job.mint("custom")
    assert server.sql("SELECT count(*) FROM public.items", user=credential.user, password=credential.password) == [(2,)]
    assert job.revoke(credential).status == 204


def test_vaults_connection_url_with_every_special_character_in_the_password(server):
    password = "p@ss:/?#[]%{}!$&'()*+,;= \"<>^`|~"
    server.sql("ALTER ROLE leased PASSWORD %s", password)
    try:
        with Job(server) as job:
            response = job.leased.post("database/config/main", {
                "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": "leased",
                "password": password, "connection_url": server.connection_url()})
            assert response.status in (200, 204), response
            assert job.role().status in (200, 204)
            job.mint()
            shown = job.leased.get("database/config/main")
            assert password not in shown.body.decode() and "password" not in shown.data["connection_details"]
            job.leased.put("sys/leases/revoke-prefix/database")
    finally:
        server.sql("ALTER ROLE leased PASSWORD %s", server.admin_password)


def test_a_mount_is_made_used_and_taken_away_with_its_leases(server):
    with Job(server) as job:
        assert job.leased.post("sys/mounts/team/db", {"type": "database"}).status == 204
        assert "team/db/" in job.leased.get("sys/mounts").data
        body = {"plugin_name": "postgresql-database-plugin", "allowed_roles": "*"}
        assert job.leased.post("team/db/config/main", body | server.config()).status in (200, 204)
        assert job.leased.post("team/db/roles/app", {"db_name": "main", "grant_roles": "app"}).status in (200, 204)
        response = job.leased.get("team/db/creds/app")
        assert response.status == 200 and response.json["lease_id"].startswith("team/db/creds/app/")
        assert job.leased.delete("sys/mounts/team/db").status == 204
        assert job.accounts() == []
        assert "team/db/" not in job.leased.get("sys/mounts").data


def test_requests_of_one_connection_are_answered_in_order(job):
    connection = http.client.HTTPConnection("leased")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(job.leased.socket_path))
    keys = {"sys/health": "initialized", "sys/leader": "is_self", "sys/seal-status": "progress"}
    connection.sock.sendall(b"".join(f"GET /v1/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in keys))
    stream = connection.sock.makefile("rb")
    for path, key in keys.items():
        assert stream.readline().startswith(b"HTTP/1.1 200")
        fields = dict(line.split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
        body = json.loads(stream.read(int(fields[b"Content-Length"])))
        assert key in body, (path, body)
    connection.close()


def test_without_its_spawner_it_ends_to_be_started_again(job, server):
    """A daemon that can end nothing any more must not look healthy."""
    assert job.role("brief", default_ttl="2s").status == 204
    idle, cut = job.mint("brief"), server.connect(*(lambda c: (c.user, c.password))(job.mint("brief")))
    leased = job.leased
    (spawner,) = pathlib.Path(f"/proc/{leased.pid}/task/{leased.pid}/children").read_text().split()
    os.kill(int(spawner), signal.SIGKILL)
    assert leased.wait_exit(timeout=12) == 1
    output = leased.output(this_start_only=True)
    assert "spawner is lost" in output and "status 1" in output
    time.sleep(2)
    leased.start()
    poll(lambda: gone(job, idle) and job.accounts() == [], 10, what="the end of what was overdue")
    assert session_is_cut(cut)
    assert server.can_login((again := job.mint()).user, again.password)


@pytest.mark.parametrize("statements", (["SELECT 1"], ["DROP ROLE \"nobody by that name\""]))
def test_a_role_refused_for_its_revocation_statements_leaves_no_account(job, server, statements):
    """Nobody can correct the statements of a role that was never stored."""
    answer = job.role("wrong", revocation_statements=statements)
    assert answer.status == 400 and "revocation_statements" in answer.error, answer
    poll(lambda: not any("-wrong-" in name for name in job.accounts()), 15, what="the end of the canary")
    poll(lambda: not any("-wrong-" in lease["account"] for lease in
                         job.leased.get("sys/leases?type=irrevocable").data["leases"]), 5, what="the end of its record")
