"""The accounts of a backend against the leases: what has ended is disarmed, what is unknown is told and removed on command
alone, and nobody else's account is touched."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from audited import Audited
from daemon import Leased, poll
from job import Job, gone
from pg import Postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEASE = str(ROOT / "build" / os.environ.get("LEASED_PRESET", "dev") / "bin" / "lease")
MANY = 1000 if os.environ.get("LEASED_TEST_ALL") else 200
BOUND_S = 60
PATH = "sys/leases/reconcile"


@pytest.fixture
def marks():
    """Where failpoints are armed while a daemon runs."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="leased-marks-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def job(server):
    with Audited() as leased:
        job = Job(server, leased=leased).set_up()
        job.kept = job.mint()
        yield job


def cli(job, *arguments):
    env = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{job.leased.socket_path}",
           "LEASE_TOKEN": job.leased.root_token}
    return subprocess.run([LEASE, *arguments], capture_output=True, env=env, timeout=90, text=True)


def add(server, *names, login="LOGIN"):
    server.sql("".join(f'CREATE ROLE "{name}" {login} IN ROLE {server.group_role}; ' for name in names),
               user="leased", password=server.admin_password)


def can_log_in(server, name):
    return server.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", name)


def reconcile(job, status=200, **body):
    answer = job.leased.post(PATH, body)
    assert answer.status == status, answer
    one, = answer.data["connections"]
    assert one["state"] == "done" and one["name"] == "database/main", one
    return one


def names(one, what):
    return sorted(finding["account"] for finding in one["findings"] if finding["what"] == what)


def ended_name(job):
    """The name of an account whose lease is gone, as a restored server would have it back."""
    credential = job.mint()
    assert job.revoke(credential).status == 204 and gone(job, credential)
    return credential.user


