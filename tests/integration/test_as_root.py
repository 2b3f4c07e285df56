"""Root at the files of the user that leased runs as: what it is told leads to that user, and never to giving the files to root."""

import subprocess

import pytest

from offline import Configured
from privilege import as_root

USER = 12345


def sh(script):
    subprocess.run(as_root(["sh", "-c", script]), check=True)


@pytest.mark.parametrize("words, data", [(["fsck"], "theirs"), (["restore", "copy"], "theirs"), (["restore", "copy"], "missing")],
                         ids=["fsck", "restore", "restore-to-a-new-directory"])
def test_root_is_led_to_the_user_of_the_store(words, data):
    with Configured() as leased:
        leased.stop()
        if words[0] == "restore":
            assert leased.command("backup", leased.dir / "copy").returncode == 0
            sh(f"rm -f {leased.data}/*")
        sh(f"chown -R {USER} {leased.data} {leased.key}")
        if data == "missing":
            sh(f"rmdir {leased.data}")
        arguments = [words[0], *(str(leased.dir / word) for word in words[1:]), "-config", str(leased.dir / "leased.hcl")]
        done = subprocess.run(as_root([str(leased.binary), *arguments]), capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and "run this as that user" in done.stderr and str(USER) in done.stderr, done
        assert "chown" not in done.stderr, done
