"""A leased of one's own for a test: started in a private directory, talked to over its Unix socket, stopped or killed.

Only the standard library. Nothing here listens outside the machine, and every process that is started is ended by its pid.

    with Leased() as leased:
        leased.get("sys/health").status == 200
        leased.post("auth/token/create", {"ttl": "1h"}, token=leased.root_token).json["auth"]
        leased.kill()           # as kill -9 does
        leased.start()          # the same directory: what was durable is there again
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

from privilege import connect_as

REPO = pathlib.Path(__file__).resolve().parents[2]
PRESET = os.environ.get("LEASED_TEST_PRESET", "dev")
BUILD = pathlib.Path(os.environ.get("LEASED_TEST_BUILD", REPO / "build" / PRESET))
START_TIMEOUT_S = 30


class LeasedError(Exception):
    """The daemon did not do what a test cannot go on without."""


class Response:
    """One answer: status, headers (lower-case names), the bytes, and the JSON in them (None when there is none)."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = None

    @property
    def data(self):
        return (self.json or {}).get("data")

    @property
    def auth(self):
        return (self.json or {}).get("auth")

    @property
    def warnings(self):
        return (self.json or {}).get("warnings") or []

    @property
    def errors(self):
        return (self.json or {}).get("errors")

    @property
    def error(self):
        return " / ".join(self.errors or [])

    def __repr__(self):
        return f"<Response {self.status} {self.body[:400]!r}>"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout, connected=None):
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._connected = connected

    def connect(self):
        if self._connected is not None:
            self.sock = self._connected
            self.sock.settimeout(self.timeout)
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Leased:
    """
    A leased in a directory of its own.

    args: more of its command line. config: text of a leased.hcl; then it runs with -config instead of --dev ({dir} in it is
    the directory). failpoint: LEASED_FAILPOINT of the next start only. env: more environment.
    """

    def __init__(self, args=(), config=None, failpoint=None, env=None, start=True, directory=None,
                 wrapper=()):
        self.binary = pathlib.Path(os.environ.get("LEASED_TEST_BIN", BUILD / "bin" / "leased"))
        self._own_dir = directory is None
        self.dir = pathlib.Path(directory or tempfile.mkdtemp(prefix="leased-", dir="/tmp"))
        self.args = list(args)
        self.wrapper = list(wrapper)  # a command that becomes the daemon, such as prlimit
        self.config = config
        self.env = dict(env or {})
        self.socket_path = self.dir / "leased.sock"
        self.output_path = self.dir / "output"
        self.process = None
        if start:
            try:
                self.start(failpoint=failpoint)
            except Exception:
                self.close()
                raise

    # ---- life ----

    def start(self, failpoint=None, wait=True):
        """Starts it, and waits until sys/health answers (wait=False: a start that is meant to fail or to be killed)."""
        if self.process is not None and self.process.poll() is None:
            raise LeasedError("it is running already")
        command = [str(self.binary)]
        if self.config is not None:
            path = self.dir / "leased.hcl"
            path.write_text(self.config.replace("{dir}", str(self.dir)))
            command += ["-config", str(path)]
        else:
            command += ["--dev", "--dev-dir", str(self.dir), "--dev-listen-address", "127.0.0.1:0"]
        env = dict(os.environ, **self.env)
        env.pop("LEASED_FAILPOINT", None)
        env.setdefault("LEASED_TEST_SANDBOX", "strict")  # a system call that no list has fails the test that met it
        if PRESET == "asan":
            env.setdefault("LEASED_TEST_DUMPABLE", "1")  # the search for leaks looks into its own process
        if failpoint:
            env["LEASED_FAILPOINT"] = failpoint
        with open(self.output_path, "ab") as output:
            self._output_from = output.tell()
            self.process = subprocess.Popen(
                self.wrapper + command + self.args, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env
            )
        if wait:
            self.wait_healthy()
        return self

    def wait_healthy(self, timeout=START_TIMEOUT_S):
        deadline = time.monotonic() + timeout
        while True:
            if self.process is not None and self.process.poll() is not None:
                raise LeasedError(f"leased ended with status {self.process.returncode}:\n{self.output()[-4000:]}")
            try:
                if self.get("sys/health", timeout=2).status == 200:
                    return self
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise LeasedError(f"leased is not healthy after {timeout} s:\n{self.output()[-4000:]}")
            time.sleep(0.02)

    def stop(self, timeout=20):
        """SIGTERM, and the exit status. Leases stay."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise LeasedError(f"leased did not end within {timeout} s of SIGTERM:\n{self.output()[-4000:]}")
        self._check_sanitizers()
        return self.process.returncode

    def _check_sanitizers(self):
        """A report of ASan, UBSan, TSan or LSan, of the daemon or a worker, fails the test that met it."""
        text = self.output()
        found = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|LeakSanitizer|: runtime error: )", text)
        if found:
            raise LeasedError(f"a sanitizer reports:\n{text[found.start():][:6000]}")

    def kill(self):
        """SIGKILL, and waits until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        return self.wait_exit()

    def descendants(self):
        """The pids of the spawner and of every worker, each of which leads a group of its own."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [self.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found[1:]

    def wait_exit(self, timeout=30):
        """Waits for an end that something else brings about (a failpoint). The status: -9 for SIGKILL."""
        return self.process.wait(timeout) if self.process is not None else None

    def restart(self, failpoint=None):
        self.stop()
        return self.start(failpoint=failpoint)

    def close(self):
        """Ends it whatever its state, and removes the directory if it is ours (kept with LEASED_TEST_KEEP=1)."""
        failure = None
        try:
            self.stop()
        except LeasedError as error:
            failure = error
        if self._own_dir and not os.environ.get("LEASED_TEST_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        if failure is not None and "sanitizer" in str(failure):
            raise failure

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # ---- what it says of itself ----

    @property
    def pid(self):
        return self.process.pid

    def output(self, this_start_only=False):
        """Its stdout and stderr so far, of all its starts or the last one."""
        data = self.output_path.read_bytes() if self.output_path.exists() else b""
        return data[self._output_from if this_start_only else 0 :].decode(errors="replace")

    @property
    def root_token(self):
        return (self.dir / "root-token").read_text().strip()

    @property
    def tcp_address(self):
        """(host, port) of the plain HTTP listener of --dev, as the daemon printed it."""
        found = re.findall(r"http://([0-9.]+):([0-9]+)", self.output(this_start_only=True))
        if not found:
            raise LeasedError("leased printed no http:// address")
        return found[-1][0], int(found[-1][1])

    # ---- requests ----

    def request(self, method, path, body=None, token=None, headers=None, timeout=70, sock=None, raw=None):
        """
        One request on a connection of its own, over the Unix socket: without a token the caller is this process as the
        kernel sees it (root in --dev when uids agree). path: below /v1/ unless it starts with '/'. body: an object.
        raw: bytes sent as they are. sock: an open connection (connect_as()).
        """
        connection = _UnixConnection(self.socket_path, timeout, connected=sock)
        return self._exchange(connection, method, path, body, token, headers, raw)

    def tcp_request(self, method, path, body=None, token=None, headers=None, timeout=70, raw=None):
        host, port = self.tcp_address
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        return self._exchange(connection, method, path, body, token, headers, raw)

    def request_as(self, uid, gid, method, path, body=None, groups=(), **kwargs):
        """The same by another user of this machine, as the kernel says it (tests run as root)."""
        sock = connect_as(self.socket_path, uid, gid, groups)
        return self.request(method, path, body, sock=sock, **kwargs)

    def _exchange(self, connection, method, path, body, token, headers, raw):
        fields = dict(headers or {})
        if token is not None:
            fields["X-Vault-Token"] = token
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        url = path if path.startswith("/") else "/v1/" + urllib.parse.quote(path, safe="/?=&+:@%")
        try:
            connection.request(method, url, body=data, headers=fields)
            answer = connection.getresponse()
            return Response(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def list(self, path, **kwargs):
        return self.request("LIST", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.request("POST", path, body, **kwargs)

    def put(self, path, body=None, **kwargs):
        return self.request("PUT", path, body, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)


def poll(check, timeout=10, every=0.05, what="the condition"):
    """Calls check until it gives something true, and returns that; an AssertionError names what never came."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {timeout} s")
        time.sleep(every)
