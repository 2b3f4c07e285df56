"""A disk that is full: nothing new is handed out, what is due is ended all the same, after a restart too."""

import os
import pathlib
import subprocess
import tempfile

import pytest

from daemon import Leased, poll
from job import Job
from openmetrics import scrape
from privilege import as_root


@pytest.fixture
def disk():
    """A file system of its own, of 160 MiB: room for a store and its reserve."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="leased-disk-", dir="/tmp"))
    options = f"size=160m,mode=700,uid={os.geteuid()},gid={os.getegid()}"
    mounted = subprocess.run(as_root(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]), capture_output=True)
    if mounted.returncode != 0:
        path.rmdir()
        pytest.fail("this test needs a file system of its own, and mount(8) as root refuses (a container needs "
                    "CAP_SYS_ADMIN): " + mounted.stderr.decode(errors="replace"))
    yield path
    subprocess.run(as_root(["umount", "--lazy", str(path)]), check=True)
    path.rmdir()


def fill(path):
    """To the last byte."""
    handle = os.open(path / "fill", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for size in (1 << 20, 1 << 12, 1):
        try:
            while True:
                os.write(handle, b"x" * size)
        except OSError:
            pass
    os.close(handle)


def test_a_restart_without_space_or_reserve_ends_what_is_due(server, disk):
    output = tempfile.NamedTemporaryFile(prefix="leased-output-", dir="/tmp")
    leased = Leased(directory=disk, start=False)
    leased.output_path = pathlib.Path(output.name)
    try:
        leased.start()
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="3s").status == 204
        kept, short = job.mint(), job.mint("short")
        leased.kill()
        (disk / "reserve").unlink()
        fill(disk)
        leased.start()
        poll(lambda: not server.can_login(short.user, short.password), timeout=15, what="the end of the overdue login")
        poll(lambda: short.user not in job.accounts(), timeout=15, what="the removal of the overdue account")
        mint = leased.get("database/creds/app")
        assert mint.status == 507 and "128 MiB" in mint.error, mint
        health = leased.get("sys/health")
        assert health.status == 200 and health.json["store"] == "no_space", health.json
        ready = leased.get("sys/health?ready=true")
        assert ready.status == 503 and ready.json["not_ready"] == ["store_full"], ready
        page = scrape(leased)
        assert (page.value("leased_ready"), page.value("leased_store_full"), page.value("leased_store_writable")) == (0, 1, 0)
        assert page.value("leased_not_ready_reason", reason="store_full") == 1
        row = poll(lambda: [row for row in leased.get("sys/leases?type=irrevocable&limit=none").data["leases"]
                            if row["account"] == short.user], what="the overdue lease among the stuck ones")[0]
        assert row["error"] and "cannot be written down" in row["error"], row
        refused = job.revoke(kept)
        assert refused.status == 507 and not server.can_login(kept.user, kept.password), refused
        (disk / "fill").unlink()
        poll(lambda: kept.user not in job.accounts(), timeout=15, what="the removal of the revoked account")
        leased.restart()
        assert leased.get("sys/health?ready=true").status == 200
        assert scrape(leased).value("leased_store_full") == 0
    finally:
        leased.stop()
        output.close()
