"""JWTs, verified by parties that nobody here wrote: python3-jwt (python3-cryptography), jose, and haproxy as a relying party."""

import json
import os
import shutil
import socket
import subprocess
import time

import jwt
import pytest

from daemon import Leased, poll
from issuer import Issuer, claims_of, public_key

ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
ALICE = 4321
DEFAULT = 'path "identity/oidc/token/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def issuer(leased):
    return Issuer(leased)


def user_token(leased, uid=ALICE, **more):
    """A token that belongs to a user's entity."""
    leased.post("sys/policies/acl/jwt", {"policy": DEFAULT + 'path "auth/token/create" { capabilities = ["update"] }'})
    assert leased.post("auth/unix/role/jwt", {"bound_uids": [uid], "policies": ["jwt"]}).status in (200, 204)
    answer = leased.request_as(uid, os.getegid(), "POST", "auth/token/create", {"policies": ["jwt"], **more})
    assert answer.status == 200, answer
    return answer.auth["client_token"]


# ---- what is in one, and who verifies it ----


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_python3_jwt_verifies_a_token_of_every_algorithm(issuer, algorithm):
    name = issuer.make(f"py-{algorithm}", algorithm, role={"client_id": "shop"})
    claims = issuer.verify(issuer.token(name), audience="shop", issuer=issuer.metadata()["issuer"])
    assert claims["aud"] == "shop" and claims["namespace"] == "root" and claims["exp"] - claims["iat"] == 600
    assert abs(claims["iat"] - time.time()) < 10
    with pytest.raises(jwt.InvalidAudienceError):
        issuer.verify(issuer.token(name), audience="another")


@pytest.mark.parametrize("algorithm", [one for one in ALGORITHMS if one != "EdDSA"])  # which jose does not have
def test_jose_verifies_a_token_and_refuses_a_changed_one(issuer, tmp_path, algorithm):
    token = issuer.token(issuer.make(f"jose-{algorithm}", algorithm))
    keys = tmp_path / "keys"
    keys.write_text(json.dumps(issuer.keys()))

    def verdict(text):
        path = tmp_path / "token"
        path.write_text(text)
        return subprocess.run(["jose", "jws", "ver", "-i", path, "-k", keys, "-O-"], capture_output=True, text=True, timeout=30)

    good = verdict(token)
    assert good.returncode == 0 and json.loads(good.stdout) == claims_of(token), good
    head, body, signature = token.split(".")
    changed = body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB")
    assert verdict(f"{head}.{changed}.{signature}").returncode != 0


def test_a_key_s_id_is_its_thumbprint(issuer, tmp_path):
    for jwk in issuer.keys()["keys"]:
        if jwk["kty"] == "OKP":
            continue
        path = tmp_path / "jwk"
        path.write_text(json.dumps(jwk))
        done = subprocess.run(["jose", "jwk", "thp", "-a", "S256", "-i", path], capture_output=True, text=True, check=True, timeout=30)
        assert done.stdout.strip() == jwk["kid"]


def test_no_private_member_is_published_or_told(leased, issuer):
    issuer.make("quiet", "RS256")
    for jwk in issuer.keys()["keys"]:
        assert set(jwk) <= {"kty", "crv", "n", "e", "x", "y", "use", "alg", "kid"}, jwk
    assert set(leased.get("identity/oidc/key/quiet").data) == {
        "algorithm", "allowed_client_ids", "rotation_period", "verification_ttl", "kid", "next_kid", "next_rotation"}


def test_claims_come_from_the_identity_by_a_template(leased, issuer):
    leased.request_as(ALICE, os.getegid(), "GET", "auth/token/lookup-self")
    accessor = leased.get("sys/auth").data["unix/"]["accessor"]
    issuer.make("shaped", role={"audience": ["a", "b"], "template": """
        {"who": {{identity.entity.name}}, "uid": {{identity.entity.aliases.%s.name}}, "groups": {{identity.entity.groups.names}},
         "soon": {{time.now.plus.1h}}, "deep": {"id": {{identity.entity.id}}, "none": {{identity.entity.metadata.team}}}}""" % accessor})
    leased.post("sys/policies/acl/jwt", {"policy": DEFAULT})
    leased.post("auth/unix/role/jwt", {"bound_uids": [ALICE], "policies": ["jwt"]})
    answer = leased.request_as(ALICE, os.getegid(), "GET", "identity/oidc/token/shaped")
    assert answer.status == 200, answer
    claims = issuer.verify(answer.data["token"], audience="b")
    entity = leased.get(f"identity/entity/id/{claims['sub']}").data
    assert claims["who"] == entity["name"] and claims["uid"] == f"uid:{ALICE}" and claims["groups"] == []
    assert claims["aud"] == ["a", "b"] and claims["deep"] == {"id": claims["sub"], "none": ""}
    assert 3590 < claims["soon"] - claims["iat"] < 3610


