"""
kill -9 at every failpoint of mint, renew, revoke, expire, preflight and recover, of the daemon and of a worker.

The oracle, polled for at most 30 s after the restart: accounts with our tag == live leases; every answer of 2xx that the
client saw has a lease or was ended; nothing past its end. A point that is never reached fails: it would test nothing.
"""

import http.client
import subprocess

import pytest

from daemon import BUILD, poll
from job import Job

RECOVERED_S = 30


def failpoints(*prefixes):
    names = subprocess.run([BUILD / "bin" / "leased", "--failpoints"], check=True, capture_output=True,
                           text=True).stdout.split()
    chosen = [name for name in names if name.startswith(prefixes)]
    assert chosen, f"no failpoint begins with {prefixes}: {names}"
    return chosen


def attempt(action):
    """The response, or None when the daemon died under it."""
    try:
        return action()
    except (OSError, http.client.HTTPException):
        return None


def operate(job, operation):
    """Does the operation once on a configured leased. The client's view: (credential or None, may it still be live?)."""
    if operation == "mint":
        return attempt(lambda: job.leased.get("database/creds/app"))
    if operation == "preflight":
        return attempt(lambda: job.role("other"))
    credential = job.mint("brief" if operation == "expire" else "app")
    if operation == "renew":
        return attempt(lambda: job.renew(credential, 7200))
    if operation == "revoke":
        return attempt(lambda: job.revoke(credential))
    assert operation == "expire"
    return poll(lambda: job.leased.process.poll() is not None or credential.user not in job.accounts(), 20,
                what="the end of the lease")


def prepare(server):
    job = Job(server).set_up()
    assert job.role("brief", default_ttl="2s").status in (200, 204)
    return job


CASES = [(operation, name)
         for operation, prefixes in {
             "mint": ("lease_issue_", "store_commit_", "store_op_"),
             "renew": ("lease_renew_",),
             "revoke": ("lease_revoke_", "lease_disarm_", "lease_remove_", "lease_end_"),
             "expire": ("lease_expire_", "lease_disarm_", "lease_remove_", "lease_end_"),
             "preflight": ("lease_preflight_",),
         }.items()
         for name in failpoints("lease_", "store_", "worker_") if name.startswith(prefixes)]


@pytest.mark.parametrize("operation,name", CASES)
def test_the_daemon_is_killed_at(server, operation, name):
    with prepare(server) as job:
        before = [lease["id"] for lease in job.leases()]
        assert before == []
        job.leased.restart(failpoint=f"{name}=kill")
        response = operate(job, operation)
        poll(lambda: job.leased.process.poll() is not None, 15, what=f"{name} to be reached")
        assert job.leased.wait_exit() == -9
        job.leased.start()
        job.wait_settled(RECOVERED_S)
        if operation == "mint" and response is not None and response.status == 200:
            # The client has it: then it lives, or was taken back because nobody knows whether it arrived.
            assert response.data["username"] in job.accounts() or not server.can_login(
                response.data["username"], response.data["password"])
        if operation in ("revoke", "expire"):
            assert job.accounts() == []
        job.leased.restart()
        job.wait_settled(RECOVERED_S)


WORKER_CASES = [(operation, name)
                for operation, prefixes in {
                    "mint": ("worker_mint_", "worker_session_", "worker_open_"),
                    "renew": ("worker_renew_",),
                    "revoke": ("worker_disarm_", "worker_remove_"),
                    "expire": ("worker_disarm_", "worker_remove_"),
                    "preflight": ("worker_check_",),
                }.items()
                for name in failpoints("worker_") if name.startswith(prefixes)]


@pytest.mark.parametrize("operation,name", WORKER_CASES)
def test_a_worker_is_killed_at(server, operation, name):
    with prepare(server) as job:
        job.leased.restart(failpoint=f"{name}=kill")
        try:
            operate(job, operation)
        except AssertionError:
            pass  # the mint that the operation needs may be what fails: the oracle below is what counts
        job.wait_settled(RECOVERED_S)
        assert job.leased.process.poll() is None, "a worker's death must not be the daemon's"
        poll(lambda: "signal 9" in job.leased.output() or "SIGKILL" in job.leased.output() or
             "Killed" in job.leased.output(), 5, what=f"{name} to be reached")


@pytest.mark.parametrize("name", failpoints("lease_recover_"))
def test_the_daemon_is_killed_again_while_it_recovers_at(server, name):
    with prepare(server) as job:
        assert job.slow_role(5).status in (200, 204)
        attempt(lambda: job.leased.get("database/creds/slow", timeout=1))
        job.leased.kill()
        job.leased.start(failpoint=f"{name}=kill", wait=False)
        assert job.leased.wait_exit(20) == -9, f"{name} was not reached"
        job.leased.start()
        job.wait_settled(RECOVERED_S)
        assert job.accounts() == []
