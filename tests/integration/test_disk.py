"""
Disks that fail under a running leased: it says so, ends what is due all the same, or stops at once where nothing that it
wrote could be believed; nothing that it answered as done is lost, and no account outlives its lease.
"""

import contextlib
import errno
import http.client
import pathlib
import subprocess
import tempfile

import pytest

from audited import Audited
from daemon import Leased, poll
from diskfault import READ, RESIZE, SYNC, WRITE, DiskFaults
from job import Job, gone
from privilege import as_root


@pytest.fixture
def faults():
    faults = DiskFaults()
    yield faults
    faults.close()


@pytest.fixture
def job(server, faults):
    with Job(server, env=faults.env) as job:
        job.set_up()
        assert job.role("short", default_ttl="3s").status == 204
        yield job


def log_of(job):
    return job.leased.dir / "leased.db-wal"


def asked(leased, path):
    """An answer, or None where the daemon died before it gave one."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return leased.get(path, timeout=20)
    return None


def test_a_sync_that_failed_ends_the_daemon_and_the_next_start_verifies(job, faults):
    kept = job.mint()
    faults.fail(SYNC, path=log_of(job), times=1)
    answer = asked(job.leased, "database/creds/app")
    assert answer is None or answer.status >= 500, answer
    assert job.leased.wait_exit() == 1
    assert "disk failed" in job.leased.output() and "start leased again" in job.leased.output()
    assert faults.failed == 1
    faults.heal()
    job.leased.start()
    assert "verified before it is used" in job.leased.output(this_start_only=True)
    assert job.lookup(kept).data["state"] == "live" and job.server.can_login(kept.user, kept.password)
    job.wait_settled(timeout=40)
    assert kept.user in job.accounts()


def test_a_store_that_became_read_only_ends_what_is_due_and_serves_again_within_10_s(job, faults):
    kept, short = job.mint(), job.mint("short")
    faults.fail(WRITE | RESIZE, error=errno.EROFS, path=log_of(job))
    answer = job.leased.get("database/creds/app")
    assert answer.status == 507, answer
    poll(lambda: not job.server.can_login(short.user, short.password), 10, what="the end of the overdue login")
    health = job.leased.get("sys/health")
    assert health.status == 200 and health.json["store"] == "no_space", health
    answer = job.revoke(kept)
    assert answer.status == 507 and "not recorded" in answer.error, answer
    assert not job.server.can_login(kept.user, kept.password)
    assert job.leased.process.poll() is None and faults.failed > 0
    faults.heal()
    poll(lambda: job.leased.get("sys/health").json["store"] == "ok", 10, what="a store that writes again")
    poll(lambda: gone(job, kept) and gone(job, short), 10, what="the removal of both accounts")
    assert job.leased.get("database/creds/app").status == 200
    job.wait_settled()


def test_a_store_that_cannot_be_read_serves_or_stops_with_words_and_forgets_nothing(job, faults):
    kept, short = job.mint(), job.mint("short")
    job.leased.restart()  # nothing is in its memory
    faults.fail(READ)
    for _ in range(3):
        asked(job.leased, "sys/leases/lookup/database/creds/app?list=true")
        asked(job.leased, "database/creds/app")
    assert job.leased.process.poll() in (None, 1), job.leased.output()
    assert faults.failed > 0
    faults.heal()
    if job.leased.process.poll() is not None:
        assert "disk failed" in job.leased.output(this_start_only=True)
        job.leased.start()
    poll(lambda: gone(job, short), 20, what="the end of the overdue lease")
    assert job.lookup(kept).data["state"] == "live" and job.server.can_login(kept.user, kept.password)
    job.wait_settled(timeout=40)


@pytest.mark.parametrize("calls, error", [(WRITE, errno.ENOSPC), (WRITE | RESIZE, errno.EIO)], ids=["full", "failed"])
def test_an_audit_whose_device_fails_refuses_requests_and_ends_leases(server, faults, calls, error):
    with Audited(env=faults.env) as leased:
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="3s").status == 204
        kept, short = job.mint(), job.mint("short")
        faults.fail(calls, error=error, path=leased.audit)
        answer = leased.get("database/creds/app")
        assert answer.status == 503 and "nothing was done" in answer.error, answer
        assert "Make room" in answer.error or "log names it" in answer.error
        poll(lambda: gone(job, short), 15, what="the end of a lease while the audit fails")
        assert leased.get("sys/health").status == 474
        assert job.server.can_login(kept.user, kept.password)
        faults.heal()
        poll(lambda: leased.get("sys/health").status == 200, 10, what="an audit that records again")
        assert job.revoke(kept).status == 204

        def ends():
            return [r for r in leased.changes("lease_gone") if r["lease"].get("account") == short.user]

        poll(ends, 10, what="the record of the end that happened meanwhile")
        leased.check_chain()


def test_an_audit_that_cannot_be_synced_keeps_its_records_of_changes_until_it_can(server, faults):
    with Audited(env=faults.env) as leased:
        job = Job(server, leased=leased).set_up()
        faults.fail(SYNC, path=leased.audit)
        short = leased.get("database/creds/app")
        assert short.status in (200, 503), short
        poll(lambda: leased.get("sys/health").status == 474 or faults.failed > 1, 10, what="a sync that failed")
        faults.heal()
        poll(lambda: leased.get("sys/health").status == 200, 10, what="an audit that records again")
        credential = job.mint()
        assert job.revoke(credential).status == 204

        def told():
            return [r for r in leased.changes("lease_gone") if r["lease"].get("account") == credential.user]

        poll(told, 10, what="the records of changes")
        leased.check_chain()


@pytest.fixture
def disk():
    """A file system of its own."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="leased-disk-", dir="/tmp"))
    mounted = subprocess.run(as_root(["mount", "-t", "tmpfs", "-o", "size=160m,mode=700", "tmpfs", str(path)]),
                             capture_output=True)
    if mounted.returncode != 0:
        path.rmdir()
        pytest.fail("this test needs a file system of its own, and mount(8) as root refuses (a container needs "
                    "CAP_SYS_ADMIN): " + mounted.stderr.decode(errors="replace"))
    yield path
    subprocess.run(as_root(["umount", "--lazy", str(path)]), check=True)
    path.rmdir()


def remount(disk, option):
    subprocess.run(as_root(["mount", "-o", f"remount,{option}", str(disk)]), check=True)


def test_a_read_only_file_system_at_a_start_is_refused_by_name(disk):
    output = tempfile.NamedTemporaryFile(prefix="leased-output-", dir="/tmp")
    data = disk / "data"
    data.mkdir(mode=0o700)
    leased = Leased(directory=data, start=False)
    leased.output_path = pathlib.Path(output.name)
    try:
        leased.start()
        leased.stop()
        remount(disk, "ro")
        leased.start(wait=False)
        assert leased.wait_exit() == 1
        said = leased.output(this_start_only=True)
        assert str(data) in said and "read-only" in said.lower() and "writable" in said, said
        remount(disk, "rw")
        leased.start()
        assert leased.get("sys/health").json["store"] == "ok"
    finally:
        leased.stop()
        output.close()
