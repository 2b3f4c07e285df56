"""kill -9 of PostgreSQL itself in the middle of a call, and workers that hang: the same oracle."""

import threading
import time

import pytest

import operations
from crashsite import Site, attempt
from daemon import poll
from pg import Postgres

OUTAGE_S = 1


@pytest.fixture(scope="module")
def mortal():
    """A server that may be killed: nobody else's."""
    with Postgres(settings={"max_connections": 100}) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def site(mortal):
    with Site(mortal) as one:
        yield one


@pytest.mark.parametrize("operation,point", [
    (operations.Mint, "worker_mint_begin"),
    (operations.Mint, "worker_mint_end"),
    (operations.Renew, "worker_renew_begin"),
    (operations.Revoke, "worker_disarm_begin"),
    (operations.Revoke, "worker_disarm_end"),
    (operations.Revoke, "worker_remove_begin"),
    (operations.Revoke, "worker_remove_end"),
    (operations.Expire, "worker_disarm_begin"),
    (operations.RoleWrite, "worker_check_begin"),
])
def test_a_server_that_is_killed_in_the_middle_of_a_call_leaves_nothing(mortal, site, operation, point):
    site.label = f"{operation.__name__} {point} server"
    one = operation(site)
    one.prepare()
    site.forget_marks()
    site.arm(point, "sleep:700")

    def strike():
        poll(lambda: site.acted(point), 10, every=0.01, what=f"the pass of {point}")
        mortal.kill()
        time.sleep(OUTAGE_S)
        mortal.start()

    killer = threading.Thread(target=strike)
    killer.start()
    try:
        one.response = attempt(lambda: site.leased.get("database/creds/app")) if operation is operations.Mint else None
        if operation is operations.Mint:
            one.credentials = site.credential(one.response)
        else:
            act_through_an_outage(one)
    finally:
        killer.join()
    assert site.acted(point)
    site.check(one.credentials)
    if operation in (operations.Revoke, operations.Expire, operations.RoleWrite):
        poll(lambda: site.accounts() == [], 30, what="the end of the account")
    site.check_again()
    site.clean()


def act_through_an_outage(operation):
    """The operation's own waits ask the server, which is down for a while."""
    try:
        operation.act()
    except Exception as error:  # noqa: BLE001
        if type(error).__name__ not in ("OperationalError", "InterfaceError", "AdminShutdown"):
            raise


def test_a_statement_that_the_server_died_under_leaves_nothing(mortal, site):
    site.label = "a mint in the server, server"
    waiting = threading.Thread(target=lambda: attempt(lambda: site.leased.get("database/creds/slow")))
    waiting.start()
    poll(lambda: mortal.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(1)%%' "
                              "AND usename = %s", "leased") == 1, 5, what="the mint in the server")
    mortal.kill()
    time.sleep(OUTAGE_S)
    mortal.start()
    waiting.join()
    site.check()
    assert site.accounts() == []


def test_a_worker_that_hangs_in_a_mint_is_killed_at_its_deadline_and_others_go_on(server):
    with Site(server) as site:
        site.arm("worker_mint_begin", "sleep:20000")
        answers = []
        started = time.monotonic()
        waiting = threading.Thread(target=lambda: answers.append(site.leased.get("database/creds/app", timeout=30)))
        waiting.start()
        poll(lambda: site.acted("worker_mint_begin"), 5, what="the hang")
        other = site.mint()
        assert site.renew(other, 7200).status == 200
        assert site.revoke(other).status == 204
        assert time.monotonic() - started < 5, "others go on"
        waiting.join()
        assert answers[0].status == 503 and 8 < time.monotonic() - started < 14, answers
        site.check()
        assert site.accounts() == []


def test_a_worker_that_hangs_in_a_disarm_is_killed_and_the_lease_ends_all_the_same(server):
    with Site(server) as site:
        credential = site.mint()
        site.arm("worker_disarm_begin", "sleep:20000")
        response = site.revoke(credential)
        assert response.status in (204, 503), response
        poll(lambda: site.accounts() == [], 15, what="the end of the account")
        site.check([credential])
