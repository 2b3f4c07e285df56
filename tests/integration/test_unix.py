"""Users of this machine as callers: no token, the kernel's word. Acting as other users needs root or sudo."""

import os

import pytest

from daemon import Leased, connect_as

ALICE, BOB, GROUP = 4321, 4322, 4400


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        yield daemon


def ask(leased, uid, method, path, body=None, groups=(), **kwargs):
    """Our own group opens the socket (0660); it is what other roles of a host would be in the socket's group for."""
    return leased.request_as(uid, os.getegid(), method, path, body, groups=groups, **kwargs)


def whoami(leased, uid, groups=()):
    answer = ask(leased, uid, "GET", "auth/token/lookup-self", groups=groups)
    assert answer.status == 200, answer
    return answer.data


def test_a_user_is_an_entity_for_good(leased):
    alice, bob = whoami(leased, ALICE), whoami(leased, BOB)
    assert alice["type"] == "unix" and alice["policies"] == ["default"] and alice["display_name"] == f"uid-{ALICE}"
    assert alice["entity_id"] and alice["entity_id"] != bob["entity_id"]
    leased.kill()
    leased.start()
    assert whoami(leased, ALICE)["entity_id"] == alice["entity_id"]


def test_a_user_without_a_role_may_what_default_says(leased):
    assert ask(leased, ALICE, "GET", "sys/leases/mine").status == 200
    assert ask(leased, ALICE, "GET", "sys/mounts").status == 403
    assert ask(leased, ALICE, "POST", "auth/token/revoke-self").status == 400
    assert ask(leased, ALICE, "POST", "auth/token/renew-self").status == 400


def test_root_of_the_machine_is_root_in_dev_only_by_uid(leased):
    assert whoami(leased, 0)["policies"] == ["root"]
    assert leased.get("sys/mounts").status == 200


def test_a_token_wins_over_the_peer(leased):
    made = leased.post("auth/token/create", {"policies": ["default"]}).auth
    assert leased.get("sys/mounts", token=made["client_token"]).status == 403
    assert ask(leased, ALICE, "GET", "sys/mounts", token=leased.root_token).status == 200
    assert ask(leased, ALICE, "GET", "sys/leases/mine", token="wrong").status == 403


def test_nobody_is_turned_away_and_told_why(leased):
    with connect_as(leased.socket_path, 65534, 0, ()) as sock:
        sock.settimeout(10)
        answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 403") and b"which user you are" in answer
        assert sock.recv(4096) == b""


def test_roles_give_policies_between_fields_and_within_lists_or(leased):
    leased.put("sys/policies/acl/shop", {"policy": 'path "sys/mounts" { capabilities = ["read"] }'})
    role = {"bound_uids": [ALICE, BOB], "bound_gids": [GROUP], "policies": ["shop"], "max_leases": 20}
    assert leased.post("auth/unix/role/shop", role).status == 204
    assert leased.get("auth/unix/role/shop").data == role | {"bound_units": []}
    assert leased.list("auth/unix/role").data["keys"] == ["shop"]
    assert whoami(leased, ALICE)["policies"] == ["default"]  # the uid, and not the group
    assert whoami(leased, ALICE, groups=[GROUP])["policies"] == ["default", "shop"]
    assert ask(leased, BOB, "GET", "sys/mounts", groups=[GROUP]).status == 200
    assert whoami(leased, 4323, groups=[GROUP])["policies"] == ["default"]
    leased.post("auth/unix/role/more", {"bound_uids": f"{ALICE}", "policies": "extra"})
    assert whoami(leased, ALICE, groups=[GROUP])["policies"] == ["default", "extra", "shop"]
    leased.restart()
    assert whoami(leased, ALICE, groups=[GROUP])["policies"] == ["default", "extra", "shop"]
    assert leased.delete("auth/unix/role/more").status == 204
    assert leased.delete("auth/unix/role/shop").status == 204
    assert leased.get("auth/unix/role/shop").status == 404
    assert whoami(leased, ALICE, groups=[GROUP])["policies"] == ["default"]


def test_a_role_that_would_match_everybody_is_refused(leased):
    answer = leased.post("auth/unix/role/all", {"policies": ["shop"]})
    assert answer.status == 400 and "bound_uids or bound_gids" in answer.error
    assert leased.post("auth/unix/role/all", {"bound_uids": [], "policies": ["shop"]}).status == 400


@pytest.mark.parametrize("body,words", [
    ({"bound_uids": ["root"]}, "numeric"), ({"bound_uids": [-1]}, "numeric"), ({"bound_uids": [65534]}, "65534"),
    ({"bound_uids": [1], "policies": ["root"]}, "root"), ({"bound_uids": [1], "max_leases": -1}, "negative"),
    ({"bound_gids": [1], "bound_units": ["a.service"]}, "bound_uids"), ({"bound_uids": [4294967296]}, "numeric"),
])
def test_bad_roles_are_refused_with_the_reason(leased, body, words):
    answer = leased.post("auth/unix/role/bad", body)
    assert answer.status == 400 and words in answer.error, answer
    assert leased.get("auth/unix/role/bad").status == 404


def test_a_role_with_units_matches_nobody_and_says_so(leased):
    answer = leased.post("auth/unix/role/unit", {"bound_uids": [ALICE], "bound_units": ["shop.service"], "policies": ["shop"]})
    assert answer.status == 200 and "matches nobody" in answer.warnings[0]
    assert whoami(leased, ALICE)["policies"] == ["default"]
    leased.delete("auth/unix/role/unit")


def test_a_user_can_make_a_token_only_where_a_policy_lets_it(leased):
    assert ask(leased, ALICE, "POST", "auth/token/create", {}).status == 403
    leased.put("sys/policies/acl/maker", {"policy": 'path "auth/token/create" { capabilities = ["update"] }'})
    leased.post("auth/unix/role/maker", {"bound_uids": [ALICE], "policies": ["maker"]})
    made = ask(leased, ALICE, "POST", "auth/token/create", {"ttl": "1h"})
    assert made.status == 200 and made.auth["policies"] == ["default", "maker"]
    assert made.auth["entity_id"] == whoami(leased, ALICE)["entity_id"]
    leased.delete("auth/unix/role/maker")
