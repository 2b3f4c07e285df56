"""The example plugin's backend: a directory."""

import os
import pathlib
import shutil
import tempfile

from backend import BackendBase


class Backend(BackendBase):
    name = "example"
    ops = {"describe", "open", "mint", "disarm", "remove", "ping"}

    def start(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="leased-example-"))

    def stop(self):
        shutil.rmtree(self.directory)

    def config(self):
        return {"dir": str(self.directory)}

    def bad_configs(self):
        return [
            ("no directory given", {}, {"invalid"}),
            ("a number for the directory", {"dir": 7}, {"invalid"}),
            ("a directory that is not there", {"dir": "/nonexistent/leased"}, {"unavailable"}),
        ]

    def exists(self, name):
        return name in os.listdir(self.directory)

    def can_log_in(self, name, password):
        return self.exists(name) and os.stat(self.directory / name).st_mode & 0o400 != 0

    def make_foreign(self, name):
        (self.directory / name).touch(0o400)

    def remove_foreign(self, name):
        (self.directory / name).unlink()
