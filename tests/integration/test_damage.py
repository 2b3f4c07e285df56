"""A lease whose record is damaged in the store: whoever may revoke everything can still end and clear it."""

import sqlite3

import pytest

from daemon import poll
from job import Job


@pytest.fixture
def job(server):
    with Job(server) as running:
        running.set_up()
        yield running


def damage(job):
    job.leased.stop()
    with sqlite3.connect(job.leased.dir / "leased.db") as store:
        store.execute("UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || substr(sealed, 39) AS BLOB)"
                      " WHERE connection <> 0")
    store.close()
    job.leased.start()


def test_a_damaged_lease_is_revoked_listed_and_forgotten(job, server):
    credential = job.mint()
    damage(job)
    poll(lambda: job.lookup(credential).status == 200, 5, what="the quarantine")
    assert job.lookup(credential).data["damaged"] is True
    assert job.leased.get("sys/health").json["quarantined"] == 1
    answer = job.revoke(credential)
    assert answer.status == 200 and credential.user in answer.warnings[0], answer
    assert not server.can_login(credential.user, credential.password)
    listed = job.leased.get("sys/leases?type=irrevocable").data["leases"]
    assert [lease["account"] for lease in listed] == [credential.user] and listed[0]["state"] == "disarmed"
    assert "type=irrevocable" in job.leased.delete("database/config/main").error
    answer = job.leased.put(f"sys/leases/revoke-force/{listed[0]['lease_id']}")
    assert answer.status == 200 and credential.user in answer.warnings[0], answer
    assert job.leased.delete("database/config/main").status == 204


def test_an_unmount_ends_access_to_damaged_leases_and_stays_until_they_are_cleared(job, server):
    credential = job.mint()
    damage(job)
    answer = job.leased.delete("sys/mounts/database", timeout=90)
    assert answer.status == 503 and "damaged" in answer.error, answer
    assert not server.can_login(credential.user, credential.password)
    for lease in job.leased.get("sys/leases?type=irrevocable").data["leases"]:
        assert job.leased.put(f"sys/leases/revoke-force/{lease['lease_id']}").status == 200
    assert job.leased.delete("sys/mounts/database", timeout=90).status == 204


def test_a_connection_whose_record_is_damaged_is_told_and_written_again(job, server):
    credential = job.mint()
    job.leased.stop()
    with sqlite3.connect(job.leased.dir / "leased.db") as store:
        store.execute("UPDATE doc SET sealed = zeroblob(80) WHERE kind = 'connection'")
    store.close()
    job.leased.start()
    poll(lambda: job.leased.get("sys/health?ready=true").json["connections_down"] == 1, 10, what="the damaged connection as down")
    assert "write database/config/main again" in job.leased.get("database/config/main").error
    job.revoke(credential)
    assert server.can_login(credential.user, credential.password)
    assert "write database/config/main again" in job.lookup(credential).data["revoke_error"]
    assert b'leased_connection_up{connection="main",mount="database/"} 0' in job.leased.get("sys/metrics?format=prometheus").body
    one, = job.leased.post("sys/leases/reconcile").data["connections"]
    assert one["name"] == "database/main" and one["state"] == "failed" and "write database/config/main again" in one["error"], one
    answer = job.configure()
    assert answer.status == 200 and "is replaced" in answer.warnings[0], answer
    poll(lambda: not server.can_login(credential.user, credential.password), 10, what="the end of the lease")
    health = job.leased.get("sys/health?ready=true").json
    assert health["connections_down"] == 0 and health["quarantined"] == 0
