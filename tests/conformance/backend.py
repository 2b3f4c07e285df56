"""What the conformance suite must know of a plugin's backend. One class a plugin, in backend_<plugin>.py, named Backend."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from daemon import BUILD  # noqa: E402

PLUGINS = BUILD / "libexec" / "leased" / "plugins"


class BackendBase:
    """One backend, started for a whole run of the suite. Tests use names of their own and leave nothing behind."""

    name = ""  # the plugin's program
    ops = set()  # what describe must claim; tests that need another operation do not exist for this plugin
    registers_sessions = False  # does open() announce a session?
    repeats_handles = False  # does mint return a handle?
    keeps_disarmed = True  # is a disarmed account still there?
    unknown_session = "1:2001-01-01 00:00:00+00"  # well-formed, of a session that is not there

    @property
    def program(self):
        return str(PLUGINS / self.name)

    def start(self):
        """Starts or finds the server."""

    def stop(self):
        """Ends it."""

    def config(self):
        """A config for open that works."""
        raise NotImplementedError

    def secrets(self):
        """The values in config() that nobody may see."""
        return []

    def bad_configs(self):
        """(what is wrong, config, codes that open may answer)."""
        raise NotImplementedError

    def role(self):
        """Settings of a role, as accounts carry them."""
        return {}

    def password_of(self, values, password):
        """What the holder of an account logs in with: the daemon's password, or one of what the mint had for the client."""
        return password

    def exists(self, name):
        raise NotImplementedError

    def can_log_in(self, name, password):
        raise NotImplementedError

    def open_session(self, name, password):
        """A logged-in session of the account with alive() and close(), or None where there are no sessions."""
        return None

    def make_foreign(self, name):
        """An account that the plugin did not make."""
        raise NotImplementedError

    def remove_foreign(self, name):
        raise NotImplementedError
