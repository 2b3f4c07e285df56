"""The audit: each request and each change is on record before it counts, nobody edits the record unseen, no secret is in it."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from audited import Audited
from daemon import poll
from job import Job
from openmetrics import scrape
from privilege import as_root

SLACK_S = 2.5  # on a busy machine; the bound itself is 2 s


@pytest.fixture
def leased():
    with Audited() as one:
        yield one


@pytest.fixture
def job(server, leased):
    return Job(server, leased=leased).set_up()


def of_request(leased, response, kind):
    request_id = response.headers["x-request-id"]
    return [record for record in leased.records() if record["type"] == kind and record["request"]["id"] == request_id]


def test_every_request_and_every_change_of_the_main_job_is_on_record(job, leased):
    answers = [job.configure("other", verify_connection=False), job.role("other"), leased.get("database/creds/app")]
    lease_id = answers[-1].json["lease_id"]
    account = answers[-1].data["username"]
    answers += [
        leased.put("sys/leases/lookup", {"lease_id": lease_id}),
        leased.put("sys/leases/renew", {"lease_id": lease_id, "increment": 60}),
        leased.get("database/creds/nobody"),
        leased.get("database/creds/app", token="hvs.wrong"),
        leased.post("auth/token/create", {"ttl": "1h"}),
        leased.put("sys/leases/revoke", {"lease_id": lease_id}),
    ]
    for answer in answers:
        for kind in ("request", "response"):
            found = of_request(leased, answer, kind)
            assert len(found) == 1, (answer, kind, found)
        assert of_request(leased, answer, "response")[0]["response"]["status"] == answer.status
    mint = of_request(leased, answers[2], "response")[0]
    assert mint["response"]["secret"]["lease_id"] == lease_id
    assert mint["response"]["data"]["username"] == account
    assert mint["response"]["data"]["password"].startswith("hmac-sha256:")

    def told():
        return {what: [record for record in leased.changes(what) if record["lease"].get("account") == account]
                for what in ("lease_intent", "lease_live", "lease_renewed", "lease_marked", "lease_disarmed", "lease_gone")}
    poll(lambda: all(len(records) == 1 for records in told().values()), timeout=10, what="each change of the lease")
    changes = told()
    assert changes["lease_live"][0]["lease"]["lease_id"] == lease_id
    assert changes["lease_gone"][0]["lease"]["end"] == "revoked"
    assert changes["lease_gone"][0]["lease"]["cause"] == answers[2].headers["x-request-id"]
    leased.check_chain()


def test_no_secret_is_in_the_file(job, leased, server):
    created = leased.post("auth/token/create", {"ttl": "1h", "meta": {"note": "sekrit-in-meta"}})
    token = created.auth["client_token"]
    minted = leased.get("database/creds/app", token=leased.root_token)
    refused = leased.post("database/config/main", {"plugin_name": "postgresql-database-plugin", "password": "sekrit-password",
                                                   "surprising-sekrit": "sekrit-value", "host": server.config()["host"]})
    assert refused.status == 400
    leased.post("sys/policies/acl/x", {"policy": 'path "sekrit-policy" { capabilities = ["read"] }'})
    leased.post("auth/token/revoke", {"token": token})
    leased.get(f"database/creds/{token}")
    text = leased.audit.read_text() + leased.output()
    for secret in (token, created.auth["accessor"], leased.root_token, minted.data["password"], "sekrit-", server.config()["password"]):
        assert secret not in text, secret
    asked = leased.post("sys/audit-hash/file", {"input": minted.data["password"]})
    assert asked.data["hash"] in text, "whoever knows a value finds it"


def test_an_edit_a_cut_and_a_gap_are_found(job, leased):
    for _ in range(10):
        leased.get("auth/token/lookup-self")
    leased.stop()
    whole = leased.audit.read_bytes()
    assert leased.verify().returncode == 0
    lines = whole.splitlines(keepends=True)
    other = lines[6].replace(b'"request"', b'"reqvest"') if b'"request"' in lines[6] else lines[6].replace(b"2026", b"2025")
    for changed in ([*lines[:6], other, *lines[7:]], [*lines[:6], *lines[7:]], [*lines[:6], lines[7], lines[6], *lines[8:]],
                    [*lines[:6], lines[6][:-30] + b"\n", *lines[7:]], [*lines[:6], lines[5], *lines[6:]]):
        leased.audit.write_bytes(b"".join(changed))
        found = leased.verify()
        assert found.returncode == 1 and "audit.log:" in found.stdout, found
    leased.audit.write_bytes(b"".join(lines[:-3]))
    leased.start()
    assert "records are missing" in leased.output()
    assert "were missing" in leased.verify().stdout


def test_rename_and_hangup_continue_the_chain_in_a_new_file(leased):
    first, second = leased.dir / "audit.log.1", leased.dir / "audit.log.2"
    leased.get("auth/token/lookup-self")
    leased.audit.rename(first)
    os.kill(leased.pid, signal.SIGHUP)
    poll(leased.audit.exists, timeout=5, what="a new file after SIGHUP")
    leased.get("auth/token/lookup-self")
    leased.audit.rename(second)
    poll(leased.audit.exists, timeout=5, what="a new file without being told")
    answer = leased.get("auth/token/lookup-self")
    assert len(of_request(leased, answer, "request")) == 1
    assert (leased.audit.stat().st_mode & 0o777) == 0o600
    leased.check_chain(first, second)
    assert leased.verify(second, first).returncode == 1, "in the wrong order"
    assert leased.verify(first).returncode == 1, "with one missing in the middle"
    command = [str(leased.binary), "audit", "verify", "--dev", "--dev-dir", str(leased.dir)]
    turned = subprocess.run([*command, str(leased.audit), str(second)], capture_output=True, text=True, timeout=60)
    assert turned.returncode == 1 and "the oldest comes first" in turned.stdout + turned.stderr, turned
    (leased.dir / "emptied").touch()
    emptied = subprocess.run([*command, str(leased.dir / "emptied")], capture_output=True, text=True, timeout=60)
    assert emptied.returncode == 1 and "no record at all" in emptied.stdout + emptied.stderr, emptied


def test_a_file_that_others_may_read_or_a_link_keeps_leased_from_starting():
    with Audited(start=False) as leased:
        leased.audit.touch(mode=0o644)
        leased.audit.chmod(0o644)
        for reason in ("chmod", "symbolic link"):
            leased.start(wait=False)
            assert leased.process.wait(30) == 1
            assert reason in leased.output()
            leased.audit.unlink()
            leased.audit.symlink_to("/dev/null")
        leased.audit.unlink()
        leased.start()


def timed(call):
    started = time.monotonic()
    response = call()
    return response, time.monotonic() - started


def test_a_device_that_hangs_refuses_requests_in_time_while_leases_end(server, tmp_path):
    with Audited(env={"LEASED_FAILPOINT_DIR": str(tmp_path)}) as leased:
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="4s").status == 204
        credential = job.mint("short")
        (tmp_path / "audit_device_before_write.armed").write_text("sleep:9000")
        refused, took = timed(lambda: leased.get("database/creds/app"))
        assert refused.status == 503 and "nothing was done" in refused.error and 1.5 < took < SLACK_S, (refused, took)
        refused, took = timed(lambda: leased.get("auth/token/lookup-self"))
        assert refused.status == 503 and took < SLACK_S, (refused, took)
        assert leased.get("sys/health").status == 474
        ready = leased.get("sys/health?ready=true")
        assert ready.status == 503 and ready.json["not_ready"] == ["audit_failing"], ready
        assert scrape(leased).value("leased_audit_up") == 0, "whoever watches can read that the audit fails"
        assert len(job.accounts()) <= 1, "nothing was made"
        poll(lambda: credential.user not in job.accounts(), timeout=6, what="the end of the account")
        assert leased.get("sys/health").status == 474, "it hangs still"
        poll(lambda: leased.get("sys/health").status == 200, timeout=10, what="health again")
        poll(lambda: leased.get("auth/token/lookup-self").status == 200, timeout=5, what="an answer")
        leased.check_chain()


def test_an_answer_that_is_not_on_record_does_not_leave_and_what_it_carried_ends(server, tmp_path):
    with Audited(env={"LEASED_FAILPOINT_DIR": str(tmp_path)}) as leased:
        job = Job(server, leased=leased).set_up()
        assert job.slow_role(2).status == 204
        answers = []
        asking = threading.Thread(target=lambda: answers.append(leased.get("database/creds/slow", timeout=30)))
        asking.start()
        time.sleep(1)  # it is minting by now
        (tmp_path / "audit_device_before_write.armed").write_text("sleep:6000")
        asking.join()
        assert answers[0].status == 503 and "being revoked" in answers[0].error, answers
        poll(lambda: job.accounts() == [], timeout=10, what="the end of what nobody got")


@pytest.fixture
def disk():
    """A file system of its own for the audit, which is soon full."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="leased-audit-", dir="/tmp"))
    options = f"size=128k,mode=700,uid={os.geteuid()},gid={os.getegid()}"
    mounted = subprocess.run(as_root(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]), capture_output=True)
    if mounted.returncode != 0:
        path.rmdir()
        pytest.fail("this test needs a file system of its own, and mount(8) as root refuses: " + mounted.stderr.decode(errors="replace"))
    yield path
    subprocess.run(as_root(["umount", "--lazy", str(path)]), check=True)
    path.rmdir()


