"""The stream: envelopes, order of calls, garbage. A plugin answers or ends; it never hangs and never crashes."""

import json
import struct
import time

import pytest

from conftest import EXPIRES, TAG, fails
from plugin_driver import FRAME_MAX, PluginGone, PluginHung
from privilege import read_as_root


def frame(payload):
    return struct.pack(">I", len(payload)) + payload


def request(**changes):
    message = {"v": 1, "id": 1, "op": "ping", "deadline_ms": 1000, "params": {}, **changes}
    return json.dumps({name: value for name, value in message.items() if value is not ...}).encode()


def test_describe_says_what_the_daemon_needs_before_open_and_after(plugin, backend):
    worker = plugin.worker(opened=False)
    before = worker.call("describe")
    plugin.open(worker)
    assert worker.call("describe") == before
    assert before["name"] == backend.name
    assert before["protocol"] == 1
    assert 32 <= before["name_max"] <= 255
    assert set("abcdefghijklmnopqrstuvwxyz0123456789-") <= expand(before["name_alphabet"])
    assert before["dialect"] in ("postgresql", "mysql", "text", "none")
    assert isinstance(before["native_expiry"], bool) and isinstance(before["default_statements"], bool)
    assert set(before["ops"]) == backend.ops
    assert all(isinstance(field, str) for field in before["role_fields"])
    assert set(before.get("role_needs", [])) <= set(before["role_fields"])
    for field in before["config_fields"]:
        assert isinstance(field["name"], str) and isinstance(field["secret"], bool) and isinstance(field["required"], bool)
    assert set(backend.config()) <= {field["name"] for field in before["config_fields"]}
    assert set(backend.role()) <= set(before["role_fields"])


def expand(alphabet):
    characters = set()
    while alphabet:
        if len(alphabet) >= 3 and alphabet[1] == "-":
            characters |= {chr(code) for code in range(ord(alphabet[0]), ord(alphabet[2]) + 1)}
            alphabet = alphabet[3:]
        else:
            characters.add(alphabet[0])
            alphabet = alphabet[1:]
    return characters


def test_ping_works_before_open_and_after(plugin):
    worker = plugin.worker(opened=False)
    assert worker.call("ping") == {}
    plugin.open(worker)
    answer = worker.call("ping")
    assert set(answer) <= {"incarnation"} and worker.call("ping") == answer


def test_nothing_else_works_before_open(plugin, backend):
    worker = plugin.worker(opened=False)
    account = plugin.account()
    params = {
        "account": account,
        "accounts": [account],
        "password": "Aa1-xxxxxxxxxxxxxxxxxxxx",
        "expires": EXPIRES,
        "tag": TAG,
        "sessions": [backend.unknown_session],
    }
    for op in sorted(backend.ops - {"describe", "open", "ping"}):
        failure = fails("invalid", worker.call, op, params)
        assert failure.sent is False
    assert worker.sessions == []
    assert "mint" not in backend.ops or not backend.exists(account["name"])


def test_open_names_the_server_and_works_once(plugin, backend):
    worker = plugin.worker(opened=False)
    result = plugin.open(worker)
    assert 1 <= len(result["server"].encode()) <= 127
    assert set(result) <= {"server", "server_time", "endpoint", "native_expiry", "password", "volatile", "warnings"}
    for flag in ("native_expiry", "password", "volatile"):
        assert isinstance(result.get(flag, True), bool), flag
    warnings = result.get("warnings", [])
    assert len(warnings) <= 8 and all(1 <= len(text.encode()) <= 511 for text in warnings)
    assert set(result.get("endpoint", {})) <= {"scheme", "host", "port", "database"}
    assert all(isinstance(value, str) for value in result.get("endpoint", {}).values())
    assert not any(secret in str(result) for secret in backend.secrets())
    fails("invalid", plugin.open, worker)
    assert plugin.open(plugin.worker(opened=False))["server"] == result["server"]
    assert bool(worker.sessions) == backend.registers_sessions


def test_a_bad_config_is_refused_with_its_reason_and_a_good_one_after_it_works(plugin, backend):
    for what, config, codes in backend.bad_configs():
        worker = plugin.worker(opened=False)
        failure = fails(codes, plugin.open, worker, config)
        for secret in backend.secrets():
            assert secret not in failure.text, what
        try:
            plugin.open(worker)
        except PluginGone as gone:
            assert gone.status > 0, what


