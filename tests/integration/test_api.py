"""The API as clients see it: envelope, errors, order of checks, policies, capabilities, mounts. No back end is needed."""

import json
import re

import pytest

from daemon import Leased

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        yield daemon


def token_with(leased, policy, **more):
    name = f"t{abs(hash(policy)) % 10**9}"
    assert leased.put(f"sys/policies/acl/{name}", {"policy": policy}).status == 204
    made = leased.post("auth/token/create", {"policies": [name], **more}, token=leased.root_token)
    assert made.status == 200, made
    return made.auth["client_token"]


# ---- transport ----


def test_a_slash_at_the_end_walks_around_no_deny(leased):
    assert leased.post("sys/mounts/prod", {"type": "database"}).status == 204
    token = token_with(leased, '''path "sys/mounts/*" { capabilities = ["read", "delete"] }
                                  path "sys/mounts/prod" { capabilities = ["deny"] }''')
    for path in ("sys/mounts/prod", "sys/mounts/prod/"):
        assert leased.delete(path, token=token).status == 403
        assert leased.get(path, token=token).status == 403
    assert leased.get("sys/mounts/prod/").status == 200
    assert leased.delete("sys/mounts/prod").status == 204


def test_health_needs_no_token_and_is_no_envelope(leased):
    answer = leased.tcp_request("GET", "sys/health")
    assert answer.status == 200
    assert answer.json["initialized"] is True and answer.json["sealed"] is False
    assert "request_id" not in answer.json
    assert re.fullmatch(r"\d+\.\d+\.\d+", answer.json["version"])


def test_health_answers_with_the_status_that_is_asked_for(leased):
    assert leased.get("sys/health?activecode=299").status == 299
    assert leased.get("sys/health?standbycode=500").status == 200
    assert leased.get("sys/health?activecode=x").status == 400


def test_head_of_health_has_no_body(leased):
    answer = leased.request("HEAD", "sys/health")
    assert answer.status == 200 and answer.body == b""


@pytest.mark.parametrize("path", ["sys/seal-status", "sys/leader", "sys/init"])
def test_state_is_open_to_everybody(leased, path):
    assert leased.tcp_request("GET", path).status == 200


def test_init_again_is_refused_in_the_words_that_clients_compare(leased):
    answer = leased.tcp_request("PUT", "sys/init", {"secret_shares": 1})
    assert answer.status == 400 and answer.errors == ["Vault is already initialized"]


