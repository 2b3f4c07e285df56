"""A lease whose backend will never answer again is let go by a person's word alone, and the audit names what is left behind."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from audited import Audited
from daemon import Leased, poll
from job import Job
from pg import Postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEASE = str(ROOT / "build" / os.environ.get("LEASED_PRESET", "dev") / "bin" / "lease")
REASON = "the server was scrapped"


@pytest.fixture(scope="module")
def mortal():
    with Postgres() as postgres:
        yield postgres


def running(server):
    if server.process.poll() is not None:
        server.start()
    return server


@pytest.fixture
def job(mortal):
    running(mortal)
    with Audited() as leased:
        yield Job(mortal, leased=leased).set_up()


def cli(job, *arguments):
    env = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{job.leased.socket_path}",
           "LEASE_TOKEN": job.leased.root_token}
    return subprocess.run([LEASE, *arguments], capture_output=True, env=env, timeout=30, text=True)


def stuck(leased):
    answer = leased.get("sys/leases?type=irrevocable")
    return answer.data["leases"] if answer.data else []


def revoke_and_forget(leased, credential):
    answer = leased.put("sys/leases/revoke", {"lease_id": credential.lease_id, "sync": False})
    assert answer.status == 202, answer


def test_a_lease_of_a_dead_server_is_abandoned_and_the_audit_names_what_is_left(job, mortal):
    leased, credential, kept = job.leased, job.mint(), job.mint()
    refused = leased.put("sys/leases/abandon", {"lease_id": credential.lease_id, "reason": REASON})
    assert refused.status == 400 and "revoke it first" in refused.error
    mortal.kill()
    revoke_and_forget(leased, credential)
    # It is listed with the reason why it is stuck, and by `lease list` the same way.
    row, = poll(lambda: [row for row in stuck(leased) if row["error"]], 20, what="the reason in the list of the stuck")
    assert row["lease_id"] == credential.lease_id and row["account"] == credential.user
    assert row["revoke_error_code"] == "unavailable" and "connect" in row["error"], row
    assert row["overdue_s"] >= 0 and row["revoke_attempts"] >= 1, row  # the backend was tried for it
    poll(lambda: leased.get("sys/leases?type=irrevocable").data["overdue"] == 1, 20, what="the count of the overdue")
    listed = cli(job, "list", "--state", "stuck")
    assert listed.returncode == 0 and credential.lease_id in listed.stdout, listed
    # Without a reason it is refused; so it is without sudo.
    assert cli(job, "abandon", credential.lease_id).returncode == 2
    assert leased.put("sys/leases/abandon", {"lease_id": credential.lease_id, "reason": " "}).status == 400
    policy = {"policy": 'path "sys/leases/abandon" { capabilities = ["update"] }'}
    assert leased.put("sys/policies/acl/half", policy).status == 204
    token = leased.post("auth/token/create", {"policies": ["half"]}).auth["client_token"]
    assert leased.put("sys/leases/abandon", {"lease_id": credential.lease_id, "reason": REASON}, token=token).status == 403
    done = cli(job, "abandon", credential.lease_id, "--reason", REASON)
    assert done.returncode == 0 and credential.user in done.stdout + done.stderr, done
    assert "may still have access" in done.stderr
    assert stuck(leased) == []
    shown = cli(job, "show", credential.lease_id)
    assert shown.returncode == 8 and "abandoned" in shown.stdout and REASON in shown.stdout, shown
    record, = poll(lambda: [record for record in leased.changes("lease_gone")
                            if record["lease"]["account"] == credential.user], 10, what="the record of it")
    lease = record["lease"]
    assert lease["end"] == "abandoned" and lease["reason"] == REASON and lease["end_by"] == "root"
    assert lease["server"] and lease["connection"] == row["connection"] and lease["lease_id"] == credential.lease_id
    assert leased.put("sys/leases/abandon", {"lease_id": credential.lease_id, "reason": REASON}).status == 400
    assert leased.put("sys/leases/lookup", {"lease_id": kept.lease_id}).data["state"] == "live"
    leased.check_chain()


@pytest.mark.parametrize("point", ["lease_abandon_before", "lease_abandon_write", "lease_abandon_after"])
def test_an_abandoning_that_is_killed_is_done_or_not(mortal, point):
    running(mortal)
    marks = pathlib.Path(tempfile.mkdtemp(prefix="leased-marks-", dir="/tmp"))
    try:
        with Leased(env={"LEASED_FAILPOINT_DIR": str(marks)}) as leased:
            job = Job(mortal, leased=leased).set_up()
            credential = job.mint()
            mortal.kill()
            revoke_and_forget(leased, credential)
            (marks / "whole").write_text("kill")
            (marks / "whole").rename(marks / f"{point}.armed")
            with pytest.raises(OSError):
                leased.put("sys/leases/abandon", {"lease_id": credential.lease_id, "reason": REASON})
            leased.wait_exit()
            leased.start()
            found = leased.put("sys/leases/lookup", {"lease_id": credential.lease_id})
            if point == "lease_abandon_after":
                assert found.data["ended_cause"] == "abandoned" and found.data["abandoned_reason"] == REASON
                return
            assert found.data["state"] == "disarming", found
            mortal.start()
            poll(lambda: credential.user not in job.accounts(), 20, what="the end of what was not abandoned")
    finally:
        shutil.rmtree(marks, ignore_errors=True)
