"""packaging/systemd: what systemd itself says of the unit."""

import pathlib
import re
import shutil
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
UNIT = REPO / "packaging" / "systemd" / "leased.service"
GOAL = 1.5
GOAL_OF_ROOT = 2.0  # units that write into /etc/ssh


def test_the_unit_exposes_little():
    """Its score of exposure, as systemd 252 counts: 0 is nothing, 10 a unit that says nothing."""
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is in the Debian package systemd"
    done = subprocess.run([analyze, "security", "--offline=true", "--no-pager", str(UNIT)], capture_output=True, text=True,
                          timeout=60)
    found = re.search(r"Overall exposure level for leased\.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= GOAL, done.stdout


@pytest.mark.parametrize("name", ["lease-ssh-sync", "lease-ssh-host-cert"])
def test_the_units_of_ssh_hosts_expose_little_and_stay_in_their_directory(name):
    unit = UNIT.parent / f"{name}.service"
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, timeout=60)
    found = re.search(r"Overall exposure level for [\w.-]+: ([0-9.]+)", done.stdout)
    assert found and float(found[1]) <= GOAL_OF_ROOT, done.stdout + done.stderr
    settings = re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M)
    assert ("ReadWritePaths", "/etc/ssh") in settings and ("CapabilityBoundingSet", "") in settings


def test_the_unit_leaves_what_leased_needs():
    """Lines that a better score would take away, and that leases or logins hang on."""
    text = UNIT.read_text()
    settings = re.findall(r"^(\w+)=(.*)$", text, re.M)
    assert ("PrivateUsers", "yes") not in settings, "a peer's uid would be hidden, and nobody could log in by it"
    assert ("ProcSubset", "pid") not in settings, "the boot id would be hidden, and leased would not start"
    assert any(name == "SystemCallFilter" and "landlock_restrict_self" in value for name, value in settings), "its own sandbox"
    assert ("Type", "notify") in settings and ("Restart", "always") in settings
