"""`lease exec` against a leased that the test writes: the child, its signals, and what becomes of its credential."""

import pathlib
import signal
import subprocess
import time

import pytest

from fake_leased import LEASE_ID, FakeLeased, credential
from lease_cli import CREDS, LEASE, RENEW, REVOKE, environment, run, start, wait_for, with_credential


@pytest.fixture
def leased():
    with FakeLeased() as fake:
        yield fake


def test_exec_gives_the_child_the_credential_and_no_token(leased):
    with_credential(leased)
    done = run(leased, "exec", "app", "--", "/usr/bin/env", LEASE_TOKEN="t1", VAULT_TOKEN="t2", KEEP="me")
    names = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert done.returncode == 0, done.stderr
    assert {name: names[name] for name in names if name.startswith("PG")} == {
        "PGHOST": "db.example", "PGPORT": "5433", "PGDATABASE": "shop", "PGUSER": "l-abc-app-1", "PGPASSWORD": "Geheim-1"}
    assert names["KEEP"] == "me" and "LEASE_TOKEN" not in names and "VAULT_TOKEN" not in names
    assert leased.paths() == [CREDS, REVOKE] and leased.last(REVOKE).json["lease_id"] == LEASE_ID


def test_exec_for_mysql_and_with_names_of_ones_own(leased):
    with_credential(leased, scheme="mysql")
    done = run(leased, "exec", "app", "--", "env", MYSQL_PWD="old", MYSQL_HOST="old", MYSQL_UNIX_PORT="/old")
    names = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert {name: names[name] for name in names if name.startswith(("MYSQL", "PG"))} == {
        "MYSQL_HOST": "db.example", "MYSQL_TCP_PORT": "5433", "MYSQL_DATABASE": "shop", "MYSQL_USER": "l-abc-app-1",
        "MYSQL_PWD": "Geheim-1"}
    done = run(leased, "exec", "--env", "DB_USER=username", "--env=DB_PASS=password", "app", "--", "env")
    assert b"DB_USER=l-abc-app-1\n" in done.stdout and b"DB_PASS=Geheim-1\n" in done.stdout and b"MYSQL" not in done.stdout


def test_exec_names_no_host_that_clients_of_mysql_take_for_a_socket(leased):
    with_credential(leased, scheme="mysql", host="localhost")
    assert b"MYSQL_HOST=127.0.0.1\n" in run(leased, "exec", "app", "--", "env").stdout
    assert b"MYSQL_HOST=localhost\n" in run(leased, "exec", "--env", "MYSQL_HOST=host", "app", "--", "env").stdout


def test_exec_does_not_leave_an_old_credential_beside_the_new_one(leased):
    with_credential(leased)
    leased.answers[CREDS][1]["data"].pop("database")
    done = run(leased, "exec", "app", "--", "env", PGUSER="old", PGPASSWORD="old", PGHOST="old")
    assert b"=old" not in done.stdout


def test_exec_refuses_a_field_that_is_not_there_and_takes_the_credential_back(leased):
    with_credential(leased)
    done = run(leased, "exec", "--env", "X=nothing", "app", "--", "true")
    assert done.returncode == 125 and b'"nothing"' in done.stderr and leased.paths() == [CREDS, REVOKE]


@pytest.mark.parametrize("arguments", [["app"], ["app", "--"], ["--", "true"], ["app", "true"], ["--env", "x", "app", "--", "true"],
                                       ["--env", "=x", "app", "--", "true"], ["--env"], ["--envx=y", "app", "--", "true"],
                                       ["--frobnicate", "app", "--", "true"]])
def test_a_wrong_exec_line_is_125_and_makes_no_credential(leased, arguments):
    done = run(leased, "exec", *arguments)
    assert done.returncode == 125 and b"lease exec --help" in done.stderr and leased.asked == []


@pytest.mark.parametrize("command, code", [
    (["sh", "-c", "exit 0"], 0), (["sh", "-c", "exit 42"], 42), (["sh", "-c", "kill -9 $$"], 137),
    (["sh", "-c", "kill -TERM $$"], 143), (["/nowhere/x"], 127), (["nowhere-x"], 127), (["/etc/passwd"], 126), (["/"], 126),
    ([""], 127)])
def test_exec_exits_as_its_child_and_revokes_in_every_case(leased, command, code):
    with_credential(leased)
    done = run(leased, "exec", "app", "--", *command)
    assert done.returncode == code, done.stderr
    assert leased.paths() == [CREDS, REVOKE]


