"""A CREATE that is still on its way when its sender has died must not outlive the recovery."""

from crashsite import Site
from proxy import Proxy

DELAY_S = 5


def test_a_create_that_arrives_after_recovery_leaves_nothing(database):
    server = database
    with Proxy((server.host, server.port)) as proxy, Site(server, host="127.0.0.1", port=str(proxy.port)) as site:
        proxy.delay(server.create_word, DELAY_S)
        try:
            site.leased.get("database/creds/app", timeout=1)
        except OSError:
            pass
        assert proxy.delayed.is_set(), "the CREATE did not go through the proxy"
        site.leased.kill()
        site.leased.start()
        assert not proxy.delivered.is_set()
        site.check()
        assert site.accounts() == [] and not proxy.delivered.is_set(), "recovered before the CREATE arrives"
        assert proxy.delivered.wait(20)
        site.check()
        assert site.accounts() == []


def test_a_create_that_arrives_after_its_worker_died_leaves_nothing(server):
    with Proxy((server.host, server.port)) as proxy, Site(server, host="127.0.0.1", port=str(proxy.port)) as site:
        proxy.delay(server.create_word, 12)  # longer than the worker's 10 s
        response = site.leased.get("database/creds/app", timeout=15)
        assert response.status == 503, response
        assert site.mint("app").user in site.accounts(), "others go on"
        assert proxy.delivered.wait(20)
        site.check()
        assert len(site.accounts()) == 1


def test_a_create_that_runs_on_in_the_server_is_ended_before_its_account_is_dropped(database):
    with Site(database) as site:
        assert site.slow_role(20).status in (200, 204)
        try:
            site.leased.get("database/creds/slow", timeout=0.7)
        except OSError:
            pass
        assert database.at_work("SLEEP(20)") == 1
        site.leased.kill()
        site.leased.start()
        site.check()
        assert site.accounts() == []
        assert database.at_work("SLEEP(20)") == 0
