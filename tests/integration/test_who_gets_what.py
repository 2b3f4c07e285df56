"""Whose lease it is: users of the machine and tokens mint, see, renew and end their own, on a real server."""

import os
import time

import pytest

from daemon import poll
from job import Credential, Job, gone

ALICE, BOB = 4321, 4322
POLICY = 'path "database/creds/app" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def job(server):
    with Job(server) as running:
        running.set_up()
        assert running.leased.put("sys/policies/acl/shop", {"policy": POLICY}).status == 204
        assert running.leased.post("auth/unix/role/shop", {"bound_uids": [ALICE, BOB], "policies": ["shop"],
                                                           "max_leases": 2}).status == 204
        yield running


def ask(job, uid, method, path, body=None, **kwargs):
    return job.leased.request_as(uid, os.getegid(), method, path, body, **kwargs)


def mint(job, uid):
    answer = ask(job, uid, "GET", "database/creds/app")
    assert answer.status == 200, answer
    return Credential(answer)


def mine(job, uid):
    return [lease["lease_id"] for lease in ask(job, uid, "GET", "sys/leases/mine").data["leases"]]


def test_a_user_without_a_token_has_its_login_and_ends_it(job, server):
    credential = mint(job, ALICE)
    assert server.can_login(credential.user, credential.password)
    assert mine(job, ALICE) == [credential.lease_id] and mine(job, BOB) == []
    looked = ask(job, ALICE, "PUT", "sys/leases/lookup", {"lease_id": credential.lease_id})
    assert looked.data["state"] == "live" and looked.data["owner"].startswith("entity:")
    renewed = ask(job, ALICE, "PUT", "sys/leases/renew", {"lease_id": credential.lease_id})
    assert renewed.status == 200 and renewed.json["data"] is None and renewed.json["lease_duration"] > 3000
    assert ask(job, ALICE, "PUT", "sys/leases/revoke", {"lease_id": credential.lease_id}).status == 204
    assert gone(job, credential) and mine(job, ALICE) == []
    again = ask(job, ALICE, "PUT", "sys/leases/revoke", {"lease_id": credential.lease_id})
    assert again.status == 204  # it was hers, and is gone


def test_nobody_else_can_touch_it(job, server):
    credential = mint(job, ALICE)
    body = {"lease_id": credential.lease_id}
    assert ask(job, BOB, "PUT", "sys/leases/lookup", body).status == 400
    assert ask(job, BOB, "PUT", "sys/leases/renew", body).status == 400
    answer = ask(job, BOB, "PUT", "sys/leases/revoke", body)
    assert answer.status == 200 and "nothing was revoked" in answer.warnings[0]
    assert server.can_login(credential.user, credential.password)
    assert job.leased.put("sys/leases/revoke", body).status == 204  # root may
    assert gone(job, credential)


def test_who_may_do_everything_reaches_every_lease_by_its_id(job, server):
    """The policy `default` names the paths of leases exactly, which hides a "*"."""
    everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'
    assert job.leased.put("sys/policies/acl/everything", {"policy": everything}).status == 204
    token = job.leased.post("auth/token/create", {"policies": ["everything"]}).auth["client_token"]
    credential = mint(job, ALICE)
    body = {"lease_id": credential.lease_id}
    assert job.leased.put("sys/leases/lookup", body, token=token).data["account"] == credential.user
    assert job.leased.put("sys/leases/renew", body, token=token).status == 200
    assert job.leased.put("sys/leases/revoke", body, token=token).status == 204 and gone(job, credential)
    assert job.leased.put("sys/leases/lookup", body, token=token).data["state"] == "gone"
    some = 'path "sys/leases/*" { capabilities = ["update"] }'
    assert job.leased.put("sys/policies/acl/some", {"policy": some}).status == 204
    token = job.leased.post("auth/token/create", {"policies": ["some"]}).auth["client_token"]
    credential = mint(job, ALICE)
    answer = job.leased.put("sys/leases/revoke", {"lease_id": credential.lease_id}, token=token)
    assert answer.status == 200 and answer.data == {"revoked": False}
    assert server.can_login(credential.user, credential.password)
    assert ask(job, ALICE, "PUT", "sys/leases/revoke", {"lease_id": credential.lease_id}).status == 204


