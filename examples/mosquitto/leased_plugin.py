"""The plugin protocol of leased (include/leased/PROTOCOL.md) for plugins in Python: frames, envelopes, order of calls, sessions, failures.

Standard library only, and no backend: copy this file beside a plugin of your own. A plugin is an object with a dict `description`
and a method for each operation that it has (op_mint, op_disarm_one, ..); see `mosquitto` beside this file. run(plugin) does the rest.
"""

import ctypes
import json
import os
import resource
import socket
import struct
import sys
import time

FRAME_MAX = 1 << 20
DEPTH_MAX = 16
BATCH_MAX = 64
TEXT_MAX = 511


class Failure(Exception):
    """A failed reply. code: a word of the page's table; text: for a person, what failed, why, what to do next, and no secret."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


def outcome_unknown():
    """A change was under way and no answer came: no reply would be true, so that the daemon has to look for itself."""
    os._exit(75)


# ---- frames ----


def check(value, depth=1):
    """JSON that Python takes and the page does not."""
    if depth > DEPTH_MAX:
        raise ValueError("too deep")
    if isinstance(value, str):
        value.encode()  # a lone surrogate is no text
        if "\0" in value:
            raise ValueError("a NUL in a string")
    elif isinstance(value, (dict, list)):
        for one in value:
            check(one, depth + 1)
            if isinstance(value, dict):
                check(value[one], depth + 1)


def without_duplicates(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def integer(text):
    value = int(text)
    if abs(value) >= 1 << 63:
        raise ValueError("an integer of over 64 bits")
    return value


def refuse(text):
    raise ValueError(f"{text} is no JSON")


class Stream:
    """fd 3."""

    def __init__(self):
        self.sock = socket.socket(fileno=3)

    def read(self, size, at_border=False):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                sys.exit(0 if at_border and not data else 1)  # the daemon has no more to say
            data += more
        return data

    def receive(self):
        """The next object. What is none ends the process: behind it nothing is known for certain."""
        (size,) = struct.unpack(">I", self.read(4, at_border=True))
        if not 2 <= size <= FRAME_MAX:
            sys.exit(1)
        try:
            message = json.loads(self.read(size).decode(), object_pairs_hook=without_duplicates, parse_int=integer, parse_constant=refuse)
            check(message)
        except (ValueError, RecursionError):
            sys.exit(1)
        if not isinstance(message, dict) or type(message.get("v")) is not int or message["v"] != 1:
            sys.exit(1)
        return message

    def send(self, message):
        payload = json.dumps({"v": 1, **message}).encode()
        try:
            self.sock.sendall(struct.pack(">I", len(payload)) + payload)
        except OSError:
            sys.exit(0)


# ---- calls ----


class Call:
    """One request. sent: set it before the first byte goes out that may change the backend."""

    def __init__(self, stream, message):
        keys = {"v", "id", "op", "deadline_ms", "params"}
        if set(message) != keys or not isinstance(message["op"], str) or not isinstance(message["params"], dict):
            sys.exit(1)
        for key, least, most in (("id", 1, (1 << 53) - 1), ("deadline_ms", 0, 1 << 40)):
            if type(message[key]) is not int or not least <= message[key] <= most:
                sys.exit(1)
        self.stream, self.id, self.op, self.params = stream, message["id"], message["op"], message["params"]
        self.deadline = time.monotonic() + message["deadline_ms"] / 1000
        self.sent = False

    def left_s(self):
        """For the timeout of whatever blocks."""
        return max(0.05, self.deadline - time.monotonic())

    def session(self, session):
        """Makes a session of the backend known, and waits until it is on the daemon's disk. Failure: close it."""
        self.stream.send({"op": "session", "id": self.id, "session": session})
        answer = self.stream.receive()
        if answer.get("op") != "session" or answer.get("id") != self.id or not isinstance(answer.get("ok"), bool):
            sys.exit(1)
        if not answer["ok"]:
            raise Failure(answer["error"]["code"], answer["error"]["text"])

    def session_end(self, session):
        """It is closed, and nothing of it is under way."""
        self.stream.send({"op": "session_end", "session": session})

    def text(self, name, among=None):
        """A string of params that must be there."""
        value = (self.params if among is None else among).get(name)
        if not isinstance(value, str) or value == "":
            raise Failure("invalid", f"{name} must be a text that is not empty")
        return value

    def account(self, value):
        """value, once it is an account."""
        if not isinstance(value, dict) or not isinstance(value.get("role"), dict):
            raise Failure("invalid", "an account is an object with name and role")
        self.text("name", value)
        if not all(isinstance(value.get(name, ""), str) for name in ("handle", "server")):
            raise Failure("invalid", "handle and server must be texts")
        return value


