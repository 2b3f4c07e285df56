"""The main job on Redis or RabbitMQ: a leased that is configured for such a server, and short words for its leases."""

from daemon import Leased, poll


class Credential:
    """What a client got: the login, and the lease that it dies with."""

    def __init__(self, response):
        self.lease_id = response.json["lease_id"]
        self.ttl = response.json["lease_duration"]
        self.user = response.data["username"]
        self.password = response.data["password"]
        self.warnings = response.warnings


class KeyvalJob:
    """A leased of its own. server: what can_login() and role_names() are asked of; config: of the connection."""

    def __init__(self, server, plugin, config, role, **kwargs):
        self.server, self.plugin, self.config, self.role_settings = server, plugin, config, role
        self.leased = Leased(**kwargs)

    def __enter__(self):
        try:
            for response in (self.configure(), self.role()):
                assert response.status in (200, 204), response
        except BaseException:
            self.leased.close()
            raise
        return self

    def __exit__(self, *_):
        self.leased.close()

    # ---- configuration: each returns the response ----

    def configure(self, name="main", **more):
        body = {"plugin_name": self.plugin, "allowed_roles": "*"}
        return self.leased.post(f"database/config/{name}", body | self.config | more)

    def role(self, name="app", **more):
        return self.leased.post(f"database/roles/{name}", {"db_name": "main", "default_ttl": "1h"} | self.role_settings | more)

    # ---- leases ----

    def mint(self, role="app"):
        response = self.leased.get(f"database/creds/{role}")
        assert response.status == 200, response
        return Credential(response)

    def lookup(self, credential):
        return self.leased.put("sys/leases/lookup", {"lease_id": credential.lease_id})

    def renew(self, credential, increment=0):
        return self.leased.put("sys/leases/renew", {"lease_id": credential.lease_id, "increment": increment})

    def revoke(self, credential):
        return self.leased.put("sys/leases/revoke", {"lease_id": credential.lease_id})

    def state(self, credential):
        return self.lookup(credential).data["state"].lower()

    def gone(self, credential, server=None):
        server = server or self.server
        return credential.user not in server.role_names() and not server.can_login(credential.user, credential.password)

    def wait_gone(self, credential, timeout, server=None):
        poll(lambda: self.gone(credential, server), timeout, what="the end of the account")
