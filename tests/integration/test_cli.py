"""`lease` against a leased that the test writes: what goes over the wire, what is shown, what the exit status says."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest

from daemon import Leased
from fake_leased import LEASE_ID, FakeLeased, envelope
from lease_cli import CREDS, LEASE, RENEW, REVOKE, environment, run, with_credential

COMMANDS = ["get", "exec", "list", "show", "renew", "revoke", "status", "whoami", "read", "write", "delete", "list-path"]


@pytest.fixture
def leased():
    with FakeLeased() as fake:
        yield fake


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
    ["list", "--frobnicate"], ["list", "--state", "bogus"],
    ["list", "a", "--state", "stuck"], ["revoke", "--frobnicate"],
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
    leased.answers["GET /v1/sys/health?ready=true"] = (200, {"initialized": True, "sealed": False})
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


def reconciled(**more):
    one = {"name": "database/main", "state": "done", "accounts": 9, "unknown_count": 0, "ended_count": 0, "missing_count": 0,
           "rearmed_count": 0, "error": "", "fix": False, "disarmed": 0, "removing": 0, "not_removed_yet": 0, "findings": []}
    return (200, envelope({"job": 1, "finished": True, "connections": [one | more]}))


@pytest.mark.parametrize("more, out, err", [
    ({"fix": True, "removing": 3}, "database/main  removed 3 that no lease had\n", ""),
    ({"fix": True, "removing": 3, "not_removed_yet": 1}, "database/main  removed 2 that no lease had\n",
     "lease: database/main: 1 are not removed yet; `lease list --state stuck` says why\n"),
    ({"disarmed": 2}, "database/main  disarmed 2 whose lease had ended\n", ""),
    ({"unknown_count": 4}, "", "lease: `lease reconcile --fix database/main` removes what is unknown\n"),
    ({"fix": True}, "", ""),
])
def test_reconcile_says_what_was_done_and_what_could_be(leased, more, out, err):
    leased.answers["POST /v1/sys/leases/reconcile"] = reconciled(**more)
    done = run(leased, "reconcile", *(["--fix"] if more.get("fix") else []))
    rows = done.stdout.decode().splitlines(keepends=True)[2:]
    assert done.returncode == 0 and "".join(rows) == out and done.stderr.decode() == err, done


def test_status_does_not_wait_for_a_leased_that_was_stopped():
    with Leased() as leased:
        where = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{leased.socket_path}"}
        os.kill(leased.pid, signal.SIGSTOP)
        try:
            for words, least, most in (([], 4.5, 8), (["--timeout", "1"], 0.9, 3)):
                begun = time.monotonic()
                done = subprocess.run([LEASE, "status", *words], capture_output=True, timeout=30, env=where)
                assert least < time.monotonic() - begun < most, words
                assert done.returncode == 5 and b"does not answer" in done.stderr, done
        finally:
            os.kill(leased.pid, signal.SIGCONT)
        assert subprocess.run([LEASE, "status", "--timeout=2"], capture_output=True, timeout=30, env=where).returncode == 0


@pytest.mark.parametrize("seconds", ["0", "91", "x", "-1", ""])
def test_a_timeout_that_is_none_is_2(leased, seconds):
    done = run(leased, "status", "--timeout", seconds)
    assert done.returncode == 2 and b"from 1 to 90" in done.stderr and leased.asked == []


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


def test_a_credential_that_could_not_be_shown_is_taken_back(leased):
    with_credential(leased)
    leased.answers["PUT /v1/sys/leases/revoke"] = (204, None)
    done = run(leased, "get", "-f", "nothing", "app")
    assert done.returncode == 4 and b"was revoked" in done.stderr
    assert leased.last("PUT /v1/sys/leases/revoke").json == {"lease_id": LEASE_ID}
    leased.asked.clear()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([LEASE, "get", "app"], stdout=full, stderr=subprocess.PIPE, env=environment(leased))
    assert done.returncode == 1 and b"could not be written" in done.stderr
    assert leased.last("PUT /v1/sys/leases/revoke").json == {"lease_id": LEASE_ID}


def test_warnings_of_lists_are_shown(leased):
    warning = envelope({"keys": ["a"]}, warnings=["there are more than these"])
    leased.answers |= {"LIST /v1/sys/leases/lookup/a/": (200, warning), "LIST /v1/sys/leases/lookup/a": (200, warning),
                       "LIST /v1/a/b": (200, warning)}
    for command in (["list", "a"], ["list-path", "a/b"]):
        done = run(leased, *command)
        assert (done.returncode, done.stdout) == (0, b"a\n") and b"more than these" in done.stderr, done


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


def test_a_value_of_several_lines_is_shown_as_lines_none_of_which_is_a_row(leased):
    leased.answers["GET /v1/sys/policies/acl/x"] = (200, envelope({"name": "x", "policy": 'path "a" {\n}\nname y'}))
    lines = run(leased, "read", "sys/policies/acl/x").stdout.decode().splitlines()
    assert [line.split() for line in lines] == [["name", "x"], ["policy", "path", '"a"', "{"], ["}"], ["name", "y"]], lines
    assert lines[3].startswith(" ") and "\\x0a" not in "".join(lines)


def test_names_that_begin_with_a_digit_are_still_shell(leased):
    leased.answers["GET /v1/a/b"] = (200, envelope({"1x": "y"}))
    script = run(leased, "read", "a/b", "--format", "env").stdout
    assert subprocess.run(["sh", "-euc", script.decode()], capture_output=True).returncode == 0, script


def test_a_prefix_may_end_in_a_slash_as_lists_show_it(leased):
    leased.answers["PUT /v1/sys/leases/revoke-prefix/database/creds/app"] = (204, None)
    assert run(leased, "revoke", "--prefix", "database/creds/app/").returncode == 0


def test_no_answer_takes_a_shell_its_path(leased):
    leased.answers["GET /v1/a/b"] = (200, envelope({"path": "auth/token", "ps1": "x", "username": "u"}))
    script = run(leased, "read", "a/b", "--format", "env").stdout.decode()
    assert sorted(script.split()) == ["LEASE_PATH='auth/token'", "LEASE_PS1='x'", "USERNAME='u'"]


def test_warnings_go_to_stderr(leased):
    leased.answers["POST /v1/a/b"] = (200, envelope(warnings=["Endpoint ignored these: [x]"]))
    done = run(leased, "write", "a/b", "x=1")
    assert (done.returncode, done.stdout) == (0, b"") and b"Endpoint ignored" in done.stderr


# ---- what a status means ----


@pytest.mark.parametrize("status, errors, code", [
    (400, ["no"], 1), (403, ["permission denied"], 3), (404, [], 4), (503, ["Vault is sealed"], 6), (501, [], 6),
    (503, ["recorded, will be retried: this store was restored from a backup and is held: accounts of leases are left alone"], 6),
    (400, ["main: this store was restored from a backup and is held: no password of an account is changed"], 6),
    (503, ["nothing was done, since the audit could not record the request: its device does not take it"], 6),
    (503, ["the request was carried out, but the audit could not record the answer: no space"], 6),
    (503, ["the backend cannot be reached"], 7), (502, ["x"], 7), (507, ["x"], 7), (400, ["lease expired"], 8),
    (400, ["past the max TTL, cannot renew"], 8), (500, ["x"], 1), (400, ["unknown role: x"], 4), (400, ["lease not found"], 4),
    (400, ["there is no static role named x"], 4), (400, ["there is no connection named x"], 4),
    (400, ["invalid lease: there is none"], 4),
    (400, ["No secret engine mount at x/"], 4), (429, ["max_leases"], 1),
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
    assert len([one for one in leased.asked if one.path.endswith("/revoke")]) == 4


def test_a_mistyped_id_is_no_success_and_one_that_has_ended_is(leased):
    known = {"id": "a", "state": "gone"}
    leased.answers[REVOKE] = (204, None)
    leased.answers["PUT /v1/sys/leases/lookup"] = \
        lambda asked: (200, envelope(known)) if asked.json["lease_id"] == "a" else (400, {"errors": ["invalid lease"]})
    assert run(leased, "revoke", "a").returncode == 0
    done = run(leased, "revoke", "mistyped")
    assert done.returncode == 4 and b"nothing was revoked" in done.stderr
    leased.answers["PUT /v1/sys/leases/lookup"] = (403, {"errors": ["permission denied"]})
    assert run(leased, "revoke", "mistyped").returncode == 0, "who may not look is told nothing"
    leased.answers[REVOKE] = (200, envelope({"revoked": False}) | {"warnings": ["nothing was revoked: no lease of yours"]})
    done = run(leased, "revoke", "somebodys")
    assert done.returncode == 4 and b"no lease of yours" in done.stderr


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
    health = {"initialized": True, "sealed": False, "version": "1", "store": "no_space", "overdue": 17}
    leased.answers["GET /v1/sys/health?ready=true"] = (200, health)
    assert run(leased, "status", "-f", "version").stdout == b"1"
    shown = run(leased, "status").stdout
    assert b"no_space" in shown and b"17" in shown
    leased.answers["GET /v1/sys/health?ready=true"] = (503, dict(health, sealed=True))
    done = run(leased, "status")
    assert done.returncode == 6 and b"sealed" in done.stderr and b"sealed" in done.stdout
    leased.answers["GET /v1/sys/health?ready=true"] = (503, dict(health, ready=False, not_ready=["recovering", "store_full"]))
    done = run(leased, "status")
    assert done.returncode == 6 and b"not ready: recovering, store_full" in done.stderr and b"no_space" in done.stdout


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
