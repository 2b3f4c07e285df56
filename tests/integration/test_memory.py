"""Secrets in memory: none outside the locked heap five seconds after the requests that they were in, and nobody may look."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time

import pytest

import memscan
from daemon import Leased, poll
from job import CREATE, Credential, Job
from pg import Postgres

SETTLED_S = 5


def canary():
    """Found nowhere else, and of characters that no encoding changes."""
    return "Canary-" + secrets.token_hex(12)


@pytest.fixture(scope="module")
def postgres():
    with Postgres(admin_password=canary()) as server:
        yield server


def processes(leased):
    return [leased.pid] + leased.descendants()


def scan(leased, known):
    return [hit for pid in processes(leased) for hit in memscan.scan(pid, known)]


@pytest.fixture
def job(postgres):
    # So that the tests' own user may look, too.
    with Job(postgres, env={"LEASED_TEST_DUMPABLE": "1"}) as one:
        yield one


def use(job, known):
    """Every request that a secret passes through, each remembered in known by what it was."""
    leased = job.leased
    known["root token"] = leased.root_token
    made = leased.post("auth/token/create", {"policies": ["root"], "ttl": "1h"}, token=leased.root_token)
    known["token"] = made.auth["client_token"]
    known["token that nobody made"] = canary()
    assert leased.get("auth/token/lookup-self", token=known["token that nobody made"]).status == 403
    assert leased.get("auth/token/lookup-self", token=known["token"]).status == 200
    assert leased.tcp_request("GET", "auth/token/lookup-self", token=known["token"]).status == 200
    assert job.role("plain", db_name="plain", grant_roles=[], creation_statements=[CREATE]).status in (200, 204)
    for role in ("app", "app", "plain"):
        credential = Credential(leased.get(f"database/creds/{role}", token=known["token"]))
        known[f"password {credential.user}"] = credential.password
        assert job.server.can_login(credential.user, credential.password)
        assert job.renew(credential, 7200).status == 200
    assert job.revoke(credential).status == 204
    known["password of a configuration that is refused"] = canary()
    assert job.configure("wrong", password=known["password of a configuration that is refused"]).status == 400


def test_no_secret_stays_in_memory_that_is_not_locked(job):
    known = {"administrator's password": job.server.admin_password}
    job.set_up()
    assert job.configure("plain", password_authentication="password").status in (200, 204)
    use(job, known)
    assert len(known) == 8
    time.sleep(SETTLED_S)
    hits = scan(job.leased, known)
    assert not hits, "\n".join(hits)


def test_the_scan_finds_what_is_there(job):
    """Else a scan that looks in the wrong place would be glad."""
    job.set_up()
    area = [one for one in memscan.areas(job.leased.pid) if one.is_locked]
    assert area, "there is no locked heap, that is left out of dumps"
    with open(f"/proc/{job.leased.pid}/mem", "rb", buffering=0) as memory:
        assert any(memscan.read_area(memory, one).strip(b"\0") for one in area), "nothing is kept in it"
    environment = memscan.scan(job.leased.pid, {"a variable": f"LEASED_TEST_DUMPABLE={1}"})
    assert environment, "the environment is on the stack"


LOOK = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for pid in map(int, sys.argv[1:]):
    for attach in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE
        if libc.ptrace(attach, pid, None, None) == 0:
            print(pid, "ptrace", attach)
    for name in ("mem", "environ", "maps", "auxv"):
        try:
            os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
            print(pid, name)
        except OSError:
            pass
    try:
        os.readlink(f"/proc/{pid}/fd/{os.listdir(f'/proc/{pid}/fd')[0]}")
        print(pid, "fd")
    except OSError:
        pass
    buffer = ctypes.create_string_buffer(16)
    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
    here, there = Piece(ctypes.addressof(buffer), 16), Piece(0x10000, 16)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) >= 0 or ctypes.get_errno() != 1:
        print(pid, "process_vm_readv")
"""


def without_capabilities(*command):
    """The command as a process of the daemon's own user has it, whoever that is."""
    if os.geteuid() != 0:
        return list(command)
    return [shutil.which("setpriv"), "--bounding-set=-all", "--inh-caps=-all", "--", *command]


def look_as_the_same_user(pids):
    """What a debugger, gcore or an intruder could do."""
    command = without_capabilities(sys.executable, "-c", LOOK, *map(str, pids))
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nobody_of_the_same_user_can_look_into_a_process(postgres):
    with Job(postgres) as job:
        job.set_up()
        job.mint()
        pids = processes(job.leased)
        assert len(pids) >= 3, "daemon, spawner, worker"
        assert look_as_the_same_user(pids) == []
    sleeper = subprocess.Popen(without_capabilities("sleep", "60"))
    try:
        poll(lambda: status_of(sleeper.pid)["Name"] == "sleep", what="the command")
        assert any("mem" in line for line in look_as_the_same_user([sleeper.pid])), "or this test cannot look at all"
    finally:
        sleeper.kill()
        sleeper.wait()


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(re.findall(r"^(\w+):\s+(.*)$", file.read(), re.M))


def test_every_process_has_given_up_what_it_does_not_need(postgres):
    with Job(postgres) as job:
        job.set_up()
        job.mint()
        poll(lambda: len(processes(job.leased)) >= 3, what="a worker")
        for pid in processes(job.leased):
            status = status_of(pid)
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
            kept = 1 << 10 | 1 << 0 if pid == job.leased.pid else 0  # NET_BIND_SERVICE, CHOWN
            for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
                if name != "CapBnd" or os.geteuid() == 0:
                    assert int(status[name], 16) & ~kept == 0, (name, status)
            with open(f"/proc/{pid}/limits") as file:
                assert re.search(r"Max core file size +0 +0", file.read())


def test_without_locked_memory_it_says_so_and_serves():
    with Leased(wrapper=["prlimit", "--memlock=0:0"]) as leased:
        assert "secrets are kept in ordinary memory" in leased.output()
        assert leased.get("sys/health").status == 200
