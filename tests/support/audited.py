"""A leased with an audit, and what must hold of the records that it left."""

import json
import pathlib
import subprocess

from daemon import Leased, poll


class Audited(Leased):
    """A leased --dev whose audit is DIR/audit.log."""

    def __init__(self, audit=None, **kwargs):
        self.audit = pathlib.Path(audit) if audit else None
        start = kwargs.pop("start", True)
        failpoint = kwargs.pop("failpoint", None)
        super().__init__(start=False, **kwargs)
        self.audit = self.audit or self.dir / "audit.log"
        self.args += ["--dev-audit", str(self.audit)]
        if start:
            self.start(failpoint=failpoint)

    def records(self, *older):
        lines = b"".join(pathlib.Path(path).read_bytes() for path in (*older, self.audit)).split(b"\n")
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def verify(self, *older):
        command = [str(self.binary), "audit", "verify", "--dev", "--dev-dir", str(self.dir)]
        return subprocess.run([*command, *map(str, older), str(self.audit)], capture_output=True, text=True, timeout=60)

    def check_chain(self, *older):
        """The last line may be on its way."""
        poll(lambda: self.verify(*older).returncode == 0, timeout=5, what=f"a whole chain: {self.verify(*older).stdout}")

    def changes(self, what):
        """By the number of the change, so that a repeat counts once."""
        found = {record["change"]: record for record in self.records() if record["type"] == "change"}
        return [record for record in found.values() if record["what"] == what]
