"""The exec plugin and its command: what it is told and how, what it may answer, and that nothing of it outlives its call."""

import json
import os
import pathlib
import signal
import time

import pytest

from account_service import AccountService, ServiceManager
from backend_exec import Backend
from conftest import EXPIRES, TAG, fails
from daemon import poll
from plugin_driver import CallFailed, PluginGone, Worker

PASSWORD = "Aa1-xxxxxxxxxxxxxxxxxxxx"


@pytest.fixture
def service():
    with AccountService() as one:
        yield one


@pytest.fixture
def start(service):
    workers = []

    def opened(script=None, **changes):
        """script: shell text that answers all but ping; ping is answered without it."""
        if script is not None:
            service.command.write_text('#!/bin/sh\nread -r request\ncase $request in *\'"op":"ping"\'*) echo {}; exit 0;; esac\n' + script + "\n")
        worker = Worker(Backend().program)
        workers.append(worker)
        worker.opened = worker.call("open", {"config": service.config(**changes), "tag": TAG, "instance": "i"})
        return worker

    yield opened
    for worker in workers:
        worker.__exit__()


def account(name="l-c0nf0r-app-1", **more):
    return {"name": name, "role": {"settings": {"group": "g"}}, **more}


def mint(worker, **kwargs):
    return worker.call("mint", {"account": account(), "password": PASSWORD, "expires": EXPIRES}, **kwargs)


def test_the_command_is_told_all_on_its_standard_input(service, start):
    worker = start()
    mint(worker)
    worker.call("disarm", {"accounts": [account(kept="k", expires=EXPIRES)]})
    pings = [request for request in service.requests if request["op"] == "ping"]
    made, ended = [request for request in service.requests if request["op"] != "ping"]
    assert pings[0] == {"version": 1, "op": "ping", "tag": TAG, "settings": {"accounts": service.path}, "secret": service.secret}
    assert made == {**pings[0], "op": "mint", "account": account(), "password": PASSWORD, "expires": EXPIRES}
    assert ended == {**pings[0], "op": "disarm", "account": account(kept="k", expires=EXPIRES)}


