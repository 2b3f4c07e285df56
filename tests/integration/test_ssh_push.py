"""The list of revoked keys is brought to hosts by SFTP: at once, whole, to the host that is meant and to no other, and nobody waits for one that hangs."""

import getpass
import os
import pathlib
import socket
import time

import pytest

from daemon import Leased, poll
from ssh_host import SshHost, keygen, make_key

USER = getpass.getuser()


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return tmp_path_factory.mktemp("failpoints")


@pytest.fixture(scope="module")
def leased(points):
    with Leased(env={"LEASED_FAILPOINT_DIR": str(points)}) as daemon:
        assert daemon.post("sys/mounts/ssh", {"type": "ssh"}).status == 204
        assert daemon.post("ssh/config/ca", {"key_type": "ed25519"}).status == 200
        assert daemon.post("ssh/roles/r", {"key_type": "ca", "allow_user_certificates": True, "allowed_users": USER, "ttl": 600}).status == 204
        yield daemon


@pytest.fixture(scope="module")
def deaf(leased, tmp_path_factory):
    """Hosts that take the connection and say nothing, all the while that other hosts are gone to."""
    key = make_key(tmp_path_factory.mktemp("deaf") / "key").with_suffix(".pub").read_text().strip()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        names = [f"deaf{i}" for i in range(3)]
        for name in names:
            assert leased.post(f"ssh/hosts/{name}", {"address": "127.0.0.1", "port": server.getsockname()[1], "host_key": key}).status == 204
        yield names


@pytest.fixture(scope="module")
def sshd(leased, deaf, tmp_path_factory):
    principals = tmp_path_factory.mktemp("host") / "principals"
    principals.write_text(f"leased-krl\n{USER}\n")
    line = leased.request("GET", "ssh/public_key", token="").body.decode()
    with SshHost(line, f"AuthorizedPrincipalsFile {principals}", "Subsystem sftp internal-sftp") as host:
        yield host


@pytest.fixture
def host(leased, sshd):
    keygen("-k", "-f", sshd.krl)
    yield sshd
    assert leased.delete("ssh/hosts/web1").status == 204


def add(leased, host, name="web1", **more):
    body = {"address": "127.0.0.1", "port": host.port, "user": USER, "path": str(host.krl), "host_key": host.key.with_suffix(".pub").read_text().strip(), **more}
    answer = leased.post(f"ssh/hosts/{name}", body)
    assert answer.status == 204, answer


def state(leased, name="web1"):
    return leased.get(f"ssh/hosts/{name}").data


def becomes(leased, wanted, name="web1", timeout=15):
    seen = {}

    def look():
        seen.update(state(leased, name))
        return seen["state"] == wanted
    try:
        poll(look, timeout, what=f"{name} to be {wanted}")
    except AssertionError as never:
        raise AssertionError(f"{never}: {seen}") from None
    return seen


def sign(leased, key):
    answer = leased.post("ssh/sign/r", {"public_key": key.with_suffix(".pub").read_text()})
    assert answer.status == 200, answer
    certificate = key.parent / f"{key.name}-cert.pub"
    certificate.write_text(answer.data["signed_key"])
    return answer.json["lease_id"]


def revoke(leased, lease):
    assert leased.post("sys/leases/revoke", {"lease_id": lease}).status == 204


def gets_in(host, key):
    return host.login("-i", str(key), "-o", "IdentitiesOnly=yes").stdout == b"in\n"


def version(host):
    return int.from_bytes(host.krl.read_bytes()[12:20], "big")


def left_behind(host):
    return [path for path in host.dir.iterdir() if ".leased-" in path.name]


def logged_in(host):
    """Processes of sshd that serve somebody."""
    return pathlib.Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children").read_text().split()


def a_revoke(leased, tmp_path, name="k"):
    key = make_key(tmp_path / name)
    revoke(leased, sign(leased, key))


def test_a_revoked_login_is_refused_within_two_seconds(leased, host, tmp_path):
    key = make_key(tmp_path / "k")
    lease = sign(leased, key)
    add(leased, host)
    becomes(leased, "current")
    assert gets_in(host, key)
    revoke(leased, lease)
    end = time.monotonic() + 2
    while gets_in(host, key):
        assert time.monotonic() < end, state(leased)
    told = becomes(leased, "current")
    assert told["version"] == told["list_version"] == version(host) and told["last_error"] == "" and told["last_success"], told
    assert b"REVOKED" not in keygen("-Q", "-l", "-f", host.krl) and host.krl.stat().st_mode & 0o777 == 0o644 and not left_behind(host)
    poll(lambda: not logged_in(host), 5, what="nobody to stay connected")
    assert 'leased_ssh_pushes_total{result="ok"}' in leased.request("GET", "sys/metrics?format=prometheus").body.decode()


def test_what_a_host_has_already_is_left_alone_also_after_a_restart(leased, host):
    add(leased, host)
    becomes(leased, "current")
    before = host.krl.stat()
    leased.stop()
    leased.start()
    becomes(leased, "current")
    after = host.krl.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_host_with_another_key_is_refused_and_nothing_is_sent_to_it(leased, host, tmp_path):
    before, heard = host.krl.read_bytes(), (host.dir / "log").stat().st_size
    add(leased, host, host_key=make_key(tmp_path / "other").with_suffix(".pub").read_text().strip())
    told = becomes(leased, "failing")
    assert "another host key" in told["last_error"] and told["failures"] >= 1 and told["last_success"] is None, told
    log = (host.dir / "log").read_text()[heard:]
    assert host.krl.read_bytes() == before and "Accepted" not in log and "userauth" not in log and not left_behind(host)
    add(leased, host, host_key=[make_key(tmp_path / "old", "rsa").with_suffix(".pub").read_text().strip(), host.key.with_suffix(".pub").read_text().strip()])
    becomes(leased, "current")


