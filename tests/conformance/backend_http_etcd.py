"""The http plugin on etcd, by the configuration that the documentation shows: examples/http/etcd.json."""

import json

from backend import BackendBase
from daemon import REPO
from etcd_server import Etcd, EtcdError, b64
from pg import free_port


class Session:
    """A token of an account, as a client holds one."""

    def __init__(self, server, token):
        self.server, self.token = server, token

    def alive(self):
        try:
            self.server.call("kv/range", {"key": b64("/app/one")}, self.token)
            return True
        except EtcdError:
            return False

    def close(self):
        """etcd forgets it by itself."""


class Backend(BackendBase):
    name = "http"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "inventory", "ping"}
    keeps_disarmed = False

    def start(self):
        self.server = Etcd(tls=True, options=["--bcrypt-cost", "4"]).start()  # its default makes each login 0.1 s of work

    def stop(self):
        self.server.destroy()

    def config(self):
        document = json.loads((REPO / "examples/http/etcd.json").read_text())
        del document["plugin_name"], document["allowed_roles"]
        return document | {"base_url": self.server.url, "ca_cert": self.server.ca_file,
                           "username": self.server.admin_user, "password": self.server.admin_password}

    def secrets(self):
        return [self.server.admin_password]

    def bad_configs(self):
        good = self.config()
        return [
            ("no base_url", {name: value for name, value in good.items() if name != "base_url"}, {"invalid"}),
            ("no create", {name: value for name, value in good.items() if name != "create"}, {"invalid"}),
            ("no revoke", {name: value for name, value in good.items() if name != "revoke"}, {"invalid"}),
            ("a wrong password", good | {"password": "wrong-Password-1"}, {"denied"}),
            ("a port where nobody listens", good | {"base_url": f"https://127.0.0.1:{free_port()}"}, {"unavailable"}),
            ("a server of another authority", good | {"ca_cert": "/etc/ssl/certs/ca-certificates.crt"}, {"unavailable"}),
            ("no TLS, not asked for", good | {"base_url": "http://127.0.0.1:1"}, {"invalid"}),
            ("no TLS, over the network", good | {"base_url": "http://192.0.2.1", "allow_plain_http": True}, {"invalid"}),
            ("an unknown slot", good | {"lookup": {"path": "/{{nmae}}"}}, {"invalid"}),
            ("a password in a URL", good | {"create": {"path": "/x", "query": {"p": "{{password}}"}}}, {"invalid"}),
            ("a number for a list", good | {"answers": 7}, {"invalid"}),
        ]

    def role(self):
        return {"settings": {"roles": [self.server.group_role]}}

    def exists(self, name):
        return name in self.server.role_names("")

    def can_log_in(self, name, password):
        return self.server.can_login(name, password)

    def open_session(self, name, password):
        return Session(self.server, self.server.token(name, password))

    def make_foreign(self, name):
        self.server.call("auth/user/add", {"name": name, "password": "Foreign-1"})

    def remove_foreign(self, name):
        self.server.call("auth/user/delete", {"name": name})
