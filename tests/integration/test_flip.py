"""
Random damage of the stopped store's file, a start, and what leased makes of it: it serves or refuses with words and never
crashes, a lease that it shows is as it was, and every account ends or is named by quarantine or fsck. LEASED_FLIP_SEED
replays a run; LEASED_TEST_ALL makes 200 rounds of it.
"""

import datetime
import os
import random
import time

import pytest

from daemon import LeasedError, poll
from flips import Flips
from job import Job
from offline import Configured

ALL = bool(os.environ.get("LEASED_TEST_ALL"))
ROUNDS = int(os.environ.get("LEASED_FLIP_ROUNDS", 200 if ALL else 8))
SHORT_S = 2


@pytest.fixture
def job(server):
    with Job(server, leased=Configured()) as job:
        job.set_up()
        assert job.role("short", default_ttl=f"{SHORT_S}s").status == 204
        yield job


def ended(leased):
    """It ran and stopped, or refused to start; a signal or a sanitizer is neither."""
    status = leased.wait_exit()
    assert status in (0, 1), f"status {status}:\n{leased.output(this_start_only=True)[-4000:]}"
    return leased.output(this_start_only=True)


def start(leased):
    """True when it serves; False when it refused, with a reason and what to do."""
    leased.start(wait=False)
    try:
        leased.wait_healthy(20)
        return True
    except LeasedError:
        said = ended(leased)
        assert '"level":"error"' in said, said
        assert any(word in said for word in ("fsck", "backup", "restore", "leased check")), said
        return False


def seconds(text):
    return datetime.datetime.fromisoformat(text[:19]).timestamp()


def as_they_were(job, kept):
    """What it shows of a lease as good is what was written of it."""
    for credential, before in kept:
        answer = job.lookup(credential)
        if answer.status == 200 and not answer.data.get("damaged") and answer.data["state"] == "live":
            assert answer.data["account"] == before["account"], answer
            for key in ("issue_time", "expire_time"):  # lease time is told by the wall clock, to a moment
                assert abs(seconds(answer.data[key]) - seconds(before[key])) < 2, (key, answer.data, before)


def armed(job, credentials):
    return {c.user for c in credentials if job.server.can_login(c.user, c.password)}


def round_of(job, rng, number):
    kept = [job.mint() for _ in range(2)]
    before = [(c, {key: job.lookup(c).data[key] for key in ("account", "issue_time", "expire_time")}) for c in kept]
    short = [job.mint("short") for _ in range(4)]
    assert job.leased.stop() == 0
    flips = Flips(job.leased.database, rng.randrange(1 << 32))
    where = flips.flip(rng.randrange(1, 60))
    print(f"round {number}: {where}")
    if serves := start(job.leased):
        as_they_were(job, before)
        job.leased.get("database/creds/app")
        deadline = time.monotonic() + SHORT_S + 4
        while armed(job, short) and time.monotonic() < deadline:
            time.sleep(0.2)
        job.leased.put("sys/leases/revoke-prefix/database/creds/app", {"sync": False}, timeout=20)
        job.leased.stop()
        ended(job.leased)
    left = armed(job, short)
    found = job.leased.fsck()
    assert found.returncode in (0, 1, 2), found
    if left and serves:  # what it could not end is not forgotten: somebody is told
        assert found.returncode == 2 or any(user in found.stdout for user in left), (left, found.stdout)
    if not serves:
        assert found.returncode == 2, found
    assert job.leased.fsck("--repair").returncode in (0, 1, 2)
    flips.undo()
    job.leased.start()
    poll(lambda: not armed(job, short), 20, what="the end of the short leases by the good store")


def test_random_damage_is_told_and_no_account_is_forgotten(job):
    seed = int(os.environ.get("LEASED_FLIP_SEED", random.randrange(1 << 32)))
    print(f"LEASED_FLIP_SEED={seed}")
    rng = random.Random(seed)
    for number in range(ROUNDS):
        round_of(job, rng, number)
