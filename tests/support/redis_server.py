"""A throw-away Redis server for tests, with an ACL file unless told otherwise.

    with Redis() as server:
        server.call("PING")                                  # as the admin `leased`, who may do all that accounts need
        server.call("GET", "x", user="l-..", password="..")  # as somebody else; RedisError: the server said no
"""

import contextlib
import secrets
import socket
import ssl

from pg import free_port
from server_process import ServerProcess

ADMIN_RULES = "+acl +client +info +ping +auth +hello"


class RedisError(Exception):
    """An error reply of the server; the text begins with its code (WRONGPASS, NOPERM, ..)."""


class Session:
    """One connection: RESP2, spoken here, so that nothing is made pretty."""

    def __init__(self, server, user=None, password=None):
        self.sock = socket.create_connection((server.host, server.port), timeout=10)
        if server.tls:
            context = ssl.create_default_context(cafile=server.ca_file)
            self.sock = context.wrap_socket(self.sock, server_hostname=server.host)
        self.stream = self.sock.makefile("rb")
        try:
            if user is not None:
                self.call("AUTH", user, password)
        except BaseException:
            self.close()
            raise

    def call(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.read()

    def read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server ended the connection")
        kind, text = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"+":
            return text
        if kind == b"-":
            raise RedisError(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == "-1" else self.stream.read(int(text) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if text == "-1" else [self.read() for _ in range(int(text))]
        raise ConnectionError(f"not RESP: {line!r}")

    def alive(self):
        try:
            self.call("PING")
            return True
        except RedisError:
            return True
        except OSError:
            return False

    def close(self):
        self.stream.close()
        self.sock.close()


class Redis(ServerProcess):
    """aclfile: accounts outlive a restart once ACL SAVE was asked for; without it they are gone with the process."""

    label = "redis"
    not_yet = (OSError, RedisError)

    def __init__(self, aclfile=True, tls=False, settings=None, admin_rules=ADMIN_RULES):
        super().__init__()
        self.port = free_port()
        self.aclfile = aclfile
        self.tls = tls
        self.settings = dict(settings or {})
        self.admin_rules = admin_rules
        self.admin_user, self.admin_password = "leased", secrets.token_urlsafe(18)
        self.super_password = secrets.token_urlsafe(18)
        self.server_pair = None

    @property
    def acl_path(self):
        return self.directory / "users.acl"

    def prepare(self):
        if self.tls:
            self.server_pair = self.make_certificates()
        users = [f"user default on >{self.super_password} ~* &* +@all",
                 f"user {self.admin_user} on >{self.admin_password} {self.admin_rules}"]
        settings = {"bind": self.host, "port": 0 if self.tls else self.port, "dir": self.directory, "save": '""',
                    "daemonize": "no", "protected-mode": "yes"}
        if self.tls:
            certificate, key = self.server_pair
            settings |= {"tls-port": self.port, "tls-cert-file": certificate, "tls-key-file": key,
                         "tls-ca-cert-file": self.ca_file, "tls-auth-clients": "no"}
        settings |= self.settings
        lines = [f"{name} {value}" for name, value in settings.items()]
        if self.aclfile:
            lines.append(f"aclfile {self.acl_path}")
            self.acl_path.write_text("\n".join(users) + "\n")
        else:
            lines += users
        (self.directory / "redis.conf").write_text("\n".join(lines) + "\n")

    def command(self):
        return ["redis-server", self.directory / "redis.conf"]

    def answers(self):
        return self.call("PING", user="default") == "PONG"

    # ---- clients ----

    def session(self, user=None, password=None):
        """A connection that stays; the admin's unless told otherwise, `default` is who may do everything."""
        user = user or self.admin_user
        known = {self.admin_user: self.admin_password, "default": self.super_password}
        return Session(self, user, known.get(user) if password is None else password)

    def call(self, *words, user=None, password=None):
        with contextlib.closing(self.session(user, password)) as session:
            return session.call(*words)

    def role_names(self, prefix="l-"):
        return sorted(name for name in self.call("ACL", "USERS", user="default") if name.startswith(prefix))

    def can_login(self, name, password):
        try:
            self.session(name, password).close()
            return True
        except RedisError:
            return False