def test_exec_uses_no_shell_and_passes_every_argument_as_it_is(leased):
    with_credential(leased)
    arguments = ["$(id)", "a b", "", "--help", "-f", "*", "\udcff"]
    done = run(leased, "exec", "app", "--", "/usr/bin/printf", "[%s]", *arguments)
    assert done.stdout == "".join(f"[{argument}]" for argument in arguments).encode(errors="surrogateescape")


def test_exec_gives_standard_input_and_output_to_the_child(leased):
    with_credential(leased)
    assert run(leased, "exec", "app", "--", "cat", stdin=b"through").stdout == b"through"


def test_exec_says_nothing_made_when_the_credential_is_refused(leased):
    leased.answers[CREDS] = (403, {"errors": ["permission denied"]})
    done = run(leased, "exec", "app", "--", "true")
    assert done.returncode == 125 and b"permission denied" in done.stderr and leased.paths() == [CREDS]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
                                    signal.SIGALRM, signal.SIGPROF])
def test_a_signal_reaches_the_child_and_the_credential_is_revoked(leased, number):
    with_credential(leased)
    name = number.name[3:]
    child = start(leased, "exec", "app", "--", "sh", "-c", f"trap 'echo got; exit 7' {name}; echo up; while :; do sleep 0.05; done")
    assert child.stdout.readline() == b"up\n"
    child.send_signal(number)
    output, _ = child.communicate(timeout=10)
    assert (output, child.returncode) == (b"got\n", 7)
    assert leased.paths() == [CREDS, REVOKE]


def test_a_signal_that_kills_the_child_revokes_too(leased):
    with_credential(leased)
    child = start(leased, "exec", "app", "--", "sleep", "60")
    wait_for(lambda: leased.asked, "credential")
    time.sleep(0.2)
    child.terminate()
    assert child.wait(10) == 143 and leased.paths() == [CREDS, REVOKE]


def test_a_signal_while_the_credential_is_made_takes_it_back(leased):
    with_credential(leased)
    answer = leased.answers[CREDS]
    leased.answers[CREDS] = lambda asked: (time.sleep(1), answer)[1]
    child = start(leased, "exec", "app", "--", "sleep", "60")
    wait_for(lambda: leased.asked, "request")
    child.terminate()
    code = child.wait(10)
    wait_for(lambda: REVOKE in leased.paths(), "revocation")
    assert code == 128 + signal.SIGTERM


def test_a_child_that_ignores_signals_by_inheritance_still_does(leased):
    with_credential(leased)
    done = subprocess.run(["sh", "-c", 'trap "" HUP; exec "$0" exec app -- sh -c "kill -HUP \\$\\$; echo alive"', LEASE],
                          capture_output=True, env=environment(leased), timeout=10)
    assert done.stdout == b"alive\n"


def test_the_lease_is_renewed_while_the_child_runs(leased):
    with_credential(leased, duration=3)
    done = run(leased, "exec", "app", "--", "sleep", "5")
    assert done.returncode == 0, done.stderr
    assert 2 <= leased.paths().count(RENEW) <= 4
    assert leased.paths()[-1] == REVOKE


def test_a_lease_that_cannot_be_renewed_further_is_said_once(leased):
    with_credential(leased, duration=2)
    leased.answers[RENEW] = (400, {"errors": ["past the max TTL, cannot renew"]})
    done = run(leased, "exec", "app", "--", "sleep", "4")
    assert done.returncode == 0 and leased.paths().count(RENEW) == 1
    assert done.stderr.count(b"was not renewed") == 1


def test_a_renewal_that_hangs_does_not_hold_the_childs_end(leased):
    with_credential(leased, duration=2)
    leased.answers[RENEW] = lambda asked: (time.sleep(30), (204, None))[1]
    started = time.monotonic()
    done = run(leased, "exec", "app", "--", "sh", "-c", "sleep 2; exit 3", timeout=40)
    assert done.returncode == 3
    assert time.monotonic() - started < 15


def test_an_unrevoked_credential_is_said_and_the_childs_status_stays(leased):
    with_credential(leased)
    leased.answers[REVOKE] = (503, {"errors": ["recorded, will be retried: down"]})
    done = run(leased, "exec", "app", "--", "sh", "-c", "exit 5")
    assert done.returncode == 5 and b"recorded, will be retried" in done.stderr
    assert b"Geheim-1" not in done.stderr


def test_no_secret_is_ever_in_our_own_arguments(leased):
    with_credential(leased)
    child = start(leased, "exec", "app", "--", "sleep", "60", LEASE_TOKEN="token-1")
    wait_for(lambda: leased.asked, "credential")
    time.sleep(0.2)
    seen = pathlib.Path(f"/proc/{child.pid}/cmdline").read_bytes()
    child.terminate()
    child.wait(10)
    assert b"Geheim" not in seen and b"token-1" not in seen