def test_a_full_device_refuses_requests_while_leases_end_and_recovers(server, disk):
    with Audited(audit=disk / "audit.log") as leased:
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="4s").status == 204
        credential = job.mint("short")
        with open(disk / "fill", "wb", buffering=0) as fill:
            try:
                while True:
                    fill.write(b"x" * 512)
            except OSError:
                pass
        poll(lambda: leased.get("auth/token/lookup-self").status == 503, timeout=20, what="a refusal")
        try:
            refused, took = timed(lambda: leased.get("database/creds/app"))
        except OSError:
            print(leased.output()[-3000:])
            raise
        assert refused.status == 503 and "audit" in refused.error and took < SLACK_S, (refused, took)
        health = leased.get("sys/health")
        assert health.status == 474 and health.json["audit"] == "failing"
        poll(lambda: not server.can_login(credential.user, credential.password), timeout=10, what="the end of the login")
        poll(lambda: credential.user not in job.accounts(), timeout=10, what="the end of the account")
        (disk / "fill").unlink()
        poll(lambda: leased.get("sys/health").status == 200, timeout=5, what="health again")
        assert leased.get("auth/token/lookup-self").status == 200
        poll(lambda: any(record["lease"].get("account") == credential.user for record in leased.changes("lease_gone")),
             timeout=5, what="the record of what ended meanwhile")
        leased.check_chain()


