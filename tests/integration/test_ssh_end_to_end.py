"""The whole way: leased's own CA, `lease ssh`, an ssh-agent and an sshd; and everything that takes a certificate back."""

import getpass
import subprocess
import time

import pytest

from daemon import Leased
from lease_cli import LEASE, wait_for
from ssh_host import SshAgent, SshHost, make_key

USER = getpass.getuser()


class Site:
    """A leased with a CA, a host that follows its list, and an agent."""

    def __init__(self, leased, agent):
        self.leased, self.agent = leased, agent
        self.env = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{leased.socket_path}", "SSH_AUTH_SOCK": agent.path, "HOME": str(leased.dir)}
        self.ok("write", "sys/mounts/ssh", "type=ssh")
        self.ok("write", "ssh/config/ca", "key_type=ed25519")
        self.ok("write", "ssh/roles/prod", "key_type=ca", "allow_user_certificates=true", f"allowed_users={USER}", "ttl=1h")
        self.ok("write", "ssh/roles/host", "key_type=ca", "allow_host_certificates=true", "allowed_domains=example.com", "allow_subdomains=true", "ttl=14d", "max_ttl=30d")

    def run(self, *arguments):
        return subprocess.run([LEASE, *map(str, arguments)], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, env=self.env)

    def ok(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout.decode()

    def login(self, host, *ours):
        return self.run("ssh", "--role", "prod", *ours, *host.options(), f"{USER}@127.0.0.1", "echo in")

    def lease_of_agent(self):
        (line,) = self.agent.listed()
        return next(word for word in line.split() if word.startswith("ssh/sign/prod/"))


@pytest.fixture(scope="module")
def site():
    with Leased() as leased, SshAgent() as agent:
        yield Site(leased, agent)


@pytest.fixture(scope="module")
def host(site):
    with SshHost(site.ok("ssh", "ca")) as sshd:
        process = subprocess.Popen([LEASE, "ssh", "sync-host", "--ca", str(sshd.ca), "--krl", str(sshd.krl)], env=site.env, stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        wait_for(lambda: sshd.krl.read_bytes()[12:20] != bytes(8), "first list")
        yield sshd
        process.terminate()
        assert process.wait(10) == 0, process.stderr.read()


@pytest.fixture(autouse=True)
def _clean(site):
    subprocess.run(["ssh-add", "-q", "-D"], env=site.env, check=True, capture_output=True, timeout=10)


def refused_within(seconds, login):
    end = time.monotonic() + seconds
    while login().returncode == 0:
        assert time.monotonic() < end, f"still let in after {seconds} s"


def agents_login(site, host):
    """ssh alone: what is in the agent, and no new certificate."""
    return host.login(env=site.env)


def test_a_login_works_until_its_lease_is_revoked(site, host):
    assert site.login(host).stdout == b"in\n" and agents_login(site, host).stdout == b"in\n"
    site.ok("revoke", site.lease_of_agent())
    refused_within(2, lambda: agents_login(site, host))
    assert site.login(host).stdout == b"in\n", "and who is still allowed to gets another"


def test_a_ban_takes_back_what_there_is_and_refuses_more(site, host, tmp_path):
    key = make_key(tmp_path / "lost")
    site.ok("ssh", "sign", "--role", "prod", f"{key}.pub")
    assert host.login("-i", key, "-o", "IdentitiesOnly=yes").stdout == b"in\n"
    name = site.ok("ssh", "ban", "--key", f"{key}.pub", "--reason", "lost").strip()
    refused_within(2, lambda: host.login("-i", key, "-o", "IdentitiesOnly=yes"))
    assert site.run("ssh", "sign", "--role", "prod", f"{key}.pub").returncode != 0
    assert name in site.ok("ssh", "bans") and "lost" in site.ok("ssh", "bans")
    site.ok("ssh", "unban", name)
    site.ok("ssh", "sign", "--role", "prod", f"{key}.pub")
    assert site.login(host).stdout == b"in\n"


def test_files_that_ensure_keeps_open_the_host_and_doctor_agrees(site, host, tmp_path):
    site.ok("ssh", "ensure", "--role", "prod", "--dir", tmp_path / "files")
    assert host.login("-i", tmp_path / "files/prod", "-o", "IdentitiesOnly=yes", env={"PATH": "/usr/bin:/bin"}).stdout == b"in\n"
    site.ok("ssh", "add", "--role", "prod")
    done = site.run("ssh", "doctor", "--sshd-config", host.config, f"{USER}@127.0.0.1")
    assert done.returncode == 0 and b"WRONG" not in done.stdout and b"sshd trusts its CA" in done.stdout, done.stdout + done.stderr
    site.ok("revoke", site.lease_of_agent())
    done = site.run("ssh", "doctor", f"{USER}@127.0.0.1")
    assert done.returncode == 1 and b"is revoked by leased" in done.stdout, done.stdout


def test_a_host_shows_a_certificate_that_known_hosts_takes(site, host, tmp_path):
    key = make_key(tmp_path / "ssh_host_ed25519_key")
    said = site.ok("ssh", "host-cert", "--role", "host", "--principals", "web1.example.com", "--dir", tmp_path)
    assert said == f"HostCertificate {tmp_path}/ssh_host_ed25519_key-cert.pub\n"
    assert site.run("ssh", "needs-renewal", "--host", "--dir", tmp_path).returncode == 1
    (tmp_path / "known").write_text(site.ok("ssh", "ca", "--known-hosts", "*.example.com"))
    with SshHost(host.ca.read_text(), said.strip(), f"HostKey {key}") as other:
        site.ok("ssh", "add", "--role", "prod")
        ours = ["-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "HostKeyAlias=web1.example.com", "-o", "StrictHostKeyChecking=yes"]
        command = ["ssh", *ours, *other.options(), f"{USER}@127.0.0.1", "echo in"]  # ssh takes the first of each option
        assert subprocess.run(command, env=site.env, capture_output=True, timeout=30).stdout == b"in\n"
        command[4] = "HostKeyAlias=web2.example.com"
        assert subprocess.run(command, env=site.env, capture_output=True, timeout=30).returncode == 255, "it is web1's"


def test_a_file_has_the_list_of_one_mount_and_another_mount_s_does_not_get_into_its_place(site, tmp_path):
    """sshd reads one file: what the first mount revokes would be gone."""
    for mount in ("one", "two"):
        site.ok("write", f"sys/mounts/{mount}", "type=ssh")
        site.ok("write", f"{mount}/config/ca", "key_type=ed25519")
        site.ok("write", f"{mount}/roles/prod", "key_type=ca", "allow_user_certificates=true", "allowed_users=web")
    (tmp_path / "ca.pub").write_text(site.ok("ssh", "ca", "--mount", "one") + site.ok("ssh", "ca", "--mount", "two"))
    krl, key = tmp_path / "krl", make_key(tmp_path / "key")

    def revoke(mount):
        site.ok("ssh", "sign", "--mount", mount, "--role", "prod", "--out", tmp_path / "c", f"{key}.pub")
        site.ok("revoke", "--prefix", f"{mount}/sign/prod")

    def sync(mount):
        return site.run("ssh", "sync-host", "--once", "--mount", mount, "--ca", tmp_path / "ca.pub", "--krl", krl)

    revoke("one")
    assert sync("one").returncode == 0
    good = krl.read_bytes()
    for _ in range(3):
        revoke("two")  # so that it is no older one
    done = sync("two")
    assert done.returncode == 3 and b"has the list of another CA" in done.stderr and krl.read_bytes() == good, done.stderr
    for _ in range(2):  # keys come and go, and it is the same CA
        site.ok("write", "one/config/ca/rotate", "activate=true")
        (tmp_path / "ca.pub").write_text(site.ok("ssh", "ca", "--mount", "one"))
        revoke("one")
        done = sync("one")
        assert done.returncode == 0 and krl.read_bytes() != good, done.stderr
    (tmp_path / "ca.pub").write_text(site.ok("ssh", "ca", "--mount", "two"))
    assert sync("two").returncode == 3
    krl.unlink()
    assert sync("two").returncode == 0
