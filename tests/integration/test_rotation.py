"""Passwords of accounts that stay: static roles and the connection's own login, on a real PostgreSQL."""

import time

import psycopg2
import pytest

from daemon import poll
from job import Job
from lease_cli import run as run_lease
from openmetrics import scrape

ACCOUNT = "reporting"
OLD = "the-password-of-before-1"


@pytest.fixture
def account(server):
    server.sql(f"CREATE ROLE {ACCOUNT} LOGIN PASSWORD '{OLD}'")
    yield ACCOUNT
    server.sql(f"DROP OWNED BY {ACCOUNT}; DROP ROLE {ACCOUNT}")


@pytest.fixture
def job(server):
    with Job(server) as one:
        yield one.set_up()


@pytest.fixture
def own_admin(server):
    """A login of leased's that a test may rotate away."""
    server.sql("CREATE ROLE rooted LOGIN CREATEROLE PASSWORD 'first-password'; GRANT pg_signal_backend TO rooted; "
               f"GRANT {server.group_role} TO rooted WITH ADMIN OPTION")
    yield {"username": "rooted", "password": "first-password"}
    server.sql("DROP OWNED BY rooted; DROP ROLE rooted")


def write(job, name="report", **more):
    body = {"db_name": "main", "username": ACCOUNT, "rotation_period": "1h"}
    return job.leased.post(f"database/static-roles/{name}", body | more)


def creds(job, name="report"):
    response = job.leased.get(f"database/static-creds/{name}")
    assert response.status == 200, response
    return response.data


def test_a_static_role_takes_its_account_over_and_tells_a_password_that_logs_in(job, server, account):
    response = write(job)
    assert response.status == 204, response
    assert not server.can_login(ACCOUNT, OLD)
    response = job.leased.get("database/static-creds/report")
    assert response.json["lease_id"] == "" and response.json["renewable"] is False
    data = response.data
    assert server.can_login(data["username"], data["password"])
    assert data["username"] == ACCOUNT and data["rotation_period"] == 3600 and 3590 <= data["ttl"] <= 3600
    assert data["last_vault_rotation"].startswith("20")
    assert data["host"] == server.host and data["port"] == str(server.port) and data["scheme"] == "postgresql"
    assert data["password"] not in server.log() and data["password"] not in job.leased.output()
    read = job.leased.get("database/static-roles/report").data
    assert "password" not in str(read).replace("credential_type': 'password", "")
    assert read["username"] == ACCOUNT and read["rotation_period"] == 3600 and 3580 < read["ttl"] <= 3600
    assert job.leased.list("database/static-roles").data["keys"] == ["report"]
    assert creds(job)["password"] == data["password"], "reading it twice changes nothing"


def test_a_password_is_rotated_when_it_is_due_and_by_hand(job, server, account):
    assert write(job, rotation_period="5s").status == 204
    first = creds(job)
    assert job.leased.post("database/rotate-role/report").status == 204
    second = creds(job)
    assert second["password"] != first["password"]
    assert not server.can_login(ACCOUNT, first["password"]) and server.can_login(ACCOUNT, second["password"])
    started = time.monotonic()
    third = poll(lambda: creds(job) if creds(job)["password"] != second["password"] else None, 15, what="a rotation")
    assert time.monotonic() - started > 3
    assert server.can_login(ACCOUNT, third["password"]) and 1 <= third["ttl"] <= 5


def test_what_is_due_is_known_after_a_restart(job, server, account):
    assert write(job, rotation_period="6s").status == 204
    first = creds(job)["password"]
    job.leased.kill()
    time.sleep(7)
    job.leased.start()
    poll(lambda: creds(job)["password"] != first, 30, what="the rotation that was due while nobody ran")
    assert server.can_login(ACCOUNT, creds(job)["password"])


def test_a_static_role_is_refused_before_its_account_is_touched(job, server, account):
    def refused(part, **more):
        response = write(job, **more)
        assert response.status == 400 and part in response.error, response

    server.sql("CREATE ROLE locked NOLOGIN; CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'x'; "
               "CREATE ROLE late LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'")
    try:
        refused("rotation_period", rotation_period="2s")
        refused("not configured", db_name="nowhere")
        refused('there is no role "nobody"', username="nobody")
        refused("rotate-root", username=server.admin_role)
        refused("superuser", username="boss")
        refused("LOGIN", username="locked")
        refused("VALID UNTIL", username="late")
        refused("rotation_schedule", rotation_schedule="0 0 * * *")
        refused("never use {{password}}", rotation_statements=["SELECT '{{name}}'"])
        refused("unique", name="app")
        credential = job.mint()
        refused("account of a lease", username=credential.user)
        server.sql(f"ALTER ROLE {server.admin_role} NOCREATEROLE")
        refused(f'ALTER ROLE "{server.admin_role}" CREATEROLE')
    finally:
        server.sql(f"ALTER ROLE {server.admin_role} CREATEROLE")
        server.sql("DROP ROLE locked; DROP ROLE boss; DROP ROLE late")
    assert server.can_login(ACCOUNT, OLD)
    assert job.leased.list("database/static-roles").status == 404