def start_failing(leased):
    def status():
        with contextlib.suppress(OSError):
            return leased.get("sys/health").status
    leased.start(wait=False)
    poll(lambda: status() == 474, timeout=20, what="a start whose audit fails")


def refuses_and_ends(leased, job, credential):
    """Whose audit cannot be written since the start: what holds of one that fails later holds."""
    refused, took = timed(lambda: leased.get("database/creds/app"))
    assert refused.status == 503 and "audit" in refused.error and took < SLACK_S, (refused, took)
    assert leased.get("sys/health").status == 474
    assert leased.get("sys/health?ready=true").json["not_ready"] == ["audit_failing"]
    poll(lambda: credential.user not in job.accounts(), timeout=10, what="the end of the account")
    assert leased.get("sys/health").status == 474, "it fails still"


def goes_on(leased, credential):
    poll(lambda: leased.get("sys/health").status == 200, timeout=5, what="health again")
    assert leased.get("auth/token/lookup-self").status == 200
    poll(lambda: any(record["lease"].get("account") == credential.user for record in leased.changes("lease_gone")),
         timeout=5, what="the record of what ended meanwhile")
    leased.check_chain()


def test_a_directory_that_is_missing_at_a_start_ends_leases_and_is_used_once_it_is_made(server, tmp_path):
    log = tmp_path / "log"
    log.mkdir(mode=0o700)
    with Audited(audit=log / "audit.log") as leased:
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="4s").status == 204
        credential = job.mint("short")
        leased.kill()
        leased.audit.unlink()
        log.rmdir()
        start_failing(leased)
        refuses_and_ends(leased, job, credential)
        assert "the audit's directory is missing" in leased.output()
        log.mkdir(mode=0o700)
        goes_on(leased, credential)