def test_the_content_type_is_exact_and_nothing_is_cached(leased):
    for path in ("sys/health", "sys/policies/acl/none", "sys/mounts"):
        answer = leased.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch(UUID, answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/", "/foo", "/v2/sys/health", "/v1/"])
def test_outside_v1_there_is_nothing(leased, path):
    answer = leased.get(path)
    assert answer.status == 404 and answer.json == {"errors": []}


def test_the_envelope_has_every_key(leased):
    body = leased.get("sys/policies/acl/default").json
    assert list(body) == ["request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings",
                          "auth", "mount_type"]
    assert re.fullmatch(UUID, body["request_id"])
    assert (body["lease_id"], body["renewable"], body["lease_duration"]) == ("", False, 0)


def test_listed_paths_repeat_data_at_the_top(leased):
    for path in ("sys/mounts", "sys/auth", "sys/policy", "sys/policy/default"):
        body = leased.get(path).json
        for key, value in body["data"].items():
            assert body[key] == value
    assert "policy" not in leased.get("sys/policies/acl/default").json


def test_an_error_carries_the_request_id(leased):
    answer = leased.get("sys/mounts/nowhere")
    assert answer.status == 400 and "No secret engine mount at nowhere/" in answer.error
    assert answer.headers["x-request-id"] in answer.error


@pytest.mark.parametrize("ttl,status", [("5m", 400), ("300", 400), ("-1", 400), ("soon", 400), ("500ms", 400), ("0.4s", 400), ("0", 200), ("", 200)])
def test_wrapping_is_refused_and_never_ignored(leased, ttl, status):
    assert leased.get("sys/mounts", headers={"X-Vault-Wrap-TTL": ttl}).status == status


def test_namespaces_there_are_none(leased):
    assert leased.get("sys/mounts", headers={"X-Vault-Namespace": "root"}).status == 200
    assert leased.get("sys/mounts", headers={"X-Vault-Namespace": ""}).status == 200
    answer = leased.get("sys/mounts", headers={"X-Vault-Namespace": "team"})
    assert answer.status == 404 and "namespace not found" in answer.error
    assert answer.headers["x-vault-namespace"] == "team"


# ---- methods and bodies ----


@pytest.mark.parametrize("query", ["list=1", "list=True", "list=true", "list=t"])
def test_get_with_list_is_a_list(leased, query):
    assert leased.get(f"sys/policies/acl?{query}").data["keys"] == leased.list("sys/policies/acl").data["keys"]


def test_a_list_that_is_no_bool_is_refused(leased):
    assert leased.get("sys/policies/acl?list=yes").status == 400


def test_a_method_that_a_path_does_not_know_is_405(leased):
    assert leased.delete("sys/health").status == 405
    assert leased.list("sys/mounts").status == 405
    assert leased.request("PATCH", "sys/policies/acl/x", raw=b"{}",
                          headers={"Content-Type": "application/merge-patch+json"}).status == 405


def test_patch_needs_its_content_type(leased):
    assert leased.request("PATCH", "sys/policies/acl/x", {"a": 1}).status == 415


def test_a_write_to_a_path_that_ends_in_a_slash_is_refused(leased):
    assert leased.post("sys/policies/acl/x/", {"policy": ""}).status == 400


@pytest.mark.parametrize("body", [b"", b"  \n", b"null", b"{}"])
def test_no_body_is_no_data(leased, body):
    answer = leased.request("POST", "auth/token/create", raw=body)
    assert answer.status == 200, answer


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b'{"a":1}x', b'{"ttl":"1h","ttl":"2h"}', b"\xff",
                                  b'{"a":' + b"[" * 20 + b"]" * 20 + b"}"])
def test_a_body_that_is_no_object_is_refused(leased, body):
    answer = leased.request("POST", "auth/token/create", raw=body)
    assert answer.status == 400 and "failed to parse JSON input" in answer.error


def test_a_form_is_taken_and_json_called_a_form_too(leased):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = leased.request("POST", "auth/token/create", raw=b"ttl=90m&display_name=a%20b", headers=form)
    assert answer.status == 200 and answer.auth["lease_duration"] == 5400
    answer = leased.request("POST", "auth/token/create", raw=b' {"ttl":"90m"}', headers=form)
    assert answer.auth["lease_duration"] == 5400
    assert leased.request("POST", "auth/token/create", raw=b"ttl=%zz", headers=form).status == 400


def test_an_unknown_field_gets_a_warning_that_names_the_nearest(leased):
    answer = leased.put("sys/policies/acl/warned", {"policy": "", "polcy": "x"})
    assert answer.status == 400  # an empty policy is no policy
    answer = leased.put("sys/policies/acl/warned", {"policy": 'path "a" { capabilities = ["read"] }', "rulez": 1})
    assert answer.status == 200
    assert answer.warnings[0].startswith("Endpoint ignored these unrecognized parameters: [rulez]")
    assert "rules for rulez" in answer.warnings[0]
    assert answer.data is None and answer.auth is None


# ---- the order of the checks ----


def test_without_a_token_over_tcp_everything_else_is_denied_alike(leased):
    for path in ("sys/mounts", "nowhere/x", "database/creds/app", "sys/policies/acl/default"):
        answer = leased.tcp_request("GET", path)
        assert answer.status == 403 and "permission denied" in answer.error, path


