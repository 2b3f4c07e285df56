"""Users of etcd and InfluxDB 1.x, made and ended by leased with the configurations that docs/how-to/http.md shows; used by the servers' own clients."""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from daemon import REPO, Leased, poll
from etcd_server import Etcd, EtcdError, b64
from influxdb_server import InfluxDB, InfluxError


class Case:
    """One leased and one server."""

    example = None
    settings = {}

    def __init__(self):
        self.server = self.make_server()
        self.leased = None

    def __enter__(self):
        self.server.start()
        self.leased = Leased()
        document = json.loads((REPO / "examples/http" / self.example).read_text())
        document |= {"base_url": self.server.url, "username": self.server.admin_user, "password": self.server.admin_password} | self.address()
        response = self.leased.post("database/config/main", document)
        assert response.status in (200, 204), response
        response = self.leased.post("database/roles/app", {"db_name": "main", "default_ttl": "1h", "settings": self.settings})
        assert response.status in (200, 204), response
        return self

    def __exit__(self, *_):
        if self.leased is not None:
            self.leased.close()
        self.server.destroy()

    def mint(self, **kwargs):
        response = self.leased.get("database/creds/app", **kwargs)
        assert response.status == 200, response
        return response.json["lease_id"], response.data["username"], response.data["password"]

    def revoke(self, lease_id):
        return self.leased.put("sys/leases/revoke", {"lease_id": lease_id})

    def gone(self, lease_id):
        response = self.leased.put("sys/leases/lookup", {"lease_id": lease_id})
        return response.status != 200 or response.data["state"] == "gone"