@pytest.mark.parametrize("template, word", [
    ('{"sub": "me"}', "sub"), ('{"x": "{{identity.entity.name}}"}', "string"), ('{"x": {{identity.entity.nam}}}', "identity.entity.nam"),
    ('{"x": {{time.now}', "}}"), ("[1]", "JSON"), ('{"x": 1', "template"), ('{ {{identity.entity.name}}: 1}', "template")])
def test_a_template_that_cannot_be_right_is_refused_when_it_is_written(leased, issuer, template, word):
    issuer.key("strict")
    answer = leased.post("identity/oidc/role/strict", {"key": "strict", "ttl": "1m", "template": template})
    assert answer.status == 400 and word in answer.error, answer


# ---- who gets one ----


def test_who_has_no_entity_gets_none(leased, issuer):
    issuer.make("entity")
    answer = leased.get("identity/oidc/token/entity", token=leased.root_token)
    assert answer.status == 400 and "no entity associated with the request's token" in answer.error


def test_a_token_without_an_issuer_s_address_is_not_made():
    with Leased() as fresh:
        fresh.post("identity/oidc/role/early", {"key": "default", "ttl": "1m"})
        fresh.post("identity/oidc/key/default", {"allowed_client_ids": "*"})
        answer = fresh.get("identity/oidc/token/early")
        assert answer.status == 400 and "issuer" in answer.error
        assert fresh.get("identity/oidc/.well-known/openid-configuration").status == 400
        for bad in ("http://leased.example", "https://leased.example/v1", "leased.example", "https://a b", "https://u@h", "https://h:99999"):
            assert fresh.post("identity/oidc/config", {"issuer": bad}).status == 400, bad
        assert fresh.post("identity/oidc/config", {"issuer": "https://leased.example:8200"}).status == 200
        assert claims_of(fresh.get("identity/oidc/token/early").data["token"])["iss"] == "https://leased.example:8200/v1/identity/oidc"


def test_a_client_id_that_the_key_does_not_list_gets_none(leased, issuer):
    issuer.key("listed", allowed_client_ids="web, app-*")
    issuer.role("listed", "listed", client_id="other")
    assert leased.get("identity/oidc/token/listed").status == 400
    issuer.role("listed", "listed", client_id="app-7")
    assert leased.get("identity/oidc/token/listed").data["client_id"] == "app-7"


def test_a_role_has_its_key_and_stays_below_what_is_verified(leased, issuer):
    assert leased.post("identity/oidc/role/none", {"key": "nobody", "ttl": "1m"}).status == 400
    issuer.key("short", verification_ttl="5m", rotation_period="1m")
    assert leased.post("identity/oidc/role/short", {"key": "short", "ttl": "6m"}).status == 400
    issuer.role("short", "short", ttl="5m")
    refused = leased.delete("identity/oidc/key/short")
    assert refused.status == 400 and "short" in refused.error
    assert leased.delete("identity/oidc/role/short").status == 204 and leased.delete("identity/oidc/key/short").status == 204
    assert leased.get("identity/oidc/key/short").status == 404


def test_head_makes_nothing_and_lists_name_what_there_is(leased, issuer):
    issuer.make("named")
    assert leased.request("HEAD", "identity/oidc/token/named").status == 405
    assert "named" in leased.list("identity/oidc/key").data["keys"] and "named" in leased.list("identity/oidc/role").data["keys"]
    assert leased.get("sys/mounts").data["identity/"]["type"] == "identity"
    assert leased.delete("sys/mounts/identity").status == 400


# ---- its end ----


