"""kill -9 of the daemon or of a worker at any moment under load; LEASED_TEST_SEED repeats a run's choices."""

import os
import pathlib
import random
import signal
import threading
import time

from crashsite import Site, attempt
from daemon import poll
from job import Credential

ROUNDS = 60 if os.environ.get("LEASED_TEST_ALL") else 6
CLIENTS = 4


def client(site, rng, stop, given, lock):
    """Mints, and renews or revokes some of what it got, until told to stop."""
    while not stop.is_set():
        response = attempt(lambda: site.leased.get(f"database/creds/{rng.choice(('app', 'app', 'brief', 'broken'))}"))
        if response is None:
            time.sleep(0.01)
            continue
        if response.status != 200:
            continue
        credential = Credential(response)
        with lock:
            given.append(credential)
        what = rng.random()
        if what < 0.4:
            attempt(lambda: site.revoke(credential))
        elif what < 0.6 and "/app/" in credential.lease_id:
            attempt(lambda: site.renew(credential, 7200))


def children(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(word) for word in words]


def workers(site):
    """Children of the spawner, which is the daemon's child."""
    return [worker for spawner in children(site.leased.pid) for worker in children(spawner)]


def test_a_kill_at_any_moment_under_load_leaves_nothing_and_loses_nothing(server):
    seed = int(os.environ.get("LEASED_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"LEASED_TEST_SEED={seed}")
    rng = random.Random(seed)
    with Site(server) as site:
        for round_number in range(ROUNDS):
            stop, given, lock = threading.Event(), [], threading.Lock()
            clients = [threading.Thread(target=client, args=(site, random.Random(rng.random()), stop, given, lock))
                       for _ in range(CLIENTS)]
            for one in clients:
                one.start()
            time.sleep(rng.uniform(0.05, 1.2))
            victims = workers(site)
            if rng.random() < 0.4 and victims:
                os.kill(rng.choice(victims), signal.SIGKILL)
                time.sleep(rng.uniform(0, 0.3))
            else:
                site.leased.kill()
            stop.set()
            for one in clients:
                one.join()
            if not site.alive():
                site.leased.start()
            try:
                site.check(given)
                poll(lambda: all("/brief/" not in lease["id"] for lease in site.leases()), 10, what="the end of the brief")
                site.check_again()
                site.clean()
            except AssertionError as error:
                raise AssertionError(f"LEASED_TEST_SEED={seed} round {round_number}: {error}") from error
