"""A throw-away RabbitMQ node with its management API. It takes seconds to start: one for a whole test session.

    with RabbitMQ() as server:
        server.api("GET", "/api/overview")           # (status, what the JSON says), as the administrator `leased`
        server.session("l-..", "..")                 # an AMQP connection: alive(), close(); PermissionError: refused
"""

import base64
import http.client
import json
import secrets
import signal
import socket
import ssl
import struct
import subprocess

from pg import free_port
from server_process import ServerProcess

PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # Debian's /usr/sbin/rabbitmq-server becomes the package's own user


def table(entries):
    return struct.pack(">I", len(entries)) + entries


# With this the server says that a login is refused, instead of only ending the connection.
REFUSALS = b"\x1cauthentication_failure_closet\x01"
PROPERTIES = table(b"\x0ccapabilitiesF" + table(REFUSALS))


class AmqpSession:
    """An AMQP 0-9-1 connection as far as a login goes: what is cut when its user is deleted."""

    def __init__(self, server, user, password, vhost="/"):
        self.sock = socket.create_connection((server.host, server.port), timeout=10)
        self.stream = self.sock.makefile("rb")
        try:
            self.log_in(user, password, vhost)
        except BaseException:
            self.close()
            raise

    def log_in(self, user, password, vhost):
        self.sock.sendall(b"AMQP\0\0\x09\x01")
        self.expect((10, 10))
        answer = f"\0{user}\0{password}".encode()
        self.send((10, 11), PROPERTIES + b"\x05PLAIN" + struct.pack(">I", len(answer)) + answer + b"\x05en_US")
        channels, frame_size, _ = struct.unpack(">HIH", self.expect((10, 30)))
        self.send((10, 31), struct.pack(">HIH", channels, frame_size, 0))
        name = vhost.encode()
        self.send((10, 40), bytes([len(name)]) + name + b"\0\0")
        self.expect((10, 41))

    def send(self, method, arguments):
        payload = struct.pack(">HH", *method) + arguments
        self.sock.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")

    def receive(self):
        """(method, arguments) of the next method frame."""
        while True:
            head = self.stream.read(7)
            if len(head) < 7:
                raise PermissionError("the server ended the connection")
            kind, _, length = struct.unpack(">BHI", head)
            payload = self.stream.read(length + 1)[:-1]
            if kind == 1:
                return struct.unpack(">HH", payload[:4]), payload[4:]

    def expect(self, method):
        found, arguments = self.receive()
        if found == (10, 50):
            raise PermissionError(arguments[3:3 + arguments[2]].decode(errors="replace"))
        if found != method:
            raise ConnectionError(f"method {found} instead of {method}")
        return arguments

    def alive(self):
        """Opens and closes a channel: a round trip."""
        try:
            self.send_on(1, (20, 10), b"\0")
            self.expect((20, 11))
            self.send_on(1, (20, 40), struct.pack(">HBHH", 200, 0, 0, 0))
            self.expect((20, 41))
            return True
        except (OSError, struct.error):
            return False

    def send_on(self, channel, method, arguments):
        payload = struct.pack(">HH", *method) + arguments
        self.sock.sendall(struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce")

    def close(self):
        self.stream.close()
        self.sock.close()


class RabbitMQ(ServerProcess):
    """A node of its own name, with an epmd of its own: neither is found by, or finds, another on the machine."""

    label = "rabbitmq"
    log_names = ("output", "log")
    user_names = ("rabbitmq", "nobody")
    not_yet = (OSError, http.client.HTTPException, ValueError)

    def __init__(self, tls=False):
        super().__init__()
        self.tls = tls
        self.port, self.api_port, self.distribution_port, self.epmd_port = (free_port() for _ in range(4))
        self.admin_user, self.admin_password = "leased", secrets.token_urlsafe(18)
        self.node = f"leased-{self.port}@localhost"
        self.epmd = None
        self.server_pair = None

    def prepare(self):
        if self.tls:
            self.server_pair = self.make_certificates()
        lines = [f"listeners.tcp.1 = {self.host}:{self.port}", "management.rates_mode = none", "log.file = log", "log.console = false",
                 f"default_user = {self.admin_user}", f"default_pass = {self.admin_password}",
                 "default_user_tags.administrator = true"]
        if self.tls:
            certificate, key = self.server_pair
            lines += [f"management.ssl.ip = {self.host}", f"management.ssl.port = {self.api_port}",
                      f"management.ssl.cacertfile = {self.ca_file}", f"management.ssl.certfile = {certificate}",
                      f"management.ssl.keyfile = {key}"]
        else:
            lines += [f"management.tcp.ip = {self.host}", f"management.tcp.port = {self.api_port}"]
        (self.directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.directory / "rabbitmq-env.conf").write_text("")
        (self.directory / "advanced.config").write_text("[].\n")
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)

    def environment(self):
        return {
            "RABBITMQ_CONF_ENV_FILE": self.directory / "rabbitmq-env.conf", "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": self.port, "RABBITMQ_NODE_IP_ADDRESS": self.host, "RABBITMQ_DIST_PORT": self.distribution_port,
            "RABBITMQ_CONFIG_FILE": self.directory / "rabbitmq.conf", "RABBITMQ_CONFIG_FILES": self.directory / "conf.d",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.directory / "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "enabled_plugins",
            "RABBITMQ_MNESIA_BASE": self.directory / "mnesia", "RABBITMQ_MNESIA_DIR": self.directory / "mnesia" / "node",
            "RABBITMQ_LOG_BASE": self.directory, "RABBITMQ_PID_FILE": self.directory / "pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": self.directory / "generated",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} "
                                                   "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_PORT": self.epmd_port, "ERL_EPMD_ADDRESS": self.host, "ERL_EPMD_RELAXED_COMMAND_CHECK": "",
        }

    def begin(self):
        """epmd as a child of ours, or Erlang would start one that stays."""
        if self.epmd is None or self.epmd.poll() is not None:
            self.epmd = self.spawn(["epmd", "-address", self.host, "-port", self.epmd_port])

    def finish(self):
        if self.epmd is not None and self.epmd.poll() is None:
            self.epmd.send_signal(signal.SIGTERM)
            try:
                self.epmd.wait(5)
            except subprocess.TimeoutExpired:
                self.epmd.kill()
                self.epmd.wait(5)

    def command(self):
        return [PROGRAM]

    def answers(self):
        status, found = self.api("GET", "/api/health/checks/local-alarms")
        return status == 200 and found["status"] == "ok"

    # ---- clients ----

    def api(self, method, path, body=None, user=None, password=None):
        """(status, the JSON of the answer or None)."""
        if self.tls:
            connection = http.client.HTTPSConnection(self.host, self.api_port, timeout=10,
                                                     context=ssl.create_default_context(cafile=self.ca_file))
        else:
            connection = http.client.HTTPConnection(self.host, self.api_port, timeout=10)
        login = f"{user or self.admin_user}:{self.admin_password if password is None else password}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(login).decode(), "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def session(self, user, password, vhost="/"):
        return AmqpSession(self, user, password, vhost)

    def role_names(self, prefix="l-"):
        status, users = self.api("GET", "/api/users")
        assert status == 200, users
        return sorted(user["name"] for user in users if user["name"].startswith(prefix))

    def can_login(self, name, password, vhost="/"):
        try:
            self.session(name, password, vhost).close()
            return True
        except PermissionError:
            return False