def test_the_cap_of_an_identity_is_exact(job):
    credentials = [mint(job, ALICE), mint(job, ALICE)]
    answer = ask(job, ALICE, "GET", "database/creds/app")
    assert answer.status == 429 and "max_leases" in answer.error
    mint_of_bob = mint(job, BOB)
    for uid, credential in ((ALICE, credentials[0]), (ALICE, credentials[1]), (BOB, mint_of_bob)):
        assert ask(job, uid, "PUT", "sys/leases/revoke", {"lease_id": credential.lease_id}).status == 204
    assert job.revoke(mint_again := mint(job, ALICE)).status == 204 and mint_again


def test_a_token_is_no_way_around_the_cap_of_its_user(job):
    leased = job.leased
    policy = POLICY + ' path "auth/token/create" { capabilities = ["update"] }'
    assert leased.put("sys/policies/acl/maker", {"policy": policy}).status == 204
    body = {"bound_uids": [ALICE], "policies": ["maker"]}
    assert leased.post("auth/unix/role/maker", body).status == 204
    token = ask(job, ALICE, "POST", "auth/token/create", {"policies": ["maker"]}).auth["client_token"]
    child = leased.post("auth/token/create", {}, token=token).auth["client_token"]
    credentials = [mint(job, ALICE), Credential(leased.get("database/creds/app", token=token))]
    for answer in (leased.get("database/creds/app", token=token), leased.get("database/creds/app", token=child),
                   ask(job, ALICE, "GET", "database/creds/app")):
        assert answer.status == 429 and "max_leases" in answer.error, answer
    for credential in credentials:
        assert job.revoke(credential).status == 204
    assert leased.delete("auth/unix/role/maker").status == 204


def test_what_a_token_made_ends_with_it(job, server):
    leased = job.leased
    made = leased.post("auth/token/create", {"policies": ["shop", "default"], "ttl": "1h"}).auth["client_token"]
    credential = Credential(leased.get("database/creds/app", token=made))
    child = leased.post("auth/token/create", {"policies": ["shop"], "ttl": "2s", "no_parent": True}).auth["client_token"]
    short = leased.get("database/creds/app", token=child)
    assert short.json["lease_duration"] <= 2 and short.warnings  # the truth: the token ends first
    assert leased.post("auth/token/revoke-self", token=made).status == 204
    poll(lambda: gone(job, credential), 10, what="the end of the token's login")
    poll(lambda: gone(job, Credential(short)), 10, what="the end of the short token's login")


def test_a_short_token_ends_its_children_and_their_logins_in_time(job, server):
    leased = job.leased
    policy = POLICY + ' path "auth/token/create" { capabilities = ["update"] }'
    assert leased.put("sys/policies/acl/maker", {"policy": policy}).status == 204
    made = leased.post("auth/token/create", {"policies": ["maker", "default"], "ttl": "2s"}, token=leased.root_token)
    until = time.monotonic() + 2
    child = leased.post("auth/token/create", {}, token=made.auth["client_token"]).auth["client_token"]
    credential = Credential(leased.get("database/creds/app", token=child))
    assert server.can_login(credential.user, credential.password)
    poll(lambda: gone(job, credential), 12, what="the end of the grandchild's login")
    assert time.monotonic() < until + 2
    answer = leased.post("sys/leases/lookup", {"lease_id": credential.lease_id})
    assert answer.status == 400 or answer.data["state"] not in ("live", "intent")


def test_no_renewal_outlives_the_parent(job):
    leased = job.leased
    policy = POLICY + ' path "auth/token/create" { capabilities = ["update"] }'
    assert leased.put("sys/policies/acl/maker", {"policy": policy}).status == 204
    made = leased.post("auth/token/create", {"policies": ["maker", "default"], "ttl": "9s"}, token=leased.root_token)
    child = leased.post("auth/token/create", {}, token=made.auth["client_token"]).auth["client_token"]
    credential = Credential(leased.get("database/creds/app", token=child))
    renewed = leased.post("auth/token/renew-self", {"increment": "1h"}, token=child)
    assert renewed.auth["lease_duration"] <= 9 and "capped" in renewed.warnings[0]
    body = {"lease_id": credential.lease_id, "increment": 3600}
    for token in (child, leased.root_token):
        renewed = leased.put("sys/leases/renew", body, token=token)
        assert renewed.json["lease_duration"] <= 9 and "capped" in renewed.warnings[0], renewed
    assert leased.post("auth/token/revoke", {"token": made.auth["client_token"]}).status == 204
    assert gone(job, credential)