def test_a_wrong_token_is_denied_even_where_the_peer_is_root(leased):
    for token in ("hvs.wrong", "x", "a" * 255, "a" * 300):
        assert leased.get("sys/mounts", token=token).status == 403, token


def test_a_wrong_token_is_ignored_on_an_open_path(leased):
    assert leased.get("sys/health", token="hvs.wrong").status == 200


def test_bearer_is_a_token_and_the_other_header_wins(leased):
    root = leased.root_token
    bearer = {"Authorization": f"Bearer {root}"}
    assert leased.tcp_request("GET", "sys/mounts", headers=bearer).status == 200
    assert leased.tcp_request("GET", "sys/mounts", headers={"Authorization": f"bearer {root}"}).status == 403
    assert leased.tcp_request("GET", "sys/mounts", headers=bearer | {"X-Vault-Token": "wrong"}).status == 403
    assert leased.tcp_request("GET", "sys/mounts", headers=bearer | {"X-Vault-Token": ""}).status == 200


def test_who_may_nothing_learns_nothing(leased):
    """A mount that is not there, and one that is: the same 403; only root sees 404."""
    token = token_with(leased, 'path "a" { capabilities = ["read"] }', no_default_policy=True)
    there = leased.get("database/roles/x", token=token)
    nowhere = leased.get("nowhere/roles/x", token=token)
    assert there.status == nowhere.status == 403
    assert leased.get("nowhere/roles/x").status == 404


def test_a_denial_says_what_was_missing(leased):
    token = token_with(leased, 'path "sys/mounts" { capabilities = ["list"] }')
    answer = leased.get("sys/mounts", token=token)
    assert answer.status == 403
    assert answer.error.startswith("permission denied") and "sys/mounts" in answer.error
    assert "read" in answer.error and answer.headers["x-request-id"] in answer.error


def test_sudo_is_asked_for_beside_the_capability(leased):
    weak = token_with(leased, 'path "sys/leases" { capabilities = ["read"] }')
    strong = token_with(leased, 'path "sys/leases" { capabilities = ["read", "sudo"] }')
    assert leased.get("sys/leases?type=irrevocable", token=weak).status == 403
    assert leased.get("sys/leases?type=irrevocable", token=strong).status == 200


def test_no_error_repeats_a_token(leased):
    secret = leased.post("auth/token/create", {}).auth["client_token"]
    for body in ({"lease_id": secret}, {"token": secret}, {"accessor": secret}, {"paths": secret}):
        for path in ("sys/leases/lookup", "sys/leases/renew", "auth/token/lookup-accessor", "auth/token/revoke-accessor"):
            answer = leased.put(path, body, token=secret)
            assert answer.status >= 400 or path == "sys/leases/lookup"
            assert secret not in answer.body.decode() or answer.status == 200
    answer = leased.get(f"sys/mounts/{secret}")
    assert answer.status == 400 and secret not in answer.body.decode()


# ---- policies ----


def test_a_policy_reads_back_byte_for_byte(leased):
    text = '# mine\npath "database/creds/app" {\n\tcapabilities = ["read"]\n}\n'
    assert leased.put("sys/policies/acl/mine", {"policy": text}).status == 204
    assert leased.get("sys/policies/acl/mine").data == {"name": "mine", "policy": text}
    assert leased.get("sys/policy/mine").data == {"name": "mine", "rules": text}
    assert "mine" in leased.list("sys/policies/acl").data["keys"]
    assert leased.post("sys/policy/mine", {"rules": text + "\n"}).status == 204
    assert leased.get("sys/policies/acl/mine").data["policy"] == text + "\n"
    assert leased.delete("sys/policies/acl/mine").status == 204
    assert leased.delete("sys/policies/acl/mine").status == 204
    assert leased.get("sys/policies/acl/mine").status == 404


