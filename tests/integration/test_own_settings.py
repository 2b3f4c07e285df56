"""A plugin that has more to say than a name and a password: settings of a role that only it knows, values for the client, no check and no renewal of its own."""

import os
import pathlib
import stat
import time

import pytest

from daemon import Leased, poll


def accounts(leased):
    return [name for name in os.listdir(leased.backend) if name.startswith("l-")]  # failpoints leave files, too


CONFIG = {"plugin_name": "example", "allowed_roles": "*"}


@pytest.fixture(scope="module")
def leased(tmp_path_factory):
    backend = tmp_path_factory.mktemp("accounts")
    with Leased(env={"LEASED_FAILPOINT_DIR": str(backend)}) as running:  # the spawner writes nowhere else
        running.backend = backend
        answer = running.post("database/config/files", {**CONFIG, "dir": str(running.backend)})
        assert answer.status in (200, 204), answer
        yield running


def mint(leased, role):
    answer = leased.get(f"database/creds/{role}")
    assert answer.status == 200, answer
    return answer


def test_a_setting_of_the_plugins_own_reaches_the_account_and_the_client_gets_its_values(leased):
    assert leased.post("database/roles/writer", {"db_name": "files", "access": "write"}).status == 204
    assert leased.get("database/roles/writer").data["access"] == "write"
    assert accounts(leased) == []  # the canary is gone
    answer = mint(leased, "writer")
    path = pathlib.Path(answer.data["path"])
    assert path == leased.backend / answer.data["username"] and answer.data["password"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert any("does not expire accounts by itself" in text for text in answer.warnings)
    # What is not given stays; what is, counts from the next account on.
    assert leased.post("database/roles/writer", {"default_ttl": "2h", "access": None}).status == 204
    assert leased.get("database/roles/writer").data["access"] == "write"
    assert leased.post("database/roles/writer", {"access": "read"}).status == 204
    second = pathlib.Path(mint(leased, "writer").data["path"])
    assert stat.S_IMODE(second.stat().st_mode) == 0o400
    assert leased.put("sys/leases/revoke-prefix/database/creds/writer?sync=true").status in (200, 204)
    poll(lambda: accounts(leased) == [], what="the accounts' end")


def test_the_plugin_refuses_a_setting_in_its_own_words_and_the_role_does_not_hold(leased):
    answer = leased.post("database/roles/odd", {"db_name": "files", "access": "own"})
    assert answer.status == 400 and 'access is "read" or "write"' in answer.error, answer
    assert leased.get("database/roles/odd").status == 404
    assert accounts(leased) == []


def test_an_unlisted_setting_is_told_and_an_unchecked_one_too(leased):
    answer = leased.post("database/roles/typo", {"db_name": "files", "acces": "write"})
    assert answer.status == 200 and "did you mean access instead of acces?" in answer.warnings[0]
    assert "acces" not in leased.get("database/roles/typo").data
    answer = leased.post("database/roles/early", {"db_name": "later", "access": "write"})
    assert any("nobody has checked them: access" in text for text in answer.warnings), answer
    assert leased.post("database/config/later", {**CONFIG, "dir": str(leased.backend)}).status in (200, 204)
    answer = mint(leased, "early")
    assert stat.S_IMODE(os.stat(answer.data["path"]).st_mode) == 0o600
    assert leased.put("sys/leases/revoke", {"lease_id": answer.json["lease_id"]}).status == 204


def test_a_plugin_that_cannot_renew_does_not_keep_a_lease_from_being_renewed(leased):
    assert leased.post("database/roles/brief", {"db_name": "files", "default_ttl": "3s"}).status in (200, 204)
    answer = mint(leased, "brief")
    path = pathlib.Path(answer.data["path"])
    renewed = leased.put("sys/leases/renew", {"lease_id": answer.json["lease_id"], "increment": 6})
    assert renewed.status == 200 and renewed.json["lease_duration"] == 6, renewed
    time.sleep(4)
    assert path.exists()
    poll(lambda: not path.exists(), 10, what="the lease's end")


def test_values_are_in_no_file_of_ours(leased):
    answer = mint(leased, "writer")
    leased.put("sys/leases/lookup", {"lease_id": answer.json["lease_id"]})
    shown = leased.put("sys/leases/lookup", {"lease_id": answer.json["lease_id"]})
    assert answer.data["path"] not in str(shown.json)
    assert answer.data["path"] not in leased.output()
    assert leased.put("sys/leases/revoke", {"lease_id": answer.json["lease_id"]}).status == 204
