"""What is said of a JWT, and to whom: by both kinds of introspection, by who holds it and wants it ended, by the audit."""

import os
import time

import jwt
import pytest

from audited import Audited
from daemon import poll
from issuer import Issuer, claims_of

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALICE = 4321


@pytest.fixture(scope="module")
def leased():
    with Audited() as daemon:
        for mount in ("api", "other"):
            assert daemon.post(f"sys/mounts/{mount}", {"type": "token"}).status == 204
            assert daemon.post(f"{mount}/roles/app", {"scopes": "read"}).status == 204
        yield daemon


@pytest.fixture(scope="module")
def issuer(leased):
    return Issuer(leased)


def introspect(leased, token, mount="api"):
    answer = leased.request("POST", f"{mount}/introspect", raw=b"token=" + token.encode(), headers=FORM)
    assert answer.status == 200, answer
    return answer.json


def revoke(leased, token, mount="api"):
    return leased.request("POST", f"{mount}/revoke", raw=b"token=" + token.encode(), headers=FORM)


@pytest.mark.parametrize("path", ["identity/oidc/token/held", "api/jwt/held"])
def test_who_holds_one_can_end_it_like_any_token(leased, issuer, path):
    issuer.make("held", role={"audience": "https://shop", "template": '{"scope": "read", "more": 1}'})
    made = leased.get(path)
    token, claims = made.data["token"], claims_of(made.data["token"])
    told = introspect(leased, token)
    assert told["active"] is True and told["client_id"] == "held" and told["token_type"] == "Bearer"
    assert {name: told[name] for name in ("iss", "sub", "aud", "exp", "iat", "jti", "scope")} == {
        name: claims[name] for name in ("iss", "sub", "aud", "exp", "iat", "jti", "scope")}
    assert "more" not in told and issuer.active(token)
    for _ in range(2):  # what is not good any more is no error
        answer = revoke(leased, token)
        assert answer.status == 200 and answer.json == {}
        assert introspect(leased, token) == {"active": False} and not issuer.active(token)
    poll(lambda: claims["jti"] in issuer.denied(), 3, what="the token on the list")


def test_one_of_another_mount_is_never_called_ended(leased, issuer):
    issuer.make("apart")
    for token in (leased.get("other/jwt/apart").data["token"], leased.get("other/creds/app").data["token"]):
        assert introspect(leased, token) == {"active": False}
        answer = revoke(leased, token)
        assert answer.status == 400 and "unsupported_token_type" in answer.error and "other" not in answer.error.replace("another", ""), answer
        assert introspect(leased, token, "other")["active"] is True
        assert revoke(leased, token, "other").status == 200
        assert introspect(leased, token, "other") == {"active": False}
        assert revoke(leased, token).status == 200


def test_a_forged_one_ends_nothing(leased, issuer):
    token = issuer.token(issuer.make("forged"))
    head, body, signature = token.split(".")
    for other in (f"{head}.{body}.AAAA", f"{head}.{body}.{signature[:-2]}AA", f"e30.{body}.{signature}", f"{head}.{body}."):
        assert introspect(leased, other) == {"active": False}
        assert revoke(leased, other).status == 200
    assert issuer.active(token) and introspect(leased, token)["active"] is True


@pytest.mark.parametrize("how", ["deleted", "withdrawn"])
def test_one_whose_key_is_published_no_more_is_not_active(leased, issuer, how):
    issuer.make(how)
    token = issuer.token(how)
    assert issuer.active(token) and introspect(leased, token)["active"] is True
    if how == "deleted":
        issuer.key("instead")
        issuer.role(how, "instead")
        assert leased.delete(f"identity/oidc/key/{how}").status == 204
    else:
        assert leased.post(f"identity/oidc/key/{how}/rotate", {"verification_ttl": 0}).status == 200
    assert jwt.get_unverified_header(token)["kid"] not in issuer.kids()
    answer = leased.post("identity/oidc/introspect", {"token": token}).json
    assert answer["active"] is False and "published" in answer["error"]
    assert introspect(leased, token) == {"active": False}
    assert issuer.active(issuer.token(how))


