"""A backend that is away while leases end: nothing ends early, nothing is forgotten, and all is ended once it is back.

A minute and 10 000 leases; with LEASED_TEST_ALL ten minutes and 100 000.
"""

import os
import re
import subprocess
import time

import pytest

from daemon import BUILD, Leased, poll
from job import Job
from pg import Postgres

FULL = bool(os.environ.get("LEASED_TEST_ALL"))
COUNT, OUTAGE_S, DRAIN_S = (100000, 600, 1800) if FULL else (10000, 60, 240)
FIRST_REMOVAL_S = 5


@pytest.fixture
def mortal():
    with Postgres(settings={"log_statement": "none", "log_connections": "off"}) as server:
        yield server


def fill(job, role, count, from_ms, to_ms):
    """Leases that end between two moments, as if they had been made, with real accounts; these by name, with their end."""
    credential = job.mint(role)
    prefix = f"l-{credential.user.split('-')[1]}-fill-"
    assert job.revoke(credential).status == 204
    job.server.sql(f"DO $$ BEGIN FOR i IN 0..{count - 1} LOOP EXECUTE format("
                   f"'CREATE ROLE %I LOGIN IN ROLE app', '{prefix}' || lpad(i::text, 10, '0')); END LOOP; END $$",
                   user="leased", password=job.server.admin_password)
    rows = job.server.sql("SELECT rolname, oid FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY 1", prefix)
    listing = job.leased.dir / "accounts"
    listing.write_text("".join(f"{name} {oid}\n" for name, oid in rows))
    job.leased.stop()
    key = next(job.leased.dir.rglob("root.key"))
    data = next(job.leased.dir.rglob("leased.db")).parent
    subprocess.run([BUILD / "bench" / "fill", data, key, role, str(count), "--accounts", listing,
                    "--ends", str(from_ms), str(to_ms)], check=True)
    return prefix


def left(server, prefix, armed=False):
    return server.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, %s)"
                        + (" AND rolcanlogin" if armed else ""), prefix)


def test_leases_that_end_while_the_backend_is_away_end_when_it_is_back(mortal):
    with Leased() as leased:
        job = Job(mortal, leased=leased)
        assert job.configure(max_leases=2 * COUNT).status in (200, 204)
        assert job.role().status in (200, 204)
        kept = job.mint()
        from_ms = int(time.time() * 1000) + 15000 + COUNT // 2
        to_ms = from_ms + (OUTAGE_S - 5) * 1000
        prefix = fill(job, "app", COUNT, from_ms, to_ms)
        leased.start()
        assert left(mortal, prefix, armed=True) == COUNT, "none ends before its time"
        assert time.time() * 1000 < from_ms, "this machine is too slow for the times of this test"
        mortal.stop()
        away_since = time.monotonic()
        while time.time() * 1000 < to_ms + 1000 or time.monotonic() - away_since < OUTAGE_S:
            time.sleep(2)
            asked = time.monotonic()
            mint = leased.get("database/creds/app", timeout=30)
            assert mint.status == 503 and time.monotonic() - asked < 12, mint
            assert leased.get("sys/health").status == 200
        assert job.lookup(kept).data["state"] == "live"
        mortal.start()
        back = time.monotonic()
        poll(lambda: left(mortal, prefix) < COUNT, 60, every=0.02, what="the first removal")
        first_s = time.monotonic() - back
        minted = [poll(lambda: leased.get("database/creds/app", timeout=30).json.get("lease_id"), 30, what="a mint")]
        while left(mortal, prefix) > 0:
            assert time.monotonic() - back < DRAIN_S, f"{left(mortal, prefix)} accounts are left"
            asked = time.monotonic()
            response = leased.get("database/creds/app", timeout=30)
            assert response.status == 200 and time.monotonic() - asked < 10, response
            minted.append(response.json["lease_id"])
            time.sleep(0.2)
        print(f"first removal after {first_s:.1f} s, all {COUNT} after {time.monotonic() - back:.1f} s, "
              f"{len(minted)} mints meanwhile")
        assert first_s <= FIRST_REMOVAL_S
        assert mortal.can_login(kept.user, kept.password), "what is not over stays"
        assert len(mortal.role_names("l-")) == len(minted) + 1
        metrics = leased.get("sys/leases/count?type=irrevocable")
        assert metrics.status == 200 and not re.search(r'"lease_count": ?[1-9]', metrics.body.decode()), metrics


def test_at_200_ends_a_second_none_is_early_and_none_is_forgotten(mortal):
    count, rate = 1000, 200
    with Leased() as leased:
        job = Job(mortal, leased=leased).set_up()
        from_ms = int(time.time() * 1000) + 12000
        prefix = fill(job, "app", count, from_ms, from_ms + count * 1000 // rate)
        leased.start()
        names = [name for name in mortal.role_names(prefix)]
        ends = {name: from_ms + i * 1000 // rate for i, name in enumerate(names)}
        with mortal.connect() as session, session.cursor() as cursor:
            while ends:
                cursor.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) AND rolcanlogin", (prefix,))
                now_ms = time.time() * 1000
                armed = {name for name, in cursor}
                for name in [name for name in ends if name not in armed]:
                    assert ends.pop(name) <= now_ms, f"{name} ended before its time"
                assert now_ms < from_ms + 60000, f"{len(ends)} accounts can still log in"
                time.sleep(0.02)
        poll(lambda: left(mortal, prefix) == 0, 60, what="the end of the accounts")