def test_nothing_of_ours_is_in_its_arguments_environment_or_descriptors(service, start):
    seen = service.directory / "seen"
    seen.mkdir(mode=0o777)
    worker = start(f"tr '\\0' '\\n' < /proc/$$/cmdline > {seen}/cmdline; env > {seen}/env; ls /proc/$$/fd > {seen}/fds; "
                   f"pwd > {seen}/pwd; umask > {seen}/umask; grep ^Sig /proc/self/status > {seen}/signals; echo '{{}}'", arguments=["one", "two three"])
    mint(worker)
    read = {path.name: path.read_text() for path in seen.iterdir()}
    assert read["cmdline"].split("\n")[-3:] == ["one", "two three", ""]
    assert {line.split("=")[0] for line in read["env"].splitlines()} <= {"LANG", "PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}
    assert set(read["fds"].split()) <= {"0", "1", "2", "10", "11"}  # 10 and 11: the shell's own
    assert read["pwd"] == "/\n" and read["umask"].strip().endswith("77")
    signals = dict(line.split() for line in read["signals"].splitlines())
    ours = (1 << 31) - 1  # the C library keeps 32 and 33 to itself
    assert int(signals["SigIgn:"], 16) & ours == 0 and int(signals["SigBlk:"], 16) & ours == 0
    assert not any(secret in text for secret in (PASSWORD, service.secret) for text in read.values())


ANSWERS = [
    ('echo \'{"error":{"code":"exists","text":"taken"}}\'; exit 1', "exists", "mint: taken"),
    ('echo \'{"error":{"code":"denied","text":"no"}}\'; exit 3', "denied", "no"),
    ('echo \'{"error":{"code":"no_such_code","text":"odd"}}\'; exit 1', "refused", "odd"),
    ('echo \'{"error":{"code":"bug","text":"odd"}}\'; exit 1', "refused", "odd"),
    ('echo \'{"error":{}}\'; exit 1', "refused", "gives no reason"),
    ('echo \'{"error":{"code":"denied","text":"said with status 0"}}\'', "denied", "said with status 0"),
    ("echo oops; exit 1", "refused", "status 1 and no error in JSON"),
    ("exit 9", "refused", "status 9"),
    ("echo '{}'; exit 1", "refused", "status 1"),
    (f'echo \'{{"error":{{"code":"refused","text":"bad {PASSWORD} and \\u001b[31m s3cret-of-the-command"}}}}\'; exit 1', "refused", "bad ********"),
    ('echo \'{"handle":""}\'', "refused", "handle must be"),
    ('echo \'{"handle":7}\'', "refused", "handle must be"),
    ('echo \'{"values":{"a b":"x"}}\'', "refused", "values must be"),
    ('echo \'{"values":[]}\'', "refused", "values must be"),
    ('echo \'{"kept":"\'$(head -c 5000 /dev/zero | tr "\\0" k)\'"}\'', "refused", "kept must be"),
]


@pytest.mark.parametrize("script, code, shown", ANSWERS, ids=[f"{number}" for number in range(len(ANSWERS))])
def test_what_a_command_says_of_its_failure_is_told_without_secrets(start, script, code, shown):
    failure = fails(code, mint, start(script))
    assert shown in failure.text and PASSWORD not in failure.text and "s3cret" not in failure.text and "\x1b" not in failure.text, failure.text
    assert failure.sent is True


UNKNOWN = ["exit 75", "echo '{\"handle\":\"h\"}'; kill -SEGV $$", "true", "echo nonsense", "echo '[]'", "echo '{\"a\":1}{}'", "kill -9 $$", "head -c 70000 /dev/zero | tr '\\0' x", "printf '{\"handle\": \"'",
           'echo \'{"error":{"code":"outcome_unknown","text":"x"}}\'; exit 1']


@pytest.mark.parametrize("script", UNKNOWN)
def test_a_change_that_nobody_knows_the_end_of_ends_the_worker(start, script):
    with pytest.raises(PluginGone) as gone:
        mint(start(script))
    assert gone.value.status == 75, gone.value


@pytest.mark.parametrize("script", UNKNOWN)
def test_a_read_that_gives_nothing_is_refused(start, script):
    worker = start(script)
    assert "check" in fails("refused", worker.call, "check", {"account": account(), "password": PASSWORD}).text
    worker.call("ping")


def processes(marker):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


def test_a_command_that_hangs_is_killed_with_what_it_started(start):
    worker = start("sleep 731 & (setsid sleep 731 &) ; sleep 731")
    failure = fails("timed_out", worker.call, "check", {"account": account(), "password": PASSWORD}, deadline_ms=600)
    assert "the command did not end in 0.5 s" in failure.text, failure
    assert processes("sleep\x00731") == []
    worker.call("ping")
    with pytest.raises(PluginGone) as gone:
        mint(worker, deadline_ms=600)
    assert gone.value.status == 75
    assert processes("sleep\x00731") == []


def test_what_a_command_leaves_behind_ends_with_its_call(start):
    worker = start("sleep 732 & (setsid sleep 732 &) ; echo '{\"handle\":\"h\"}'")
    assert mint(worker)["handle"] == "h"
    assert processes("sleep\x00732") == []


def test_a_command_dies_with_its_worker(start):
    worker = start("exec sleep 733")
    worker.start("mint", {"account": account(), "password": PASSWORD, "expires": EXPIRES})
    (pid,) = poll(lambda: processes("sleep\x00733"), 10, what="the command")
    os.kill(worker.pid, signal.SIGKILL)
    poll(lambda: pid not in processes("sleep\x00733"), 10, what="its end")


def test_a_command_that_reads_nothing_is_no_trouble(service, start):
    worker = start("echo '{}'")
    service.command.write_text("#!/bin/sh\necho '{}'\n")
    big = account(role={"settings": {"x": "y" * 200000}})
    assert worker.call("mint", {"account": big, "password": PASSWORD, "expires": EXPIRES})["server"]


def test_its_lines_go_to_the_log(start):
    worker = start("echo 'a word to the log' >&2; echo '{}'")
    mint(worker)
    assert "a word to the log" in worker.log()


def test_a_program_that_others_can_change_is_not_started(service, start):
    worker = start()
    service.command.chmod(0o775)
    assert "chmod go-w" in fails("invalid", mint, worker).text
    service.command.chmod(0o755)
    mint(worker)
    service.command.chmod(0o777)
    with pytest.raises(Exception, match="chmod go-w"):
        start()


def trusts(service, program):
    """None, or why it is not started."""
    with Worker(Backend().program) as worker:
        call = {"config": service.config(program=str(program)), "tag": TAG, "instance": "i"}
        try:
            worker.call("open", call)
        except CallFailed as error:
            return error.text
    return None


def test_a_program_that_others_can_put_another_in_the_place_of_is_not_started(service, start):
    worker = start()
    folder = service.command.parent
    before = folder.stat().st_mode
    folder.chmod(0o777)
    told = fails("invalid", mint, worker).text
    assert str(folder) in told and "chmod go-w" in told
    folder.chmod(0o1777)  # as /tmp: what is ours stays ours there
    mint(worker)
    folder.chmod(before)


def test_a_link_is_as_good_as_the_folders_that_it_stands_in_and_leads_through(service, tmp_path):
    real, loose, fine = tmp_path / "real", tmp_path / "loose", tmp_path / "fine"
    for folder in (real, loose, fine):
        folder.mkdir()
    (real / "command").write_text("#!/bin/sh\necho '{}'\n")
    (real / "command").chmod(0o755)
    (loose / "link").symlink_to("../real")
    (fine / "direct").symlink_to(real / "command")
    (fine / "over").symlink_to("../loose/link/command")
    (fine / "ring").symlink_to("ring")
    loose.chmod(0o777)
    assert trusts(service, fine / "direct") is None
    assert f"folder {loose} " in trusts(service, loose / "link" / "command")
    assert "/loose can put" in trusts(service, fine / "over")
    assert "ring" in trusts(service, fine / "ring")
    loose.chmod(0o755)
    assert trusts(service, fine / "over") is None
    os.chown(fine / "over", 65534, 65534, follow_symlinks=False)
    assert "chown -h" in trusts(service, fine / "over")
    real.chmod(0o775)
    assert str(real) in trusts(service, fine / "direct")


def test_what_a_command_cannot_do_is_not_asked_of_it(service, start):
    worker = start(operations=[])
    mint(worker)
    worker.call("renew", {"account": account(), "expires": EXPIRES})
    worker.call("check", {"account": account(), "password": "wrong"})
    assert "operations" in fails("invalid", worker.call, "inventory", {"tag": TAG}).text
    assert {request["op"] for request in service.requests} == {"ping", "mint"}


def test_what_a_client_gets_may_be_made_by_the_command(start):
    worker = start("echo '{\"handle\":\"7\",\"kept\":\"k\",\"values\":{\"token\":\"t\"}}'", password=False, native_expiry=True)
    assert worker.opened["password"] is False and worker.opened["native_expiry"] is True
    assert mint(worker) == {"handle": "7", "kept": "k", "values": {"token": "t"}, "server": worker.opened["server"]}


def test_a_page_of_others_accounts_is_no_end_of_the_list(start):
    """leased asks for what is behind its own last name: where it got none, it can ask for nothing, and would take the rest for missing."""
    worker = start("echo '{\"accounts\":[{\"name\":\"somebody\"}],\"more\":true}'", operations=["inventory"])
    assert '"more"' in fails("refused", worker.call, "inventory", {"tag": TAG}).text


def test_another_server_behind_the_same_command_is_noticed(service, start):
    worker = start()
    mint(worker)
    service.identity = "accounts-2"
    for op, params in (("mint", {"account": account(), "password": PASSWORD, "expires": EXPIRES}), ("disarm", {"accounts": [account()]}),
                       ("renew", {"account": account(), "expires": EXPIRES}), ("ping", {})):
        fails("moved", worker.call, op, params)
    assert service.can_log_in("l-c0nf0r-app-1", PASSWORD)


def test_run_as_takes_our_own_user_and_no_other(start):
    assert start(run_as=os.geteuid()).opened and start(run_as=str(os.geteuid())).opened
    with pytest.raises(Exception, match='"As another user"'):
        start(run_as=os.geteuid() + 1)


# ---- as a service of its own ----


@pytest.fixture
def dialed(service):
    manager = ServiceManager(service.directory / "service.sock", [service.command])
    config = {name: value for name, value in service.config().items() if name != "program"} | {"socket": manager.path}
    with Worker(Backend().program) as worker:
        worker.call("open", {"config": config, "tag": TAG, "instance": "i"})
        yield worker
    manager.close()


def test_a_service_does_the_same_by_its_socket(service, dialed):
    mint(dialed)
    assert service.can_log_in("l-c0nf0r-app-1", PASSWORD)
    assert fails("exists", mint, dialed).sent is True
    for op in ("disarm", "remove", "remove"):
        assert dialed.call(op, {"accounts": [account()]})["results"][0]["ok"]
    assert service.accounts == {}


def test_a_service_that_says_nothing_or_is_gone(service, dialed):
    service.command.write_text("#!/bin/sh\nsleep 3\n")
    begun = time.monotonic()
    fails("timed_out", dialed.call, "ping", deadline_ms=500)
    assert time.monotonic() - begun < 2
    service.command.write_text("#!/bin/sh\nread -r request; case $request in *ping*) echo '{\"server\":\"accounts-1\"}';; esac\n")
    with pytest.raises(PluginGone) as gone:
        mint(dialed)
    assert gone.value.status == 75


def test_json_is_what_the_documentation_shows():
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/how-to/exec.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```json\n")[1:]]
    assert len(blocks) >= 3
    for block in blocks:
        for line in block.strip().splitlines() if block.count("\n{") else [block]:
            json.loads(line)
