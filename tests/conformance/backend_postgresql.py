"""The PostgreSQL plugin's backend: a throw-away server."""

import psycopg2

from backend import BackendBase
from pg import Postgres, free_port, quote_ident


class Session:
    def __init__(self, connection):
        self.connection = connection

    def alive(self):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return True
        except psycopg2.Error:
            return False

    def close(self):
        self.connection.close()


class Backend(BackendBase):
    name = "postgresql"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "set_password", "inventory", "ping", "reap"}
    registers_sessions = True
    repeats_handles = True

    def start(self):
        self.server = Postgres().start()

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
            ("a database that is not there", good | {"dbname": "nowhere"}, {"denied"}),
            ("a port where nobody listens", good | {"port": str(free_port())}, {"unavailable"}),
            ("an unknown sslmode", good | {"sslmode": "sometimes"}, {"invalid"}),
            ("a server without TLS, asked for", good | {"sslmode": "require"}, {"unavailable"}),
            ("no iterations", good | {"scram_iterations": 0}, {"invalid"}),
            ("an unknown authentication", good | {"password_authentication": "md5"}, {"invalid"}),
            ("a password that is no text", good | {"password": {"a": 1}}, {"invalid"}),
            ("host and URL", good | {"connection_url": self.server.connection_url()}, {"invalid"}),
            ("a URL that is none", {"connection_url": "postgres:/x?y", "username": "x", "password": "y"}, {"invalid"}),
        ]

    def role(self):
        return {"grant_roles": [self.server.group_role]}

    def exists(self, name):
        return self.server.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", name) == 1

    def can_log_in(self, name, password):
        return self.server.can_login(name, password)

    def open_session(self, name, password):
        return Session(self.server.connect(name, password))

    def make_foreign(self, name):
        self.server.sql(f"CREATE ROLE {quote_ident(name)} LOGIN")

    def remove_foreign(self, name):
        self.server.sql(f"DROP ROLE {quote_ident(name)}")
