"""How leased starts, what it says, and how it ends: --dev, -config, check, signals, the service manager."""

import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time

import pytest

from daemon import BUILD, Leased, poll
from privilege import connect_as

BINARY = BUILD / "bin" / "leased"
CONFIG = """data_dir  = "{dir}/data"
seal "file"      { path = "{dir}/root.key" }
listener "unix"  { path = "{dir}/leased.sock"  mode = "0660" }
plugin_dir = "%s"
default_lease_ttl = "1h"
max_lease_ttl     = "32d"
log { level = "info"  format = "json" }
auth "unix" {
  role "shop" { bound_uids = [4321]  policies = ["shop"]  max_leases = 20 }
}
policy "shop" {
  path "sys/mounts" { capabilities = ["read"] }
}
""" % (BUILD / "libexec" / "leased" / "plugins")


def run(*args, **kwargs):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=30, **kwargs)


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="leased-start-", dir="/tmp") as path:
        yield pathlib.Path(path)


def check(directory, text):
    path = directory / "leased.hcl"
    path.write_text(text.replace("{dir}", str(directory)))
    return run("check", "-config", str(path))


# ---- the command line ----


def test_help_and_version_answer():
    assert run("--help").stdout.startswith("leased hands out credentials")
    assert run("-help").returncode == 0
    assert "leased" in run("--version").stdout


@pytest.mark.parametrize("args", [[], ["--dev", "-config", "x"], ["check"], ["check", "--dev"], ["--dev", "more"],
                                  ["chekc", "-config", "x"], ["-config", "x", "--dev-dir", "y"], ["--nothing"]])
def test_a_wrong_call_is_2_and_points_to_the_help(args):
    result = run(*args)
    assert result.returncode == 2 and "leased --help" in result.stderr and result.stdout == ""


def test_failpoints_are_listed():
    names = run("--failpoints").stdout.split()
    assert "auth_token_create" in names and len(names) == len(set(names)) > 20


# ---- check ----


def test_the_sample_has_no_mistakes(directory):
    result = check(directory, CONFIG)
    assert result.returncode == 0, result.stderr


def test_check_names_every_mistake_with_its_place_and_the_nearest(directory):
    text = CONFIG.replace("max_leases", "max_lease").replace('"read"', '"raed"').replace("log {", "lgo {")
    result = check(directory, text)
    assert result.returncode == 1
    path = f"{directory}/leased.hcl"
    assert f'{path}:7:1: unknown' in result.stderr and 'did you mean "log"' in result.stderr
    assert f'{path}:9:' in result.stderr and 'did you mean "max_leases"' in result.stderr
    assert f'{path}:12:' in result.stderr and 'did you mean "read"' in result.stderr


def test_check_tells_all_mistakes_of_a_policy(directory):
    rules = """  path "a" { capabilities = ["raed", "updaet"]  polcy = "x" }
  path "b+*" { capabilities = ["list", "scan"]  allowed_parameters = {} }
  pth "c" {}
"""
    result = check(directory, CONFIG + 'policy "many" {\n' + rules + "}\n")
    assert result.returncode == 1 and "7 mistakes" in result.stderr, result.stderr
    for word in ("raed", "updaet", "polcy", "b+*", "scan", "allowed_parameters", "pth"):
        assert result.stderr.count(word) == 1, (word, result.stderr)


def test_check_names_a_group_that_does_not_exist(directory):
    result = check(directory, CONFIG.replace('mode = "0660"', 'group = "no-such-group"'))
    assert result.returncode == 1 and "leased.hcl:3:" in result.stderr and "no-such-group" in result.stderr


def test_check_goes_on_behind_a_key_that_stands_twice(directory):
    text = CONFIG.replace(str(BUILD), "{dir}/none")
    result = check(directory, text + 'data_dir = "/other"\nsurprise = 1\n')
    assert result.returncode == 1 and "3 mistakes" in result.stderr, result.stderr
    assert '"data_dir" is set twice' in result.stderr and '"surprise"' in result.stderr
    assert f"the directory {directory}/none" in result.stderr


@pytest.mark.parametrize("text, says", [
    ("policy {}\n", '"policy" is a block: write policy "name"'),
    ('policy "p" { path "a/../b" { capabilities = ["read"] } }\n', "can never match"),
    ('policy "p" { path "a//b" { capabilities = ["read"] } }\n', "can never match"),
    ('auth "unix" { role "r" { bound_uids = [1] policy = ["x"] policies = ["x"] } }\n', 'did you mean "policies"'),
])
def test_check_refuses_what_would_be_silently_of_no_use(directory, text, says):
    result = check(directory, CONFIG + text)
    assert result.returncode == 1 and says in result.stderr, result.stderr


