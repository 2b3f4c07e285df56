"""The backend of the example in Python: a throw-away Mosquitto."""

import pathlib

from backend import BackendBase
from mqtt import Mosquitto
from pg import free_port


class Backend(BackendBase):
    name = "mosquitto"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "inventory", "ping", "reap"}
    registers_sessions = True
    unknown_session = "leased-k3x9ab-" + "0" * 32
    program = str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "mosquitto" / "mosquitto")

    def start(self):
        self.server = Mosquitto().start()

    def stop(self):
        self.server.destroy()

    def config(self):
        return self.server.config()

    def secrets(self):
        return [self.server.admin_password]

    def role(self):
        return {"grant_roles": ["app"]}

    def bad_configs(self):
        good = self.config()
        self.server.can_log_in("nobody", "x")
        return [
            ("no host", {name: value for name, value in good.items() if name != "host"}, {"invalid"}),
            ("no password", {name: value for name, value in good.items() if name != "password"}, {"invalid"}),
            ("a password that is no text", good | {"password": {"a": 1}}, {"invalid"}),
            ("a port that is none", good | {"port": "1883 "}, {"invalid"}),
            ("a wrong password", good | {"password": "wrong-Password-1"}, {"denied"}),
            ("a port where nobody listens", good | {"port": free_port()}, {"unavailable"}),
            ("a broker without TLS, asked for", good | {"tls": True}, {"unavailable"}),
            ("another machine without TLS", good | {"host": "192.0.2.1", "tls": False}, {"invalid"}),
            ("an authority that is not there", good | {"tls": True, "ca_file": "/nonexistent/ca"}, {"invalid"}),
        ]

    def exists(self, name):
        return name in self.server.accounts()

    def can_log_in(self, name, password):
        return self.server.can_log_in(name, password)

    def open_session(self, name, password):
        return self.server.open_session(name, password)

    def make_foreign(self, name):
        self.server.ctrl("createClient", name, "-p", "foreign-Password-1")

    def remove_foreign(self, name):
        self.server.ctrl("deleteClient", name)
