"""`lease ssh sync-host`: the list of revoked keys that sshd reads is whole, signed, and never older than it was."""

import os
import signal
import stat
import subprocess
import time

import pytest

from fake_ssh_ca import FakeSshCa
from lease_cli import environment, run, start, wait_for
from ssh_host import keygen, make_key


@pytest.fixture
def leased():
    with FakeSshCa() as fake:
        yield fake


@pytest.fixture
def host(leased, tmp_path):
    (tmp_path / "ca.pub").write_text("# whom this host believes\n\n" + leased.line())
    return tmp_path


def sync(leased, host, *more, once=True):
    arguments = ["ssh", "sync-host", "--ca", str(host / "ca.pub"), "--krl", str(host / "krl"), *(["--once"] if once else []), *more]
    return arguments if not once else run(leased, *arguments)


def version(host):
    return int.from_bytes((host / "krl").read_bytes()[12:20], "big")


def only_the_two_files(host):
    return sorted(path.name for path in host.iterdir()) == ["ca.pub", "krl"]


def test_the_list_comes_into_place_and_a_later_one_replaces_it(leased, host):
    done = sync(leased, host)
    assert done.returncode == 0 and version(host) == 100, done.stderr
    assert stat.S_IMODE(os.stat(host / "krl").st_mode) == 0o644
    before = os.stat(host / "krl").st_ino
    assert sync(leased, host).returncode == 0 and os.stat(host / "krl").st_ino == before, "what is there already is left alone"
    leased.revoke(7)
    assert sync(leased, host).returncode == 0 and version(host) == 101 and only_the_two_files(host)
    assert b"7" in keygen("-Q", "-l", "-f", host / "krl")


def test_without_leased_the_first_list_revokes_nothing_and_is_there(host):
    done = subprocess.run([*environment_of_nobody(), *sync(None, host, once=False), "--once"], capture_output=True, timeout=20)
    assert done.returncode == 5 and version(host) == 0, done.stderr
    assert keygen("-Q", "-l", "-f", host / "krl").startswith(b"# KRL version 0")


def environment_of_nobody():
    from lease_cli import LEASE
    return ["env", "-i", "PATH=/usr/bin:/bin", "LEASE_ADDR=unix:///nowhere", LEASE]


@pytest.mark.parametrize("what", ["another's", "of another namespace", "of another list", "no signature", "cut"])
def test_a_list_that_the_pinned_key_has_not_signed_is_refused(leased, host, what, tmp_path_factory):
    assert sync(leased, host).returncode == 0
    good = (host / "krl").read_bytes()
    other = make_key(tmp_path_factory.mktemp("other") / "key")
    leased.revoke(9)
    krl = (leased.dir / "krl").read_bytes()

    def signature(key, name, message):
        return subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", name], input=message, check=True, capture_output=True).stdout

    right = signature(leased.ca, "leased-krl", krl)
    leased.offer(krl, {"another's": signature(other, "leased-krl", krl), "of another namespace": signature(leased.ca, "file", krl),
                       "of another list": signature(leased.ca, "leased-krl", good), "no signature": b"trust me", "cut": right[:-60]}[what])
    done = sync(leased, host)
    assert done.returncode == 3 and b"not signed" in done.stderr, done.stderr
    assert (host / "krl").read_bytes() == good and only_the_two_files(host)
    leased.offer(krl)
    assert sync(leased, host).returncode == 0 and version(host) == 101


def test_an_older_list_is_refused_though_its_signature_is_good(leased, host):
    old = (leased.dir / "krl").read_bytes()
    leased.revoke(3)
    assert sync(leased, host).returncode == 0 and version(host) == 101
    leased.offer(old)
    done = sync(leased, host)
    assert done.returncode == 3 and b"older" in done.stderr and version(host) == 101


@pytest.mark.parametrize("cut", [0.5, 0.95])
def test_a_list_that_ssh_keygen_does_not_read_never_gets_into_place(leased, host, cut):
    """Signed, and broken all the same: our own mistake must not lock everybody out."""
    leased.serials = list(range(1, 2000, 3))
    assert sync(leased, host).returncode == 0
    good = (host / "krl").read_bytes()
    leased.revoke(5000)
    krl = (leased.dir / "krl").read_bytes()
    leased.offer(krl[:int(len(krl) * cut)])
    done = sync(leased, host)
    assert done.returncode == 3 and b"ssh-keygen does not take" in done.stderr, done.stderr
    assert (host / "krl").read_bytes() == good and only_the_two_files(host)


def test_a_broken_file_is_named_and_replaced(leased, host):
    (host / "krl").write_bytes(b"SSHKRL\n\0\0\0\0\1cut")
    shown = run(leased, "ssh", "sync-host", "--status", "--krl", str(host / "krl"))
    assert shown.returncode == 1 and b"lets nobody in" in shown.stderr
    done = sync(leased, host)
    assert done.returncode == 0 and version(host) == 100, done.stderr
    shown = run(leased, "ssh", "sync-host", "--status", "--krl", str(host / "krl"), "-f", "version")
    assert shown.returncode == 0 and shown.stdout == b"100"


def test_it_goes_on_by_itself_and_ends_when_it_is_told(leased, host):
    process = start(leased, *sync(leased, host, once=False))
    try:
        wait_for(lambda: (host / "krl").exists() and version(host) == 100, "first list")
        leased.revoke(4)
        wait_for(lambda: version(host) == 101, "second list", 3)
        asked, leased.answers["GET /v1/ssh/krl?wait=30"] = len(leased.asked), lambda asked: time.sleep(20) or (304, None)
        wait_for(lambda: leased.paths()[asked:].count("GET /v1/ssh/krl?wait=30") >= 1, "request that waits")
        (host / "krl").unlink()
        wait_for(lambda: (host / "krl").exists() and version(host) == 101, "the list that somebody took away", 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    assert only_the_two_files(host) and environment(leased)
