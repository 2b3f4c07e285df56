"""The main job for tests: a leased and a database (PostgreSQL, MariaDB) that know each other, and what must hold between them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from daemon import Leased, poll  # noqa: E402
from pg import Postgres, quote_ident  # noqa: E402,F401

CREATE = Postgres.create_statement


class Credential:
    """What a client got: the login, and the lease that it dies with."""

    def __init__(self, response):
        self.lease_id = response.json["lease_id"]
        self.ttl = response.json["lease_duration"]
        self.user = response.data["username"]
        self.password = response.data["password"]


class Job:
    """A leased (its own, unless given) configured for a server."""

    def __init__(self, server, leased=None, **kwargs):
        self.server = server
        self.leased = leased or Leased(**kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leased.close()

    # ---- configuration: each returns the response ----

    def configure(self, name="main", **more):
        body = {"plugin_name": self.server.plugin_name, "allowed_roles": "*"}
        return self.leased.post(f"database/config/{name}", body | self.server.config(**more))

    def role(self, name="app", **more):
        body = {"db_name": "main", "default_ttl": "1h"} | self.server.role_settings()
        return self.leased.post(f"database/roles/{name}", body | more)

    def slow_role(self, seconds, name="slow", **more):
        """A role whose mint is under way in the server for that long after the account is there."""
        statements = f"{self.server.create_statement}; {self.server.sleep_statement(seconds)}"
        return self.role(name, verify_role=False, grant_roles=[], creation_statements=[statements], **more)

    def set_up(self):
        for response in (self.configure(), self.role()):
            assert response.status in (200, 204), response
        return self

    # ---- use ----

    def mint(self, role="app", **kwargs):
        response = self.leased.get(f"database/creds/{role}", **kwargs)
        assert response.status == 200, response
        return Credential(response)

    def lookup(self, credential):
        return self.leased.put("sys/leases/lookup", {"lease_id": credential.lease_id})

    def renew(self, credential, increment=0):
        return self.leased.put("sys/leases/renew", {"lease_id": credential.lease_id, "increment": increment})

    def revoke(self, credential, **kwargs):
        return self.leased.put("sys/leases/revoke", {"lease_id": credential.lease_id}, **kwargs)

    # ---- what must hold ----

    def tag(self):
        """The store's tag, as the accounts have it; None while there is none."""
        names = self.accounts()
        return names[0].split("-")[1] if names else None

    def accounts(self):
        return self.server.role_names("l-")

    def leases(self):
        """Every lease of database/, as lookup describes it."""
        found = []
        roles = self.leased.list("sys/leases/lookup/database/creds")
        for role in (roles.data or {}).get("keys", []):
            keys = self.leased.list(f"sys/leases/lookup/database/creds/{role.rstrip('/')}")
            for key in (keys.data or {}).get("keys", []):
                response = self.leased.put("sys/leases/lookup",
                                           {"lease_id": f"database/creds/{role.rstrip('/')}/{key}"})
                if response.status == 200 and response.data["state"] != "gone":  # it ended since
                    found.append(response.data)
        return found

    def settled(self):
        """Accounts with our tag are exactly those of the leases that live, and nothing is between states."""
        leases = self.leases()
        if any(lease["state"].lower() != "live" for lease in leases):
            return False
        return sorted(lease["account"] for lease in leases) == self.accounts()

    def wait_settled(self, timeout=30):
        try:
            poll(self.settled, timeout, every=0.1, what="accounts equal to live leases")
        except AssertionError:
            raise AssertionError(f"accounts {self.accounts()} against leases {self.leases()}\n"
                                 f"{self.leased.output()[-6000:]}") from None


def gone(job, credential):
    """No login, no session, no role."""
    return (not job.server.can_login(credential.user, credential.password)
            and job.server.session_count(credential.user) == 0
            and credential.user not in job.accounts())
