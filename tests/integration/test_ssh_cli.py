"""`lease ssh` with OpenSSH's own ssh, ssh-agent and sshd: logging in, files that ensure keeps, ssh's configuration, and what doctor sees."""

import os
import pathlib
import stat
import subprocess
import sys
import time

import pytest

from fake_ssh_ca import FakeSshCa
from lease_cli import LEASE, environment, run, start, wait_for
from ssh_host import SshAgent, SshHost, keygen, make_key

SIGN, REVOKE = "POST /v1/ssh/sign/prod", "PUT /v1/sys/leases/revoke"


@pytest.fixture(scope="module")
def ca():
    with FakeSshCa() as fake:
        yield fake


@pytest.fixture(scope="module")
def host(ca):
    with SshHost(ca.line()) as sshd:
        yield sshd


@pytest.fixture
def leased(ca, host):
    ca.asked.clear()
    ca.principals, ca.valid, ca.known = host.user, "-30s:+1h", {}
    ca.answers[SIGN] = ca.sign
    return ca


@pytest.fixture
def agent():
    with SshAgent() as one:
        yield one


def login(leased, host, *command, ours=("--role", "prod"), **more):
    return run(leased, "ssh", *ours, *host.options(), f"{host.user}@127.0.0.1", *command, HOME=str(host.dir), **more)


def signed(leased):
    return leased.paths().count(SIGN)


# ---- log in, add, sign ----

