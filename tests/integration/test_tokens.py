"""Tokens over the API: their rules, their lives, their families; and that a handle is no right."""

import http.client
import json
import socket
import struct
import time

import pytest

from daemon import Leased, poll


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        yield daemon


def create(leased, body=None, token=None, path="auth/token/create"):
    answer = leased.post(path, body or {}, token=token or leased.root_token)
    assert answer.status == 200, answer
    return answer.auth


def child(leased, **body):
    """A token without any rights but those of `default`."""
    return create(leased, {"policies": ["default"]} | body)


def allow(leased, name, *paths, capabilities='"create", "read", "update", "delete", "list"'):
    text = "".join(f'path "{path}" {{ capabilities = [{capabilities}] }}\n' for path in paths)
    assert leased.put(f"sys/policies/acl/{name}", {"policy": text}).status == 204
    return name


def alive(leased, token):
    return leased.get("auth/token/lookup-self", token=token).status == 200


def test_the_root_token_does_not_end(leased):
    data = leased.get("auth/token/lookup-self", token=leased.root_token).data
    assert data["policies"] == ["root"] and data["ttl"] == 0 and data["expire_time"] is None
    assert data["renewable"] is False and data["orphan"] is True and data["type"] == "service"
    assert data["id"] == leased.root_token and data["entity_id"] == ""
    assert leased.post("auth/token/renew-self", token=leased.root_token).status == 400


def test_what_a_token_is_made_of(leased):
    made = create(leased, {"ttl": "1h", "policies": ["default", "b", "a", "a"], "display_name": "ci build",
                           "meta": {"job": "7"}, "num_uses": 0})
    assert made["client_token"].startswith("hvs.") and len(made["client_token"]) < 256
    assert len(made["accessor"]) == 24 and made["policies"] == ["a", "b", "default"]
    assert (made["lease_duration"], made["renewable"], made["orphan"]) == (3600, True, False)
    data = leased.get("auth/token/lookup-self", token=made["client_token"]).data
    assert data["display_name"] == "token-ci-build" and data["meta"] == {"job": "7"}
    assert data["creation_ttl"] == 3600 and 3590 < data["ttl"] <= 3600
    assert data["path"] == "auth/token/create" and data["accessor"] == made["accessor"]
    assert data["expire_time"].endswith("Z") and abs(data["creation_time"] - time.time()) < 60


def test_a_policy_that_does_not_exist_is_warned_of(leased):
    answer = leased.post("auth/token/create", {"policies": ["nowhere"]}, token=leased.root_token)
    assert 'Policy "nowhere" does not exist' in answer.warnings[0]


def test_ttls(leased):
    made = create(leased, {"ttl": "30m", "explicit_max_ttl": "5m", "policies": ["default"]})
    assert made["lease_duration"] == 300
    assert create(leased, {"period": "30m", "policies": ["default"]})["lease_duration"] == 1800
    assert child(leased)["lease_duration"] == 2764800
    answer = leased.post("auth/token/create", {"ttl": "-5"}, token=leased.root_token)
    assert answer.status == 400 and "negative" in answer.error


def test_renew_counts_from_now_and_stops_at_the_maximum(leased):
    made = child(leased, ttl="10m", explicit_max_ttl="20m")
    token = made["client_token"]
    answer = leased.post("auth/token/renew-self", {"increment": "15m"}, token=token)
    assert answer.auth["lease_duration"] == 900 and answer.auth["client_token"] == token
    answer = leased.post("auth/token/renew-self", {"increment": 3600}, token=token)
    assert 1190 <= answer.auth["lease_duration"] <= 1200 and answer.warnings
    assert leased.get("auth/token/lookup-self", token=token).data["last_renewal_time"] > 0
    fixed = child(leased, ttl="10m", renewable=False)
    answer = leased.post("auth/token/renew-self", token=fixed["client_token"])
    assert answer.status == 400 and "not renewable" in answer.error


def test_a_token_ends_with_its_ttl(leased):
    token = child(leased, ttl="1s")["client_token"]
    assert alive(leased, token)
    time.sleep(1.2)
    answer = leased.get("auth/token/lookup-self", token=token)
    assert answer.status == 403 and "permission denied" in answer.error