def test_an_unknown_operation_is_invalid(worker):
    for op in ("mint ", "MINT", "", "drop", "m" * 300):
        assert fails("invalid", worker.call, op, {}).sent is False
    worker.call("ping")


@pytest.mark.parametrize(
    "changes",
    [{"v": 2}, {"v": "1"}, {"v": ...}, {"id": 0}, {"id": -1}, {"id": "1"}, {"id": 1.5}, {"id": 1 << 54}, {"id": ...},
     {"op": 7}, {"op": ...}, {"deadline_ms": -1}, {"deadline_ms": "1"}, {"deadline_ms": ...}, {"params": []},
     {"params": None}, {"params": ...}, {"extra": 1}],
    ids=str,
)
def test_a_wrong_envelope_is_an_error_or_the_end(plugin, changes):
    worker = plugin.worker()
    worker.send_frame(request(**{"id": worker.next_id(), **changes}))
    try:
        message = worker.receive()
    except PluginGone as gone:
        assert gone.status > 0, gone
    else:
        assert message["ok"] is False and message["error"]["code"] == "protocol", message


GARBAGE = {
    "length 0": struct.pack(">I", 0),
    "length 1": struct.pack(">I", 1) + b"{",
    "length over the limit": struct.pack(">I", FRAME_MAX + 1) + b"{}",
    "length of 4 GiB": b"\xff\xff\xff\xff",
    "little-endian length": struct.pack("<I", 2) + b"{}",
    "no JSON": frame(b"hello, plugin"),
    "an array": frame(b"[1,2]"),
    "a number": frame(b"42"),
    "trailing data": frame(request() + b" {}"),
    "cut JSON": frame(request()[:-3]),
    "duplicate keys": frame(b'{"v":1,"id":1,"id":2,"op":"ping","deadline_ms":1,"params":{}}'),
    "invalid UTF-8": frame(request().replace(b"ping", b"p\xffng")),
    "overlong UTF-8": frame(request().replace(b"ping", b"p\xc0\xafng")),
    "raw NUL": frame(request().replace(b"ping", b"p\x00ng")),
    "escaped NUL": frame(request().replace(b"ping", b"p\\u0000ng")),
    "lone surrogate": frame(request().replace(b"ping", b"\\ud800")),
    "too deep": frame(request(params={"a": 0}).replace(b"0}", b"[" * 60 + b"]" * 60 + b"}")),
    "an integer over 64 bits": frame(request().replace(b"1000", b"1" + b"0" * 30)),
    "half a frame, then the end": struct.pack(">I", 100) + b'{"v":',
}


@pytest.mark.parametrize("opened", [False, True], ids=["before-open", "after-open"])
@pytest.mark.parametrize("what", GARBAGE, ids=lambda what: what.replace(" ", "-"))
def test_garbage_ends_the_worker_or_is_answered(plugin, what, opened):
    worker = plugin.worker(opened=opened)
    worker.send_bytes(GARBAGE[what])
    if what.startswith("half"):
        worker.sock.shutdown(1)
    try:
        message = worker.receive()
    except PluginGone as gone:
        assert gone.status >= 0, gone  # not by a signal: that would be a crash
        assert gone.status > 0 or what.startswith("half"), gone
    else:
        assert message["ok"] is False and message["error"]["code"] in ("protocol", "invalid"), message


def test_the_end_of_the_stream_ends_the_worker(plugin):
    for opened in (False, True):
        assert plugin.worker(opened=opened).close() == 0


def test_a_frame_may_come_in_pieces(worker):
    data = frame(request(id=worker.next_id()))
    for at in range(len(data)):
        worker.send_bytes(data[at : at + 1])
        time.sleep(0.001)
    assert worker.receive()["ok"] is True


@pytest.mark.needs("mint")
def test_unknown_params_are_ignored(plugin, worker, backend):
    worker.call("ping", {"new": {"field": 1}})
    account, _ = plugin.mint(worker, {**plugin.account(), "new": 1})
    plugin.end(worker, account)


@pytest.mark.needs("mint")
@pytest.mark.parametrize(
    "op, params",
    [("mint", {}), ("mint", {"account": {}}), ("disarm", {}), ("disarm", {"accounts": {}}), ("disarm", {"accounts": []}),
     ("disarm", {"accounts": [7]}), ("disarm", {"accounts": [{"role": {}}]}), ("remove", {"accounts": [{"name": 7, "role": {}}]}),
     ("remove", {"accounts": [{"name": "", "role": {}}]}), ("remove", {"accounts": [{"name": "a", "role": []}]}),
     ("remove", {"accounts": [{"name": "a", "role": {}, "handle": 7}]}), ("remove", {"accounts": [{"name": f"n{i}", "role": {}} for i in range(65)]})],
    ids=lambda value: json.dumps(value)[:40],
)
def test_malformed_params_are_invalid_and_the_worker_goes_on(worker, op, params):
    fails("invalid", worker.call, op, params)
    worker.call("ping")


