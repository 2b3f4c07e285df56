"""A leased that serves a leased.hcl over TLS, for tests of its doors and of reading the file again."""

import json
import os
import pathlib
import re
import signal
import ssl
import http.client

from certs import Authority
from daemon import BUILD, Leased, Response, poll
from pg import free_port

CONFIG = """data_dir  = "{dir}/data"
seal "file"      { path = "{dir}/root.key" }
listener "unix"  { path = "{dir}/leased.sock"  mode = "0666" }
listener "tcp"   { address = "127.0.0.1:%d"  tls_cert_file = "{dir}/tls/a.crt"  tls_key_file = "{dir}/tls/a.key" }
plugin_dir = "%s"
log { level = "info"  format = "json" }
auth "unix" {
  role "admin" { bound_uids = [0]  policies = ["admin"] }
  role "shop" { bound_uids = [4321]  policies = ["shop"] }
}
policy "admin" { path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] } }
policy "shop" { path "sys/mounts" { capabilities = ["read"] } }
"""


class Served(Leased):
    """Its listener shows the pair "a" of authority, in the directory tls."""

    def __init__(self, env=None, start=True, **kwargs):
        super().__init__(config="", env=env, start=False, **kwargs)
        try:
            self.port = free_port()
            self.address = f"127.0.0.1:{self.port}"
            self.config = CONFIG % (self.port, BUILD / "libexec" / "leased" / "plugins")
            self.tls = self.dir / "tls"
            self.tls.mkdir()
            self.authority = Authority(self.tls)
            self.authority.issue("a")
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def edit(self, old, new):
        """The file as it will be read next."""
        assert self.config.count(old) == 1, (old, self.config)
        self.config = self.config.replace(old, new)
        self.write()

    def write(self):
        (self.dir / "leased.hcl").write_text(self.config.replace("{dir}", str(self.dir)))

    def log_lines(self):
        """What it logged, as objects; what is no JSON is left out."""
        found = []
        for line in self.output().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def reload(self):
        """SIGHUP, until it says what came of it: True when the file holds now."""
        def verdicts():
            return re.findall("the configuration file was read again(, and nothing of it holds)?", self.output())

        before = len(verdicts())
        os.kill(self.pid, signal.SIGHUP)
        poll(lambda: len(verdicts()) > before, what="a word about the reload")
        return verdicts()[-1] == ""

    def context(self, ca_file=None):
        return ssl.create_default_context(cafile=str(ca_file or self.authority.ca_file))

    def connect_tls(self, timeout=10):
        """An open connection that stays: http.client's."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context())
        connection.connect()
        return connection

    def shown_serial(self):
        """The serial number of the certificate that a new client is shown."""
        connection = self.connect_tls()
        try:
            return connection.sock.getpeercert()["serialNumber"]
        finally:
            connection.close()

    def tls_request(self, method, path, body=None, token=None):
        return self._exchange(self.connect_tls(), method, path, body, token, None, None)

    def root_like_token(self):
        """A token that may do everything, made over the Unix socket."""
        return self.post("auth/token/create", {"policies": ["admin"], "ttl": "1h"}).auth["client_token"]


def ask(connection, path="/v1/sys/health"):
    connection.request("GET", path)
    answer = connection.getresponse()
    return Response(answer.status, answer.getheaders(), answer.read())


def write_pair(leased, name, **kwargs):
    """Issues name, and puts it where the file says that pair a lies; returns nothing."""
    crt, key = leased.authority.issue(name, **kwargs)
    for source, suffix in ((crt, "crt"), (key, "key")):
        (pathlib.Path(leased.tls) / f"a.{suffix}").write_bytes(source.read_bytes())
