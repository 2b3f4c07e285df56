"""JWTs of a leased: its keys, roles and tokens, as a test asks for them, and as relying parties read them."""

import base64
import json
import urllib.request

import jwt


class Issuer:
    """The issuer of a leased, with its lists of keys kept for a second only, so that a rotation need not wait."""

    def __init__(self, leased):
        self.leased = leased
        answer = leased.post("identity/oidc/config", {"issuer": "http://" + ":".join(map(str, leased.tcp_address)), "keys_max_age": "1s"})
        assert answer.status == 200, answer

    def key(self, name, algorithm="ES256", **more):
        answer = self.leased.post(f"identity/oidc/key/{name}", {"algorithm": algorithm, "allowed_client_ids": "*", **more})
        assert answer.status == 204, answer

    def role(self, name, key, **more):
        answer = self.leased.post(f"identity/oidc/role/{name}", {"key": key, "ttl": "10m", **more})
        assert answer.status == 204, answer

    def make(self, name, algorithm="ES256", key=None, role=None):
        """A key and a role of one name, which it returns."""
        self.key(name, algorithm, **(key or {}))
        self.role(name, name, **(role or {}))
        return name

    def issue(self, role, **kwargs):
        answer = self.leased.get(f"identity/oidc/token/{role}", **kwargs)
        assert answer.status == 200, answer
        return answer

    def token(self, role, **kwargs):
        return self.issue(role, **kwargs).data["token"]

    def metadata(self):
        """By HTTP, as anybody reads it."""
        host, port = self.leased.tcp_address
        return fetch(f"http://{host}:{port}/v1/identity/oidc/.well-known/openid-configuration")

    def keys(self):
        return fetch(self.metadata()["jwks_uri"])

    def kids(self):
        return {key["kid"] for key in self.keys()["keys"]}

    def denied(self):
        return {one["jti"] for one in fetch(self.metadata()["denylist_uri"])["denied"]}

    def active(self, token, **more):
        answer = self.leased.post("identity/oidc/introspect", {"token": token, **more})
        assert answer.status == 200 and set(answer.json) <= {"active", "error"}, answer
        assert ("error" in answer.json) != answer.json["active"], answer
        return answer.json["active"]

    def verify(self, token, keys=None, **kwargs):
        """By PyJWT, with the published key of its kid; the claims."""
        (jwk,) = [key for key in (keys or self.keys())["keys"] if key["kid"] == jwt.get_unverified_header(token)["kid"]]
        kwargs.setdefault("options", {"verify_aud": "audience" in kwargs, "require": ["iss", "sub", "aud", "exp", "iat", "jti"]})
        return jwt.decode(token, public_key(jwk), algorithms=[jwk["alg"]], **kwargs)


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def public_key(jwk):
    algorithm = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm, "OKP": jwt.algorithms.OKPAlgorithm}[jwk["kty"]]
    return algorithm.from_jwk(json.dumps(jwk))


def claims_of(token):
    """What it says, unverified."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
