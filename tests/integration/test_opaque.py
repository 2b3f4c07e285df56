"""Opaque tokens: what the formats promise to others, introspection and revocation by their RFCs, and a relying party that
nobody here wrote (Apache's mod_auth_openidc)."""

import base64
import http.client
import re
import socket
import sqlite3
import struct
import time
import urllib.parse
import zlib

import pytest

import memscan
from apache import Apache
from audited import Audited
from daemon import Leased, poll
from offline import Configured
from served import Served

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN = re.compile(r"[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{38}")
INACTIVE = {"active": False}


def encoded(number, digits):
    text = ""
    for _ in range(digits):
        text = DIGITS[number % 62] + text
        number //= 62
    return text


def with_checksum(text):
    return text + encoded(zlib.crc32(text.encode()), 6)


@pytest.fixture(scope="module")
def leased():
    with Audited() as daemon:
        prepare(daemon)
        yield daemon


def prepare(leased):
    assert leased.post("sys/mounts/token", {"type": "token"}).status == 204
    for name, role in {"shop": {"scopes": "read,write", "prefix": "shop", "ttl": "10m", "max_ttl": "1h", "audience": "https://shop"},
                       "brief": {"scopes": "read", "ttl": "1s", "max_ttl": "1s", "renewable": False}}.items():
        assert leased.post(f"token/roles/{name}", role).status == 204


def issue(leased, role="shop", **body):
    answer = leased.post(f"token/creds/{role}", body)
    assert answer.status == 200, answer
    return answer


def introspect(leased, text, **kwargs):
    answer = leased.post("token/introspect", {"token": text}, **kwargs)
    assert answer.status == 200, answer
    return answer.json


