"""The commands of leased that work on a store's file: a daemon with leased.hcl, and its fsck, backup and restore."""

import os
import subprocess

from daemon import BUILD, Leased

CONFIG = """
data_dir = "{dir}/data"
plugin_dir = "%(plugins)s"
seal "file" { path = "%(key)s" }
listener "unix" { path = "{dir}/leased.sock"  mode = "0600" }
auth "unix" { role "tests" { bound_uids = [%(uid)d]  policies = ["everything"] } }
policy "everything" {
  path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
}
"""


class Configured(Leased):
    """A leased of a leased.hcl, whose caller may do everything. key: the path of a root key of another one."""

    def __init__(self, key=None, **kwargs):
        plugins = os.environ.get("LEASED_TEST_PLUGINS", BUILD / "libexec/leased/plugins")
        text = CONFIG % {"plugins": plugins, "key": key or "{dir}/root.key", "uid": os.geteuid()}
        super().__init__(config=text, **kwargs)

    @property
    def data(self):
        return self.dir / "data"

    @property
    def database(self):
        return self.data / "leased.db"

    @property
    def key(self):
        return self.dir / "root.key"

    def command(self, *args, failpoint=None, env=None):
        """leased ARGS -config its own file, to its end."""
        path = self.dir / "leased.hcl"
        path.write_text(self.config.replace("{dir}", str(self.dir)))
        full = dict(os.environ, **(env or {}))
        full.pop("LEASED_FAILPOINT", None)
        if failpoint:
            full["LEASED_FAILPOINT"] = failpoint
        return subprocess.run([str(self.binary), *map(str, args), "-config", str(path)], capture_output=True, text=True,
                              timeout=120, env=full, stdin=subprocess.DEVNULL)

    def fsck(self, *args, **kwargs):
        return self.command("fsck", *args, **kwargs)