def test_check_looks_for_plugins_where_the_command_line_says_and_names_the_key_that_says_it(directory):
    plugins = str(BUILD / "libexec" / "leased" / "plugins")
    path = directory / "leased.hcl"
    path.write_text(CONFIG.replace("{dir}", str(directory)).replace(f'plugin_dir = "{plugins}"\n', f'plugin_dir = "{directory}/none"\n'))
    without = run("check", "-config", str(path))
    assert without.returncode == 1 and "leased.hcl:4:1: " in without.stderr and "Set plugin_dir" in without.stderr, without
    assert run("check", "-config", str(path), "-plugin-dir", plugins).returncode == 0
    wrong = run("check", "-config", str(path), "-plugin-dir", f"{directory}/nor")
    assert wrong.returncode == 1 and f"{directory}/nor" in wrong.stderr and "-plugin-dir names it" in wrong.stderr, wrong


def test_check_looks_at_a_root_key_that_is_there(directory):
    key = directory / "root.key"
    key.write_text("no key\n")
    key.chmod(0o600)
    wrong = check(directory, CONFIG)
    assert wrong.returncode == 1 and "leased.hcl:2:1: " in wrong.stderr and "is not 32 bytes in base64" in wrong.stderr, wrong
    key.chmod(0o644)
    open_to_others = check(directory, CONFIG)
    assert open_to_others.returncode == 1 and "chmod 600" in open_to_others.stderr, open_to_others


def test_check_warns_of_an_audit_that_cannot_be_written_and_refuses_one_that_never_can(directory):
    text = CONFIG + 'audit "file" { path = "{dir}/log/audit.log" }\n'
    checked = check(directory, text)
    assert checked.returncode == 0 and "no mistakes" in checked.stdout, checked
    assert "warning: the audit's directory" in checked.stderr and "No such file" in checked.stderr, checked
    (directory / "log").mkdir()
    checked = check(directory, text)
    assert checked.returncode == 0 and checked.stderr == "", checked
    (directory / "log" / "audit.log").mkdir()
    checked = check(directory, text)
    assert checked.returncode == 1 and "is no regular file" in checked.stderr, checked


def test_a_refused_ttl_is_one_mistake(directory):
    result = check(directory, CONFIG + 'max_lease_ttl = "-1h"\n')
    assert "1 mistake " in result.stderr, result.stderr


def test_check_says_that_bound_units_never_match(directory):
    result = check(directory, CONFIG.replace("max_leases = 20", 'bound_units = ["shop.service"]'))
    assert result.returncode == 0 and "warning" in result.stderr and "never matches" in result.stderr


def test_a_block_of_a_later_version_is_refused(directory):
    result = check(directory, CONFIG + 'audit "socket" { path = "/tmp/x" }\n')
    assert result.returncode == 1 and "not available in this version" in result.stderr


def test_a_file_with_mistakes_serves_nothing(directory):
    path = directory / "leased.hcl"
    path.write_text((CONFIG + "surprise = 1\n").replace("{dir}", str(directory)))
    result = run("-config", str(path))
    assert result.returncode == 1 and "surprise" in result.stderr
    assert not (directory / "data").exists() and not (directory / "root.key").exists()


# ---- -config ----


def test_what_the_file_declares_holds_and_is_read_only_over_the_api():
    with Leased(config=CONFIG) as leased:
        shop = leased.request_as(4321, os.getegid(), "GET", "auth/token/lookup-self").data
        assert shop["policies"] == ["default", "shop"]
        assert leased.request_as(4321, os.getegid(), "GET", "sys/mounts").status == 200
        assert leased.request_as(4322, os.getegid(), "GET", "sys/mounts").status == 403
        assert leased.get("sys/mounts").status == 403  # outside --dev the daemon's own user is nobody special
        assert stat.S_IMODE((leased.dir / "root.key").stat().st_mode) == 0o600
        assert leased.stop() == 0


# ---- --dev ----


def test_dev_keeps_the_token_to_itself_and_everything_in_one_private_directory():
    with Leased(args=["--dev-root-token-id", "chosen-root-token"]) as leased:
        assert leased.root_token == "chosen-root-token"
        assert leased.tcp_request("GET", "sys/mounts", token="chosen-root-token").status == 200
        assert "chosen-root-token" not in leased.output()
        command = pathlib.Path(f"/proc/{leased.pid}/cmdline").read_bytes()
        assert b"chosen-root-token" not in command
        for path in leased.dir.iterdir():
            if path.name != "output":
                allowed = 0o660 if path.is_socket() else 0o700
                assert stat.S_IMODE(path.stat().st_mode) & ~allowed == 0, path
        assert "for development only" in leased.output()
        assert f"LEASE_ADDR=unix://{leased.socket_path}" in leased.output()