def test_a_revoked_token_is_inactive_at_once_and_on_the_list(leased, issuer):
    made = issuer.issue(issuer.make("ended"))
    token = made.data["token"]
    assert made.json["renewable"] is False and made.json["lease_duration"] == 600
    assert made.json["lease_id"].startswith("identity/oidc/token/ended/")
    assert issuer.active(token) and issuer.active(token, client_id=made.data["client_id"])
    assert not issuer.active(token, client_id="another")
    assert leased.post("sys/leases/revoke", {"lease_id": made.json["lease_id"]}).status == 204
    assert not issuer.active(token)
    poll(lambda: claims_of(token)["jti"] in issuer.denied(), 3, what="the token on the list")
    leased.kill()
    leased.start()
    assert not issuer.active(token) and claims_of(token)["jti"] in Issuer(leased).denied()


def test_a_forged_token_with_a_good_jti_is_inactive(issuer):
    token = issuer.token(issuer.make("forged"))
    head, body, signature = token.split(".")
    for other in (f"{head}.{body}.{signature[:-2]}AA", f"{head}.{body}.AAAA", token + ".", "x", "a.b.c", "..", ""):
        if other:
            assert not issuer.active(other), other
    assert issuer.active(token)


def test_the_death_of_the_token_that_asked_ends_it(leased, issuer):
    issuer.make("owned")
    owner = user_token(leased)
    token = issuer.token("owned", token=owner)
    assert issuer.active(token)
    assert leased.post("auth/token/revoke-self", token=owner).status == 204
    poll(lambda: not issuer.active(token), 5, what="its end")
    poll(lambda: claims_of(token)["jti"] in issuer.denied(), 5, what="the token on the list")


def test_an_identity_s_token_outlives_the_token_that_asked(leased, issuer):
    issuer.make("kept", role={"lease_owner": "identity"})
    owner = user_token(leased)
    token = issuer.token("kept", token=owner)
    assert leased.post("auth/token/revoke-self", token=owner).status == 204
    time.sleep(1)
    assert issuer.active(token)


def test_a_token_lives_no_longer_than_the_one_that_asked(leased, issuer):
    issuer.make("clamped")
    made = issuer.issue("clamped", token=user_token(leased, ttl="120s"))
    claims = claims_of(made.data["token"])
    assert claims["exp"] - claims["iat"] <= 120 and made.data["ttl"] <= 120 and made.warnings


def test_one_that_ends_in_its_time_is_on_no_list(leased, issuer):
    issuer.key("brief")
    issuer.role("brief", "brief", ttl="2s")
    token = issuer.token("brief")
    poll(lambda: not issuer.active(token), 6, what="its end")
    time.sleep(1.2)
    assert claims_of(token)["jti"] not in issuer.denied()


def test_a_role_s_cap_holds(leased, issuer):
    issuer.make("capped", role={"max_leases": 2})
    issuer.token("capped")
    made = issuer.issue("capped")
    assert leased.get("identity/oidc/token/capped").status == 429
    leased.post("sys/leases/revoke", {"lease_id": made.json["lease_id"]})
    issuer.token("capped")


def test_a_mount_of_tokens_hands_them_out_too(leased, issuer):
    issuer.make("alias")
    assert leased.post("sys/mounts/api", {"type": "token"}).status == 204
    for method in ("GET", "POST"):
        made = leased.request(method, "api/jwt/alias")
        assert made.status == 200 and made.json["lease_id"].startswith("api/jwt/alias/"), made
        issuer.verify(made.data["token"])
        assert leased.post("sys/leases/renew", {"lease_id": made.json["lease_id"]}).status == 400
        assert leased.post("sys/leases/revoke", {"lease_id": made.json["lease_id"]}).status == 204
        assert not issuer.active(made.data["token"])
        poll(lambda: claims_of(made.data["token"])["jti"] in issuer.denied(), 3, what="the token on the list")
    assert leased.delete("sys/mounts/api").status == 204
    assert claims_of(made.data["token"])["jti"] in issuer.denied()


# ---- what is published ----


def test_lists_may_be_kept_and_are_asked_for_again_by_their_etag(leased, issuer):
    for path, control in (("openid-configuration", "public, max-age=3600"), ("keys", "public, max-age=1"), ("denylist", "no-cache")):
        first = leased.tcp_request("GET", f"identity/oidc/.well-known/{path}")
        assert first.status == 200 and first.headers["cache-control"] == control, first
        again = leased.tcp_request("GET", f"identity/oidc/.well-known/{path}", headers={"If-None-Match": first.headers["etag"]})
        assert again.status == 304 and again.body == b"" and again.headers["etag"] == first.headers["etag"]
        assert leased.tcp_request("GET", f"identity/oidc/.well-known/{path}", headers={"If-None-Match": '"x"'}).status == 200


