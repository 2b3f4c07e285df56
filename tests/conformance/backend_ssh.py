"""The ssh plugin: it has no server and no accounts, only keys of CAs."""

import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from backend import BackendBase  # noqa: E402
from plugin_driver import Worker  # noqa: E402

# A CA's key for each type and curve. A longer RSA key is the same and takes seconds to make.
ALGORITHMS = ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"]


class Backend(BackendBase):
    name = "ssh"
    ops = {"describe", "open", "ping", "generate", "import", "inspect", "certify", "krl", "push"}

    @functools.cached_property
    def pairs(self):
        """A pair of each algorithm, as a worker makes it, by algorithm."""
        with Worker(self.program) as worker:
            worker.call("open", {"config": {}, "tag": "c0nf0r", "instance": "2f1c9a52-0a4e-4f5e-9d0a-6c2f5b8e9d11"})
            return {name: worker.call("generate", {"algorithm": name}) for name in ALGORITHMS}

    def config(self):
        return {"keys": {pair["public"]["kid"]: {"algorithm": name, "private": pair["private"]} for name, pair in self.pairs.items()}}

    def secrets(self):
        return [pair["private"] for pair in self.pairs.values()]

    def bad_configs(self):
        one, other = self.pairs["ecdsa-p256"], self.pairs["ecdsa-p384"]

        def keys(kid, algorithm, private):
            return {"keys": {kid: {"algorithm": algorithm, "private": private}}}

        return [
            ("keys that are a list", {"keys": []}, {"invalid"}),
            ("a key under another's id", keys(other["public"]["kid"], "ecdsa-p256", one["private"]), {"invalid"}),
            ("a key of another algorithm", keys(one["public"]["kid"], "ecdsa-p384", one["private"]), {"invalid"}),
            ("an algorithm that is none", keys(one["public"]["kid"], "none", one["private"]), {"invalid"}),
            ("a private part that is none", keys(one["public"]["kid"], "ecdsa-p256", "AAAA"), {"invalid"}),
            ("a private part that is cut", keys(one["public"]["kid"], "ecdsa-p256", one["private"][:-8]), {"invalid"}),
            ("keys beside hosts", self.config() | {"ports": [22]}, {"invalid"}),
            ("a port that is none", {"ports": [0]}, {"invalid"}),
            ("ports that are no list", {"ports": 22}, {"invalid"}),
            ("no private part", {"keys": {one["public"]["kid"]: {"algorithm": "ecdsa-p256"}}}, {"invalid"}),
        ]
