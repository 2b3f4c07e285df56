"""The MySQL plugin's backend: a throw-away MariaDB server."""

import contextlib

import pymysql.err

from backend import BackendBase
from mariadb_server import MariaDB, is_cut, quote_literal, quote_name
from pg import free_port


class Session:
    def __init__(self, connection):
        self.connection = connection

    def alive(self):
        return not is_cut(self.connection)

    def close(self):
        with contextlib.suppress(pymysql.err.Error):
            self.connection.close()


class Backend(BackendBase):
    name = "mysql"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "set_password", "inventory", "ping", "reap"}
    registers_sessions = True
    repeats_handles = True
    unknown_session = "1:1000000000"

    def start(self):
        self.server = MariaDB().start()

    def stop(self):
        self.server.destroy()

    def config(self):
        return self.server.config()

    def secrets(self):
        return [self.server.admin_password]

    def bad_configs(self):
        good = self.config()
        return [
            ("no host", {name: value for name, value in good.items() if name != "host"}, {"invalid"}),
            ("no username", {name: value for name, value in good.items() if name != "username"}, {"invalid"}),
            ("a wrong password", good | {"password": "wrong-Password-1"}, {"denied"}),
            ("a user that is not there", good | {"username": "nobody"}, {"denied"}),
            ("a database that is not there", good | {"database": "nowhere"}, {"denied", "unavailable"}),
            ("a port where nobody listens", good | {"port": str(free_port())}, {"unavailable"}),
            ("an unknown tls_mode", good | {"tls_mode": "sometimes"}, {"invalid"}),
            ("a server without TLS, asked for", good | {"tls_mode": "verify"}, {"unavailable"}),
            ("no TLS to another machine", good | {"host": "db.invalid"}, {"invalid"}),
            ("an unknown authentication", good | {"password_authentication": "md5"}, {"invalid"}),
            ("a password that is no text", good | {"password": {"a": 1}}, {"invalid"}),
            ("a host that is a list", good | {"host": "127.0.0.1,127.0.0.2"}, {"invalid"}),
            ("host and URL", good | {"connection_url": "{{username}}:{{password}}@tcp(127.0.0.1:3306)/"}, {"invalid"}),
            ("a password in the URL", {"connection_url": "u:p@tcp(127.0.0.1:3306)/", "password": "x"}, {"invalid"}),
            ("a URL that is none", {"connection_url": "mysql:3306", "username": "x", "password": "y"}, {"invalid"}),
        ]

    def role(self):
        return {"grant_roles": [self.server.group_role]}

    def exists(self, name):
        return self.server.value("SELECT count(*) FROM mysql.global_priv WHERE CAST(User AS BINARY) = %s", name.encode()) > 0

    def can_log_in(self, name, password):
        return self.server.can_login(name, password.encode())  # the client would take Latin 1

    def open_session(self, name, password):
        return Session(self.server.connect(name, password.encode()))

    def make_foreign(self, name):
        self.server.sql(f"CREATE USER {quote_name(name)}@'%%' IDENTIFIED BY {quote_literal('x' * 20)}".replace("%%", "%"))

    def remove_foreign(self, name):
        self.server.sql(f"DROP USER {quote_name(name)}@'%'")
