"""Drives one plugin process over its protocol (include/leased/PROTOCOL.md), without the daemon."""

import json
import os
import select
import signal
import socket
import struct
import tempfile
import time

FRAME_MAX = 24 << 20  # of a frame that krl sends or is sent; of others it is 1 MiB


class PluginGone(Exception):
    """The worker closed the stream; status is its wait status, once it was reaped."""

    def __init__(self, status, log):
        self.status = status
        super().__init__(f"the worker ended with status {status}: {log}")


class PluginHung(AssertionError):
    """The worker neither answered nor ended in time."""


class CallFailed(Exception):
    """A reply with ok false."""

    def __init__(self, reply):
        self.reply = reply
        self.code = reply["error"]["code"]
        self.text = reply["error"]["text"]
        self.sent = reply.get("sent", True)
        super().__init__(f"{self.code}: {self.text}")


class Worker:
    """One worker. Requests are built here byte for byte, so that wrong ones can be sent too."""

    def __init__(self, program, environment=None, timeout_s=20.0):
        self.timeout_s = timeout_s
        self.sessions = []  # (call id, session) as they came
        self.ended_sessions = []
        self.on_session = None  # session -> None to allow, or an error object
        self._last_id = 0
        self._buffer = b""
        self._status = None
        self._log = tempfile.TemporaryFile()
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        null = os.open(os.devnull, os.O_RDONLY)
        variables = {"LANG": "C", "PATH": "/usr/bin:/bin"}
        for name, value in os.environ.items():
            if name.startswith(("ASAN_", "UBSAN_", "TSAN_", "LSAN_")):
                variables[name] = value
        variables.update(environment or {})
        try:
            self.pid = os.posix_spawn(
                program,
                [os.path.basename(program)],
                variables,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, self._log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, self._log.fileno(), 2),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
                ],
                setpgroup=0,
            )
        finally:
            theirs.close()
            os.close(null)

    # ---- bytes ----

    def send_bytes(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # receive() tells how it ended

    def send_frame(self, payload):
        self.send_bytes(struct.pack(">I", len(payload)) + payload)

    def send(self, message):
        self.send_frame(json.dumps(message).encode())

    def receive(self, timeout_s=None):
        """The next message. PluginGone at the end of the stream, PluginHung when nothing comes."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            if len(self._buffer) >= 4:
                (length,) = struct.unpack(">I", self._buffer[:4])
                assert 2 <= length <= FRAME_MAX, f"a frame of {length} bytes"
                if len(self._buffer) >= 4 + length:
                    payload = self._buffer[4 : 4 + length]
                    self._buffer = self._buffer[4 + length :]
                    message = json.loads(payload.decode("utf-8"))
                    assert isinstance(message, dict) and message["v"] == 1, message
                    return message
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise PluginHung(f"no answer within the time; log: {self.log()}")
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise PluginGone(self.wait(), self.log())
            self._buffer += data

    # ---- calls ----

    def next_id(self):
        self._last_id += 1
        return self._last_id

    def start(self, op, params, deadline_ms=10000):
        """Sends a request and returns its id; finish() reads its reply."""
        call_id = self.next_id()
        self.send({"v": 1, "id": call_id, "op": op, "deadline_ms": deadline_ms, "params": params})
        return call_id

    def finish(self, call_id, op, timeout_s=None):
        """Serves sessions until the reply is there. Returns the result; CallFailed otherwise."""
        while True:
            message = self.receive(timeout_s)
            if message["op"] == "session":
                self._answer_session(call_id, message)
            elif message["op"] == "session_end":
                self.ended_sessions.append(message["session"])
            else:
                break
        assert message["id"] == call_id and message["op"] == op, message
        if message["ok"] is True:
            assert set(message) == {"v", "id", "op", "ok", "result"}, message
            return message["result"]
        assert message["ok"] is False, message
        assert set(message) <= {"v", "id", "op", "ok", "error", "sent"}, message
        assert set(message["error"]) == {"code", "text"} and message["error"]["text"], message
        raise CallFailed(message)

    def call(self, op, params=None, deadline_ms=10000, timeout_s=None):
        return self.finish(self.start(op, params or {}, deadline_ms), op, timeout_s)

    def _answer_session(self, call_id, message):
        assert message["id"] == call_id, message
        assert 1 <= len(message["session"].encode()) <= 128, message
        self.sessions.append((call_id, message["session"]))
        error = self.on_session(message["session"]) if self.on_session else None
        answer = {"v": 1, "op": "session", "id": call_id, "ok": error is None}
        if error is not None:
            answer["error"] = error
        self.send(answer)

    # ---- its process ----

    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def wait(self, timeout_s=None):
        """Waits for its end; the exit status, negative for a signal."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise PluginHung(f"the worker does not end; log: {self.log()}")
            else:
                time.sleep(0.005)
        return self._status

    def kill(self):
        if self._status is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait()

    def close(self):
        """The daemon's way to end it: the end of the stream. Its status."""
        self.sock.close()
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.kill()
        self._log.close()