def test_metadata_is_found_in_both_places(leased, issuer):
    for path in ("/.well-known/openid-configuration/v1/identity/oidc", "/.well-known/oauth-authorization-server/v1/identity/oidc"):
        assert leased.tcp_request("GET", path).json == issuer.metadata()
    assert leased.tcp_request("GET", "/.well-known/openid-configuration").status == 404
    assert leased.tcp_request("POST", "identity/oidc/introspect", {"token": "x"}).status == 403


# ---- a relying party ----


class Haproxy:
    """It lets in who has a token of one key, for one audience, before its end."""

    def __init__(self, directory, key, audience, algorithm):
        self.dir, self.port = directory, free_port()
        (directory / "key.pem").write_bytes(pem_of(key))
        (directory / "haproxy.cfg").write_text(f"""
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend door
    bind 127.0.0.1:{self.port}
    http-request deny deny_status 401 unless {{ req.hdr(authorization) -m found }}
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request return status 403 content-type text/plain string algorithm unless {{ var(txn.alg) -m str {algorithm} }}
    http-request return status 403 content-type text/plain string signature unless {{ var(txn.bearer),jwt_verify(txn.alg,"{directory}/key.pem") 1 }}
    http-request return status 403 content-type text/plain string audience unless {{ var(txn.aud) -m str {audience} }}
    http-request return status 403 content-type text/plain string expired if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request return status 200 content-type text/plain string welcome
""")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", directory / "haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        poll(self.answers, what="haproxy")

    def answers(self):
        assert self.process.poll() is None, self.process.stderr.read()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def ask(self, token):
        done = subprocess.run(["curl", "-s", "-m", "5", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}",
                               f"http://127.0.0.1:{self.port}/"], capture_output=True, text=True, check=True)
        return done.stdout

    def close(self):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pem_of(jwk):
    from cryptography.hazmat.primitives import serialization

    return public_key(jwk).public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_haproxy_lets_a_token_in_and_no_other(leased, issuer, tmp_path, algorithm):
    assert shutil.which("haproxy"), "the package haproxy is missing"
    name = issuer.make(f"door-{algorithm}", algorithm, role={"client_id": "door"})
    issuer.role(f"brief-{algorithm}", name, client_id="door", ttl="1s")
    issuer.role(f"aside-{algorithm}", name, client_id="window")
    issuer.make(f"stranger-{algorithm}", algorithm, role={"client_id": "door"})
    token, brief = issuer.token(name), issuer.token(f"brief-{algorithm}")
    (jwk,) = [key for key in issuer.keys()["keys"] if key["kid"] == jwt.get_unverified_header(token)["kid"]]
    door = Haproxy(tmp_path, jwk, "door", algorithm)
    try:
        assert door.ask(token) == "welcome200"
        time.sleep(2.1)
        assert door.ask(brief) == "expired403"
        assert door.ask(issuer.token(f"aside-{algorithm}")) == "audience403"
        assert door.ask(issuer.token(f"stranger-{algorithm}")) == "signature403"
    finally:
        door.close()


# ---- who there is ----


def test_an_entity_is_found_by_its_id_its_name_and_its_alias(leased):
    shown = leased.request_as(ALICE, os.getegid(), "GET", "auth/token/lookup-self").data
    accessor = leased.get("sys/auth").data["unix/"]["accessor"]
    entity = leased.get(f"identity/entity/id/{shown['entity_id']}").data
    assert entity["id"] == shown["entity_id"] and entity["aliases"][0]["name"] == f"uid:{ALICE}"
    assert leased.get(f"identity/entity/name/{entity['name']}").data == entity
    assert entity["id"] in leased.list("identity/entity/id").data["keys"]
    for query in ({"id": entity["id"]}, {"name": entity["name"]}, {"alias_name": f"uid:{ALICE}", "alias_mount_accessor": accessor}):
        assert leased.post("identity/lookup/entity", query).data == entity, query
    assert leased.post("identity/lookup/entity", {"name": "nobody"}).status == 204
    assert leased.get("identity/entity/id/nobody").status == 404
