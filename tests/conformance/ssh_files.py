"""Keys of users, made by ssh-keygen, and what ssh-keygen says of what the ssh plugin made."""

import base64
import functools
import os
import pathlib
import struct
import subprocess
import tempfile

# name: what ssh-keygen -t wants; the last two are kept by a security key, which no machine of CI has: their public parts are put together here.
USER_KEYS = {
    "ed25519": ["ed25519"],
    "ecdsa-256": ["ecdsa", "-b", "256"],
    "ecdsa-384": ["ecdsa", "-b", "384"],
    "ecdsa-521": ["ecdsa", "-b", "521"],
    "rsa-2048": ["rsa", "-b", "2048"],
}
SECURITY_KEYS = {"sk-ed25519": ("sk-ssh-ed25519@openssh.com", "ed25519"), "sk-ecdsa": ("sk-ecdsa-sha2-nistp256@openssh.com", "ecdsa-256")}
USER_TYPES = [*USER_KEYS, *SECURITY_KEYS]


def run(*args, **kwargs):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "TZ": "UTC"}, **kwargs)
    return done.returncode, done.stdout.decode()


def keygen(*args, **kwargs):
    status, text = run("ssh-keygen", *args, **kwargs)
    assert status == 0, text
    return text


def string(content):
    return struct.pack(">I", len(content)) + content


def strings(blob):
    while blob:
        (length,) = struct.unpack(">I", blob[:4])
        assert len(blob) >= 4 + length
        yield blob[4:4 + length]
        blob = blob[4 + length:]


class Files:
    """A directory of files of one test run."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.directory.name)

    def write(self, name, content):
        path = self.path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return str(path)

    @functools.cache  # noqa: B019
    def user_key(self, name):
        """The line of a public key."""
        if name in SECURITY_KEYS:
            type_name, base = SECURITY_KEYS[name]
            fields = list(strings(base64.b64decode(self.user_key(base).split()[1])))[1:]
            blob = b"".join(map(string, [type_name.encode(), *fields, b"ssh:"]))
            return f"{type_name} {base64.b64encode(blob).decode()} a token"
        if not (self.path / name).exists():
            keygen("-q", "-t", *USER_KEYS[name], "-N", "", "-C", "a comment", "-f", str(self.path / name))
        return (self.path / f"{name}.pub").read_text().strip()

    def fingerprint(self, line):
        return keygen("-l", "-f", self.write("fingerprint.pub", line)).split()[1]
