"""A throw-away Mosquitto with its dynamic security plugin, for tests: own directory, own port, loopback, ended by its pid.

    with Mosquitto() as broker:
        broker.config()         # a connection config for the plugin in examples/mosquitto
        broker.can_log_in("l-..", password)
"""

import contextlib
import glob
import json
import os
import pathlib
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

import paho.mqtt.client

from certs import Authority
from pg import free_port

START_TIMEOUT_S = 20


class Session:
    """A client that stays, as paho keeps it."""

    def __init__(self, server, name, password):
        self.rc = None
        self.client = paho.mqtt.client.Client(client_id="", clean_session=True)
        if server.tls:
            self.client.tls_set(ca_certs=str(server.authority.ca_file))
        self.client.username_pw_set(name, password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.connect("localhost" if server.tls else "127.0.0.1", server.port)
        end = time.monotonic() + 10
        while self.rc is None and time.monotonic() < end:
            self.client.loop(0.05)

    def _on_connect(self, client, userdata, flags, rc):
        self.rc = rc

    def _on_disconnect(self, client, userdata, rc):
        self.rc = -1

    def alive(self):
        """Asks the broker: what it ended shows at the next packet."""
        if self.rc == 0:
            self.client.publish("x", "y")
            for _ in range(3):
                self.client.loop(0.02)
        return self.rc == 0

    def close(self):
        with contextlib.suppress(OSError):
            self.client.disconnect()


class Mosquitto:
    """tls: its certificate is for localhost, and authority vouches for it."""

    def __init__(self, tls=False):
        self.port, self.tls = free_port(), tls
        self.admin, self.admin_password = "leased", secrets.token_urlsafe(18)
        self.process = None

    # ---- life ----

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.destroy()

    def start(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="leased-mqtt-", dir="/tmp"))
        self.dir.chmod(0o755)
        self.accounts_path = self.dir / "accounts.json"
        subprocess.run(["mosquitto_ctrl", "dynsec", "init", str(self.accounts_path), self.admin, self.admin_password], check=True,
                       capture_output=True, timeout=20)
        (plugin,) = glob.glob("/usr/lib/*/mosquitto_dynamic_security.so")
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"plugin {plugin}",
                 f"plugin_opt_config_file {self.accounts_path}"]
        pair = ()
        if self.tls:
            self.authority = Authority(self.dir)
            pair = self.authority.issue("broker")
            lines += [f"certfile {pair[0]}", f"keyfile {pair[1]}"]
        (self.dir / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:  # it refuses root, and becomes the user that Debian's package made for it
            user = pwd.getpwnam("mosquitto")
            for path in (self.dir, self.accounts_path, *pair):
                os.chown(path, user.pw_uid, user.pw_gid)
        self.launch()
        self.ctrl("createRole", "app")
        self.ctrl("addRoleACL", "app", "publishClientSend", "app/#", "allow")
        return self

    def launch(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(self.dir / "mosquitto.conf")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert self.process.poll() is None and time.monotonic() < end, (self.dir / "log").read_text()
            time.sleep(0.02)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def destroy(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- what is in it ----

    def ctrl(self, *words):
        where = ["-h", "localhost", "--cafile", str(self.authority.ca_file)] if self.tls else ["-h", "127.0.0.1"]
        done = subprocess.run(["mosquitto_ctrl", *where, "-p", str(self.port), "-u", self.admin, "-P", self.admin_password, "dynsec", *words],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done

    def accounts(self):
        """Every client, as the broker keeps them on its disk."""
        return {one["username"]: one for one in json.loads(self.accounts_path.read_text())["clients"]}

    def names(self, prefix="l-"):
        return sorted(name for name in self.accounts() if name.startswith(prefix))

    def config(self, **more):
        return {"host": "127.0.0.1", "port": self.port, "username": self.admin, "password": self.admin_password, **more}

    def open_session(self, name, password):
        return Session(self, name, password)

    def can_log_in(self, name, password):
        session = self.open_session(name, password)
        logged_in = session.rc == 0
        session.close()
        return logged_in