class OnEtcd(Case):
    example = "etcd.json"
    settings = {"roles": ["reader"]}

    def make_server(self):
        return Etcd(tls=True, options=["--bcrypt-cost", "4"])

    def address(self):
        return {"ca_cert": pathlib.Path(self.server.ca_file).read_text()}

    def client(self, user, password, *words):
        """etcdctl as its documentation has it."""
        return subprocess.run(["etcdctl", "--endpoints", self.server.url, "--cacert", self.server.ca_file, "--user", f"{user}:{password}", *words],
                              env={"PATH": os.environ["PATH"], "ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=30)

    def read(self, user, password):
        return self.client(user, password, "get", "/app/one")

    def works(self, user, password):
        """Reads what the role allows, and nothing else."""
        assert self.client(user, password, "put", "/app/one", "2").returncode != 0
        done = self.read(user, password)
        return done.returncode == 0 and done.stdout == "/app/one\n1\n"

    def session(self, user, password):
        token = self.server.token(user, password)
        self.server.call("kv/range", {"key": b64("/app/one")}, token)

        def alive():
            try:
                self.server.call("kv/range", {"key": b64("/app/one")}, token)
                return True
            except EtcdError as error:
                assert "invalid auth token" in str(error) or "user name not found" in str(error), error
                return False
        return alive

    def drop_by_hand(self, user):
        self.server.call("auth/user/delete", {"name": user})


class OnInfluxDB(Case):
    example = "influxdb.json"
    settings = {"grants": [{"database": "app", "privilege": "READ"}]}

    def make_server(self):
        return InfluxDB()

    def address(self):
        return {"allow_plain_http": True}

    def client(self, user, password, *words):
        return subprocess.run(["influx", "-host", self.server.host, "-port", str(self.server.port), "-username", user, "-password", password,
                               "-database", "app", "-format", "csv", *words], capture_output=True, text=True, timeout=30)

    def read(self, user, password):
        return self.client(user, password, "-execute", "SELECT value FROM items")

    def works(self, user, password):
        done = self.read(user, password)
        status, _ = self.server.request("POST", "/write?db=app", "items value=2", user, password)
        assert status in (401, 403), status
        return done.returncode == 0 and done.stdout.strip().endswith(",1")

    def session(self, user, password):
        def alive():
            try:
                self.server.query("SELECT value FROM items", user=user, password=password, database="app")
                return True
            except InfluxError:
                return False
        assert alive()
        return alive

    def drop_by_hand(self, user):
        self.server.query(f'DROP USER "{user}"')


@pytest.fixture(scope="module", params=[OnEtcd, OnInfluxDB], ids=["etcd", "influxdb"])
def case(request):
    with request.param() as one:
        yield one


def test_a_user_lives_from_mint_to_revocation(case):
    lease_id, user, password = case.mint()
    assert case.works(user, password)
    alive = case.session(user, password)
    renewed = case.leased.put("sys/leases/renew", {"lease_id": lease_id, "increment": 1800})
    assert renewed.status == 200, renewed
    assert case.works(user, password)
    assert case.revoke(lease_id).status == 204
    assert not alive() and not case.server.can_login(user, password)
    done = case.read(user, password)
    assert re.search("authentication failed|authorization failed", done.stdout + done.stderr), done
    assert case.server.role_names() == []
    assert case.revoke(lease_id).status == 204, "a second time is no error"


def test_a_user_that_was_dropped_by_hand_ends_well(case):
    lease_id, user, _ = case.mint()
    case.drop_by_hand(user)
    renewed = case.leased.put("sys/leases/renew", {"lease_id": lease_id})
    assert renewed.status >= 400, renewed
    assert case.revoke(lease_id).status == 204
    poll(lambda: case.gone(lease_id), 10, what="the lease's end")


def test_a_server_that_was_restarted_is_used_again(case):
    lease_id, user, password = case.mint()
    case.server.restart()
    poll(lambda: case.works(user, password), 10, what="the server")
    poll(lambda: case.leased.get("database/creds/app").status == 200, 30, what="a mint after the restart")
    assert case.revoke(lease_id).status == 204
    assert not case.server.can_login(user, password)
    assert case.leased.put("sys/leases/revoke-prefix/database/creds/app", {}).status in (200, 202, 204)
    poll(lambda: case.server.role_names() == [], 20, what="the end of all users")


def test_a_lease_that_ends_while_the_server_is_down_is_ended_when_it_is_back(case):
    response = case.leased.post("database/roles/short", {"db_name": "main", "default_ttl": "3s", "settings": case.settings})
    assert response.status in (200, 204), response
    response = case.leased.get("database/creds/short")
    assert response.status == 200, response
    user = response.data["username"]
    case.server.stop()
    time.sleep(4)
    assert case.leased.get("database/creds/app").status == 503
    assert not case.gone(response.json["lease_id"]), "nobody can know that it has ended"
    case.server.start()
    poll(lambda: user not in case.server.role_names(), 70, what="the end of the user")


def test_a_role_is_tried_before_it_holds(case):
    wrong = {"roles": ["nowhere"]} if isinstance(case, OnEtcd) else {"grants": [{"database": "app", "privilege": "ADMIN"}]}
    response = case.leased.post("database/roles/wrong", {"db_name": "main", "settings": wrong})
    assert response.status == 400 and "create[" in response.error, response
    response = case.leased.post("database/roles/wrong", {"db_name": "main", "settings": {"rolse": []}})
    assert response.status == 400 and "settings.rolse" in response.error, response
    assert case.server.role_names() == []


def test_a_configuration_that_is_wrong_names_the_place(case):
    document = json.loads((REPO / "examples/http" / case.example).read_text()) | {"base_url": case.server.url} | case.address()
    response = case.leased.post("database/config/other", document | {"lookup": {"path": "/x/{{nmae}}"}})
    assert response.status == 400 and "lookup[0].path: there is no slot {{nmae}}" in response.error, response
    response = case.leased.post("database/config/other", document | {"password": "wrong-Password-1"})
    assert response.status == 400 and "wrong-Password-1" not in response.error, response
    shown = case.leased.get("database/config/main")
    assert case.server.admin_password not in json.dumps(shown.json) and "revoke" in shown.data["connection_details"]