def test_a_device_that_is_full_at_a_start_ends_leases_and_is_used_once_it_has_room(server, disk):
    with Audited(audit=disk / "audit.log") as leased:
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="4s").status == 204
        credential = job.mint("short")
        leased.kill()
        with open(disk / "fill", "wb", buffering=0) as fill, contextlib.suppress(OSError):
            while True:
                fill.write(b"x" * 512)
        with open(leased.audit, "ab", buffering=0) as rest, contextlib.suppress(OSError):
            while True:
                rest.write(b"x")  # torn, to the end of its last block
        start_failing(leased)
        refuses_and_ends(leased, job, credential)
        (disk / "fill").unlink()
        goes_on(leased, credential)


@pytest.mark.needs_sandbox
def test_a_directory_that_was_made_anew_is_named_as_what_needs_a_restart(tmp_path):
    log = tmp_path / "log"
    log.mkdir(mode=0o700)
    with Audited(audit=log / "audit.log") as leased:
        shutil.rmtree(log)
        poll(lambda: leased.get("sys/health").status == 474, timeout=5, what="a failing audit")
        assert leased.get("sys/health?ready=true").json["not_ready"] == ["audit_failing"], "it may come back"
        log.mkdir(mode=0o700)
        poll(lambda: leased.get("sys/health?ready=true").json["not_ready"] == ["audit_failing", "audit_directory_replaced"],
             timeout=5, what="the reason")
        refused = leased.get("auth/token/lookup-self")
        assert refused.status == 503 and "replaced since leased started: restart leased to write there" in refused.error, refused
        assert "Make room" not in refused.error, "which is of no use here"
        leased.stop()
        leased.start()
        assert leased.get("auth/token/lookup-self").status == 200
        leased.check_chain()


@pytest.mark.needs_sandbox
def test_an_audit_that_goes_on_where_its_path_does_not_lead_is_seen(tmp_path):
    log, moved = tmp_path / "log", tmp_path / "moved"
    log.mkdir(mode=0o700)
    with Audited(audit=log / "audit.log") as leased:
        def word():
            return leased.get("sys/health").json["audit"]
        assert word() == "recording" and scrape(leased).value("leased_audit_astray") == 0
        log.rename(moved)
        log.mkdir(mode=0o700)
        poll(lambda: word() == "astray", timeout=5, what="a word of it")
        answer = leased.get("auth/token/lookup-self")
        assert answer.status == 200 and answer.headers["x-request-id"] in (moved / "audit.log").read_text()
        assert scrape(leased).value("leased_audit_astray") == 1
        poll(lambda: "restart leased to write there" in leased.output(), timeout=5, what="what to do")
        log.rmdir()
        moved.rename(log)
        poll(lambda: word() == "recording", timeout=5, what="the end of it")
        assert scrape(leased).value("leased_audit_astray") == 0
        leased.check_chain()


POINTS = ["audit_outbox_put", "audit_outbox_before_delete", "audit_outbox_after_delete", "audit_device_before_write",
          "audit_device_in_line", "audit_device_after_write", "audit_device_sync"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_no_change_is_without_its_record(server, point, tmp_path):
    with Audited(env={"LEASED_FAILPOINT_DIR": str(tmp_path)}) as leased:
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="2s").status == 204
        for nth in (1, 3):
            (tmp_path / f"{point}.armed").write_text(f"kill@{nth}")
            try:
                for _ in range(3):
                    leased.get("database/creds/short", timeout=15)
            except OSError:
                pass
            assert leased.process.wait(20) == -signal.SIGKILL
            leased.start()
        poll(lambda: job.accounts() == [], timeout=30, what="the end of all accounts")

        def unpaired():
            made = {record["lease"]["account"] for record in leased.changes("lease_intent")}
            gone = {record["lease"]["account"] for record in leased.changes("lease_gone")}
            return made ^ gone
        poll(lambda: unpaired() == set(), timeout=10, what=f"a record of each end: {unpaired()}")
        leased.check_chain()
