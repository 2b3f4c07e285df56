"""Accounts by an operator's command: started by leased in its sandbox, and by a service manager behind a socket."""

import json

import pytest

from account_service import AccountService, ServiceManager
from daemon import Leased, poll


@pytest.fixture(params=["program", "socket"])
def job(request):
    with AccountService() as service:
        manager = None
        config = service.config()
        if request.param == "socket":
            manager = ServiceManager(service.directory / "service.sock", [service.command])
            config = {name: value for name, value in config.items() if name != "program"} | {"socket": manager.path}
        leased = Leased()
        try:
            response = leased.post("database/config/main", {"plugin_name": "exec", "allowed_roles": "*"} | config)
            assert response.status in (200, 204), response
            response = leased.post("database/roles/app", {"db_name": "main", "default_ttl": "1h", "settings": {"group": "g"}})
            assert response.status in (200, 204), response
            yield leased, service
        finally:
            leased.close()
            if manager is not None:
                manager.close()


def test_an_account_lives_from_mint_to_revocation(job):
    leased, service = job
    assert service.accounts == {}, "what was tried is gone"
    response = leased.get("database/creds/app")
    assert response.status == 200, response
    user, password, lease_id = response.data["username"], response.data["password"], response.json["lease_id"]
    assert service.can_log_in(user, password)
    before = service.accounts[user]["expires"]
    renewed = leased.put("sys/leases/renew", {"lease_id": lease_id, "increment": 7200})
    assert renewed.status == 200 and service.accounts[user]["expires"] >= before, renewed
    assert leased.put("sys/leases/revoke", {"lease_id": lease_id}).status == 204
    assert service.accounts == {}
    minted = [request for request in service.requests if request["op"] == "mint"][-1]
    assert minted["account"]["role"] == {"settings": {"group": "g"}}
    shown = leased.get("database/config/main")
    assert service.secret not in json.dumps(shown.json) and service.secret not in leased.output()


def test_a_lease_that_ends_while_its_backend_is_down_ends_when_it_is_back(job):
    leased, service = job
    response = leased.post("database/roles/short", {"db_name": "main", "default_ttl": "2s"})
    assert response.status in (200, 204), response
    user = leased.get("database/creds/short").data["username"]
    whole, service.secret = service.secret, "another"
    poll(lambda: leased.get("database/creds/app").status >= 400, 10, what="the refusal")
    poll(lambda: any(request["op"] == "ping" for request in service.requests[-3:]), 10, what="a ping")
    service.secret = whole
    poll(lambda: user not in service.accounts, 70, what="the end of the account")


@pytest.mark.needs_sandbox
def test_a_command_writes_no_file_and_its_words_reach_whoever_configures_it(job):
    leased, service = job
    script = service.directory / "tries"
    script.write_text("#!/bin/sh\nread -r request\ntouch /tmp/leased-exec-was-here 2>/dev/null && echo '{}' && exit 0\n"
                      "echo '{\"error\":{\"code\":\"refused\",\"text\":\"it writes no file\"}}'; exit 1\n")
    script.chmod(0o755)
    response = leased.post("database/config/other", {"plugin_name": "exec", "program": str(script)})
    assert response.status == 400 and "it writes no file" in response.error, response


def test_a_command_that_hangs_is_said_to_when_it_is_configured():
    with Leased() as leased:
        response = leased.post("database/config/other", {"plugin_name": "exec", "program": "/bin/sleep", "arguments": ["99"]})
        assert response.status == 400 and "the command did not end in 9" in response.error, response
