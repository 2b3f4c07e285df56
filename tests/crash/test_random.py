"""
kill -9 of the daemon or of a worker at a random system call under load (tests/support/randomkill.py).

    pytest tests/crash/test_random.py --runs 1000              # unattended: every violation is reported at the end
    LEASED_TEST_SEED=7 pytest tests/crash/test_random.py --only-run 42
"""

import concurrent.futures
import contextlib
import os
import random
import threading
import time
import traceback

from crashsite import SEEN, Site
from randomkill import Run

JOBS = int(os.environ.get("LEASED_TEST_JOBS", "4"))


class Runs:
    """Many, each thread with a daemon of its own that lives through many of them."""

    def __init__(self, server, seed):
        self.server, self.seed = server, seed
        self.sites, self.failures, self.lock = {}, [], threading.Lock()
        self.where, self.done = {}, 0

    def one(self, number):
        thread = threading.get_ident()
        run = None
        try:
            if thread not in self.sites:
                self.sites[thread] = Site(self.server)
            run = Run(self.sites[thread], self.seed, number)
            run.go()
        except Exception:  # noqa: BLE001: whatever it is, it belongs to this run
            site = self.sites.pop(thread, None)
            text = f"{run or number}\n{traceback.format_exc()}"
            print(f"VIOLATION {text}", flush=True)
            with self.lock:
                self.failures.append(f"{text}{site.leased.output()[-6000:] if site is not None else ''}")
            if site is not None:
                site.close()
        with self.lock:
            self.done += 1
            what = f"{'a worker' if run and run.of_worker else 'the daemon'}: {run and run.where or 'by the clock'}"
            self.where[what] = self.where.get(what, 0) + 1
            if self.done % 25 == 0:
                print(f"{time.strftime('%H:%M:%S')} {self.done} runs, {len(self.failures)} violations", flush=True)

    def close(self):
        with contextlib.ExitStack() as ends:
            for site in self.sites.values():
                ends.callback(site.close)


def test_a_kill_at_any_system_call_under_load_leaves_nothing_and_loses_nothing(server, pytestconfig):
    seed = os.environ.get("LEASED_TEST_SEED") or str(random.SystemRandom().randrange(1 << 32))
    only, count = pytestconfig.getoption("--only-run"), pytestconfig.getoption("--runs")
    count = count or (1000 if os.environ.get("LEASED_TEST_ALL") else 12)
    print(f"LEASED_TEST_SEED={seed}", flush=True)
    runs = Runs(server, seed)
    with contextlib.ExitStack() as ends, concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        ends.callback(runs.close)
        list(pool.map(runs.one, range(count) if only is None else [only]))
    where = ", ".join(f"{count} {what}" for what, count in sorted(runs.where.items()))
    SEEN.append(f"! LEASED_TEST_SEED={seed}: {runs.done} random kills, {len(runs.failures)} violations: {where}")
    assert any("clock" not in what for what in runs.where) or runs.done < 6, "strace never got to send its signal"
    assert not runs.failures, f"LEASED_TEST_SEED={seed}: {len(runs.failures)} of {runs.done}:\n" + "\n\n".join(runs.failures)