def test_a_login_leaves_nothing_on_disk_and_the_agent_forgets_with_the_lease(leased, host, agent, tmp_path):
    before = sorted(host.dir.rglob("*"))
    done = login(leased, host, "echo", "in;", "exit 7", SSH_AUTH_SOCK=agent.path, TMPDIR=str(tmp_path), XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 7 and done.stdout == b"in\n", done.stderr
    assert not list(tmp_path.iterdir()) and set(host.dir.rglob("*")) - set(before) <= {host.dir / "known_hosts"}
    (line,) = agent.listed()
    assert "lease ssh/prod ssh/sign/prod/" in line and "ED25519-CERT" in line
    assert leased.last(SIGN).json["public_key"].startswith("ssh-ed25519 ") and leased.last(SIGN).json["cert_type"] == "user"


def test_what_stands_behind_our_options_is_sshs(leased, host, agent):
    done = login(leased, host, "echo", "--role", "-f", "--", ours=("--role=prod", "--quiet", "-T", "-o", "LogLevel=ERROR"), SSH_AUTH_SOCK=agent.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"--role -f --\n", b"")
    done = run(leased, "ssh", "--role", "prod", "-f", "-V", SSH_AUTH_SOCK=agent.path)
    assert done.returncode == 0 and b"OpenSSH" in done.stderr
    assert run(leased, "ssh", "--rolle", "prod", "host", SSH_AUTH_SOCK=agent.path).returncode == 2


def test_the_agents_key_ends_with_its_certificate(leased, agent):
    leased.valid = "-30s:+2s"
    assert run(leased, "ssh", "add", "--role", "prod", SSH_AUTH_SOCK=agent.path).returncode == 0
    assert len(agent.listed()) == 1
    wait_for(lambda: not agent.listed(), "end of the key in the agent", 5)


def test_a_good_certificate_is_used_again_and_one_that_was_revoked_is_not(leased, host, agent):
    for _ in range(2):
        assert login(leased, host, "true", SSH_AUTH_SOCK=agent.path).returncode == 0
    assert signed(leased) == 1
    leased.known = {name: "gone" for name in leased.known}
    assert login(leased, host, "true", SSH_AUTH_SOCK=agent.path).returncode == 0
    assert signed(leased) == 2 and len(agent.listed()) == 1
    assert run(leased, "ssh", "add", "--role", "prod", "--fresh", SSH_AUTH_SOCK=agent.path).returncode == 0
    assert signed(leased) == 3


@pytest.mark.parametrize("path", [None, "/nowhere/agent"])
def test_without_an_agent_no_certificate_is_made_and_it_says_what_to_do(leased, host, path):
    done = login(leased, host, "true", SSH_AUTH_SOCK=path)
    assert done.returncode == 125 and b"ssh-agent" in done.stderr and b"eval" in done.stderr and leased.paths() == []


def test_a_locked_agent_gives_the_certificate_back(leased, agent):
    lock = subprocess.run([sys.executable, "-c", "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);"
                           "s.sendall(bytes([0,0,0,6,22,0,0,0,1,120]));assert s.recv(9)[4]==6", agent.path], timeout=10)
    assert lock.returncode == 0
    done = run(leased, "ssh", "add", "--role", "prod", SSH_AUTH_SOCK=agent.path)
    assert done.returncode == 1 and b"locked" in done.stderr and leased.paths()[-1] == REVOKE


def test_a_certificate_for_another_key_is_refused_and_given_back(leased, agent, tmp_path):
    other = make_key(tmp_path / "other")
    line = (tmp_path / "other.pub").read_text().strip()

    def wrong(asked):
        asked.body = asked.body.replace(asked.json["public_key"].encode(), line.encode())
        return leased.sign(asked)

    leased.answers[SIGN] = wrong
    done = run(leased, "ssh", "add", "--role", "prod", SSH_AUTH_SOCK=agent.path)
    assert done.returncode == 1 and b"another key" in done.stderr and leased.paths()[-1] == REVOKE and agent.listed() == [] and other


def test_sign_writes_beside_the_key_what_ssh_takes(leased, host, tmp_path):
    key = make_key(tmp_path / "id", "ecdsa")
    done = run(leased, "ssh", "sign", "--role", "prod", "--principals", f"{host.user},ops", str(key) + ".pub")
    assert done.returncode == 0 and b"ops" in done.stderr, done.stderr
    assert leased.last(SIGN).json["valid_principals"] == f"{host.user},ops" and leased.last(SIGN).json["public_key"].count(" ") == 1
    assert host.login("-i", str(key)).stdout == b"in\n"
    shown = run(leased, "ssh", "sign", "--role", "prod", "--out", "-", "--quiet", str(key) + ".pub")
    assert shown.stdout.startswith(b"ecdsa-sha2-nistp256-cert-v01@openssh.com ") and shown.stderr == b""


def test_nobody_is_asked_for_what_is_no_role(leased, agent):
    for role in ("", "a b", "../x", "a/b"):
        assert run(leased, "ssh", "add", f"--role={role}", SSH_AUTH_SOCK=agent.path).returncode == 2
    assert run(leased, "ssh", "add", SSH_AUTH_SOCK=agent.path).returncode == 2 and leased.paths() == []
    assert run(leased, "ssh", "add", LEASE_SSH_ROLE="prod", SSH_AUTH_SOCK=agent.path).returncode == 0


# ---- ensure, config, needs-renewal ----

def ensure(leased, state, *more, **others):
    return run(leased, "ssh", "ensure", "--role", "prod", *more, XDG_STATE_HOME=str(state), **others)


def certificate(state):
    return state / "lease/ssh/prod-cert.pub"


def test_ensure_makes_files_that_ssh_takes_and_then_asks_nobody(leased, host, tmp_path):
    leased.valid = "-10m:+1h"
    done = ensure(leased, tmp_path)
    assert done.returncode == 0 and done.stdout == b"", done.stderr
    key = tmp_path / "lease/ssh/prod"
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (key, key.parent)] == [0o600, 0o700]
    assert host.login("-i", str(key), "-o", "IdentitiesOnly=yes").stdout == b"in\n"
    leased.asked.clear()
    quick = subprocess.run([LEASE, "ssh", "ensure", "--role", "prod"], capture_output=True, timeout=10,
                           env={"PATH": "/usr/bin", "XDG_STATE_HOME": str(tmp_path), "LEASE_ADDR": "unix:///nowhere"})
    assert (quick.returncode, quick.stdout, quick.stderr) == (0, b"", b"") and leased.paths() == []
    assert run(leased, "ssh", "needs-renewal", str(certificate(tmp_path))).returncode == 1
    assert run(leased, "ssh", "needs-renewal", "--left", "99", str(certificate(tmp_path))).returncode == 0
    assert run(leased, "ssh", "needs-renewal", str(tmp_path / "nothing")).returncode == 0
    assert run(leased, "ssh", "needs-renewal", "--left", "0").returncode == 2