def test_a_host_that_was_down_gets_the_list_when_it_is_back(leased, host, tmp_path):
    add(leased, host)
    becomes(leased, "current")
    host.process.terminate()
    host.process.wait(10)
    host.log.close()
    a_revoke(leased, tmp_path)
    told = becomes(leased, "failing")
    assert "cannot be reached" in told["last_error"] and told["version"] < told["list_version"], told
    assert "leased_ssh_push_failing 0" not in leased.request("GET", "sys/metrics?format=prometheus").body.decode()
    host.start()
    told = becomes(leased, "current")
    assert told["failures"] == 0 and told["last_error"] == "" and version(host) == told["list_version"]


def test_what_cannot_be_written_is_said_and_what_is_no_list_stays(leased, host, tmp_path):
    add(leased, host, path="/sys/leased-test.krl")
    assert "make files beside its list, and cannot make /sys/leased-test.krl" in becomes(leased, "failing")["last_error"]
    add(leased, host, path=str(tmp_path / "none/krl"))
    assert "no such directory" in becomes(leased, "failing")["last_error"]
    (tmp_path / "keys").write_text("ssh-ed25519 AAAA somebody's own\n")
    add(leased, host, path=str(tmp_path / "keys"))
    assert "is no list of revoked keys" in becomes(leased, "failing")["last_error"] and "somebody's own" in (tmp_path / "keys").read_text()
    keygen("-k", "-z", 2**63, "-f", tmp_path / "later")
    add(leased, host, path=str(tmp_path / "later"))
    assert "a later list" in becomes(leased, "failing")["last_error"] and keygen("-Q", "-l", "-f", tmp_path / "later")
    assert leased.post("sys/mounts/ssh2", {"type": "ssh"}).status == 204 and leased.post("ssh2/config/ca", {"key_type": "ed25519"}).status == 200
    (tmp_path / "another").write_bytes(leased.request("GET", "ssh2/krl", token="").body)
    add(leased, host, path=str(tmp_path / "another"))
    assert "the list of another CA" in becomes(leased, "failing")["last_error"] and keygen("-Q", "-l", "-f", tmp_path / "another")
    add(leased, host, user="nobody")
    assert "lets nobody not in" in becomes(leased, "failing")["last_error"]


@pytest.mark.parametrize("point", ["worker_push_uploading", "worker_push_rename"])
def test_a_worker_that_is_killed_leaves_the_list_before_in_place(leased, host, tmp_path, points, point):
    add(leased, host)
    becomes(leased, "current")
    before = host.krl.read_bytes()
    (points / f"{point}.armed").write_text("kill")
    a_revoke(leased, tmp_path)
    poll(lambda: (points / f"{point}.acted").exists(), 10, what="the worker to die")
    assert host.krl.read_bytes() == before and keygen("-Q", "-l", "-f", host.krl)
    (part,) = left_behind(host)
    told = becomes(leased, "current")
    assert version(host) == told["list_version"] and host.krl.read_bytes() != before
    os.utime(part, (time.time() - 7200,) * 2)
    a_revoke(leased, tmp_path, "l")
    poll(lambda: not left_behind(host), 10, what="what it left to be removed")


def test_what_is_configured_is_checked_and_told(leased, host):
    good = host.key.with_suffix(".pub").read_text().strip()
    for body, word in [({}, "address"), ({"address": "a b"}, "address"), ({"address": "web1"}, "host_key"), ({"address": "web1", "host_key": "ssh-ed25519 x"}, "host_key"),
                       ({"address": "web1", "host_key": good, "port": 0}, "port"), ({"address": "web1", "host_key": good, "path": "krl"}, "path"),
                       ({"address": "web1", "host_key": good, "path": "/etc/../krl"}, "path"), ({"address": "web1", "host_key": good, "user": "a@b"}, "user")]:
        answer = leased.post("ssh/hosts/bad", body)
        assert answer.status == 400 and word in answer.error, (body, answer)
    assert leased.post("ssh/hosts/good", {"address": "127.0.0.1", "port": 1, "host_key": good}).status == 204
    told = state(leased, "good")
    assert (told["user"], told["path"], told["port"], told["host_key"]) == ("leased-krl", "/var/lib/leased-krl/revoked.krl", 1, [good]), told
    assert leased.request("LIST", "ssh/hosts").data["keys"] == ["deaf0", "deaf1", "deaf2", "good"]
    assert leased.delete("ssh/hosts/good").status == 204 and leased.get("ssh/hosts/good").status == 404


def test_hosts_that_hang_keep_neither_signing_nor_other_hosts_waiting(leased, host, deaf, tmp_path):
    key, slowest = make_key(tmp_path / "k"), 0
    add(leased, host)
    becomes(leased, "current", timeout=25)
    poll(lambda: any(state(leased, name)["state"] == "sending" for name in deaf), 20, what="a host to hang")
    for _ in range(20):
        begin = time.monotonic()
        lease = sign(leased, key)
        slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 1, slowest
    revoke(leased, lease)
    end = time.monotonic() + 2
    while gets_in(host, key):
        assert time.monotonic() < end, state(leased)
    poll(lambda: any("did not answer in time" in state(leased, name)["last_error"] for name in deaf), 15, what="a host that hangs to be given up")
