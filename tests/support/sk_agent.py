"""Security keys without hardware: an ssh-agent that holds them and signs as a FIDO token does (PROTOCOL.agent and PROTOCOL.u2f of OpenSSH)."""

import base64
import hashlib
import os
import pathlib
import shutil
import socketserver
import struct
import tempfile
import threading

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

FAILURE, REQUEST_IDENTITIES, IDENTITIES, SIGN_REQUEST, SIGNED = 5, 11, 12, 13, 14
PRESENT, VERIFIED = 0x01, 0x04  # somebody touched it; and said its PIN
APPLICATION = b"ssh:"


def string(value):
    return struct.pack(">I", len(value)) + value


def mpint(number):
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def take(data):
    """A string at the front of data, and what follows it."""
    (length,) = struct.unpack_from(">I", data)
    assert len(data) >= 4 + length, "a message is cut"
    return data[4:4 + length], data[4 + length:]


class SecurityKey:
    """kind: ed25519 or ecdsa. flags: what the token says of whoever sits before it."""

    def __init__(self, kind, flags=PRESENT):
        self.flags, self.counter = flags, 0
        if kind == "ed25519":
            self.type, curve = b"sk-ssh-ed25519@openssh.com", b""
            self.private = ed25519.Ed25519PrivateKey.generate()
            form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        else:
            self.type, curve = b"sk-ecdsa-sha2-nistp256@openssh.com", string(b"nistp256")
            self.private = ec.generate_private_key(ec.SECP256R1())
            form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        self.point = self.private.public_key().public_bytes(*form)
        self.blob = string(self.type) + curve + string(self.point) + string(APPLICATION)

    def line(self):
        return f"{self.type.decode()} {base64.b64encode(self.blob).decode()}\n"

    def sign(self, message):
        self.counter += 1
        state = struct.pack(">BI", self.flags, self.counter)
        signed = hashlib.sha256(APPLICATION).digest() + state + hashlib.sha256(message).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            signature = self.private.sign(signed)
        else:
            signature = b"".join(map(mpint, utils.decode_dss_signature(self.private.sign(signed, ec.ECDSA(hashes.SHA256())))))
        return string(self.type) + string(signature) + state


class SecurityKeyAgent:
    """Serves the keys that are added to it on a socket; for SSH_AUTH_SOCK."""

    def __init__(self):
        self.keys = []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sk-agent-", dir="/tmp"))
        self.path = str(self.dir / "s")
        agent = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self):
                while len(head := self.rfile.read(4)) == 4:
                    self.wfile.write(string(agent.answer(self.rfile.read(struct.unpack(">I", head)[0]))))

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Server(self.path, Connection)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def make(self, path, kind, flags=PRESENT):
        """A new key. Its public part lies at path.pub, for `ssh -i path.pub`; the private one nowhere."""
        key = SecurityKey(kind, flags)
        path.with_suffix(".pub").write_text(key.line())
        self.keys.append(key)
        return key

    def answer(self, message):
        if message[0] == REQUEST_IDENTITIES:
            return struct.pack(">BI", IDENTITIES, len(self.keys)) + b"".join(string(key.blob) + string(b"") for key in self.keys)
        if message[0] == SIGN_REQUEST:
            wanted, rest = take(message[1:])
            for key in self.keys:
                if string(key.point) in wanted:  # a key's own blob, or a certificate's, has it
                    return bytes([SIGNED]) + string(key.sign(take(rest)[0]))
        return bytes([FAILURE])

    def environment(self):
        return dict(os.environ, SSH_AUTH_SOCK=self.path)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
