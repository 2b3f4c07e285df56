"""Tokens that an API makes itself: what the client gets, what leased keeps to revoke them, and what cannot be revoked."""

import json

import pytest

from daemon import Leased, poll
from fake_api import FakeApi


class Tokens(FakeApi):
    """POST /tokens gives a token; DELETE /tokens with it in a header ends it."""

    def __init__(self):
        self.alive = {}  # token -> name
        super().__init__(self.serve)

    def serve(self, request):
        method, _, headers, body = request
        if headers.get("Authorization") != "Bearer t0ken-of-leased" and "X-Token" not in headers:
            return 401, {"error": "who are you?"}
        if method == "POST":
            token = f"made-{len(self.requests)}-s3cret"
            self.alive[token] = json.loads(body)["name"]
            return 201, {"data": {"token": token, "id": len(self.requests)}}
        if method == "DELETE":
            return (204, b"") if self.alive.pop(headers["X-Token"], None) else (404, {})
        return 200, {"tokens": [{"name": name} for name in self.alive.values()]}


@pytest.fixture
def api():
    with Tokens() as one:
        yield one


@pytest.fixture
def leased():
    one = Leased()
    yield one
    one.close()


def configure(leased, api, verify_role=True, **changes):
    document = {"plugin_name": "http", "allowed_roles": "*", "base_url": api.url, "allow_plain_http": True, "token": "t0ken-of-leased",
                "headers": {"Authorization": "Bearer {{connection.token}}"},
                "create": {"path": "/tokens", "json": {"name": "{{name}}", "until": "{{expiration}}"}, "values": {"token": "/data/token"}},
                "credential": {"token": "{{values.token}}"}, "kept": "{{values.token}}",
                "revoke": {"method": "DELETE", "path": "/tokens", "headers": {"X-Token": "{{kept}}"}},
                "inventory": {"path": "/tokens", "items": "/tokens", "values": {"name": "/name"}}} | changes
    response = leased.post("database/config/main", {name: value for name, value in document.items() if value is not None})
    assert response.status in (200, 204), response
    role = leased.post("database/roles/app", {"db_name": "main", "default_ttl": "1h", "verify_role": verify_role})
    assert role.status in (200, 204), role
    return response


def test_a_client_gets_the_token_and_leased_revokes_it_by_what_it_kept(leased, api):
    configure(leased, api)
    assert api.alive == {}, "what was tried is gone"
    response = leased.get("database/creds/app")
    assert response.status == 200 and "password" not in response.data, response
    token = response.data["token"]
    assert api.alive[token] == response.data["username"]
    leased.kill()
    leased.start()
    assert leased.put("sys/leases/revoke", {"lease_id": response.json["lease_id"]}).status == 204
    assert api.alive == {}
    assert token not in leased.output() and "t0ken-of-leased" not in leased.output()
    stored = b"".join(path.read_bytes() for path in leased.dir.rglob("*") if path.is_file())
    assert token.encode() not in stored


def test_what_cannot_be_revoked_is_told_with_the_credential_and_ends_by_itself(leased, api):
    configure(leased, api, can_revoke=False, revoke=None, kept=None, verify_connection=False, verify_role=False)
    role = leased.post("database/roles/short", {"db_name": "main", "default_ttl": "6s", "verify_role": False})
    assert role.status in (200, 204), role
    response = leased.get("database/creds/short")
    assert response.status == 200 and any("can_revoke = false" in text for text in response.warnings), response
    lease_id = response.json["lease_id"]
    revoked = leased.put("sys/leases/revoke", {"lease_id": lease_id})
    assert revoked.status == 503 and "ends by itself at" in revoked.error, revoked
    assert "DELETE /tokens" not in api.paths()
    poll(lambda: leased.put("sys/leases/lookup", {"lease_id": lease_id}).data in (None, {}) or
         leased.put("sys/leases/lookup", {"lease_id": lease_id}).data["state"] == "gone", 90, what="the lease's end")
