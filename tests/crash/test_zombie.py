"""A CREATE that is still on its way when its sender has died must not outlive the recovery."""

from job import Job
from proxy import Proxy


def test_a_create_that_arrives_after_recovery_leaves_nothing(server):
    with Proxy((server.host, server.port)) as proxy, Job(server) as job:
        assert job.configure(host="127.0.0.1", port=str(proxy.port)).status in (200, 204)
        assert job.role(verify_role=False).status in (200, 204)
        proxy.delay(b"CREATE ROLE", 8)
        try:
            job.leased.get("database/creds/app", timeout=3)
        except OSError:
            pass
        assert proxy.delayed.is_set(), "the CREATE did not go through the proxy"
        job.leased.kill()
        job.leased.start()
        assert proxy.delivered.wait(20)
        job.wait_settled(30)
        assert job.accounts() == []


def test_a_create_that_runs_on_in_the_server_is_ended_before_its_account_is_dropped(server):
    with Job(server) as job:
        job.set_up()
        assert job.slow_role(20).status in (200, 204)
        try:
            job.leased.get("database/creds/slow", timeout=1.5)
        except OSError:
            pass
        assert server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND usename = 'leased'") == 1
        job.leased.kill()
        job.leased.start()
        job.wait_settled(30)
        assert job.accounts() == []
        assert server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND usename = 'leased'") == 0
