"""A plugin that leased does not bring along: the one in Python, in examples/, under the daemon's sandbox, named by leased.hcl."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from certs import Authority
from daemon import REPO, Leased, poll
from mqtt import Mosquitto

CONFIG = """data_dir = "{dir}/data"
seal "file" { path = "{dir}/root.key" }
listener "unix" { path = "{dir}/leased.sock" }
plugin_dir = "{dir}/plugins"
plugin "mqtt" { program = "mosquitto"  pool = 2 }
auth "unix" { role "admin" { bound_uids = [%d]  policies = ["admin"] } }
policy "admin" { path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] } }
""" % os.getuid()


class Own(Leased):
    """A leased with the example beside its configuration, as an operator puts it there."""

    def __init__(self, config=CONFIG, start=True):
        super().__init__(config=config, start=False)
        plugins = self.dir / "plugins"
        plugins.mkdir(mode=0o755)
        for name in ("mosquitto", "leased_plugin.py"):
            shutil.copy(REPO / "examples" / "mosquitto" / name, plugins / name)
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def check(self):
        return subprocess.run([self.binary, "check", "-config", str(self.dir / "leased.hcl")], capture_output=True, text=True, timeout=20)

    def set_up(self, broker, **more):
        answer = self.post("database/config/broker", {"plugin_name": "mqtt", "allowed_roles": "*", **broker.config(**more)})
        assert answer.status in (200, 204), (answer, self.output()[-3000:])
        answer = self.post("database/roles/app", {"db_name": "broker", "grant_roles": ["app"], "default_ttl": "1h"})
        assert answer.status in (200, 204), answer
        return self


@pytest.fixture(scope="module")
def broker():
    with Mosquitto() as one:
        yield one


@pytest.fixture
def leased():
    with Own() as one:
        yield one


def test_an_account_is_made_used_renewed_and_ended_with_its_session(leased, broker):
    before = broker.names()
    leased.set_up(broker)
    assert broker.names() == before, "the canaries are gone"
    answer = leased.get("database/creds/app")
    assert answer.status == 200 and answer.data["port"] == str(broker.port) and answer.data["scheme"] == "mqtt", answer
    name, password = answer.data["username"], answer.data["password"]
    assert broker.can_log_in(name, password) and not broker.can_log_in(name, password + "x")
    assert [role["rolename"] for role in broker.accounts()[name]["roles"]] == ["app"]
    assert any("expir" in warning for warning in answer.warnings), "this broker has no expiry of its own: the client is told"
    lease = {"lease_id": answer.json["lease_id"]}
    assert leased.put("sys/leases/renew", lease | {"increment": 7200}).status == 200
    session = broker.open_session(name, password)
    assert session.alive()
    assert leased.put("sys/leases/revoke", lease).status == 204
    assert not session.alive() and not broker.can_log_in(name, password) and name not in broker.accounts()
    assert leased.put("sys/leases/revoke", lease).status == 204, "twice is fine"


def test_what_ends_while_the_broker_is_away_is_ended_when_it_is_back(leased, broker):
    leased.set_up(broker)
    assert leased.post("database/roles/brief", {"db_name": "broker", "grant_roles": ["app"], "default_ttl": "2s"}).status in (200, 204)
    name = leased.get("database/creds/brief").data["username"]
    assert name in broker.names()
    broker.stop()
    try:
        poll(lambda: "to=back-off" in leased.output() or '"to":"back-off"' in leased.output(), 20, what="the back-off")
    finally:
        broker.launch()
    poll(lambda: name not in broker.names(), 30, what="the end of the account")
    assert leased.get("database/creds/app").status == 200, "and minting goes on"


def test_a_missing_role_is_named(leased, broker):
    leased.set_up(broker)
    before = broker.names()
    answer = leased.post("database/roles/none", {"db_name": "broker", "grant_roles": ["nosuch"], "default_ttl": "1h"})
    assert answer.status == 400 and "nosuch" in answer.error and "createRole" in answer.error, answer
    assert broker.names() == before


def test_another_authority_than_the_configured_one_is_not_believed(tmp_path):
    other = Authority(tmp_path, "other")
    with Mosquitto(tls=True) as broker, Own() as leased:
        tls = {"host": "localhost", "tls": True}
        answer = leased.post("database/config/broker", {"plugin_name": "mqtt", **broker.config(**tls, ca_file=str(other.ca_file))})
        assert answer.status == 400 and "certificate verify failed" in answer.error, answer
        leased.set_up(broker, **tls, ca_file=str(broker.authority.ca_file))
        answer = leased.get("database/creds/app")
        assert answer.data["scheme"] == "mqtts" and broker.can_log_in(answer.data["username"], answer.data["password"])


def test_the_file_is_judged_before_a_start(broker):
    with Own(config=CONFIG + 'plugin "postgresql" {}\nplugin "mqtt" {}\nplugin "ghost" { program = "nosuch" }\n', start=False) as leased:
        leased.start(wait=False)
        assert leased.wait_exit() != 0
        assert '"postgresql" is a plugin of leased\'s own' in leased.output()
        done = leased.check()
        assert done.returncode == 1
        for says in ('leased.hcl:8:1: "postgresql" is a plugin of leased\'s own', 'leased.hcl:9:1: plugin "mqtt" stands in line 5 already',
                     "plugins/nosuch of plugin \"ghost\" cannot be started"):
            assert says in done.stderr, done.stderr


def test_a_plugin_that_is_added_while_it_serves_holds_from_the_next_start(leased):
    path = pathlib.Path(leased.dir) / "leased.hcl"
    assert leased.post("database/config/x", {"plugin_name": "late"}).status == 400
    path.write_text(path.read_text() + 'plugin "late" { program = "mosquitto" }\n')
    os.kill(leased.pid, signal.SIGHUP)
    line = poll(lambda: [line for line in leased.output().splitlines() if "next start" in line], what="a word about the reload")[0]
    assert json.loads(line)["changed"] == "plugin", line
    answer = leased.post("database/config/x", {"plugin_name": "late"})
    assert answer.status == 400 and "plugin not found in the catalog: late" in answer.error, answer
    leased.config = path.read_text()
    leased.restart()
    answer = leased.post("database/config/x", {"plugin_name": "late"})
    assert answer.status == 400 and "host must be a text" in answer.error, answer
