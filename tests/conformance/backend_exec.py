"""The exec plugin's backend: a command that makes accounts in a service of this process."""

from account_service import AccountService
from backend import BackendBase


class Backend(BackendBase):
    name = "exec"
    ops = {"describe", "open", "check", "mint", "renew", "disarm", "remove", "inventory", "ping"}

    def start(self):
        self.service = AccountService()

    def stop(self):
        self.service.close()

    def config(self):
        return self.service.config()

    def secrets(self):
        return [self.service.secret]

    def bad_configs(self):
        good = self.config()
        return [
            ("no program", {}, {"invalid"}),
            ("a program that is not there", good | {"program": "/nonexistent/command"}, {"invalid"}),
            ("a program by a relative path", good | {"program": "command"}, {"invalid"}),
            ("a directory for the program", good | {"program": str(self.service.directory)}, {"invalid"}),
            ("a program and a socket", good | {"socket": self.service.path}, {"invalid"}),
            ("a socket where nobody listens", {"socket": "/nonexistent/socket"}, {"unavailable"}),
            ("arguments that are no list", good | {"arguments": "x"}, {"invalid"}),
            ("an unknown operation", good | {"operations": ["mind"]}, {"invalid"}),
            ("another user", good | {"run_as": "daemon"}, {"invalid"}),
            ("a user that is not there", good | {"run_as": "nobody-here"}, {"invalid"}),
            ("a wrong secret", good | {"secret": "wrong-Secret-1"}, {"denied"}),
            ("a backend that is not there", good | {"settings": {"accounts": "/nonexistent/socket"}}, {"unavailable"}),
        ]

    def exists(self, name):
        return name in self.service.accounts

    def can_log_in(self, name, password):
        return self.service.can_log_in(name, password)

    def make_foreign(self, name):
        self.service.accounts[name] = {"password": "x", "armed": True, "expires": None}

    def remove_foreign(self, name):
        del self.service.accounts[name]
