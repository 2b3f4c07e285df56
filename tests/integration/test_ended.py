"""Leases that have ended are shown for a day, to whom they belonged: what ended them, when, and by whom."""

import os
import pathlib
import socket
import subprocess
import time

import pytest

from daemon import poll
from job import Credential, Job

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEASE = str(ROOT / "build" / os.environ.get("LEASED_PRESET", "dev") / "bin" / "lease")
POLICY = ('path "database/creds/*" { capabilities = ["read"] } '
          'path "auth/token/create" { capabilities = ["update"] }')
UNKNOWN = "invalid lease: there is none by this id, it is not yours, or it ended more than 24 hours ago"


@pytest.fixture(scope="module")
def job(server):
    with Job(server) as running:
        running.set_up()
        assert running.role("brief", default_ttl="2s").status in (200, 204)
        assert running.leased.put("sys/policies/acl/shop", {"policy": POLICY}).status == 204
        yield running


def token(job, parent=None, **more):
    answer = job.leased.post("auth/token/create", {"policies": ["shop", "default"], **more},
                             token=parent or job.leased.root_token)
    return answer.auth


def lookup(job, lease_id, **kwargs):
    return job.leased.put("sys/leases/lookup", {"lease_id": lease_id}, **kwargs)


def ended(job, lease_id, **kwargs):
    """What lookup says of it, once it is gone."""
    return poll(lambda: (answer := lookup(job, lease_id, **kwargs)).data is not None
                and answer.data["state"] == "gone" and answer.data, 10, what="the end of the lease")


def cli(job, *arguments, token=None):
    env = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{job.leased.socket_path}"}
    if token is not None:
        env["LEASE_TOKEN"] = token
    return subprocess.run([LEASE, *arguments], capture_output=True, env=env, timeout=20, text=True)


def words(answer):
    """Without what differs in every answer."""
    return answer.status, [text.split(" (request id")[0] for text in answer.errors or []]


def test_an_expired_lease_is_shown_with_its_times(job):
    credential = job.mint("brief")
    lease = ended(job, credential.lease_id)
    assert lease["id"] == credential.lease_id and lease["account"] == credential.user
    assert lease["ended_cause"] == "expired" and lease["ended_by"] is None
    assert lease["ttl"] == 0 and lease["renewable"] is False
    assert lease["issue_time"] < lease["expire_time"] <= lease["ended_time"] <= lease["gone_time"]


def test_revoked_by_hand_names_who_did_it(job):
    mine, other = token(job), token(job, display_name="ops")
    credential = Credential(job.leased.get("database/creds/app", token=mine["client_token"]))
    assert job.revoke(credential, token=mine["client_token"]).status == 204
    lease = ended(job, credential.lease_id, token=mine["client_token"])
    assert lease["ended_cause"] == "revoked" and lease["ended_by"] == "token"
    assert lease["ended_time"] < lease["expire_time"]
    assert "ended_by_accessor" not in lease  # names a token: for sudo alone
    assert lookup(job, credential.lease_id).data["ended_by_accessor"] == mine["accessor"]
    # What it answers on the wire to clients of Vault.
    answer = job.leased.put("sys/leases/renew", {"lease_id": credential.lease_id}, token=mine["client_token"])
    assert answer.status == 400 and "lease expired" in answer.error and "revoked" in answer.error
    assert job.revoke(credential, token=mine["client_token"]).status == 204
    # Everybody else learns as much as of an id that never was.
    random = credential.lease_id[:-16] + "A" * 16
    for path in ("lookup", "renew", "revoke"):
        theirs, none = (job.leased.put(f"sys/leases/{path}", {"lease_id": lease_id}, token=other["client_token"])
                        for lease_id in (credential.lease_id, random))
        assert words(theirs) == words(none) and theirs.warnings == none.warnings
    assert UNKNOWN in lookup(job, credential.lease_id, token=other["client_token"]).error


def test_in_bulk_and_by_a_tokens_death(job):
    credential = job.mint()
    assert job.leased.put("sys/leases/revoke-prefix/database/creds/app").status == 204
    lease = ended(job, credential.lease_id)
    assert lease["ended_cause"] == "revoked_in_bulk" and lease["ended_by"] is not None
    parent = token(job)
    child = token(job, parent=parent["client_token"])
    theirs = Credential(job.leased.get("database/creds/app", token=child["client_token"]))
    assert job.leased.post("auth/token/revoke-self", token=parent["client_token"]).status == 204
    assert ended(job, theirs.lease_id)["ended_cause"] == "token_ended"
    brief = token(job, ttl="2s")
    theirs = Credential(job.leased.get("database/creds/app", token=brief["client_token"]))
    time.sleep(2)
    # Its own end and its token's are the same moment here; either is true.
    assert ended(job, theirs.lease_id)["ended_cause"] in ("token_ended", "expired")