def test_ensure_answers_at_once(leased, tmp_path):
    """20 ms of a processor that does nothing else; here of the processor's own count, since others work on this machine."""
    assert ensure(leased, tmp_path).returncode == 0
    before = os.times()
    for _ in range(20):
        assert ensure(leased, tmp_path, "--quiet").returncode == 0
    after = os.times()
    used = (after.children_user - before.children_user + after.children_system - before.children_system) / 20
    assert os.environ.get("LEASED_PRESET", "dev") in ("asan", "tsan") or used < 0.02, used


def test_ensure_renews_when_little_is_left_and_keeps_the_key(leased, tmp_path):
    leased.valid = "-1h:+10m"
    assert ensure(leased, tmp_path).returncode == 0
    key, first = (tmp_path / "lease/ssh/prod").read_bytes(), certificate(tmp_path).read_bytes()
    leased.valid = "-30s:+1h"
    assert ensure(leased, tmp_path).returncode == 0
    assert certificate(tmp_path).read_bytes() != first and (tmp_path / "lease/ssh/prod").read_bytes() == key
    assert signed(leased) == 2


def test_ensure_makes_do_with_what_is_good_while_nobody_answers(leased, tmp_path):
    leased.valid = "-1h:+10m"
    assert ensure(leased, tmp_path).returncode == 0
    leased.answers[SIGN] = (503, {"errors": ["the worker is busy"]})
    assert ensure(leased, tmp_path).returncode == 0
    leased.valid, leased.answers[SIGN] = "-1h:-10s", leased.sign
    assert ensure(leased, tmp_path, "--fresh").returncode == 0
    leased.answers[SIGN] = (503, {"errors": ["the worker is busy"]})
    assert ensure(leased, tmp_path).returncode == 7, "what has ended is not passed off for good"


@pytest.mark.parametrize("what", ["cut", "another's", "no certificate"])
def test_ensure_mends_files_that_do_not_belong_together(leased, host, tmp_path, what):
    assert ensure(leased, tmp_path).returncode == 0
    if what == "cut":
        certificate(tmp_path).write_bytes(certificate(tmp_path).read_bytes()[:200])
    elif what == "no certificate":
        (tmp_path / "lease/ssh/prod").write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\n")
    else:
        make_key(tmp_path / "other")
        (tmp_path / "lease/ssh/prod").write_bytes((tmp_path / "other").read_bytes())
    assert ensure(leased, tmp_path).returncode == 0
    assert host.login("-i", str(tmp_path / "lease/ssh/prod"), "-o", "IdentitiesOnly=yes").stdout == b"in\n"


def test_many_at_once_get_one_certificate(leased, tmp_path):
    processes = [start(leased, "ssh", "ensure", "--role", "prod", XDG_STATE_HOME=str(tmp_path)) for _ in range(6)]
    assert [process.wait(20) for process in processes] == [0] * 6 and signed(leased) == 1
    for process in processes:
        process.communicate()
    assert keygen("-L", "-f", certificate(tmp_path))


def test_config_is_put_in_once_and_changes_nothing_else(leased, host, tmp_path):
    own = "# mine\nHost other\n\tUser x"
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "elsewhere").write_text(own + "\n")
    (tmp_path / ".ssh/config").symlink_to(tmp_path / "elsewhere")
    os.chmod(tmp_path / "elsewhere", 0o640)
    names = {"HOME": str(tmp_path)}

    def config(*more):
        done = run(leased, "ssh", "config", "--role", "prod", *more, **names)
        assert done.returncode == 0, done.stderr
        return done

    assert b"Match host *.prod.example.com exec" in config("--match", "*.prod.example.com").stdout and not (tmp_path / ".ssh/lease.conf").exists()
    for _ in range(2):
        config("--match", "127.0.0.1", "--install")
    assert (tmp_path / "elsewhere").read_text() == f"Include ~/.ssh/lease.conf\n{own}\n" and (tmp_path / ".ssh/config").is_symlink()
    assert stat.S_IMODE(os.stat(tmp_path / "elsewhere").st_mode) == 0o640
    lines = (tmp_path / ".ssh/lease.conf").read_text()
    assert lines.count("Match host") == 1 and sorted(path.name for path in (tmp_path / ".ssh").iterdir()) == ["config", "lease.conf"]
    # As ssh reads it: ensure is run, and its key is used. ssh itself takes the home of the password file, so the file is named.
    done = subprocess.run(["ssh", *host.options()[2:], "-F", str(tmp_path / ".ssh/lease.conf"), f"{host.user}@127.0.0.1", "echo in"],
                          capture_output=True, timeout=30, env=environment(leased, HOME=str(tmp_path)))
    assert done.stdout == b"in\n", done.stderr
    config("--match", "10.0.0.1,db?", "--install")
    again = (tmp_path / ".ssh/lease.conf").read_text()
    assert again.count("Match host") == 1 and "Match host 10.0.0.1,db? exec" in again
    assert run(leased, "ssh", "config", "--uninstall", **names).returncode == 0 and (tmp_path / "elsewhere").read_text() == own + "\n"


