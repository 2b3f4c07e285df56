"""A throw-away etcd with authentication, spoken to over its v3 gateway (JSON over HTTP).

    with Etcd() as server:
        server.call("kv/put", {"key": b64("a"), "value": b64("1")})     # as root; EtcdError: the server said no
        server.token("l-..", "..")                                       # what an account logs in with
"""

import base64
import http.client
import json
import secrets
import ssl

from pg import free_port
from server_process import ServerProcess


class EtcdError(Exception):
    """An answer other than 200: status, and the error of the gateway."""

    def __init__(self, status, body):
        self.status, self.body = status, body
        super().__init__(f"{status}: {body}")


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Etcd(ServerProcess):
    """The role `reader` may read the keys below /app/; root's password is admin_password."""

    label = "etcd"
    not_yet = (OSError, http.client.HTTPException, ValueError, EtcdError)

    def __init__(self, tls=False, options=()):
        super().__init__()
        self.tls = tls
        self.options = list(options)
        self.port, self.peer_port = free_port(), free_port()
        self.admin_user, self.admin_password = "root", secrets.token_urlsafe(18)
        self.group_role = "reader"
        self.server_pair = None

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def prepare(self):
        if self.tls:
            self.server_pair = self.make_certificates()

    def command(self):
        peers = f"http://{self.host}:{self.peer_port}"
        command = ["etcd", "--name", "test", "--data-dir", self.directory / "data", "--listen-client-urls", self.url,
                   "--advertise-client-urls", self.url, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                   "--initial-cluster", f"test={peers}", "--logger", "zap", *self.options]
        if self.tls:
            certificate, key = self.server_pair
            command += ["--cert-file", certificate, "--key-file", key]
        return command

    def environment(self):
        return {"GOMAXPROCS": 2}

    def answers(self):
        return self.request("GET", "/health") == (200, {"health": "true"})

    def first(self):
        self.call("kv/put", {"key": b64("/app/one"), "value": b64("1")}, token=None)
        for path, body in (
                ("auth/user/add", {"name": self.admin_user, "password": self.admin_password}),
                ("auth/role/add", {"name": "root"}),
                ("auth/user/grant", {"user": self.admin_user, "role": "root"}),
                ("auth/role/add", {"name": self.group_role}),
                ("auth/role/grant", {"name": self.group_role, "perm": {
                    "permType": "READ", "key": b64("/app/"), "range_end": b64("/app0")}}),
                ("auth/enable", {})):
            self.call(path, body, token=None)

    # ---- clients ----

    def request(self, method, path, body=None, token=None):
        if self.tls:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=10,
                                                     context=ssl.create_default_context(cafile=self.ca_file))
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        headers = {"Content-Type": "application/json"} | ({"Authorization": token} if token else {})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def call(self, path, body=None, token="root's"):
        """A request of the gateway; as root unless a token is given, None for nobody."""
        if token == "root's":
            token = self.token(self.admin_user, self.admin_password)
        status, answer = self.request("POST", f"/v3/{path}", body or {}, token)
        if status != 200:
            raise EtcdError(status, answer)
        return answer

    def token(self, user, password):
        return self.call("auth/authenticate", {"name": user, "password": password}, token=None)["token"]

    def role_names(self, prefix="l-"):
        return sorted(name for name in self.call("auth/user/list").get("users", []) if name.startswith(prefix))

    def can_login(self, name, password):
        try:
            self.token(name, password)
            return True
        except EtcdError:
            return False
