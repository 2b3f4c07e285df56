"""OpenSSH in a directory of its own: a host that logs in by certificate, an agent, and keys. Loopback, free ports, ended by pid."""

import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

SSHD = "/usr/sbin/sshd"


def keygen(*arguments, **more):
    return subprocess.run(["ssh-keygen", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, **more).stdout


def make_key(path, kind="ed25519", *more):
    """The private key's path; the public one lies beside it as .pub."""
    keygen("-q", "-t", kind, "-N", "", "-C", "", "-f", path, *more)
    return pathlib.Path(path)


class SshHost:
    """An sshd. ca: lines of TrustedUserCAKeys; its RevokedKeys is an empty list until somebody writes another."""

    def __init__(self, ca, *settings):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ssh-host-", dir="/tmp"))
        self.user = getpass.getuser()
        self.key = make_key(self.dir / "ssh_host_ed25519_key")
        self.ca, self.krl = self.dir / "ca.pub", self.dir / "revoked.krl"
        self.ca.write_text(ca)
        keygen("-k", "-f", self.krl)
        self.config = self.dir / "sshd_config"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (self.dir / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {self.key.with_suffix('.pub').read_text()}")
        self.config.write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.key}", "PidFile none", f"TrustedUserCAKeys {self.ca}",
            f"RevokedKeys {self.krl}", "AuthorizedKeysFile none", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
            "UsePAM no", "StrictModes no", "PermitRootLogin prohibit-password", "LogLevel VERBOSE", "MaxStartups 100", "KexAlgorithms curve25519-sha256", *settings, ""]))
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.process = None
        self.start()

    def start(self):
        self.log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(self.config)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, (self.dir / "log").read_text()
                time.sleep(0.02)

    def options(self):
        """Of ssh, so that it reads and writes nothing of the user's."""
        return ["-F", "none", "-p", str(self.port), "-o", f"UserKnownHostsFile={self.dir / 'known_hosts'}", "-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes",
                "-o", "ConnectTimeout=10"]

    def login(self, *arguments, command="echo in", **more):
        return subprocess.run(["ssh", *self.options(), *arguments, f"{self.user}@127.0.0.1", command], capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=30, **more)

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SshAgent:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="ssh-agent-", dir="/tmp")
        self.path = os.path.join(self.dir, "s")
        self.process = subprocess.Popen(["ssh-agent", "-D", "-a", self.path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not os.path.exists(self.path):
            assert time.monotonic() < end, "no ssh-agent"
            time.sleep(0.02)

    def listed(self):
        done = subprocess.run(["ssh-add", "-l"], env=dict(os.environ, SSH_AUTH_SOCK=self.path), capture_output=True, text=True, timeout=10)
        return done.stdout.splitlines() if done.returncode == 0 else []

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