@pytest.mark.parametrize("path", ["token/introspect", "token/revoke"])
def test_a_token_that_is_named_twice_is_neither_ended_nor_called_ended(leased, path):
    token = issue(leased).data["token"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (f"token={token}&token={token}", f"token=x&token={token}", "x=1", ""):
        answer = leased.request("POST", path, raw=body.encode(), headers=form)
        assert answer.status == 400 and answer.json["error"] == "invalid_request", answer
    assert introspect(leased, token)["active"] is True


def test_a_scope_of_blanks_is_no_scope(leased):
    answer = leased.post("token/creds/shop", {"scope": " "})
    assert answer.status == 400 and answer.json["error"] == "invalid_scope", answer
    assert issue(leased, scope="").data["scope"]


def service(leased, *paths):
    """A token that may just ask, or revoke."""
    name = "-".join(path.replace("/", "-") for path in paths)
    rules = "".join(f'path "{path}" {{ capabilities = ["update"] }}\n' for path in paths)
    assert leased.put(f"sys/policies/acl/{name}", {"policy": rules}).status == 204
    return leased.post("auth/token/create", {"policies": [name], "no_default_policy": True}).auth["client_token"]


def test_a_token_is_one_that_scanners_know(leased):
    answer = issue(leased, scope="write")
    token = answer.data["token"]
    assert TOKEN.fullmatch(token) and token.startswith("shop_")
    assert token == with_checksum(token[:-6])
    assert answer.data["scope"] == "write" and answer.data["token_type"] == "Bearer"
    assert answer.json["lease_id"].startswith("token/creds/shop/") and answer.json["lease_duration"] == 600
    assert answer.json["renewable"] is True


def test_introspection_is_that_of_rfc_7662(leased):
    made = issue(leased)
    form = urllib.parse.urlencode({"token": made.data["token"], "token_type_hint": "access_token"}).encode()
    answer = leased.request("POST", "token/introspect", raw=form,
                            headers={"Content-Type": "application/x-www-form-urlencoded"})
    headers = answer.headers
    assert headers["cache-control"] == "no-store" and headers["content-type"] == "application/json"
    body = answer.json
    assert body["active"] is True and body["scope"] == "read write" and body["client_id"] == "shop"
    assert body["token_type"] == "Bearer" and body["aud"] == "https://shop" and body["jti"] == made.data["jti"]
    assert body["exp"] - body["iat"] == 600 and abs(body["iat"] - time.time()) < 30
    assert body["sub"] and body["iss"].startswith("urn:uuid:")
    assert not {"lease_id", "request_id", "data", "errors"} & set(body)
    assert introspect(leased, made.data["token"]) == body


def test_renewed_listed_and_revoked_it_is_a_lease_like_others(leased):
    made = issue(leased)
    lease = made.json["lease_id"]
    before = introspect(leased, made.data["token"])["exp"]
    answer = leased.put("sys/leases/renew", {"lease_id": lease, "increment": "30m"})
    assert answer.status == 200 and answer.json["lease_duration"] == 1800
    assert introspect(leased, made.data["token"])["exp"] > before + 1000
    listed = leased.list("sys/leases/lookup/token/creds/shop").data["keys"]
    assert lease.split("/")[-1] in listed
    assert leased.put("sys/leases/revoke", {"lease_id": lease}).status == 204
    assert introspect(leased, made.data["token"]) == INACTIVE
    assert leased.put("sys/leases/lookup", {"lease_id": lease}).data["ended_cause"] == "revoked"


def test_revocation_is_that_of_rfc_7009_and_counts_at_once(leased):
    asker, ender = service(leased, "token/introspect"), service(leased, "token/revoke")
    token = issue(leased).data["token"]
    assert introspect(leased, token, token=asker)["active"] is True
    for _ in range(2):  # what is not good any more is no error
        answer = leased.request("POST", "token/revoke", raw=b"token=" + token.encode(), token=ender,
                                headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 200 and answer.json == {}
        assert introspect(leased, token, token=asker) == INACTIVE
    # Nobody does the other's work, and nobody does any without a token.
    assert leased.post("token/revoke", {"token": token}, token=asker).status == 403
    assert leased.post("token/introspect", {"token": token}, token=ender).status == 403
    assert leased.tcp_request("POST", "token/introspect", {"token": token}).status == 403
    assert leased.tcp_request("POST", "token/revoke", {"token": token}).status == 403


def test_a_service_may_say_who_it_is_by_http_basic(leased):
    asker, token = service(leased, "token/introspect"), issue(leased).data["token"]

    def asked(user, secret):
        words = base64.b64encode(f"{user}:{secret}".encode()).decode()
        return leased.tcp_request("POST", "token/introspect", {"token": token}, headers={"Authorization": f"Basic {words}"})

    assert asked("apache", asker).json["active"] is True
    assert asked("", asker).status == 200
    assert asked(asker, "apache").status == 403 and asked("apache", token).status == 403
    words = base64.b64encode(f"a:{asker}".encode()).decode()
    assert leased.tcp_request("GET", "auth/token/lookup-self", headers={"Authorization": f"Basic {words}"}).status == 403
    # Over the socket, too, who says it wrongly is not taken for his uid.
    assert leased.request("POST", "token/introspect", {"token": token},
                          headers={"Authorization": "Basic AAAA"}).status == 403


def test_the_end_of_whoever_asked_for_it_is_its_own(leased):
    parent = leased.post("auth/token/create", {"policies": ["root"], "ttl": "1h"}).auth["client_token"]
    token = leased.post("token/creds/shop", {}, token=parent).data["token"]
    assert introspect(leased, token)["active"] is True
    assert leased.post("auth/token/revoke", {"token": parent}).status == 204
    assert introspect(leased, token) == INACTIVE


def test_it_ends_in_its_time_to_the_second(leased):
    answer = issue(leased, "brief")
    made = time.monotonic()
    assert introspect(leased, answer.data["token"])["active"] is True
    poll(lambda: introspect(leased, answer.data["token"]) == INACTIVE, 5, every=0.01, what="the end of the token")
    assert 0.5 < time.monotonic() - made < 1.5
    assert leased.put("sys/leases/renew", {"lease_id": answer.json["lease_id"]}).status == 400


@pytest.mark.parametrize("hostile", [
    "", "_", "shop_", "shop", "x" * 60000, "shop_" + "0" * 38, "%n%n%n%s", "'; DROP TABLE lease; --", "../../etc/passwd",
    "shop_" + "\u0430" * 38, "\U0001f600", "hvs.aaaaaaaaaaaaaaaaaaaaaaaa", " ", "\t\n", "null",
    with_checksum("shop_" + encoded(62 ** 8 - 1, 8) + "a" * 24), with_checksum("shop_" + "0" * 8 + "a" * 24),
    with_checksum("shop_" + encoded(1, 8) + "a" * 24), with_checksum("SHOP_" + encoded(1, 8) + "a" * 24)])
def test_nothing_is_told_of_a_hostile_text(leased, hostile):
    if hostile:
        assert introspect(leased, hostile) == INACTIVE
        assert leased.post("token/revoke", {"token": hostile}).status == 200
    raw = b"token=" + urllib.parse.quote(hostile).encode()
    answer = leased.request("POST", "token/introspect", raw=raw, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.json == INACTIVE or answer.status == 400


def test_malformed_questions_are_the_askers_mistake(leased):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for raw in (b"token=%zz", b"token=%00", b"token=\xff\xfe", b"token=%ff", b"&".join(b"a%d=b" % i for i in range(1001))):
        assert leased.request("POST", "token/introspect", raw=raw, headers=form).status == 400, raw[:40]
    for body in ({}, {"token": "a,b"}, {"token": ["a"]}, {"token": {"a": 1}}):
        assert leased.post("token/introspect", body).status == 400
    assert leased.get("token/introspect").status == 405
    assert leased.post("token/creds/shop", {"scope": "read admin"}).status == 400
    assert leased.post("token/creds/nobody", {}).status == 400


def test_no_token_is_anywhere_but_in_its_answer(leased):
    tokens = [issue(leased).data["token"] for _ in range(3)]
    introspect(leased, tokens[0])
    leased.post("token/revoke", {"token": tokens[1]})
    leased.get(f"token/revoke/{tokens[2]}")  # where it does not belong
    leased.post("token/creds/shop", {"scope": tokens[2]})
    assert tokens[2] not in leased.get(f"{tokens[2]}/x").error
    leased.check_chain()
    leased.stop()
    texts = leased.audit.read_bytes() + leased.output_path.read_bytes()
    assert b"token/introspect" in texts
    for path in leased.dir.iterdir():
        if path.is_file():
            texts += path.read_bytes()
    for token in tokens:
        for part in (token, token[13:37]):
            found = texts.find(part.encode())
            assert found == -1, texts[max(found - 300, 0):found + 100]
    leased.start()
    assert introspect(leased, tokens[0])["active"] is True
    assert introspect(leased, tokens[1]) == INACTIVE


def test_a_client_that_vanishes_before_its_answer_leaves_no_token(leased):
    before = set(leased.list("sys/leases/lookup/token/creds/shop").data["keys"])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(leased.socket_path))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /v1/token/creds/shop HTTP/1.1\r\nHost: x\r\n\r\n")
    poll(lambda: set(leased.list("sys/leases/lookup/token/creds/shop").data["keys"]) <= before, 15, what="its end")


@pytest.mark.parametrize("point", ["lease_issue_before_live", "lease_issue_after_live"])
def test_a_crash_between_issue_and_answer_leaves_a_lease_or_nothing(point):
    with Leased() as leased:
        prepare(leased)
        kept = issue(leased).data["token"]
        leased.stop()
        leased.start(failpoint=f"{point}=kill")
        with pytest.raises((OSError, http.client.HTTPException)):
            leased.post("token/creds/shop", {})
        assert leased.wait_exit() == -9
        leased.start()
        assert introspect(leased, kept)["active"] is True
        # Nobody has the other token; its lease ends in its time, or with those of its role.
        keys = leased.list("sys/leases/lookup/token/creds/shop").data["keys"]
        assert len(keys) == (1 if point == "lease_issue_before_live" else 2)
        assert leased.put("sys/leases/revoke-prefix/token/creds/shop").status == 204
        assert introspect(leased, kept) == INACTIVE


def test_a_crash_behind_a_revocation_does_not_bring_it_back():
    with Leased() as leased:
        prepare(leased)
        token = issue(leased).data["token"]
        leased.stop()
        leased.start(failpoint="lease_revoke_after_mark=kill")
        with pytest.raises((OSError, http.client.HTTPException)):
            leased.post("token/revoke", {"token": token})
        assert leased.wait_exit() == -9
        leased.start()
        assert introspect(leased, token) == INACTIVE
        poll(lambda: leased.list("sys/leases/lookup/token/creds/shop").status == 404, 10, what="the end of its lease")


def test_apache_lets_a_good_token_in_and_no_other():
    places = {"/read": 'claim "scope~(^| )read( |$)"', "/write": 'claim "scope~(^| )write( |$)"'}
    with Served() as leased:
        prepare(leased)
        secret = service(leased, "token/introspect")
        with Apache(f"https://{leased.address}/v1/token/introspect", leased.authority.ca_file, "apache", secret, places) as apache:
            token, reader = issue(leased).data["token"], issue(leased, scope="read").data["token"]
            assert apache.get("/read/page", token) == (200, "the page of /read\n"), apache.log()
            assert apache.get("/write/page", token)[0] == 200
            assert apache.get("/read/page", reader)[0] == 200
            assert apache.get("/write/page", reader)[0] in (401, 403)  # without the scope
            assert apache.get("/read/page")[0] == 401
            assert apache.get("/read/page", token[:-1] + ("0" if token[-1] != "0" else "1"))[0] == 401
            assert leased.post("token/revoke", {"token": token}).status == 200
            assert apache.get("/read/page", token)[0] == 401, apache.log()  # right after
            assert apache.get("/read/page", reader)[0] == 200
            brief = issue(leased, "brief").data["token"]
            assert apache.get("/read/page", brief)[0] == 200
            time.sleep(1.1)
            assert apache.get("/read/page", brief)[0] == 401


def test_fsck_backup_and_restore_know_tokens(tmp_path):
    """A restored store's hold is of accounts: tokens live, are asked for and end in it."""
    with Configured() as leased:
        prepare(leased)
        kept, ended = issue(leased), issue(leased)
        assert leased.put("sys/leases/revoke", {"lease_id": ended.json["lease_id"]}).status == 204
        done = leased.command("backup", tmp_path / "copy", "--with-key-check")
        assert done.returncode == 0, done.stderr
        leased.stop()
        done = leased.fsck()
        assert done.returncode == 0, done.stdout + done.stderr
        with sqlite3.connect(leased.database) as database:  # a counter of caps that is wrong
            database.execute("UPDATE counter SET value = value + 5 WHERE name LIKE 'role:%'")
        done = leased.fsck("--repair")
        assert done.returncode == 1 and leased.fsck().returncode == 0, done.stdout
        with Configured(key=leased.key, start=False) as new:
            done = new.command("restore", tmp_path / "copy")
            assert done.returncode == 0, done.stderr
            new.start()
            assert new.get("sys/health").json["held"] is True
            told = introspect(new, kept.data["token"])
            assert told["active"] is True and told["jti"] == kept.data["jti"]
            assert introspect(new, ended.data["token"]) == INACTIVE
            assert new.put("sys/leases/renew", {"lease_id": kept.json["lease_id"]}).status == 200
            assert new.post("token/revoke", {"token": kept.data["token"]}).status == 200
            assert introspect(new, kept.data["token"]) == INACTIVE
            fresh = issue(new, "brief").data["token"]
            poll(lambda: introspect(new, fresh) == INACTIVE, 5, what="the end of a token")
            poll(lambda: new.list("sys/leases/lookup/token/creds/brief").status == 404, 10, what="the end of its lease")


def test_no_token_stays_in_memory():
    with Leased(env={"LEASED_TEST_DUMPABLE": "1"}) as leased:
        prepare(leased)
        asker = service(leased, "token/introspect")
        known = {"a token that lives": issue(leased).data["token"], "one that is revoked": issue(leased).data["token"],
                 "the asker's own": asker}
        words = base64.b64encode(f"a:{asker}".encode()).decode()
        for name in ("a token that lives", "one that is revoked"):
            assert introspect(leased, known[name])["active"] is True
            form = b"token=" + known[name].encode()
            assert leased.tcp_request("POST", "token/introspect", raw=form, headers={
                "Authorization": f"Basic {words}", "Content-Type": "application/x-www-form-urlencoded"}).json["active"] is True
        assert leased.post("token/revoke", {"token": known["one that is revoked"]}).status == 200
        time.sleep(5)
        hits = memscan.scan(leased.pid, known | {"its random part": known["a token that lives"][13:37], "Basic": words})
        assert not hits, "\n".join(hits)