def without_id(answer):
    body = dict(answer.json or {})
    body.pop("request_id", None)
    if answer.errors:
        body["errors"] = [text.split(" (request id")[0] for text in answer.errors]
    return answer.status, body


@pytest.mark.parametrize("maker", [0, ALICE], ids=["root", "user"])
def test_handles_of_another_tenant_are_like_random_ones(job, server, maker):
    """handle_scope: two tokens that one user of the machine made are two tenants."""
    leased = job.leased
    policy = POLICY + ' path "auth/token/*" { capabilities = ["create", "update"] }'
    assert leased.put("sys/policies/acl/tenant", {"policy": policy}).status == 204
    body = {"bound_uids": [ALICE], "policies": ["tenant", "shop"], "max_leases": 2}
    assert leased.post("auth/unix/role/tenant", body).status == 204
    body = {"policies": ["tenant", "default"]}
    victim, attacker = (ask(job, maker, "POST", "auth/token/create", body).auth for _ in range(2))
    credential = Credential(leased.get("database/creds/app", token=victim["client_token"]))
    token = attacker["client_token"]
    random = credential.lease_id[:-16] + "A" * 16
    for path in ("lookup", "renew", "revoke"):
        theirs, none = (leased.put(f"sys/leases/{path}", {"lease_id": handle}, token=token)
                        for handle in (credential.lease_id, random))
        assert without_id(theirs) == without_id(none), path
        theirs, none = (leased.post(f"auth/token/{path}-accessor", {"accessor": handle}, token=token)
                        for handle in (victim["accessor"], "A" * 24))
        assert without_id(theirs) == without_id(none) and theirs.status == 400, path
    for path in ("lookup", "renew"):
        theirs, none = (leased.post(f"auth/token/{path}", {"token": handle}, token=token)
                        for handle in (victim["client_token"], "hvs." + "A" * 40))
        assert without_id(theirs) == without_id(none) and theirs.status == 403, path
    assert leased.get("sys/leases/mine", token=token).data["leases"] == []
    assert server.can_login(credential.user, credential.password)
    assert ask(job, maker, "PUT", "sys/leases/lookup", {"lease_id": credential.lease_id}).status == 200
    assert leased.post("auth/token/revoke-self", token=victim["client_token"]).status == 204
    assert gone(job, credential)
    assert leased.delete("auth/unix/role/tenant").status == 204


def test_the_last_use_of_a_token_gets_no_login(job, server):
    made = job.leased.post("auth/token/create", {"policies": ["shop"], "num_uses": 1}).auth["client_token"]
    answer = job.leased.get("database/creds/app", token=made)
    assert answer.status == 400 and "one use left" in answer.error and answer.data is None
    poll(lambda: job.accounts() == [], 10, what="the end of what was made")


def test_lists_and_counts(job):
    credentials = [mint(job, ALICE), mint(job, BOB)]
    leased = job.leased
    assert leased.list("sys/leases/lookup/database").data["keys"] == ["creds/"]
    keys = leased.list("sys/leases/lookup/database/creds/app").data["keys"]
    assert sorted(f"database/creds/app/{key}" for key in keys) == sorted(c.lease_id for c in credentials)
    counts = leased.get("sys/leases/count").data
    assert counts["lease_count"] == 2 and list(counts["counts"].values()) == [2]
    assert leased.put("sys/leases/revoke-prefix/database/creds/app").status == 204
    assert all(gone(job, credential) for credential in credentials)
    assert leased.list("sys/leases/lookup/database/creds/app").status == 404


def test_revoke_force_of_one_lease_is_204_as_that_of_a_prefix_is(job):
    credential = mint(job, ALICE)
    assert job.leased.put(f"sys/leases/revoke-force/{credential.lease_id}").status == 204
    poll(lambda: gone(job, credential), 10, what="the end of the lease")


def test_head_never_mints(job):
    answer = job.leased.request("HEAD", "database/creds/app")
    assert answer.status == 405 and answer.body == b""
    assert job.accounts() == []


def test_no_secret_is_in_logs_or_command_lines(job):
    credential = mint(job, ALICE)
    token = job.leased.root_token
    output = job.leased.output()
    assert credential.password not in output and token not in output
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read()
            except OSError:
                continue
            assert credential.password.encode() not in command and token.encode() not in command
    assert job.revoke(credential).status == 204
