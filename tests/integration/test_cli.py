"""`lease` against a leased that the test writes: what goes over the wire, what is shown, what the exit status says."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from fake_leased import LEASE_ID, FakeLeased, credential, envelope

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEASE = str(ROOT / "build" / os.environ.get("LEASED_PRESET", "dev") / "bin" / "lease")
CREDS = "GET /v1/database/creds/app"
RENEW, REVOKE = "PUT /v1/sys/leases/renew", "PUT /v1/sys/leases/revoke"
COMMANDS = ["get", "exec", "list", "show", "renew", "revoke", "status", "whoami", "read", "write", "delete", "list-path"]


@pytest.fixture
def leased():
    with FakeLeased() as fake:
        yield fake


def environment(leased, **more):
    names = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{leased.socket_path}"}
    names.update(more)
    return {name: value for name, value in names.items() if value is not None}


def run(leased, *arguments, stdin=b"", timeout=20, **more):
    return subprocess.run([LEASE, *arguments], input=stdin, capture_output=True, timeout=timeout,
                          env=environment(leased, **more))


def start(leased, *arguments, **more):
    return subprocess.Popen([LEASE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(leased, **more))


def with_credential(leased, duration=3600, **data):
    leased.answers[CREDS] = credential(duration, **data)
    leased.answers[REVOKE] = (204, None)
    leased.answers[RENEW] = (200, envelope(lease_id=LEASE_ID, renewable=True, lease_duration=duration))


def wait_for(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        time.sleep(0.02)


# ---- help ----


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(leased, command):
    done = run(leased, command, "--help")
    assert done.returncode == 0
    assert f"usage: lease {command}".encode() in done.stdout and b"examples:\n  " in done.stdout
    assert run(leased, "help", command).stdout == done.stdout
    assert leased.asked == []


def test_the_help_names_every_command(leased):
    done = run(leased, "--help")
    assert done.returncode == 0 and all(f"  {command}".encode() in done.stdout for command in COMMANDS)
    assert run(leased).returncode == 2
    assert run(leased, "--version").stdout.startswith(b"lease ")


@pytest.mark.parametrize("arguments", [
    ["frobnicate"], ["get"], ["get", "a", "b"], ["show"], ["renew"], ["renew", "a", "--increment"], ["revoke"],
    ["revoke", "a", "--prefix", "b"], ["status", "x"], ["whoami", "x"], ["read"], ["write"], ["delete"], ["list-path"],
    ["list", "a", "b"], ["get", "app", "--format", "yaml"], ["get", "app", "-f"], ["write", "a/b", "novalue"],
    ["write", "a/b", "=x"], ["write", "a/b", "k:={"], ["get", ""], ["get", "--frobnicate", "app"], ["read", "--x=1"],
    ["list", "--frobnicate"], ["list", "--state", "bogus"], ["revoke", "--frobnicate"],
])
def test_a_wrong_command_line_is_2_and_asks_nothing(leased, arguments):
    done = run(leased, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(b"lease: ") and leased.asked == []


# ---- where and who ----


def test_the_address_and_token_of_vault_are_a_fallback(leased):
    leased.answers["GET /v1/auth/token/lookup-self"] = (200, envelope({"id": "x", "policies": ["a", "b"]}))
    address = f"unix://{leased.socket_path}"
    done = run(leased, "whoami", "-f", "policies", LEASE_ADDR=None, VAULT_ADDR=address, VAULT_TOKEN="vault-token")
    assert (done.returncode, done.stdout) == (0, b"a,b"), done.stderr
    assert leased.asked[-1].headers["x-vault-token"] == "vault-token"
    run(leased, "whoami", VAULT_ADDR="unix:///nowhere", LEASE_TOKEN="own", VAULT_TOKEN="vault-token")
    assert leased.asked[-1].headers["x-vault-token"] == "own"
    run(leased, "whoami")
    assert "x-vault-token" not in leased.asked[-1].headers
    assert leased.asked[-1].headers["x-vault-request"] == "true"


def test_the_socket_of_dev_mode_is_found(leased, tmp_path):
    (tmp_path / "leased").mkdir()
    os.symlink(leased.socket_path, tmp_path / "leased" / "leased.sock")
    leased.answers["GET /v1/sys/health"] = (200, {"initialized": True, "sealed": False})
    if not os.path.exists("/run/leased/leased.sock"):
        assert run(leased, "status", LEASE_ADDR=None, XDG_RUNTIME_DIR=str(tmp_path)).returncode == 0


def test_an_address_over_http_works_and_may_end_in_a_slash(leased):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    done = run(leased, "status", LEASE_ADDR=f"http://127.0.0.1:{port}/", http_proxy="http://127.0.0.1:1")
    assert done.returncode == 5 and str(port).encode() in done.stderr


def test_nobody_there_is_5_and_says_where_it_looked(leased):
    done = run(leased, "status", LEASE_ADDR="unix:///nowhere/s")
    assert done.returncode == 5
    assert b"unix:///nowhere/s" in done.stderr and b"No such file" in done.stderr


@pytest.mark.parametrize("address", ["unix://" + "/x" * 200, "http://" + "x" * 2000, "ftp://h", "unix://", "nonsense", "http://"])
def test_an_address_that_is_none_is_5_and_says_so(leased, address):
    done = run(leased, "status", LEASE_ADDR=address)
    assert done.returncode == 5 and done.stderr.startswith(b"lease: "), done.stderr


def test_a_token_that_cannot_travel_is_refused_and_not_left_out(leased):
    for token in ("x" * 5000, "a\r\nX-Other: b", "a b\n"):
        done = run(leased, "whoami", LEASE_TOKEN=token)
        assert done.returncode == 2 and leased.asked == [], token[:20]
        assert token.encode() not in done.stderr


# ---- showing ----


def test_get_shows_a_table_json_shell_or_one_field(leased):
    with_credential(leased, password="it's $(x) `y` \"z\" \\ \u00e4")
    assert b"l-abc-app-1" in run(leased, "get", "app").stdout
    shown = json.loads(run(leased, "get", "app", "--format", "json").stdout)
    assert shown["username"] == "l-abc-app-1" and shown["lease_id"] == LEASE_ID and shown["lease_duration"] == 3600
    assert run(leased, "get", "-f", "username", "database/creds/app").stdout == b"l-abc-app-1"
    assert run(leased, "get", "--field=port", "/v1/database/creds/app").stdout == b"5433"
    script = run(leased, "get", "--format=env", "app").stdout
    echoed = subprocess.run(["sh", "-c", script.decode() + 'printf %s "$PASSWORD"'], capture_output=True)
    assert echoed.stdout.decode() == "it's $(x) `y` \"z\" \\ \u00e4"
    assert run(leased, "get", "-f", "nothing", "app").returncode == 4


def test_a_long_secret_is_never_cut_in_a_table(leased):
    with_credential(leased, password="x" * 500)
    assert b"x" * 500 in run(leased, "get", "app", COLUMNS="40").stdout


def test_what_a_server_says_cannot_drive_the_terminal_or_the_shell(leased):
    leased.answers["GET /v1/a/b"] = (200, envelope({"k\x1b]0;x\x07": "v\x1b[2J\n\u009b1m", "$(touch x)": "ab"}))
    leased.answers["GET /v1/a/c"] = (400, {"errors": ["bad \x1b[31mred\n\x07"]})
    for form in ("table", "env"):
        done = run(leased, "read", "a/b", "--format", form)
        assert done.returncode in (0, 1)
        if form == "table":
            assert b"\x1b" not in done.stdout and b"\x07" not in done.stdout
        else:
            assert b"$(touch" not in done.stdout.split(b"=")[0]
    assert b"\x1b" not in run(leased, "read", "a/c").stderr


def test_names_that_begin_with_a_digit_are_still_shell(leased):
    leased.answers["GET /v1/a/b"] = (200, envelope({"1x": "y"}))
    script = run(leased, "read", "a/b", "--format", "env").stdout
    assert subprocess.run(["sh", "-euc", script.decode()], capture_output=True).returncode == 0, script


def test_warnings_go_to_stderr(leased):
    leased.answers["POST /v1/a/b"] = (200, envelope(warnings=["Endpoint ignored these: [x]"]))
    done = run(leased, "write", "a/b", "x=1")
    assert (done.returncode, done.stdout) == (0, b"") and b"Endpoint ignored" in done.stderr


def test_output_that_cannot_be_written_is_1(leased):
    with_credential(leased)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([LEASE, "get", "app"], stdout=full, stderr=subprocess.PIPE, env=environment(leased))
    assert done.returncode == 1 and b"could not be written" in done.stderr


# ---- what a status means ----


@pytest.mark.parametrize("status, errors, code", [
    (400, ["no"], 1), (403, ["permission denied"], 3), (404, [], 4), (503, ["Vault is sealed"], 6), (501, [], 6),
    (503, ["the backend cannot be reached"], 7), (502, ["x"], 7), (507, ["x"], 7), (400, ["lease expired"], 8),
    (400, ["past the max TTL, cannot renew"], 8), (400, ["invalid lease: there is none"], 4), (400, ["lease not found"], 4), (500, ["x"], 1), (429, ["max_leases"], 1),
])
def test_the_exit_status_says_what_happened(leased, status, errors, code):
    leased.answers["GET /v1/a/b"] = (status, {"errors": errors})
    done = run(leased, "read", "a/b")
    assert done.returncode == code, done.stderr
    assert done.stdout == b"" and all(error.encode() in done.stderr for error in errors)


def test_some_of_many_failed_is_9(leased):
    leased.answers[REVOKE] = lambda asked: (204, None) if asked.json["lease_id"] == "a" else (503, {"errors": ["later"]})
    assert run(leased, "revoke", "a").returncode == 0
    assert run(leased, "revoke", "b").returncode == 7
    done = run(leased, "revoke", "b", "a")
    assert done.returncode == 9 and b"later" in done.stderr
    assert len(leased.asked) == 4


def test_when_all_of_many_fail_alike_the_reason_stays(leased):
    leased.answers[REVOKE] = (403, {"errors": ["permission denied"]})
    assert run(leased, "revoke", "a", "b").returncode == 3


# ---- each command on the wire ----


def test_list_show_renew_and_revoke_ask_the_right_paths(leased):
    leased.answers["GET /v1/sys/leases/mine"] = (200, envelope({"leases": [
        {"id": LEASE_ID, "state": "live", "ttl": 60, "account": "l-1"},
        {"id": "other", "state": "disarmed", "ttl": 0, "account": "l-2"}]}))
    assert LEASE_ID.encode() in run(leased, "list").stdout
    assert run(leased, "list", "--state", "disarmed", "-f", "id").stdout == b"other\n"
    assert json.loads(run(leased, "list", "--format", "json").stdout)[1]["account"] == "l-2"
    leased.answers["LIST /v1/sys/leases/lookup/database/creds/app"] = (200, envelope({"keys": ["a", "b"]}))
    assert run(leased, "list", "database/creds/app").stdout == b"a\nb\n"
    leased.answers["GET /v1/sys/leases?type=irrevocable&limit=none"] = (200, envelope({"leases": [
        {"lease_id": LEASE_ID, "error": "owns a table"}]}))
    assert b"owns a table" in run(leased, "list", "--state=stuck").stdout
    leased.answers["PUT /v1/sys/leases/lookup"] = (200, envelope({"id": LEASE_ID, "state": "live"}))
    assert run(leased, "show", "-f", "state", LEASE_ID).stdout == b"live"
    leased.answers[RENEW] = (200, envelope(lease_id=LEASE_ID, renewable=True, lease_duration=1800))
    assert run(leased, "renew", "--increment", "30m", LEASE_ID, "-f", "lease_duration").stdout == b"1800"
    assert leased.last(RENEW).json == {"lease_id": LEASE_ID, "increment": "30m"}
    leased.answers["PUT /v1/sys/leases/revoke-prefix/database/creds/app"] = (202, envelope())
    assert b"recorded" in run(leased, "revoke", "--prefix", "database/creds/app").stderr


def test_status_tells_sealed_from_gone(leased):
    health = {"initialized": True, "sealed": False, "version": "1"}
    leased.answers["GET /v1/sys/health"] = (200, health)
    assert run(leased, "status", "-f", "version").stdout == b"1"
    leased.answers["GET /v1/sys/health"] = (503, dict(health, sealed=True))
    done = run(leased, "status")
    assert done.returncode == 6 and b"sealed" in done.stderr and b"sealed" in done.stdout


def test_whoami_does_not_show_the_token(leased):
    leased.answers["GET /v1/auth/token/lookup-self"] = (200, envelope({"id": "hvs.secret", "display_name": "token"}))
    for form in ("table", "json", "env"):
        done = run(leased, "whoami", "--format", form)
        assert done.returncode == 0 and b"hvs.secret" not in done.stdout and b"token" in done.stdout


def test_delete_and_list_path(leased):
    leased.answers["DELETE /v1/a/b"] = (204, None)
    assert run(leased, "delete", "/v1/a/b").returncode == 0
    leased.answers["LIST /v1/a"] = (200, envelope({"keys": ["x", "y/"]}))
    assert run(leased, "list-path", "a").stdout == b"x\ny/\n"
    assert json.loads(run(leased, "list-path", "a", "--format=json").stdout) == {"keys": ["x", "y/"]}
    assert run(leased, "list-path", "b").returncode == 4


@pytest.mark.parametrize("path, wire", [
    ("a b", "a%20b"), ("a?x=1", "a%3Fx%3D1"), ("a#b", "a%23b"), ("a%2e", "a%252e"), ("\u00e4", "%C3%A4"), ("a+b", "a%2Bb")])
def test_a_path_is_escaped_and_never_becomes_a_query(leased, path, wire):
    run(leased, "read", path)
    assert leased.paths() == [f"GET /v1/{wire}"]


@pytest.mark.parametrize("path", ["a/../sys", "./a", "a/."])
def test_dots_in_a_path_reach_the_server_as_they_are(leased, path):
    run(leased, "read", path)
    assert leased.paths() == [f"GET /v1/{path}"]


# ---- write ----


def test_write_takes_texts_files_standard_input_json_and_lists(leased, tmp_path):
    (tmp_path / "f").write_text("from a file\n")
    leased.answers["POST /v1/a/b"] = (204, None)
    done = run(leased, "write", "a/b", "k=v", f"f=@{tmp_path}/f", "i=-", 'j:={"n":[1,true]}', "l=1", "l=2", "e=", "q=a=b",
               stdin=b"from stdin")
    assert done.returncode == 0, done.stderr
    assert leased.asked[-1].json == {"k": "v", "f": "from a file", "i": "from stdin", "j": {"n": [1, True]}, "l": ["1", "2"],
                                     "e": "", "q": "a=b"}
    assert run(leased, "write", "a/b").returncode == 0 and leased.asked[-1].json == {}
    assert run(leased, "write", "a/b", "-", stdin=b'{"x":1}').returncode == 0 and leased.asked[-1].json == {"x": 1}
    (tmp_path / "j").write_text('{"y":2}')
    assert run(leased, "write", "a/b", f"@{tmp_path}/j").returncode == 0 and leased.asked[-1].json == {"y": 2}


def test_a_list_given_as_json_takes_further_values(leased):
    leased.answers["POST /v1/a/b"] = (204, None)
    run(leased, "write", "a/b", 'l:=["x"]', "l=y", "n=1", "n:=2")
    assert leased.asked[-1].json == {"l": ["x", "y"], "n": ["1", 2]}


@pytest.mark.parametrize("arguments, stdin", [
    (["k=@/nowhere"], b""), (["k=-"], b"\xff\xfe"), (["k=-"], b"a\0b"), (["-"], b"not json"), (["-"], b"[1]"), (["-"], b""),
    (["-"], b'{"a":1,"a":2}'), (["k=-"], b"x" * (1024 * 1024 + 1)), (["k=-", "l=-"], b"x"), (["k=\udcff"], b"")])
def test_input_that_cannot_travel_is_refused_before_anything_is_sent(leased, arguments, stdin):
    done = run(leased, "write", "a/b", *arguments, stdin=stdin)
    assert done.returncode in (1, 2) and done.stderr.startswith(b"lease: "), done.stderr
    assert leased.asked == []


# ---- a hostile server ----


@pytest.mark.parametrize("raw, code", [
    ([b"garbage\r\n\r\n"], 5), ([b""], 5), ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno json!!"], 1),
    ([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"], 5), ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"], 1),
    ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"], 1),
    ([b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"a\":1,\"a\":2}   "], 1),
    ([b"HTTP/1.1 400 X\r\nContent-Length: 17\r\n\r\n{\"errors\":[1,{}]}"], 1),
    ([b"HTTP/1.1 301 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"], 1),
    ([b"HTTP/1.1 200 OK\r\nContent-Length: 80000000\r\n\r\n"] + [b" " * 1000000] * 80, 5)])
def test_a_broken_answer_is_told_and_never_a_crash(leased, raw, code):
    leased.raw["GET /v1/a/b"] = raw
    leased.raw[CREDS] = raw
    for arguments in (["read", "a/b"], ["get", "app"]):
        done = run(leased, *arguments)
        assert done.returncode == code, (raw[0][:60], done.returncode, done.stderr)
        assert done.stderr.startswith(b"lease: ") and len(done.stderr) < 3000


def test_deep_json_is_refused(leased):
    leased.answers["GET /v1/a/b"] = (200, b'{"data":' + b"[" * 10000 + b"]" * 10000 + b"}")
    assert run(leased, "read", "a/b").returncode == 1


def test_a_very_long_error_is_cut_and_not_more(leased):
    leased.answers["GET /v1/a/b"] = (400, {"errors": ["x" * 5000, "y" * 5000]})
    done = run(leased, "read", "a/b")
    assert done.returncode == 1 and b"x" * 1000 in done.stderr and len(done.stderr) < 3000


# ---- exec ----


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
    assert b"MYSQL_PWD=Geheim-1" in run(leased, "exec", "app", "--", "env").stdout
    done = run(leased, "exec", "--env", "DB_USER=username", "--env=DB_PASS=password", "app", "--", "env")
    assert b"DB_USER=l-abc-app-1\n" in done.stdout and b"DB_PASS=Geheim-1\n" in done.stdout and b"MYSQL" not in done.stdout


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
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