def test_config_refuses_what_a_shell_reads_and_files_of_others(leased, tmp_path):
    for match in ("a b", "$(x)", "a\nb", '"', "a;b"):
        assert run(leased, "ssh", "config", "--role", "prod", "--match", match, HOME=str(tmp_path)).returncode == 2
    assert run(leased, "ssh", "config", "--role", "prod", "--match", "a", "--address", "http://x;reboot", HOME=str(tmp_path)).returncode == 1
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/lease.conf").write_text("Host mine\n")
    done = run(leased, "ssh", "config", "--install", "--role", "prod", "--match", "a", HOME=str(tmp_path))
    assert done.returncode == 1 and (tmp_path / ".ssh/lease.conf").read_text() == "Host mine\n" and not (tmp_path / ".ssh/config").exists()


# ---- the host's side ----

def test_ca_prints_lines_for_sshd_and_for_known_hosts(leased):
    assert run(leased, "ssh", "ca").stdout.decode().split()[:2] == leased.line().split()[:2]
    done = run(leased, "ssh", "ca", "--known-hosts", "*.example.com,!x.example.com")
    assert done.stdout.decode().split()[:2] == ["@cert-authority", "*.example.com,!x.example.com"]
    assert run(leased, "ssh", "ca", "--known-hosts", "a b").returncode == 2


def test_certificates_of_a_host_are_made_and_renewed_near_their_end(leased, tmp_path):
    for kind in ("ed25519", "ecdsa"):
        make_key(tmp_path / f"ssh_host_{kind}_key", kind)
    arguments = ("ssh", "host-cert", "--role", "hosts", "--principals", "web1.example.com", "--renew", "--dir", str(tmp_path))
    assert run(leased, "ssh", "needs-renewal", "--host", "--dir", str(tmp_path)).returncode == 0
    done = run(leased, *arguments)
    assert done.returncode == 0 and done.stdout.count(b"HostCertificate ") == 2, done.stderr
    assert b"host certificate" in keygen("-L", "-f", tmp_path / "ssh_host_ed25519_key-cert.pub")
    assert run(leased, "ssh", "needs-renewal", "--host", "--dir", str(tmp_path)).returncode == 1
    assert run(leased, *arguments).stdout == b""
    leased.valid = "-2h:+30m"
    assert run(leased, *[word for word in arguments if word != "--renew"]).returncode == 0
    assert run(leased, "ssh", "needs-renewal", "--host", "--dir", str(tmp_path)).returncode == 0


def test_a_ban_says_one_thing_and_unban_finds_it(leased, tmp_path):
    key = make_key(tmp_path / "lost")
    for option, value, field in (("--identity", "alice", "identity"), ("--key", f"{key}.pub", "public_key"), ("--key-id", "a b/c", "key_id"),
                                 ("--fingerprint", "SHA256:x/y+z", "fingerprint")):
        done = None
        for path in [path for path in leased.answers if "/bans/" in path]:
            del leased.answers[path]
        names = [name for name in (run(leased, "ssh", "ban", option, value, "--reason", "lost"),) if name]
        asked = leased.asked[-1]
        assert asked.path.startswith("/v1/ssh/bans/") and asked.json["reason"] == "lost" and field in asked.json and names
        leased.answers[f"DELETE {asked.path}"] = (204, None)
        done = run(leased, "ssh", "unban", option, value)
        assert done.returncode == 0, done.stderr
    assert run(leased, "ssh", "ban").returncode == 2 and run(leased, "ssh", "ban", "--identity", "a", "--key-id", "b").returncode == 2


