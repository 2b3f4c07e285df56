"""The Redis plugin's backend: a throw-away server with an aclfile."""

from backend import BackendBase
from pg import free_port
from redis_server import Redis

# What docs/how-to/redis.md tells people to grant, and nothing else.
ADMIN_RULES = ("+acl|setuser +acl|getuser +acl|deluser +acl|users +acl|list +acl|save "
               "+client|id +client|setname +client|kill +info +ping")


class Backend(BackendBase):
    name = "redis"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "set_password", "inventory", "ping", "reap"}
    registers_sessions = True
    unknown_session = "0" * 40 + ":1"

    def start(self):
        self.server = Redis(admin_rules=ADMIN_RULES)
        self.server.start()

    def stop(self):
        self.server.destroy()

    def config(self):
        return {"host": self.server.host, "port": self.server.port, "username": self.server.admin_user,
                "password": self.server.admin_password}

    def secrets(self):
        return [self.server.admin_password]

    def bad_configs(self):
        good = self.config()
        return [
            ("no host", {name: value for name, value in good.items() if name != "host"}, {"invalid"}),
            ("host and nodes", good | {"nodes": ["127.0.0.1:1"]}, {"invalid"}),
            ("a node twice", {"nodes": ["127.0.0.1:1", "127.0.0.1:1"]}, {"invalid"}),
            ("nodes that are none", {"nodes": [7]}, {"invalid"}),
            ("a wrong password", good | {"password": "wrong-Password-1"}, {"denied"}),
            ("a user that is not there", good | {"username": "nobody"}, {"denied"}),
            ("no password", {name: value for name, value in good.items() if name != "password"}, {"denied"}),
            ("a port where nobody listens", good | {"port": free_port()}, {"unavailable"}),
            ("a port that is none", good | {"port": "many"}, {"invalid"}),
            ("TLS where there is none", good | {"tls": True}, {"unavailable"}),
            ("TLS that nobody checks", good | {"tls": True, "insecure_tls": True}, {"invalid"}),
            ("an authority that is none", good | {"tls": True, "ca_cert": "hello"}, {"invalid"}),
            ("an authority without TLS", good | {"tls": False, "ca_cert": "hello"}, {"invalid"}),
            ("a password that is no text", good | {"password": {"a": 1}}, {"invalid"}),
        ]

    def role(self):
        return {"creation_statements": ['["~app:*", "+@read", "+ping"]']}

    def exists(self, name):
        return self.server.call("ACL", "GETUSER", name, user="default") is not None

    def can_log_in(self, name, password):
        return self.server.can_login(name, password)

    def open_session(self, name, password):
        return self.server.session(name, password)

    def make_foreign(self, name):
        self.server.call("ACL", "SETUSER", name, "on", "nopass", user="default")

    def remove_foreign(self, name):
        self.server.call("ACL", "DELUSER", name, user="default")
