"""SIGHUP reads leased.hcl again: what changes, what is named because it cannot, and what a mistake leaves alone."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from audited import Audited
from daemon import BUILD, poll
from served import Served, write_pair

GID = os.getegid()


@pytest.fixture
def leased():
    with Served() as one:
        yield one


def may(leased, uid, path):
    return leased.request_as(uid, GID, "GET", path).status == 200


def gauge(leased, name):
    text = leased.get("sys/metrics?format=openmetrics").body.decode()
    return float(re.search(rf"^{name}(?:_total)? (\S+)$", text, re.MULTILINE).group(1))


def test_policies_and_roles_of_the_file_change_at_once(leased):
    assert may(leased, 4321, "sys/mounts") and not may(leased, 4322, "sys/mounts") and not may(leased, 4321, "sys/auth")
    leased.edit("bound_uids = [4321]", "bound_uids = [4322]")
    leased.edit('path "sys/mounts"', 'path "sys/auth"')
    assert may(leased, 4321, "sys/mounts"), "not before SIGHUP"
    assert leased.reload()
    assert may(leased, 4322, "sys/auth") and not may(leased, 4321, "sys/mounts") and not may(leased, 4322, "sys/mounts")
    leased.edit('role "shop" { bound_uids = [4322]  policies = ["shop"] }', "")
    leased.edit('policy "shop" { path "sys/auth" { capabilities = ["read"] } }', "")
    assert leased.reload()
    assert not may(leased, 4322, "sys/auth")
    assert leased.get("sys/policies/acl/shop").status == 404


def test_a_token_that_is_in_use_is_judged_by_the_new_file(leased):
    token = leased.post("auth/token/create", {"policies": ["shop"], "ttl": "1h"}).auth["client_token"]
    for path, other in (("sys/mounts", "sys/auth"), ("sys/auth", "sys/mounts"), ("sys/mounts", "sys/auth")):
        assert leased.get(path, token=token).status == 200 and leased.get(other, token=token).status == 403
        leased.edit(f'policy "shop" {{ path "{path}"', f'policy "shop" {{ path "{other}"')
        assert leased.reload()


def test_a_role_over_the_api_comes_forward_when_the_file_lets_go_of_its_name(leased):
    leased.edit('role "shop" { bound_uids = [4321]  policies = ["shop"] }', "")
    assert leased.reload()
    assert leased.post("auth/unix/role/shop", {"bound_uids": [5555], "policies": ["shop"]}).status in (200, 204)
    assert may(leased, 5555, "sys/mounts")
    leased.edit('role "admin"', 'role "shop" { bound_uids = [4321]  policies = ["shop"] }\n  role "admin"')
    assert leased.reload()
    assert may(leased, 4321, "sys/mounts") and not may(leased, 5555, "sys/mounts")
    assert leased.post("auth/unix/role/shop", {"bound_uids": [1]}).status == 400
    leased.edit('role "shop" { bound_uids = [4321]  policies = ["shop"] }\n', "")
    assert leased.reload()
    assert may(leased, 5555, "sys/mounts") and not may(leased, 4321, "sys/mounts")


def test_the_log_level_changes(leased):
    def levels():
        return [line["level"] for line in leased.log_lines()]

    def says_nothing():
        count = len(levels())
        os.kill(leased.pid, signal.SIGUSR2)
        time.sleep(0.2)
        return len(levels()) == count

    assert not says_nothing()
    leased.edit('level = "info"', 'level = "error"')
    os.kill(leased.pid, signal.SIGHUP)  # its own success is below that
    poll(says_nothing, what="the new level")
    leased.edit('level = "error"', 'level = "info"')
    assert leased.reload()


def test_a_mistake_changes_nothing_and_all_of_them_are_named(leased):
    good = leased.config
    leased.edit("bound_uids = [4321]", "bound_uids = [4322]")
    leased.edit('path "sys/mounts" { capabilities = ["read"] }', 'path "sys/mounts" { capabilities = ["raed"] }')
    leased.edit("tls/a.key", "tls/none.key")
    leased.edit('level = "info"', 'level = "loud"')
    assert not leased.reload()
    said = [line["mistake"] for line in leased.log_lines() if "mistake" in line]
    assert len(said) == 3 and all(text.startswith(f"{leased.dir}/leased.hcl:") for text in said), said
    assert any("raed" in text for text in said) and any("none.key" in text for text in said) and any('"level"' in text for text in said)
    assert may(leased, 4321, "sys/mounts") and not may(leased, 4322, "sys/mounts")
    assert gauge(leased, "leased_config_refused") == 1
    (leased.dir / "leased.hcl").unlink()
    assert not leased.reload()
    assert may(leased, 4321, "sys/mounts")
    leased.config = good
    leased.write()
    assert leased.reload()
    assert gauge(leased, "leased_config_refused") == 0 and gauge(leased, "leased_config_reloads") == 3


def test_what_cannot_change_is_named_and_the_rest_holds(leased):
    leased.edit('data_dir  = "{dir}/data"', 'data_dir  = "{dir}/other"\ndefault_lease_ttl = "2h"')
    leased.edit('mode = "0666"', 'mode = "0660"')
    leased.edit("bound_uids = [4321]", "bound_uids = [4322]")
    leased.config += 'listener "unix" { path = "{dir}/second.sock" }\nlimits { idle_timeout = "10s" }\n'
    leased.write()
    assert leased.reload()
    changed = [line["changed"] for line in leased.log_lines() if "changed" in line][-1]
    assert changed == f"data_dir, default_lease_ttl, limits, listener {leased.dir}/leased.sock, listener {leased.dir}/second.sock"
    assert may(leased, 4322, "sys/mounts") and not (leased.dir / "other").exists()


def test_the_service_manager_hears_of_a_reload(tmp_path):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(10)
    with Served(env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as one:
        assert b"READY=1" in manager.recv(4096)
        assert one.reload()
        begin = manager.recv(4096)
        assert begin.startswith(b"RELOADING=1\nMONOTONIC_USEC=") and int(begin.split(b"=")[2]) > 0
        assert b"READY=1" in manager.recv(4096)
        (one.dir / "leased.hcl").write_text("nonsense")
        assert not one.reload()
        assert manager.recv(4096).startswith(b"RELOADING=1")
        assert b"refused" in manager.recv(4096)
    manager.close()


def test_requests_go_on_through_many_reloads(leased):
    failed, stop = [], threading.Event()

    def work(call):
        while not stop.is_set():
            try:
                if call().status != 200:
                    failed.append(call)
            except OSError as error:
                failed.append(error)

    calls = [lambda: leased.get("sys/health"), lambda: leased.tls_request("GET", "sys/health"),
             lambda: leased.request_as(4321, GID, "GET", "sys/mounts")]
    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for _ in range(30):
        assert leased.reload()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed, failed[:3]
    assert leased.stop() == 0


# ---- a file that takes long ----


def test_a_file_that_takes_long_to_read_holds_up_nobody():
    with Served(start=False) as one:
        one.start(failpoint="config_load_read=sleep:2000@2")  # the first is the start's
        one.edit("bound_uids = [4321]", "bound_uids = [4322]")
        os.kill(one.pid, signal.SIGHUP)
        until, slowest, asked = time.monotonic() + 1.5, 0, 0
        while time.monotonic() < until:
            begin = time.monotonic()
            assert one.get("sys/health").status == 200
            slowest, asked = max(slowest, time.monotonic() - begin), asked + 1
        assert slowest < 1 and asked > 5 and may(one, 4321, "sys/mounts"), (slowest, asked)
        one.edit("bound_uids = [4322]", "bound_uids = [4323]")
        assert one.reload(), "a signal that comes meanwhile"
        assert "is still being read: it is read once more" in one.output()
        poll(lambda: may(one, 4323, "sys/mounts"), what="the file as it is now")
        assert not may(one, 4321, "sys/mounts") and not may(one, 4322, "sys/mounts")


def test_a_file_that_is_never_read_does_not_hold_up_the_end():
    with Served(start=False) as one:
        one.start(failpoint="config_load_read=sleep:60000@2")
        os.kill(one.pid, signal.SIGHUP)
        time.sleep(0.3)
        begin = time.monotonic()
        assert one.stop() == 0 and time.monotonic() - begin < 8
        assert "still being read" in one.output()


# ---- check finds what a reload would ----


def check(one, *options, env=None):
    return subprocess.run([BUILD / "bin" / "leased", "check", "-config", one.dir / "leased.hcl", *options], capture_output=True,
                          text=True, timeout=30, env=dict(os.environ, **(env or {})))


def test_check_refuses_just_what_a_reload_refuses_in_the_same_words(leased):
    good = {name: (leased.tls / name).read_bytes() for name in ("a.crt", "a.key")}

    def ended():
        write_pair(leased, "ended", days=-1)

    def mismatched():
        write_pair(leased, "other")
        (leased.tls / "a.key").write_bytes(good["a.key"])

    for spoil, says in ((ended, "ended at"), (mismatched, "does not belong to")):
        spoil()
        checked, count = check(leased), len(leased.log_lines())
        assert checked.returncode == 1 and "1 mistake" in checked.stderr, checked
        assert not leased.reload()
        mistakes = [line["mistake"] for line in leased.log_lines()[count:] if "mistake" in line]
        assert len(mistakes) == 1 and says in mistakes[0] and mistakes[0].startswith(f"{leased.dir}/leased.hcl:4:1: "), mistakes
        assert mistakes[0] in checked.stderr.splitlines(), checked
    for name, data in good.items():
        (leased.tls / name).write_bytes(data)
    assert check(leased).returncode == 0 and leased.reload()


def test_check_names_a_certificate_that_is_not_good_yet(leased, tmp_path):
    offset = tmp_path / "clock"
    offset.write_bytes((-3 * 86400 * 10**6).to_bytes(8, "little", signed=True) + bytes(16))
    checked = check(leased, env={"LEASED_TEST_CLOCK": str(offset)})
    assert checked.returncode == 1 and "is not good before" in checked.stderr, checked


# ---- on record ----


@pytest.fixture
def audited():
    with Served(start=False) as one:
        one.config += 'audit "file" { path = "{dir}/audit.log" }\n'
        one.audit = one.dir / "audit.log"
        one.records = lambda: Audited.records(one)
        one.start()
        yield one


def configurations(one):
    return [record["configuration"] for record in Audited.changes(one, "configuration")]


def test_what_takes_effect_is_on_record_with_the_hash_of_the_file(audited):
    path = audited.dir / "leased.hcl"
    poll(lambda: len(configurations(audited)) == 1, what="the record of the start")
    audited.edit("bound_uids = [4321]", "bound_uids = [4322]")
    assert audited.reload()
    poll(lambda: len(configurations(audited)) == 2, what="the record of the reload")
    told = configurations(audited)[1]
    assert told == {"cause": "reload", "file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "policies": 2, "roles": 2, "listeners": 2, "certificates": 1}
    assert configurations(audited)[0]["cause"] == "start" and configurations(audited)[0]["sha256"] != told["sha256"]
    path.write_text("nonsense")
    assert not audited.reload()
    time.sleep(0.3)
    assert len(configurations(audited)) == 2


def test_a_reload_that_cannot_be_recorded_changes_nothing(tmp_path):
    with Served(start=False, env={"LEASED_FAILPOINT_DIR": str(tmp_path)}) as one:
        one.config += 'audit "file" { path = "{dir}/audit.log" }\n'
        one.start()
        (tmp_path / "audit_outbox_put.armed").write_text("error:no_space@1")
        one.edit("bound_uids = [4321]", "bound_uids = [4322]")
        assert not one.reload()
        assert "could not be recorded for the audit" in one.output()
        assert may(one, 4321, "sys/mounts") and not may(one, 4322, "sys/mounts")
        assert one.reload()
        assert may(one, 4322, "sys/mounts")
