"""Accounts in this process, behind a Unix socket: the backend of tests/support/exec_command.pl. And a manager of services, as systemd's Accept=yes has it."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

COMMAND = pathlib.Path(__file__).resolve().parent / "exec_command.pl"


class _Listener:
    """Calls serve(connection) for each that comes, one thread each."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.sock.listen(64)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection, contextlib.suppress(OSError, ValueError):
            self.serve(connection)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join()
        os.unlink(self.path)


class AccountService(_Listener):
    """accounts: name -> {"password", "armed", "expires"}; requests: all that came."""

    def __init__(self, secret="s3cret-of-the-command"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="leased-exec-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.command = self.directory / "command"
        shutil.copy(COMMAND, self.command)
        self.command.chmod(0o755)  # whatever the umask of the checkout was
        self.accounts, self.requests, self.secret, self.identity = {}, [], secret, "accounts-1"
        self.lock = threading.Lock()
        super().__init__(self.directory / "accounts.sock")

    def close(self):
        super().close()
        shutil.rmtree(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def serve(self, connection):
        request = json.load(connection.makefile("rb"))
        with self.lock:
            self.requests.append(request)
            answer = self.answer(request)
        connection.sendall(json.dumps(answer).encode())

    def answer(self, request):
        if request.get("secret") != self.secret:
            return {"error": {"code": "denied", "text": "the secret is wrong"}}
        op, account = request["op"], request.get("account", {})
        name = account.get("name")
        known = self.accounts.get(name)
        if op == "ping":
            return {"server": self.identity, "incarnation": "1"}
        if op == "inventory":
            return {"accounts": [{"name": name, "armed": one["armed"]} for name, one in self.accounts.items()]}
        if op == "mint":
            if known:
                return {"error": {"code": "exists", "text": f"{name} is there already"}}
            self.accounts[name] = {"password": request["password"], "armed": True, "expires": request["expires"]}
            return {}
        if known is None:
            return {"error": {"code": "not_found", "text": f"there is no {name}"}}
        if op == "renew":
            known["expires"] = request["expires"]
        elif op == "check" and not self.can_log_in(name, request["password"]):
            return {"error": {"code": "denied", "text": "the login was refused"}}
        elif op == "disarm":
            known["armed"] = False
        elif op == "remove":
            del self.accounts[name]
        return {}

    def can_log_in(self, name, password):
        known = self.accounts.get(name)
        return known is not None and known["armed"] and known["password"] == password

    def config(self, **more):
        return {"program": str(self.command), "settings": {"accounts": self.path}, "secret": self.secret,
                "operations": ["renew", "check", "inventory"]} | more


class ServiceManager(_Listener):
    """Runs a command for each connection, with the connection as its standard input and output."""

    def __init__(self, path, command):
        self.command = command
        super().__init__(path)

    def serve(self, connection):
        subprocess.run([str(word) for word in self.command], stdin=connection, stdout=connection, timeout=30, check=False)