def test_dev_without_a_directory_makes_one_and_serves_where_the_client_looks(directory):
    runtime = directory / "run"
    runtime.mkdir(mode=0o700)
    process = subprocess.Popen([BINARY, "--dev", "--dev-listen-address", "127.0.0.1:0"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=dict(os.environ, XDG_RUNTIME_DIR=str(runtime)))
    try:
        path = runtime / "leased" / "leased.sock"
        poll(path.exists, what="the socket")
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.sendall(b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        sock.close()
        assert [child.name for child in runtime.iterdir() if child.name.startswith("leased-dev-")]
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.mark.parametrize("option, value, says", [
    ("--dev-listen-address", "0.0.0.0:0", "of this machine"), ("--dev-root-token-id", "a b", "without blanks"),
    ("--dev-root-token-id", "", "without blanks"), ("--dev-root-token-id", "x" * 256, "255 characters")])
def test_a_wrong_option_of_dev_is_found_before_anything_is_made(directory, option, value, says):
    result = run("--dev", "--dev-dir", str(directory / "d"), option, value)
    assert result.returncode == 2 and says in result.stderr
    assert not (directory / "d").exists()


@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_dev_puts_no_key_into_a_directory_that_is_open_to_others(directory, mode):
    directory.chmod(mode)
    result = run("--dev", "--dev-dir", str(directory), "--dev-listen-address", "127.0.0.1:0")
    assert result.returncode == 1 and "chmod" in result.stderr
    assert not list(directory.iterdir())


def test_a_data_directory_that_is_open_to_others_gets_no_root_key_beside_it(directory):
    (directory / "data").mkdir()
    (directory / "data").chmod(0o755)
    path = directory / "leased.hcl"
    path.write_text(CONFIG.replace("{dir}", str(directory)))
    result = run("-config", str(path))
    assert result.returncode == 1 and "chmod 700" in result.stderr + result.stdout, result
    assert not (directory / "root.key").exists()


def test_dev_takes_localhost_and_says_whole_paths(directory):
    (directory / "d").mkdir(mode=0o700)
    process = subprocess.Popen([BINARY, "--dev", "--dev-dir", "d", "--dev-listen-address", "localhost:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=directory)
    try:
        lines = [next(process.stdout) for _ in range(9)]
        assert any(f"export LEASE_ADDR=unix://{directory}/d/leased.sock" in line for line in lines), lines
        assert any("http://127.0.0.1:" in line for line in lines), lines
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_another_root_token_ends_the_one_of_the_start_before():
    with Leased(args=["--dev-root-token-id", "first-token"]) as leased:
        leased.stop()
        leased.args = ["--dev-root-token-id", "second-token"]
        leased.start()
        assert leased.tcp_request("GET", "sys/mounts", token="second-token").status == 200
        assert leased.tcp_request("GET", "sys/mounts", token="first-token").status == 403
        leased.restart()
        assert leased.tcp_request("GET", "sys/mounts", token="second-token").status == 200


def test_a_second_daemon_is_refused_and_told_whose_store_it_is():
    with Leased() as leased:
        result = run("--dev", "--dev-dir", str(leased.dir), "--dev-listen-address", "127.0.0.1:0")
        assert result.returncode == 1 and str(leased.pid) in result.stderr
        assert leased.get("sys/health").status == 200


# ---- signals and the service manager ----


def test_signals_of_others_change_nothing_and_sigterm_ends_with_0():
    with Leased() as leased:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            os.kill(leased.pid, number)
            poll(lambda: signal.strsignal(number) in leased.output(), what=f"a word about {number}")
        assert "is ignored" in leased.output()
        assert leased.get("sys/health").status == 200
        started = time.monotonic()
        assert leased.stop() == 0
        assert time.monotonic() - started < 5
        assert not leased.socket_path.exists()


def test_an_idle_connection_does_not_hold_up_the_end():
    with Leased() as leased:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(leased.socket_path))
        sock.sendall(b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(4096)
        started = time.monotonic()
        assert leased.stop() == 0
        assert time.monotonic() - started < 5
        sock.close()


def test_the_service_manager_is_told(directory):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(directory / "notify"))
    manager.settimeout(10)
    env = {"NOTIFY_SOCKET": str(directory / "notify"), "WATCHDOG_USEC": "400000"}
    with Leased(env=env) as leased:
        assert b"READY=1" in manager.recv(4096)
        assert manager.recv(4096) == b"WATCHDOG=1"
        leased.stop()
        messages = []
        manager.setblocking(False)
        try:
            while True:
                messages.append(manager.recv(4096))
        except BlockingIOError:
            pass
        assert b"STOPPING=1" in messages
    manager.close()


def test_no_worker_or_spawner_outlives_the_daemon():
    with Leased() as leased:
        group = subprocess.run(["ps", "--ppid", str(leased.pid), "-o", "pid="], capture_output=True, text=True)
        children = group.stdout.split()
        assert children, "the spawner"
        leased.kill()
        poll(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children), what="the end of the spawner")


@pytest.mark.parametrize("name,words", [("root", "root"), ("Shop", "stands in line"), (" shop ", "stands in line"), ("sh\u00f6p", "policy")])
def test_check_refuses_the_names_of_policies_that_no_start_takes(directory, name, words):
    text = CONFIG + f'policy "{name}" {{\n  path "a" {{ capabilities = ["read"] }}\n}}\n'
    result = check(directory, text)
    assert result.returncode == 1 and words in result.stderr, result
    assert re.search(r"leased.hcl:1[0-9]:[0-9]+: ", result.stderr)


# ---- the root key and the store ----


def test_a_missing_key_beside_a_store_is_said_and_no_other_is_made(directory):
    with Leased(config=CONFIG, directory=directory) as leased:
        leased.stop()
        key = directory / "root.key"
        text = key.read_bytes()
        key.unlink()
        leased.start(wait=False)
        assert leased.wait_exit() == 1 and not key.exists()
        output = leased.output(this_start_only=True)
        assert "root.key" in output and "this store's key" in output and "was made" not in output
        key.write_bytes(text)
        key.chmod(0o600)
        leased.start()


def test_a_store_that_was_cut_to_nothing_is_not_taken_for_a_new_one(directory):
    with Leased(config=CONFIG, directory=directory) as leased:
        leased.stop()
        (directory / "data" / "leased.db").write_bytes(b"")
        leased.start(wait=False)
        assert leased.wait_exit() == 1 and "is empty" in leased.output(this_start_only=True)
        assert (directory / "data" / "leased.db").stat().st_size == 0


def test_a_store_that_is_gone_beside_its_reserve_is_refused_once_and_no_file_is_made(directory):
    with Leased(config=CONFIG, directory=directory) as leased:
        leased.stop()
        (directory / "data" / "leased.db").unlink()
        leased.start(wait=False)
        said = leased.output(this_start_only=True) if leased.wait_exit() == 1 else ""
        assert "is missing, and a store was here" in said and "a new store begins" not in said, said
        assert not (directory / "data" / "leased.db").exists()
        (directory / "root.key").rename(directory / "kept.key")
        leased.start(wait=False)
        assert leased.wait_exit() == 1 and not (directory / "root.key").exists()


def test_a_missing_store_beside_a_key_is_warned_of(directory):
    with Leased(config=CONFIG, directory=directory) as leased:
        assert "a new store begins" not in leased.output()
        leased.stop()
        (directory / "data" / "leased.db").unlink()
        (directory / "data" / "reserve").unlink()
        leased.start()
        assert "a new store begins" in leased.output(this_start_only=True)


ADMIN = """
auth "unix" { role "admin" { bound_uids = [0] policies = ["admin"] } }
policy "admin" { path "*" { capabilities = ["read", "list", "update", "delete", "sudo"] } }
"""


def test_a_path_as_long_as_the_file_allows_is_answered():
    with Leased(config=CONFIG + ADMIN + 'limits { request_line = "32KiB" }\n') as leased:
        long = "database/" + "a" * 9000
        assert leased.list(f"sys/leases/lookup/{long}").status == 404
        assert leased.put(f"sys/leases/revoke-prefix/{long}").status == 400  # no lease can stand there
        assert leased.get(f"sys/internal/ui/mounts/{long}").status == 200


def test_connections_of_one_user_leave_descriptors_for_workers_and_others():
    with Leased(wrapper=["prlimit", "--nofile=1024:1024"]) as leased:
        assert "fewer connections are taken than configured" in leased.output()
        held = [connect_as(leased.socket_path, 12345, 0, ()) for _ in range(200)]
        assert leased.get("sys/health").status == 200
        assert len(os.listdir(f"/proc/{leased.pid}/fd")) < 180
        for sock in held:
            sock.close()
