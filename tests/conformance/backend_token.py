"""The token plugin: it has no server and no accounts, only keys."""

import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from backend import BackendBase  # noqa: E402
from plugin_driver import Worker  # noqa: E402


class Backend(BackendBase):
    name = "token"
    ops = {"describe", "open", "ping", "generate", "sign"}

    @functools.cached_property
    def pairs(self):
        """A pair of each algorithm, as a worker makes it, by algorithm."""
        with Worker(self.program) as worker:
            worker.call("open", {"config": {}, "tag": "c0nf0r", "instance": "2f1c9a52-0a4e-4f5e-9d0a-6c2f5b8e9d11"})
            return {name: worker.call("generate", {"algorithm": name}) for name in
                    ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")}

    def config(self):
        return {"keys": {pair["public"]["kid"]: {"algorithm": name, "private": pair["private"]} for name, pair in self.pairs.items()}}

    def secrets(self):
        return [pair["private"] for pair in self.pairs.values()]

    def bad_configs(self):
        one, other = self.pairs["ES256"], self.pairs["ES384"]

        def keys(kid, algorithm, private):
            return {"keys": {kid: {"algorithm": algorithm, "private": private}}}

        return [
            ("keys that are a list", {"keys": []}, {"invalid"}),
            ("a key under another's id", keys(other["public"]["kid"], "ES256", one["private"]), {"invalid"}),
            ("a key of another algorithm", keys(one["public"]["kid"], "ES384", one["private"]), {"invalid"}),
            ("an algorithm that is none", keys(one["public"]["kid"], "none", one["private"]), {"invalid"}),
            ("a private part that is none", keys(one["public"]["kid"], "ES256", "AAAA"), {"invalid"}),
            ("a private part that is cut", keys(one["public"]["kid"], "ES256", one["private"][:-8]), {"invalid"}),
            ("no private part", {"keys": {one["public"]["kid"]: {"algorithm": "ES256"}}}, {"invalid"}),
        ]