def test_it_is_over_in_the_second_of_its_exp(leased, issuer):
    issuer.key("second")
    issuer.role("second", "second", ttl="1s")
    time.sleep(1.7 - time.time() % 1)  # its lease ends late in the second
    token = issuer.token("second")
    assert issuer.active(token) or time.time() >= claims_of(token)["exp"]  # on a machine with much else to do
    time.sleep(max(0.0, claims_of(token)["exp"] - time.time()) + 0.01)
    assert not issuer.active(token) and introspect(leased, token) == {"active": False}


def test_a_token_that_is_named_twice_is_not_called_ended(leased, issuer):
    token = issuer.token(issuer.make("twice"))
    for mount in ("identity/oidc", "api"):
        answer = leased.request("POST", f"{mount}/introspect", raw=f"token={token}&token={token}".encode(), headers=FORM)
        assert answer.status == 400 and answer.json["error"] == "invalid_request", answer


def test_an_empty_client_id_is_none(issuer):
    token = issuer.token(issuer.make("whose"))
    assert issuer.active(token, client_id="") and not issuer.active(token, client_id="x")


def test_a_mount_of_tokens_hands_out_no_jwt_that_identity_would_not(leased, issuer):
    issuer.make("guarded")
    mount = 'path "api/*" { capabilities = ["create", "read", "update", "delete", "list"] }\n'
    both = mount + 'path "identity/oidc/token/guarded" { capabilities = ["read"] }\n'
    assert leased.post("auth/unix/role/guarded", {"bound_uids": [ALICE], "policies": ["guarded"]}).status in (200, 204)
    for policy, status in ((mount, 403), (both, 200)):
        leased.post("sys/policies/acl/guarded", {"policy": policy})
        for method in ("GET", "POST"):
            answer = leased.request_as(ALICE, os.getegid(), method, "api/jwt/guarded")
            assert answer.status == status, answer
            assert status == 200 or "identity/oidc/token/guarded" in answer.error
        asked = leased.request_as(ALICE, os.getegid(), "POST", "sys/capabilities-self", {"paths": ["api/jwt/guarded", "api/creds/x"]})
        assert (asked.data["api/jwt/guarded"] == ["deny"]) == (status == 403) and "read" in asked.data["api/creds/x"], asked
    leased.post("sys/policies/acl/guarded", {"policy": 'path "identity/oidc/token/guarded" { capabilities = ["read"] }'})
    assert leased.request_as(ALICE, os.getegid(), "GET", "api/jwt/guarded").status == 403
    assert leased.request_as(ALICE, os.getegid(), "GET", "identity/oidc/token/guarded").status == 200


@pytest.mark.parametrize("path", ["identity/oidc/token/still", "api/jwt/still"])
def test_that_it_cannot_be_renewed_is_said_of_it_and_not_of_its_role(leased, issuer, path):
    issuer.make("still")
    answer = leased.put("sys/leases/renew", {"lease_id": leased.get(path).json["lease_id"]})
    assert answer.status == 400 and "not renewable" in answer.error and "deleted" not in answer.error, answer


def test_a_template_that_is_too_deep_is_the_writers_mistake(leased, issuer):
    issuer.key("deep")
    answer = leased.post("identity/oidc/role/deep", {"key": "deep", "template": '{"a":' * 20 + "1" + "}" * 20})
    assert answer.status == 400 and "deep" in answer.error, answer


def test_none_stands_in_the_audit_where_somebody_put_one_into_a_path(leased, issuer):
    token = issuer.token(issuer.make("misplaced"))
    assert leased.get(f"identity/oidc/token/{token}").status >= 400
    assert leased.get(f"{token}/x").status >= 400
    assert token not in leased.get(f"api/creds/{token}").error
    leased.check_chain()
    leased.stop()
    text = leased.audit.read_text() + leased.output_path.read_text()
    leased.start()
    assert "identity/oidc/role/misplaced" in text
    assert token not in text and token.split(".")[2] not in text