def test_all_of_ours_are_told_and_none_of_others_is_touched(job, server):
    tag = job.tag()
    ours = [f"l-{tag}-orphan.{i:04}" for i in range(MANY)]
    others = [f"l-{tag[::-1]}-app-{i}abcdefghijklm" for i in range(MANY // 4)] + [f"l-{tag}", f"l-{tag}x", "lease", f"L-{tag}-x"]
    try:
        for start in range(0, len(ours), 100):
            add(server, *ours[start:start + 100])
        add(server, *others)
        before = server.sql("SELECT oid, rolname, rolcanlogin, rolvaliduntil FROM pg_roles ORDER BY oid")
        began = time.monotonic()
        one = reconcile(job)
        assert time.monotonic() - began < BOUND_S
        assert one["unknown_count"] == MANY and names(one, "unknown") == ours
        assert one["accounts"] == MANY + 1 and one["missing_count"] == one["ended_count"] == 0
        assert server.sql("SELECT oid, rolname, rolcanlogin, rolvaliduntil FROM pg_roles ORDER BY oid") == before
        began = time.monotonic()
        one = reconcile(job, fix=True)
        assert time.monotonic() - began < BOUND_S
        assert one["removing"] == MANY and one["not_removed_yet"] == 0
        left = server.sql("SELECT oid, rolname, rolcanlogin, rolvaliduntil FROM pg_roles ORDER BY oid")
        assert left == [row for row in before if row[1] not in set(ours)]
        assert server.can_login(job.kept.user, job.kept.password)
        # Each went by a lease of its own, which the audit has.
        records = poll(lambda: len(found := [record for record in job.leased.changes("lease_gone")
                                             if record["lease"].get("end") == "orphan_removed"]) == MANY and found,
                       20, what="the records of the removals")
        assert {record["lease"]["account"] for record in records} == set(ours)
        assert {record["lease"]["end_by"] for record in records} == {"uid-0"}
        assert reconcile(job)["findings"] == []
    finally:
        for name in others + server.role_names(f"l-{tag}-orphan"):
            server.sql(f'DROP ROLE IF EXISTS "{name}"')


def test_what_has_ended_is_disarmed_and_what_lives_without_an_account_is_told(job, server):
    back = ended_name(job)
    lost = job.mint()
    add(server, back)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f'SET SESSION AUTHORIZATION "{back}"')
    server.sql(f'DROP OWNED BY "{lost.user}"; DROP ROLE "{lost.user}"')
    one = reconcile(job, connection="main")
    assert names(one, "ended") == [back] and one["disarmed"] == 1
    assert can_log_in(server, back) is False
    assert one["missing_count"] == 0, "it was made a moment ago: its mint may not be over"
    shown = cli(job, "reconcile")
    assert shown.returncode == 0 and back in shown.stdout and "removed" not in shown.stdout and "database/main" in shown.stdout, shown
    fixed = cli(job, "reconcile", "--fix", "database/main")
    assert fixed.returncode == 0 and "database/main  removed 1 that no lease had" in fixed.stdout, fixed
    assert back not in server.role_names("l-")
    status = cli(job, "reconcile", "--status")
    assert status.returncode == 0 and "done" in status.stdout, status
    assert job.lookup(job.kept).data["state"] == "live" and server.can_login(job.kept.user, job.kept.password)


def test_who_may_and_what_is_refused(job):
    leased = job.leased
    assert leased.post(PATH, {"connection": "nowhere"}).status == 400
    assert cli(job, "reconcile", "nowhere").returncode != 0
    assert cli(job, "reconcile", "--status", "--fix").returncode == 2
    assert leased.get(f"{PATH}/17").status == 404
    assert leased.put("sys/policies/acl/half", {"policy": f'path "{PATH}" {{ capabilities = ["update", "read"] }}'}).status == 204
    token = leased.post("auth/token/create", {"policies": ["half"]}).auth["client_token"]
    assert leased.post(PATH, token=token).status == leased.get(PATH, token=token).status == 403
    answer = leased.post(PATH, {"sync": False})
    assert answer.status == 202 and answer.data["finished"] is False
    found = poll(lambda: (found := leased.get(f"{PATH}/{answer.data['job']}")).data["finished"] and found, 20, what="the job's end")
    assert [one["state"] for one in found.data["connections"]] == ["done"]


def test_a_role_that_owns_something_stays_and_is_said(job, server):
    name = f"l-{job.tag()}-owner"
    add(server, name)
    server.sql(f'CREATE TABLE public.theirs (id int); ALTER TABLE public.theirs OWNER TO "{name}"')
    try:
        one = reconcile(job, fix=True)
        assert one["removing"] == one["not_removed_yet"] == 1
        assert can_log_in(server, name) is False
        row, = job.leased.get("sys/leases?type=irrevocable").data["leases"]
        assert row["account"] == name and row["path"] == "database/reconcile" and "theirs" in row["error"]
    finally:
        server.sql("DROP TABLE public.theirs")
    assert job.leased.put("sys/leases/revoke", {"lease_id": row["lease_id"]}).status == 204
    assert name not in server.role_names("l-")


def test_a_server_that_was_started_anew_is_compared_by_itself():
    with Postgres() as mortal, Leased() as leased:
        job = Job(mortal, leased=leased).set_up()
        back = ended_name(job)
        kept = job.mint()
        reconcile(job)  # so that the one behind the start does not come in between
        time.sleep(3)  # by then a ping has told which life of the server this is
        # Whoever restores a server brings back what had gone, and starts it.
        add(mortal, back)
        mortal.restart()
        poll(lambda: leased.get("database/creds/app").status == 200, 20, what="a server that is back")
        poll(lambda: can_log_in(mortal, back) is False, 20, what="the end of what was brought back")
        one, = poll(lambda: (found := leased.get(PATH).data)["finished"] and found["connections"], 20, what="its report")
        assert one["why"] == "the server was started anew or restored" and names(one, "ended") == [back], one
        assert mortal.can_login(kept.user, kept.password)


def arm(marks, point, action="kill"):
    (marks / "whole").write_text(action)
    (marks / "whole").rename(marks / f"{point}.armed")


@pytest.mark.parametrize("point", [f"lease_reconcile_{step}" for step in (
    "before_note", "note", "after_list", "before_write", "write", "after_write")])
def test_a_fix_that_is_killed_is_finished_by_the_next_start(server, marks, point):
    with Leased(env={"LEASED_FAILPOINT_DIR": str(marks)}) as leased:
        job = Job(server, leased=leased).set_up()
        kept = job.mint()
        orphans = [f"l-{job.tag()}-orphan.{i}" for i in range(3)]
        add(server, *orphans)
        reconcile(job)  # so that none begins by itself meanwhile
        arm(marks, point, "kill@2" if point == "lease_reconcile_after_write" else "kill")
        with pytest.raises(OSError):
            leased.post(PATH, {"fix": True})
        leased.wait_exit()
        leased.start()
        if point.endswith("note"):
            assert set(orphans) <= set(job.accounts())
            assert leased.post(PATH, {"fix": True}).status == 200
        poll(lambda: job.accounts() == [kept.user], 40, what="the end of the orphans")
        assert server.can_login(kept.user, kept.password)
        job.wait_settled()


def test_a_disarming_that_is_killed_is_found_done(server, marks):
    with Leased(env={"LEASED_FAILPOINT_DIR": str(marks)}) as leased:
        job = Job(server, leased=leased).set_up()
        back = ended_name(job)
        reconcile(job)  # so that none begins by itself meanwhile
        add(server, back)
        arm(marks, "lease_reconcile_after_disarm")
        with pytest.raises(OSError):
            leased.post(PATH)
        leased.wait_exit()
        leased.start()
        assert can_log_in(server, back) is False
        assert names(reconcile(job), "ended") == [back]
