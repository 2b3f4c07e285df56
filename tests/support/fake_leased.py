"""A leased that a test writes: an HTTP server on a Unix socket that answers what it is told and keeps what it was asked."""

import json
import pathlib
import socket
import tempfile
import threading


class Asked:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class FakeLeased:
    """answers: {"METHOD path": (status, object or bytes) or a function of Asked that gives that}; else 404. Raw bytes as
    the whole of an answer stand in `raw`."""

    def __init__(self):
        self._dir = tempfile.TemporaryDirectory(prefix="fake-leased-")
        self.socket_path = str(pathlib.Path(self._dir.name) / "s")
        self.answers, self.asked, self.raw = {}, [], {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.socket_path)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        # Closed under the thread, its number could be the next one's listener, on which the thread would go on.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._dir.cleanup()

    def paths(self):
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def last(self, path):
        return [asked for asked in self.asked if f"{asked.method} {asked.path}" == path][-1]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _read(self, stream):
        line = stream.readline().decode().split()
        if len(line) != 3:
            return None
        headers = {}
        while (field := stream.readline().decode().rstrip("\r\n")) != "":
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        return Asked(line[0], line[1], headers, body)

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            asked = self._read(stream)
            if asked is None:
                return
            self.asked.append(asked)
            key = f"{asked.method} {asked.path}"
            try:
                if key in self.raw:
                    for part in self.raw[key]:
                        connection.sendall(part)
                    return
                answer = self.answers.get(key, (404, {"errors": []}))
                status, body = answer(asked) if callable(answer) else answer
                if not isinstance(body, bytes):
                    body = b"" if body is None else json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + body)
            except OSError:
                pass


def envelope(data=None, **other):
    body = {"request_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "lease_id": "", "renewable": False, "lease_duration": 0,
            "data": data, "wrap_info": None, "warnings": None, "auth": None}
    body.update(other)
    return body


LEASE_ID = "database/creds/app/0000000C4kq2VbX9PnUwE7sd"


def credential(duration=3600, **data):
    fields = {"username": "l-abc-app-1", "password": "Geheim-1", "host": "db.example", "port": 5433, "database": "shop",
              "scheme": "postgresql"}
    fields.update(data)
    return 200, envelope(fields, lease_id=LEASE_ID, renewable=True, lease_duration=duration)