def test_a_policy_that_does_not_parse_is_refused_with_its_place(leased):
    answer = leased.put("sys/policies/acl/bad", {"policy": 'path "a" {\n  capabilites = ["read"]\n}'})
    assert answer.status == 400 and "failed to parse policy" in answer.error
    assert re.search(r"\b2:3\b", answer.error), answer


def test_root_and_default_stay(leased):
    assert leased.put("sys/policies/acl/root", {"policy": 'path "*" { capabilities = ["read"] }'}).status == 400
    assert leased.delete("sys/policies/acl/root").status == 400
    answer = leased.delete("sys/policies/acl/default")
    assert answer.status == 400 and "cannot delete default policy" in answer.error
    assert leased.get("sys/policies/acl/root").data == {"name": "root", "policy": ""}


def test_names_are_lower_case(leased):
    text = 'path "x" { capabilities = ["read"] }'
    answer = leased.put("sys/policies/acl/MiXed", {"policy": text})
    assert answer.status == 200 and "mixed" in answer.warnings[0]
    assert leased.get("sys/policies/acl/mixed").data["name"] == "mixed"


def test_a_change_of_policy_holds_at_once(leased):
    token = token_with(leased, 'path "sys/mounts" { capabilities = ["read"] }')
    name = leased.get("auth/token/lookup-self", token=token).data["policies"][-1]
    assert leased.get("sys/mounts", token=token).status == 200
    leased.put(f"sys/policies/acl/{name}", {"policy": 'path "sys/mounts" { capabilities = ["deny"] }'})
    assert leased.get("sys/mounts", token=token).status == 403


# ---- capabilities, mounts, preflight ----


def test_capabilities_are_told(leased):
    token = token_with(leased, 'path "a/*" { capabilities = ["read", "update"] }')
    answer = leased.post("sys/capabilities-self", {"paths": ["a/b"]}, token=token)
    assert answer.data == {"a/b": ["read", "update"], "capabilities": ["read", "update"]}
    assert answer.json["a/b"] == ["read", "update"]
    answer = leased.post("sys/capabilities-self", {"paths": ["a/b", "c"]}, token=token)
    assert answer.data == {"a/b": ["read", "update"], "c": ["deny"]}
    assert leased.post("sys/capabilities-self", {"path": "c"}).data["capabilities"] == ["root"]
    assert leased.post("sys/capabilities", {"path": "a/b", "token": token}).data["a/b"] == ["read", "update"]
    assert leased.post("sys/capabilities", {"path": "a/b", "token": "hvs.nothing"}).status == 400


def test_the_database_is_mounted_and_found_by_the_preflight(leased):
    mounts = leased.get("sys/mounts").data
    assert mounts["database/"]["type"] == "database"
    assert re.fullmatch("database_[0-9a-f]{8}", mounts["database/"]["accessor"])
    assert {"sys/", "identity/", "cubbyhole/"} < set(mounts)
    answer = leased.get("sys/internal/ui/mounts/database/creds/app")
    assert answer.data["path"] == "database/" and answer.data["type"] == "database"
    assert leased.get("sys/internal/ui/mounts/database").data["path"] == "database/"


def test_the_preflight_says_403_where_nothing_is_granted(leased):
    token = token_with(leased, 'path "database/creds/app" { capabilities = ["read"] }', no_default_policy=True)
    assert leased.get("sys/internal/ui/mounts/database/creds/x", token=token).status == 200
    stranger = token_with(leased, 'path "other/*" { capabilities = ["read"] }')
    denied = leased.get("sys/internal/ui/mounts/database/creds/x", token=stranger)
    absent = leased.get("sys/internal/ui/mounts/absent/creds/x", token=stranger)
    nobody = leased.tcp_request("GET", "sys/internal/ui/mounts/database/creds/x")
    assert denied.status == absent.status == nobody.status == 403
    assert "preflight capability check returned 403" in denied.error
    assert leased.tcp_request("GET", "sys/internal/ui/mounts").data == {"secret": {}, "auth": {}}
    assert list(leased.get("sys/internal/ui/mounts", token=token).data["secret"]) == ["database/"]


