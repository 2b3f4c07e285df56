"""Backends that hang, talk garbage or are slow beside a healthy one: its clients notice nothing."""

import threading
import time

from bad_backend import BadBackend
from job import Job

SECONDS = 15
KINDS = ("hang", "garbage", "slow")


def add_bad(job, name, backend):
    """A connection to it, untried, and a role on it."""
    response = job.configure(name, port=str(backend.port), connect_timeout="60", verify_connection=False)
    assert response.status in (200, 204), response
    response = job.role(name, db_name=name, verify_role=False)
    assert response.status in (200, 204), response


def test_mints_of_a_healthy_connection_all_succeed_beside_bad_ones(server):
    with Job(server) as job, BadBackend("hang") as hang, BadBackend("garbage") as garbage, \
            BadBackend("slow", target=(server.host, server.port)) as slow:
        job.set_up()
        for name, backend in zip(KINDS, (hang, garbage, slow)):
            add_bad(job, name, backend)
        stop = threading.Event()
        bad = {name: [] for name in KINDS}

        def ask(name):
            while not stop.is_set():
                asked = time.monotonic()
                response = job.leased.get(f"database/creds/{name}", timeout=60)
                bad[name].append((response.status, time.monotonic() - asked))
                time.sleep(0.1)

        threads = [threading.Thread(target=ask, args=(name,)) for name in KINDS for _ in range(4)]
        for thread in threads:
            thread.start()
        took, until = [], time.monotonic() + SECONDS
        try:
            while time.monotonic() < until:
                asked = time.monotonic()
                credential = job.mint()
                took.append(time.monotonic() - asked)
                assert job.renew(credential, 60).status == 200
                assert job.revoke(credential).status == 204
                assert not server.can_login(credential.user, credential.password)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert len(took) > 5 and max(took) < 10, took
        for name, backend in zip(KINDS, (hang, garbage, slow)):
            assert backend.connections > 0, f"{name} was never reached: the test shows nothing"
            assert bad[name], name
            assert max(seconds for _, seconds in bad[name]) < 14, f"{name}: an answer after its deadline"
        for name in ("hang", "garbage"):
            assert {status for status, _ in bad[name]} == {503}, bad[name]
        assert {status for status, _ in bad["slow"]} <= {200, 503}, bad["slow"]
        for name in ("slow", "app"):
            job.leased.put(f"sys/leases/revoke-prefix/database/creds/{name}", {"sync": True}, timeout=70)