def test_an_account_has_one_static_role_and_keeps_its_name(job, server, account):
    assert write(job).status == 204
    response = write(job, "other")
    assert response.status == 400 and "already" in response.error, response
    response = write(job, username="somebody")
    assert response.status == 400 and "cannot update static account username" in response.error
    assert job.role("report").status == 400, "a role of that name would be ambiguous"
    before = creds(job)["password"]
    assert write(job, rotation_period="2h").status == 204
    data = creds(job)
    assert data["password"] == before and data["rotation_period"] == 7200 and data["ttl"] > 3600


def test_a_connection_stays_while_it_has_static_roles(job, server, account):
    assert write(job).status == 204
    response = job.leased.delete("database/config/main")
    assert response.status == 400 and "static roles" in response.error, response
    last = creds(job)["password"]
    assert job.leased.delete("database/static-roles/report").status == 204
    assert job.leased.get("database/static-roles/report").status == 404
    assert job.leased.get("database/static-creds/report").status == 400
    assert server.can_login(ACCOUNT, last), "the account stays as it is"
    assert job.leased.delete("database/config/main").status == 204


def test_skip_import_rotation_touches_nothing_until_somebody_asks(job, server, account):
    assert write(job, skip_import_rotation=True).status == 204
    assert server.can_login(ACCOUNT, OLD)
    response = job.leased.get("database/static-creds/report")
    assert response.status == 400 and "rotate-role/report" in response.error, response
    assert job.leased.post("database/rotate-role/report").status == 204
    assert server.can_login(ACCOUNT, creds(job)["password"])


def test_a_rotation_that_is_refused_keeps_the_password_and_is_tried_again(job, server, account):
    assert write(job, rotation_period="5s").status == 204
    server.sql(f"ALTER ROLE {server.admin_role} NOCREATEROLE")
    try:
        read = poll(lambda: (lambda data: data if "last_error" in data else None)(
            job.leased.get("database/static-roles/report").data), 15, what="a rotation that failed")
        assert "CREATEROLE" in read["last_error"] and read["rotation_failures"] >= 1
        data = creds(job)
        assert server.can_login(ACCOUNT, data["password"]) and data["ttl"] >= 1
        response = job.leased.post("database/rotate-role/report")
        assert response.status == 502 and "CREATEROLE" in response.error, response
    finally:
        server.sql(f"ALTER ROLE {server.admin_role} CREATEROLE")
    poll(lambda: creds(job)["password"] != data["password"], 30, what="a rotation once it is allowed")
    assert server.can_login(ACCOUNT, creds(job)["password"])
    assert "last_error" not in job.leased.get("database/static-roles/report").data


def test_own_statements_set_the_password(job, server, account):
    statements = ["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'; COMMENT ON ROLE \"{{name}}\" IS 'rotated'"]
    response = write(job, rotation_statements=statements)
    assert response.status == 204, response
    assert server.can_login(ACCOUNT, creds(job)["password"])
    comment = server.value("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", ACCOUNT)
    assert comment == "rotated"


def test_statements_that_set_another_password_are_found_out(job, server, account):
    response = write(job, rotation_statements=["ALTER ROLE \"{{name}}\" PASSWORD 'fixed'; SELECT '{{password}}'"])
    assert response.status == 503 and "log in" in response.error, response
    assert job.leased.get("database/static-creds/report").status == 503, "no password is known to be good"
    assert write(job, rotation_statements=[]).status == 204
    assert job.leased.post("database/rotate-role/report").status == 204
    assert server.can_login(ACCOUNT, creds(job)["password"])


def test_a_backend_that_is_down_is_no_reason_to_forget_a_password(job, server, account):
    assert write(job, rotation_period="5s").status == 204
    data = creds(job)
    server.stop()
    try:
        time.sleep(6)
        assert creds(job)["password"] == data["password"]
        before = scrape(job.leased).value("leased_rotations_failed_total")
        assert job.leased.post("database/rotate-role/report").status == 503
        assert scrape(job.leased).value("leased_rotations_failed_total") == before + 1
    finally:
        server.start()
    poll(lambda: creds(job)["password"] != data["password"], 70, what="the rotation that was due")
    assert server.can_login(ACCOUNT, creds(job)["password"])