def failure_of(error):
    text = error.text.encode()[:TEXT_MAX].decode(errors="ignore")
    return {"ok": False, "error": {"code": error.code, "text": text}}


def each(call, key, one):
    """One result for each of params[key], in order; one that fails stops nothing."""
    values = call.params.get(key)
    if not isinstance(values, list) or not 1 <= len(values) <= BATCH_MAX:
        raise Failure("invalid", f"{key} must be a list of 1 to {BATCH_MAX}")
    if key == "accounts":
        values = [call.account(value) for value in values]
    results = []
    for value in values:
        try:
            results.append({"ok": True, **(one(call, value) or {})})
        except Failure as error:
            if error.code == "unavailable":
                raise  # nothing can be said of any
            results.append(failure_of(error))
    return {"results": results}


class Runner:
    def __init__(self, plugin):
        self.plugin, self.opened = plugin, False

    def describe(self, call):
        """By what methods the plugin has."""
        ops = ["describe", "open", "ping"]
        ops += [op for op in ("check", "mint", "renew", "set_password", "inventory") if hasattr(self.plugin, "op_" + op)]
        ops += [op for op in ("disarm", "remove", "reap") if hasattr(self.plugin, f"op_{op}_one")]
        return {"protocol": 1, "ops": ops, **self.plugin.description}

    def open(self, call):
        config = call.params.get("config")
        if self.opened or not isinstance(config, dict):
            raise Failure("invalid", "it is open already" if self.opened else "config must be an object")
        result = self.plugin.op_open(call, config, call.params.get("tag", ""))
        self.opened = True
        return result

    def run(self, call):
        """The result, or Failure."""
        plugin, op = self.plugin, call.op
        if op == "describe":
            return self.describe(call)
        if op == "open":
            return self.open(call)
        if op == "ping":
            return plugin.op_ping(call) if self.opened else {}
        if op not in self.describe(call)["ops"]:
            raise Failure("invalid", "there is no such operation")
        if not self.opened:
            raise Failure("invalid", "open comes first")
        if op in ("disarm", "remove"):
            return each(call, "accounts", getattr(plugin, f"op_{op}_one"))
        if op == "reap":
            return each(call, "sessions", plugin.op_reap_one)
        if op != "inventory":
            call.account(call.params.get("account"))
        return getattr(plugin, "op_" + op)(call)


def harden():
    """What the SDK does for plugins in C: no new privileges, no core, no dump, and no life without its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for option, value in ((38, 1), (4, 0), (1, 9)):  # PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE, PR_SET_PDEATHSIG
        if libc.prctl(option, value, 0, 0, 0) != 0:
            sys.exit("cannot harden the process")


def run(plugin):
    """Serves until the daemon closes the stream."""
    harden()
    stream, runner = Stream(), Runner(plugin)
    while True:
        call = Call(stream, stream.receive())
        reply = {"id": call.id, "op": call.op}
        try:
            reply |= {"ok": True, "result": runner.run(call) or {}}
        except Failure as error:
            reply |= {**failure_of(error), "sent": call.sent}
        stream.send(reply)