def test_mounts_come_and_go(leased):
    assert leased.post("sys/mounts/second", {"type": "database", "description": "two"}).status == 204
    assert leased.get("sys/mounts/second").data["description"] == "two"
    again = leased.post("sys/mounts/second/", {"type": "database"})
    assert again.status == 400
    again = leased.post("sys/mounts/second", {"type": "database"})
    assert again.status == 400 and "path is already in use at second/" in again.error
    assert leased.post("sys/mounts/third", {"type": "nothing"}).status == 400
    assert leased.post("sys/mounts/sys/x", {"type": "database"}).status == 400
    assert leased.get("sys/mounts/second/tune").data["max_lease_ttl"] == 2764800
    for path in ("second/tune", "two/parts/tune"):
        answer = leased.post(f"sys/mounts/{path}", {"type": "database", "max_lease_ttl": "1h"})
        assert answer.status == 400 and "tuning a mount is not available" in answer.error
    assert not [path for path in leased.get("sys/mounts").data if "tune" in path]
    assert leased.delete("sys/mounts/second").status == 204
    assert leased.delete("sys/mounts/second").status == 204
    assert "second/" not in leased.get("sys/mounts").data


# ---- leases without a lease ----


@pytest.mark.parametrize("path", ["sys/leases/lookup", "sys/leases/renew", "sys/renew"])
def test_an_unknown_lease_is_400(leased, path):
    answer = leased.put(path, {"lease_id": "database/creds/app/00000001AAAAAAAAAAAAAAAA"})
    assert answer.status == 400
    assert ("invalid lease" if "lookup" in path else "lease not found") in answer.error
    assert leased.put(path, {}).status == 400


def test_revoking_what_is_not_there(leased):
    gone = {"lease_id": "database/creds/app/00000001AAAAAAAAAAAAAAAA"}
    assert leased.put("sys/leases/revoke", gone).status == 204
    assert leased.put("sys/leases/revoke/database/creds/app/x").status == 204
    assert leased.put("sys/leases/revoke-prefix/database/creds/app").status == 204
    assert leased.put("sys/leases/revoke-force/database").status == 204
    assert leased.put("sys/leases/revoke-prefix/nowhere").status == 400
    token = token_with(leased, 'path "x" { capabilities = ["read"] }')
    answer = leased.put("sys/leases/revoke", gone, token=token)
    assert answer.status == 200 and "nothing was revoked" in answer.warnings[0]


def test_lists_of_leases(leased):
    assert leased.list("sys/leases/lookup/database/creds").status == 404
    assert leased.list("sys/leases/lookup/nowhere").status == 404
    assert leased.list("sys/leases/lookup").data["keys"] == ["database/", "identity/"]
    assert leased.get("sys/leases/mine").data == {"lease_count": 0, "leases": []}
    assert leased.get("sys/leases/count").data == {"lease_count": 0, "counts": {}}
    assert leased.get("sys/leases").status == 400
    assert leased.get("sys/leases?type=irrevocable&limit=0").status == 400
    irrevocable = leased.get("sys/leases?type=irrevocable&limit=none").data
    assert irrevocable == {"lease_count": 0, "leases": [], "overdue": 0, "oldest_overdue_s": 0}


def test_everything_is_there_again_after_kill_and_restart():
    with Leased() as leased:
        token = token_with(leased, 'path "sys/mounts" { capabilities = ["read"] }')
        before = json.dumps(leased.get("sys/mounts").data)
        root = leased.root_token
        leased.kill()
        leased.start()
        assert leased.root_token == root
        assert json.dumps(leased.get("sys/mounts").data) == before
        assert leased.get("sys/mounts", token=token).status == 200
        assert leased.tcp_request("GET", "sys/mounts", token=root).status == 200
        assert leased.stop() == 0
