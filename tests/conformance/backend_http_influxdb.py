"""The http plugin on InfluxDB 1.x, by the configuration that the documentation shows: examples/http/influxdb.json."""

import json

from backend import BackendBase
from daemon import REPO
from influxdb_server import InfluxDB


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Backend(BackendBase):
    name = "http"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "inventory", "ping"}
    keeps_disarmed = False

    def start(self):
        self.server = InfluxDB().start()

    def stop(self):
        self.server.destroy()

    def config(self):
        document = json.loads((REPO / "examples/http/influxdb.json").read_text())
        del document["plugin_name"], document["allowed_roles"]
        return document | {"base_url": self.server.url, "allow_plain_http": True,
                           "username": self.server.admin_user, "password": self.server.admin_password}

    def secrets(self):
        return [self.server.admin_password]

    def bad_configs(self):
        good = self.config()
        statement = {"path": "/query", "form": {"q": {"influxql": "DROP USER {{name}}"}}}
        return [
            ("a wrong password", good | {"password": "wrong-Password-1"}, {"denied"}),
            ("a slot outside of quotes", good | {"revoke": statement}, {"invalid"}),
            ("a list that is none", good | {"inventory": good["inventory"] | {"items": "/results/7"}, "identity": None}, {"invalid", "refused"}),
        ]

    def role(self):
        return {"settings": {"grants": [{"database": self.server.database, "privilege": "READ"}]}}

    def exists(self, name):
        return name in self.server.role_names("")

    def can_log_in(self, name, password):
        return self.server.can_login(name, password)

    def make_foreign(self, name):
        self.server.query(f"CREATE USER {quoted(name)} WITH PASSWORD 'Foreign-1'")

    def remove_foreign(self, name):
        self.server.query(f"DROP USER {quoted(name)}")