# ---- sessions ----


@pytest.mark.needs("registers_sessions")
def test_nothing_goes_on_before_a_session_is_acknowledged(plugin, backend):
    worker = plugin.worker(opened=False)
    call_id = worker.start("open", {"config": backend.config(), "tag": TAG, "instance": "i"})
    message = worker.receive()
    assert message["op"] == "session" and message["id"] == call_id
    with pytest.raises(PluginHung):
        worker.receive(timeout_s=0.5)
    worker.send({"v": 1, "op": "session", "id": call_id, "ok": True})
    assert "server" in worker.finish(call_id, "open")


@pytest.mark.needs("registers_sessions")
def test_a_refused_session_fails_the_call_with_that_error(plugin, backend):
    worker = plugin.worker(opened=False)
    worker.on_session = lambda session: {"code": "canceled", "text": "the disk is full"}
    fails("canceled", plugin.open, worker)
    worker.on_session = None
    plugin.open(worker)
    assert len(set(session for _, session in worker.sessions)) == 2


@pytest.mark.needs("registers_sessions")
def test_the_end_of_the_stream_while_a_session_waits_ends_the_worker(plugin, backend):
    worker = plugin.worker(opened=False)
    worker.start("open", {"config": backend.config(), "tag": TAG, "instance": "i"})
    assert worker.receive()["op"] == "session"
    assert worker.close() == 0


@pytest.mark.needs("registers_sessions")
def test_anything_but_the_answer_to_a_session_ends_the_worker(plugin, backend):
    worker = plugin.worker(opened=False)
    worker.start("open", {"config": backend.config(), "tag": TAG, "instance": "i"})
    assert worker.receive()["op"] == "session"
    worker.send({"v": 1, "op": "session", "id": 999, "ok": True})
    with pytest.raises(PluginGone) as gone:
        worker.receive()
    assert gone.value.status > 0


@pytest.mark.needs("reap")
def test_reaping_a_session_that_is_not_there_is_success(plugin, worker, backend):
    plugin.reap(worker, [backend.unknown_session, backend.unknown_session])
    for nonsense in ("", "x", "1", ":", "-1:", "99999999999999999999:x", "1:'; DROP ROLE x; --", "\u00e9:\u00e9"):
        (result,) = worker.call("reap", {"sessions": [nonsense]})["results"]
        assert result["ok"] or result["error"]["code"] == "invalid", (nonsense, result)


@pytest.mark.needs("reap", "registers_sessions")
def test_reaping_ends_the_session_of_another_worker_and_only_that(plugin):
    first, second, third = plugin.worker(), plugin.worker(), plugin.worker()
    before = len(second.sessions)
    plugin.reap(first, [session for _, session in second.sessions])
    try:
        second.call("ping")
    except Exception:  # it may notice first
        second.call("ping")
    assert len(second.sessions) > before  # connected again, and said so
    seen = len(third.sessions)
    third.call("ping")
    assert len(third.sessions) == seen


# ---- the process ----


def test_the_process_is_hardened(worker):
    with open(f"/proc/{worker.pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    assert fields["NoNewPrivs"].strip() == "1"
    with open(f"/proc/{worker.pid}/limits") as limits:
        core = [line for line in limits if line.startswith("Max core file size")]
    assert core[0].split()[4:6] == ["0", "0"]


@pytest.mark.needs("mint")
def test_no_secret_is_in_the_log_the_arguments_or_the_environment(plugin, worker, backend):
    account, password = plugin.mint(worker, plugin.account())
    fails({"exists", "refused"}, plugin.mint, worker, account, password)
    if "check" in backend.ops:
        worker.call("check", {"account": account, "password": password})
    secrets = [password, *backend.secrets()]
    seen = b"".join(read_as_root(f"/proc/{worker.pid}/{part}") for part in ("cmdline", "environ")).decode()
    plugin.end(worker, account)
    worker.close()
    for secret in secrets:
        assert secret not in seen and secret not in worker.log()