def test_a_revoked_certificate_is_refused_within_two_seconds_of_the_list(leased, host, tmp_path):
    key = make_key(tmp_path / "id")
    assert run(leased, "ssh", "sign", "--role", "prod", f"{key}.pub").returncode == 0
    process = start(leased, "ssh", "sync-host", "--ca", str(host.ca), "--krl", str(host.krl))
    try:
        wait_for(lambda: host.krl.read_bytes()[12:20] != bytes(8), "first list")
        assert host.login("-i", str(key)).stdout == b"in\n"
        leased.revoke(leased.serial)
        end = time.monotonic() + 2
        while host.login("-i", str(key)).returncode == 0:
            assert time.monotonic() < end, "still let in"
    finally:
        process.terminate()
        process.communicate(timeout=10)


# ---- doctor ----

def doctor(leased, host, key, *more, **others):
    config = pathlib.Path(host.dir) / "ssh_config"
    config.write_text(f"Host box\n\tHostname 127.0.0.1\n\tUser {host.user}\n\tIdentityFile {key}\n\tIdentitiesOnly yes\n")
    # ssh reads the configuration that its command line names, and doctor runs ssh: by a name that stands first in PATH.
    wrapper = pathlib.Path(host.dir) / "bin"
    wrapper.mkdir(exist_ok=True)
    (wrapper / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    os.chmod(wrapper / "ssh", 0o755)
    others.setdefault("SSH_AUTH_SOCK", None)
    return run(leased, "ssh", "doctor", "box", *more, PATH=f"{wrapper}:/usr/bin:/bin", **others)


def with_health(leased, off=0):
    leased.answers["GET /v1/sys/health"] = lambda asked: (200, {"server_time_utc": int(time.time()) - off})


def test_doctor_finds_nothing_wrong_with_what_logs_in(leased, host, tmp_path):
    with_health(leased)
    key = make_key(tmp_path / "id")
    assert run(leased, "ssh", "sign", "--role", "prod", f"{key}.pub").returncode == 0
    done = doctor(leased, host, key, "--sshd-config", str(host.config))
    assert done.returncode == 0 and b"WRONG" not in done.stdout and b"sshd trusts its CA" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("what, words", [("principal", "may log in as"), ("ended", "ended"), ("not begun", "begins in"), ("revoked", "is revoked by leased"),
                                         ("no certificate", "no certificate"), ("another CA", "its CA is not in"), ("clock", "clock is 300 s"),
                                         ("no list", "lets NOBODY in"), ("no trust", "trusts no CA")])
def test_doctor_says_why_a_login_is_refused(leased, host, tmp_path, what, words):
    with_health(leased, 300 if what == "clock" else 0)
    key, config, serials = make_key(tmp_path / "id"), tmp_path / "sshd_config", list(leased.serials)
    text = host.config.read_text()
    leased.principals = "nobody-here" if what == "principal" else host.user
    leased.valid = {"ended": "-2h:-1h", "not begun": "+1h:+2h"}.get(what, "-30s:+1h")
    if what != "no certificate":
        assert run(leased, "ssh", "sign", "--role", "prod", f"{key}.pub").returncode == 0
    if what == "revoked":
        leased.revoke(leased.serial)
    if what == "another CA":
        make_key(tmp_path / "other")
        text = text.replace(str(host.ca), str(tmp_path / "other.pub"))
    if what == "no list":
        text = text.replace(str(host.krl), str(tmp_path / "nothing"))
    if what == "no trust":
        text = text.replace("TrustedUserCAKeys", "#TrustedUserCAKeys")
    config.write_text(text)
    done = doctor(leased, host, key, "--sshd-config", str(config))
    leased.serials = serials
    wrong = [line for line in done.stdout.decode().splitlines() if line.startswith("WRONG")]
    assert done.returncode == 1 and any(words in line for line in wrong), done.stdout + done.stderr
    assert not list(tmp_path.glob("lease-doctor*"))