def test_methods_and_rights(job, server, account):
    assert write(job).status == 204
    leased = job.leased
    for method, path in (("GET", "rotate-role/report"), ("DELETE", "rotate-role/report"), ("GET", "rotate-root/main"),
                         ("POST", "static-creds/report"), ("HEAD", "rotate-root/main"), ("DELETE", "static-creds/report")):
        assert leased.request(method, f"database/{path}").status == 405, (method, path)
    assert leased.request("HEAD", "database/static-creds/report").status == 200
    assert leased.post("database/rotate-role/none").status == 400
    assert leased.post("database/rotate-root/none").status == 400
    policy = 'path "database/rotate-root/*" { capabilities = ["update"] } path "database/static-creds/report" { capabilities = ["read"] }'
    assert leased.put("sys/policies/acl/ops", {"policy": policy}).status in (200, 204)
    token = leased.post("auth/token/create", {"policies": ["ops"]}).auth["client_token"]
    assert leased.get("database/static-creds/report", token=token).status == 200
    assert leased.post("database/rotate-role/report", token=token).status == 403
    assert leased.post("database/rotate-root/main", token=token).status == 403, "it needs sudo"


def test_a_static_password_in_the_environment_of_clients(job, server, account):
    assert write(job).status == 204
    done = run_lease(job.leased, "get", "--format", "env", "database/static-creds/report")
    assert done.returncode == 0, done.stderr
    assert creds(job)["password"] in done.stdout.decode()
    done = run_lease(job.leased, "exec", "database/static-creds/report", "--", "psql", "-X", "-At", "-c", "SELECT current_user")
    assert done.returncode == 0 and done.stdout.decode().strip() == ACCOUNT, done.stderr


def test_root_rotation_leaves_a_login_that_only_leased_knows(job, server, own_admin):
    assert job.configure("rooted", **own_admin).status in (200, 204)
    assert job.role("viaroot", db_name="rooted").status in (200, 204)
    response = job.leased.post("database/rotate-root/rooted")
    assert response.status == 204, response
    assert not server.can_login("rooted", own_admin["password"])
    minted = [job.mint("viaroot") for _ in range(4)]
    assert all(server.can_login(one.user, one.password) for one in minted)
    assert job.leased.post("database/rotate-root/rooted").status == 204, "again"
    job.leased.restart()
    poll(lambda: job.leased.get("database/creds/viaroot").status == 200, 20, what="a mint after the restart")
    read = job.leased.get("database/config/rooted").data
    assert "last_vault_rotation" in read and "rotation_pending" not in read
    assert "first-password" not in str(read) and "password_candidate" not in str(read)
    job.leased.put("sys/leases/revoke-prefix/database/creds/viaroot", {"sync": True})


def test_root_rotation_of_a_url_with_slots_and_under_load(job, server, own_admin):
    response = job.leased.post("database/config/rooted", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": server.connection_url(), **own_admin})
    assert response.status in (200, 204), response
    assert job.role("viaroot", db_name="rooted").status in (200, 204)
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        mints = [pool.submit(job.leased.get, "database/creds/viaroot") for _ in range(24)]
        rotations = [job.leased.post("database/rotate-root/rooted").status for _ in range(3)]
        statuses = [one.result().status for one in mints]
    assert rotations == [204, 204, 204]
    assert statuses == [200] * 24, "no mint notices"
    job.leased.put("sys/leases/revoke-prefix/database/creds/viaroot", {"sync": True})


def test_root_rotation_is_refused_where_there_is_no_password(job, server, own_admin):
    url = server.connection_url().replace("{{username}}", "rooted").replace("{{password}}", own_admin["password"])
    response = job.leased.post("database/config/inline", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url})
    assert response.status in (200, 204), response
    response = job.leased.post("database/rotate-root/inline")
    assert response.status == 400 and "connection_url" in response.error, response
    server.sql("SELECT 1")
    hba = server.data / "pg_hba.conf"
    before = hba.read_text()
    assert job.configure("rooted", **own_admin).status in (200, 204)
    hba.write_text("host all rooted 127.0.0.1/32 trust\nhost all free 127.0.0.1/32 trust\n" + before)
    server.sql("SELECT pg_reload_conf(); CREATE ROLE free LOGIN PASSWORD 'x'")
    try:
        time.sleep(0.5)
        response = job.leased.post("database/rotate-root/rooted")
        assert response.status == 502 and "pg_hba.conf" in response.error, response
        response = write(job, username="free")
        assert response.status == 400 and "pg_hba.conf" in response.error, response
    finally:
        hba.write_text(before)
        server.sql("SELECT pg_reload_conf(); DROP ROLE free")
    time.sleep(0.5)
    assert server.can_login("rooted", own_admin["password"])


def test_an_unmount_takes_static_roles_along(job, server, account):
    assert write(job).status == 204
    last = creds(job)["password"]
    assert job.leased.delete("sys/mounts/database").status in (200, 204)
    assert server.can_login(ACCOUNT, last)
    assert job.leased.post("sys/mounts/database", {"type": "database"}).status in (200, 204)
    job.set_up()
    assert write(job).status == 204, "nothing of the first one is left"