def test_an_answer_that_was_lost(job):
    assert job.slow_role(2).status in (200, 204)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(job.leased.socket_path))
    client.sendall(b"GET /v1/database/creds/slow HTTP/1.1\r\nHost: leased\r\n\r\n")
    keys = poll(lambda: (job.leased.list("sys/leases/lookup/database/creds/slow").data or {}).get("keys"), 2,
                what="the lease that is being made")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    lease = ended(job, f"database/creds/slow/{keys[0]}")
    assert lease["ended_cause"] == "undelivered" and lease["delivery"] == "unknown"


def test_a_mint_that_failed(job):
    """Dropping the account makes the grant that follows fail."""
    create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
    assert job.role("bad", verify_role=False, grant_roles=[],
                    creation_statements=[f"{create}; SELECT pg_sleep(2); SELECT 1/0"]).status in (200, 204)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(job.leased.socket_path))
    client.sendall(b"GET /v1/database/creds/bad HTTP/1.1\r\nHost: leased\r\n\r\n")
    keys = poll(lambda: (job.leased.list("sys/leases/lookup/database/creds/bad").data or {}).get("keys"), 2,
                what="the lease that is being made")
    assert ended(job, f"database/creds/bad/{keys[0]}")["ended_cause"] == "failed_mint"
    client.close()


def test_a_removed_mount_does_not_take_the_answer_along(job):
    leased = job.leased
    assert leased.post("sys/mounts/second", {"type": "database"}).status == 204
    body = {"plugin_name": "postgresql-database-plugin", "allowed_roles": "*"}
    assert leased.post("second/config/main", body | job.server.config()).status in (200, 204)
    body = {"db_name": "main", "grant_roles": [job.server.group_role], "default_ttl": "1h"}
    assert leased.post("second/roles/app", body).status in (200, 204)
    credential = Credential(leased.get("second/creds/app"))
    assert leased.delete("sys/mounts/second").status == 204
    lease = ended(job, credential.lease_id)
    assert lease["ended_cause"] == "mount_removed" and lease["mount"] == "second/"


def test_the_command_line_shows_it_and_exits_8(job):
    mine, other = token(job)["client_token"], token(job)["client_token"]
    credential = Credential(job.leased.get("database/creds/app", token=mine))
    assert cli(job, "show", credential.lease_id, token=mine).returncode == 0
    assert job.revoke(credential).status == 204
    ended(job, credential.lease_id)
    for form in ("table", "json", "env"):
        done = cli(job, "show", credential.lease_id, "--format", form, token=mine)
        assert done.returncode == 8 and "revoked" in done.stdout and "gone" in done.stdout, done
    done = cli(job, "show", credential.lease_id, "-f", "ended_cause", token=mine)
    assert done.returncode == 8 and done.stdout == "revoked"
    assert cli(job, "show", credential.lease_id, "-f", "nothing", token=mine).returncode == 4
    assert cli(job, "renew", credential.lease_id, token=mine).returncode == 8
    assert cli(job, "revoke", credential.lease_id, token=mine).returncode == 0
    never = credential.lease_id[:-16] + "A" * 16
    for lease_id, who in ((credential.lease_id, other), (never, mine)):
        done = cli(job, "show", lease_id, token=who)
        assert done.returncode == 4 and done.stdout == "" and "invalid lease" in done.stderr
        assert cli(job, "renew", lease_id, token=who).returncode == 4


def test_ended_leases_are_not_listed_and_that_is_said(job):
    done = cli(job, "list", "--state", "gone")
    assert done.returncode == 2 and "lease show" in done.stderr


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_restart_forgets_nothing(job, kill):
    mine = token(job)["client_token"]
    credential = Credential(job.leased.get("database/creds/app", token=mine))
    assert job.revoke(credential, token=mine).status == 204
    before = ended(job, credential.lease_id, token=mine)
    if kill:
        job.leased.kill()
        job.leased.start()
    else:
        job.leased.restart()
    assert lookup(job, credential.lease_id, token=mine).data == before
