"""Windows of docs/explanation/crash-windows.md that no single failpoint shows."""

from crashsite import Site
from daemon import poll
from job import Credential
from pg import Postgres


def test_a_lease_ends_where_and_as_it_was_made_whatever_became_of_its_role(server):
    with Postgres(settings={"max_connections": 40}) as other, Site(server) as site:
        revoked, expires = site.mint(), Credential(site.leased.get("database/creds/brief"))
        body = {"plugin_name": "postgresql-database-plugin", "allowed_roles": "*"}
        response = site.leased.post("database/config/other", body | other.config())
        assert response.status in (200, 204), response
        for role in ("app", "brief"):
            response = site.role(role, db_name="other", grant_roles=[other.group_role],
                                 revocation_statements=["DO $$BEGIN RAISE 'not these statements'; END$$"], verify_role=False)
            assert response.status in (200, 204), response
        site.leased.kill()
        site.leased.start()
        assert poll(lambda: site.revoke(revoked).status == 204, 10, what="the end of the lease")
        poll(lambda: site.accounts() == [], 10, what="the end of both accounts")
        assert not server.can_login(expires.user, expires.password)
        site.check([revoked, expires])


def test_a_mint_that_cannot_be_written_is_taken_back_though_the_first_try_dies(server):
    with Site(server) as site:
        site.arm("lease_issue_live", "error:no_space")
        site.arm("worker_disarm_begin", "kill")
        response = site.leased.get("database/creds/app")
        assert response.status >= 500, response
        assert site.acted("lease_issue_live")
        poll(lambda: site.acted("worker_disarm_begin"), 10, what="the first try")
        site.check()
        assert site.accounts() == [], "nobody holds it"
        site.check_again()