def test_what_is_named_twice_is_not_called_revoked(leased):
    """In a form, whose repeated names come joined: it looked like something that is long gone, which is no mistake."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    tokens = [child(leased)["client_token"] for _ in range(2)]
    for pair in (tokens, tokens[:1] * 2):
        answer = leased.request("POST", "auth/token/revoke", raw="&".join(f"token={one}" for one in pair).encode(), headers=form)
        assert answer.status == 400 and "more than one" in answer.error, answer
    assert all(alive(leased, token) for token in tokens)
    for path in ("sys/leases/revoke", "sys/revoke"):
        answer = leased.request("PUT", path, raw=b"lease_id=database/creds/app/a&lease_id=database/creds/app/b", headers=form)
        assert answer.status == 400 and "more than one" in answer.error, answer


def test_revoke_self_holds_at_once(leased):
    token = child(leased)["client_token"]
    assert leased.post("auth/token/revoke-self", token=token).status == 204
    assert leased.get("auth/token/lookup-self", token=token).status == 403
    assert leased.post("auth/token/revoke", {"token": token}).status == 204


def test_children_end_with_their_parent_and_orphans_do_not(leased):
    allow(leased, "maker", "auth/token/create", "auth/token/create-orphan")
    parent = create(leased, {"policies": ["maker", "default"]})["client_token"]
    son = create(leased, {}, token=parent)["client_token"]
    grandson = create(leased, {}, token=son)["client_token"]
    orphan = create(leased, {}, token=parent, path="auth/token/create-orphan")
    assert orphan["orphan"] is True
    assert leased.put("auth/token/revoke", {"token": parent}).status == 204
    for token in (parent, son, grandson):
        assert not alive(leased, token)
    assert alive(leased, orphan["client_token"])


def test_children_of_an_ended_parent_never_come_back(leased):
    allow(leased, "maker", "auth/token/create")
    parent = create(leased, {"policies": ["maker", "default"], "ttl": "1s"})["client_token"]
    answer = leased.post("auth/token/create", {"ttl": "1h"}, token=parent)
    assert answer.auth["lease_duration"] <= 1 and answer.warnings  # the truth: it ends with its parent
    time.sleep(1.3)
    assert not alive(leased, answer.auth["client_token"])
    leased.restart()
    assert not alive(leased, answer.auth["client_token"]) and not alive(leased, parent)


def test_uses_are_taken_once_and_the_last_one_ends_the_token(leased):
    token = child(leased, num_uses=3)["client_token"]
    data = leased.get("auth/token/lookup-self", token=token).data
    assert data["num_uses"] == 2
    assert leased.get("sys/mounts", token=token).status == 403  # a denied request counts
    assert leased.get("auth/token/lookup-self", token=token).status == 200
    assert leased.get("auth/token/lookup-self", token=token).status == 403
    allow(leased, "maker", "auth/token/create")
    token = create(leased, {"policies": ["maker"], "num_uses": 5})["client_token"]
    answer = leased.post("auth/token/create", {}, token=token)
    assert answer.status == 400 and "restricted use token" in answer.error


def test_rights_cannot_grow(leased):
    allow(leased, "maker", "auth/token/create", "auth/token/create-orphan")
    maker = create(leased, {"policies": ["maker"]})["client_token"]

    def refused(words, **body):
        answer = leased.post("auth/token/create", body, token=maker)
        assert answer.status == 400 and words in answer.error, answer

    refused("child policies must be subset of parent", policies=["other"])
    refused("root tokens may not be created", policies=["root"])
    refused("root or sudo privileges required", id="chosen")
    refused("root or sudo privileges required", no_parent=True)
    refused("root or sudo privileges required", period="1h")
    assert create(leased, {}, token=maker)["policies"] == ["default", "maker"]
    assert create(leased, {"no_default_policy": True, "policies": ["maker"]}, token=maker)["policies"] == ["maker"]


@pytest.mark.parametrize("name", ["Root", "ROOT", " root", "root ", "rооt", "root\n", "root\u200b", "ｒoot"])
def test_nothing_that_looks_like_root_is_root(leased, name):
    answer = leased.post("auth/token/create", {"policies": [name]}, token=leased.root_token)
    if answer.status == 200:
        assert "root" not in answer.auth["policies"]
        assert leased.get("sys/mounts", token=answer.auth["client_token"]).status == 403
    else:
        assert answer.status == 400


def test_root_is_alone_and_made_only_by_root(leased):
    made = create(leased, {"policies": ["root", "default"], "ttl": "1h"})
    assert made["policies"] == ["root"]
    answer = leased.post("auth/token/create", {"policies": ["root"]}, token=made["client_token"])
    assert answer.status == 400 and "expiring root tokens" in answer.error


def test_a_wished_id(leased):
    made = create(leased, {"id": "my-own-token", "policies": ["default"]})
    assert made["client_token"] == "my-own-token" and alive(leased, "my-own-token")
    assert leased.post("auth/token/create", {"id": "my-own-token"}, token=leased.root_token).status == 400
    assert leased.post("auth/token/create", {"id": "with.dot"}, token=leased.root_token).status == 400
    assert leased.post("auth/token/create", {"id": "a b"}, token=leased.root_token).status == 400


def test_lookup_of_another_token(leased):
    made = child(leased)
    assert leased.post("auth/token/lookup", {"token": made["client_token"]}).data["accessor"] == made["accessor"]
    answer = leased.post("auth/token/lookup", {"token": "hvs.nothing"})
    assert answer.status == 403 and "bad token" in answer.error


def test_accessors_are_handles_and_no_rights(leased):
    """handle_scope: the accessor of another tenant is answered like one that never was."""
    allow(leased, "accessors", "auth/token/*")
    victim = child(leased)
    attacker = create(leased, {"policies": ["accessors", "default"]})["client_token"]
    own = create(leased, {"policies": ["default"]}, token=attacker)
    for path in ("lookup-accessor", "renew-accessor", "revoke-accessor"):
        foreign = leased.post(f"auth/token/{path}", {"accessor": victim["accessor"]}, token=attacker)
        random = leased.post(f"auth/token/{path}", {"accessor": "A" * 24}, token=attacker)
        assert foreign.status == random.status == 400
        assert foreign.error.split(" (request id")[0] == random.error.split(" (request id")[0]
        assert "invalid accessor" in foreign.error
    answer = leased.post("auth/token/lookup-accessor", {"accessor": own["accessor"]}, token=attacker)
    assert answer.status == 200 and answer.data["id"] == ""
    answer = leased.post("auth/token/renew-accessor", {"accessor": own["accessor"]}, token=attacker)
    assert answer.auth["client_token"] == ""
    assert leased.post("auth/token/revoke-accessor", {"accessor": own["accessor"]}, token=attacker).status == 204
    assert not alive(leased, own["client_token"])
    assert leased.post("auth/token/revoke-accessor", {"accessor": victim["accessor"]}).status == 204  # root may
    assert not alive(leased, victim["client_token"])


def test_tokens_are_nowhere_in_the_store(leased):
    token = child(leased)["client_token"]
    leased.stop()
    for path in leased.dir.iterdir():
        if path.is_file() and path.name != "root-token":
            assert token.encode() not in path.read_bytes(), path
    leased.start()
    assert alive(leased, token)


def test_a_kill_while_a_token_is_made_leaves_no_half_token():
    with Leased(failpoint="auth_token_create=kill@3") as leased:  # the first is the root token
        assert leased.post("auth/token/create", {"id": "first", "policies": ["default"]}).status == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            leased.post("auth/token/create", {"id": "second", "policies": ["default"]})
        assert leased.wait_exit() == -9
        leased.start()
        assert alive(leased, "first") and not alive(leased, "second")
        assert leased.post("auth/token/create", {"id": "second", "policies": ["default"]}).status == 200


def test_a_token_whose_answer_was_lost_is_ended(leased):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(leased.socket_path))
    body = json.dumps({"id": "nobody-got-this", "policies": ["default"]})
    sock.sendall(f"POST /v1/auth/token/create HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    poll(lambda: alive(leased, "nobody-got-this"), what="the token")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()  # with the answer unread: a reset
    poll(lambda: not alive(leased, "nobody-got-this"), timeout=8, what="the end of the token")
