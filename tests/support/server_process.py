"""
What all throw-away servers of tests have in common: an own directory, own ports, loopback only, an unprivileged user, ended by
their pids. mariadb_server.py, redis_server.py, rabbitmq_server.py, etcd_server.py and influxdb_server.py are the servers;
PostgreSQL's is pg.py, which was there before.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from certs import Authority

START_TIMEOUT_S = 60
POLL_S = 0.05


class ServerProcess:
    """
    One server. start() prepares it the first time; stop(), kill(), pause(), resume() and restart() may follow in any order.

    A class of its own says: label, log_names; prepare(), command(), answers(), and where they are needed environment(), first(),
    begin() and finish().
    """

    label = "server"
    log_names = ("log",)  # the first takes stdout and stderr
    user_names = ("nobody",)  # the first that there is, when the tests are run by root
    stop_signal = signal.SIGTERM
    stop_timeout_s = START_TIMEOUT_S
    # Of a path of a socket only 107 bytes count: near the root, whatever TMPDIR says.
    parent = "/tmp"

    def __init__(self):
        self.host = "127.0.0.1"
        self.process = None
        self.directory = None
        self.authority = None

    # ---- what a server says of itself ----

    def prepare(self):
        """Once, before the first start: files in self.directory."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        """What its process finds beside LANG, PATH and HOME."""
        return {}

    def answers(self):
        """Does it serve? False, or any OSError or exception of self.not_yet: not yet."""
        raise NotImplementedError

    not_yet = (OSError,)

    def first(self):
        """Once, after the first start: accounts."""

    def begin(self):
        """Before each start: helpers of its own."""

    def finish(self):
        """After each end: the same helpers."""

    # ---- life ----

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.destroy()
            raise

    def __exit__(self, *_):
        self.destroy()

    @property
    def log_path(self):
        return self.directory / self.log_names[0]

    def log(self):
        """All that it wrote for people."""
        paths = [self.directory / name for name in self.log_names]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def start(self):
        first = self.directory is None
        if first:
            self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"leased-{self.label}-", dir=self.parent))
            self.directory.chmod(0o755)
            self.log_path.touch()
            self.prepare()
            self.own_all()
        self.launch()
        if first:
            self.first()
        return self

    @classmethod
    def user(cls):
        """Who runs it: None for whoever runs the tests."""
        if os.getuid() != 0:
            return None
        for name in cls.user_names:
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        raise RuntimeError(f"none of the users {', '.join(cls.user_names)} is there")

    def as_user(self):
        """Arguments for subprocess."""
        user = self.user()
        if user is None:
            return {}
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def own_all(self):
        """Everything in the directory belongs to the server; a CA's key is read by nobody else anyway."""
        user = self.user()
        if user is None:
            return
        os.chown(self.directory, user.pw_uid, user.pw_gid)
        for root, folders, files in os.walk(self.directory):
            for name in folders + files:
                os.chown(os.path.join(root, name), user.pw_uid, user.pw_gid, follow_symlinks=False)

    def variables(self):
        return {"LANG": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.directory)} | {
            name: str(value) for name, value in self.environment().items()}

    def run_tool(self, *words, **kwargs):
        """A program of the server's, as its user."""
        done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd=self.directory, env=self.variables(), text=True,
                              timeout=START_TIMEOUT_S, **self.as_user(), **kwargs)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]} ended with status {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def spawn(self, command):
        with open(self.log_path, "ab") as log:
            return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd=self.directory, env=self.variables(), start_new_session=True, **self.as_user())

    def launch(self):
        self.begin()
        self.process = self.spawn(self.command())
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(*self.not_yet):
                if self.answers():
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.label} did not start:\n{self.log()[-4000:]}")
            time.sleep(POLL_S)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=None):
        """An orderly end."""
        if self.running():
            os.kill(self.pid, how or self.stop_signal)
            self.process.wait(self.stop_timeout_s)
            self.finish()

    def kill(self):
        """kill -9 of the whole server, as a power cut would have it."""
        if self.running():
            self.signal_all(signal.SIGKILL)
            self.process.wait(START_TIMEOUT_S)
            self.finish()

    def descendants(self, pid=None):
        pid = self.pid if pid is None else pid
        found = []
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for word in task.read_text().split():
                    found += [int(word), *self.descendants(int(word))]
        return found

    def signal_all(self, number):
        for pid in [self.pid, *self.descendants()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def pause(self):
        """SIGSTOP for everybody: the server takes connections (the kernel does) and answers nothing."""
        self.signal_all(signal.SIGSTOP)

    def resume(self):
        self.signal_all(signal.SIGCONT)

    def restart(self):
        self.stop()
        return self.start()

    def destroy(self):
        """Nothing in it is wanted any more: no time is lost on an orderly end."""
        self.kill()
        self.finish()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    # ---- TLS ----

    def make_certificates(self):
        """A throw-away CA and a pair "server" for localhost and 127.0.0.1, in the directory tls; in prepare()."""
        folder = self.directory / "tls"
        folder.mkdir()
        self.authority = Authority(folder)
        return self.authority.issue("server")

    @property
    def ca_file(self):
        return str(self.authority.ca_file)
