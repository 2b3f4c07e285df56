"""Keys that sign JWTs: their rotation, with relying parties that keep lists of keys, with crashes, and what is done about a lost one."""

import concurrent.futures
import time

import jwt
import pytest

from daemon import Leased, poll
from issuer import Issuer


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def issuer(leased):
    return Issuer(leased)


def rotate(leased, issuer, name, **body):
    answer = leased.post(f"identity/oidc/key/{name}/rotate", body)
    assert answer.status in (200, 204), answer
    return answer


def test_a_client_that_keeps_its_list_of_keys_misses_no_rotation(leased, issuer):
    """It fetches the list as seldom as it may, and verifies each token at once with what it has."""
    issuer.make("turning", key={"verification_ttl": "10m", "rotation_period": "60s"})
    keys, fetched, seen, deadline = issuer.keys(), time.monotonic(), set(), time.monotonic() + 12
    while time.monotonic() < deadline and len(seen) < 4:
        if time.monotonic() - fetched >= 1:
            keys, fetched = issuer.keys(), time.monotonic()
        token = issuer.token("turning")
        issuer.verify(token, keys)
        seen.add(jwt.get_unverified_header(token)["kid"])
        assert leased.post("identity/oidc/key/turning/rotate", {}).status in (200, 204, 503)  # 503: it is being rotated
    assert len(seen) >= 3, "it was not rotated while this looked"


def test_tokens_of_before_are_verified_until_they_are_over(leased, issuer):
    issuer.make("overlap")
    before = issuer.token("overlap")
    next_kid = leased.get("identity/oidc/key/overlap").data["next_kid"]
    time.sleep(3.1)
    assert rotate(leased, issuer, "overlap").status == 204
    after = issuer.token("overlap")
    assert jwt.get_unverified_header(after)["kid"] == next_kid != jwt.get_unverified_header(before)["kid"]
    issuer.verify(before)
    issuer.verify(after)


@pytest.mark.parametrize("turns", [0, 1])
def test_a_key_that_is_lost_is_withdrawn_at_once_with_all_that_lay_beside_it(leased, issuer, turns):
    name = f"lost{turns}"
    issuer.key(name)
    issuer.role(name, name)
    tokens = [issuer.token(name)]
    for _ in range(turns):
        time.sleep(3.1)
        assert rotate(leased, issuer, name).status == 204
        tokens.append(issuer.token(name))
    lost = leased.get(f"identity/oidc/key/{name}").data
    lost = {lost["kid"], lost["next_kid"]} | {jwt.get_unverified_header(token)["kid"] for token in tokens}
    answer = rotate(leased, issuer, name, verification_ttl=0)
    assert answer.status == 200 and "refused" in answer.warnings[0]
    assert not lost & set(issuer.kids())
    issuer.verify(issuer.token(name))


def test_keys_that_are_made_at_once_are_counted_like_others(leased, issuer):
    there = set(leased.list("identity/oidc/key").data["keys"])
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        body = {"algorithm": "EdDSA"}
        answers = list(pool.map(lambda number: leased.post(f"identity/oidc/key/many{number}", body), range(80)))
    try:
        made = [answer for answer in answers if answer.status == 204]
        assert len(made) + len(there) == 64 == len(leased.list("identity/oidc/key").data["keys"])
        assert all("64 keys" in answer.errors[0] for answer in answers if answer.status != 204)
    finally:
        for number in range(80):
            leased.delete(f"identity/oidc/key/many{number}")


def test_a_key_that_not_everybody_knows_yet_does_not_sign(leased, issuer):
    issuer.key("hasty")
    issuer.role("hasty", "hasty")
    kid = leased.get("identity/oidc/key/hasty").data["kid"]
    answer = rotate(leased, issuer, "hasty")
    assert answer.status == 200 and answer.warnings
    assert jwt.get_unverified_header(issuer.token("hasty"))["kid"] == kid
    poll(lambda: leased.get("identity/oidc/key/hasty").data["kid"] != kid, 6, what="the rotation")


def test_keys_and_what_is_due_survive_a_restart_and_a_kill(leased, issuer):
    issuer.make("stays")
    token, shown = issuer.token("stays"), leased.get("identity/oidc/key/stays").data
    for end in (leased.stop, leased.kill):
        end()
        leased.start()
        now = leased.get("identity/oidc/key/stays").data
        assert {**now, "next_rotation": ""} == {**shown, "next_rotation": ""}
        again = Issuer(leased)
        again.verify(token)
        assert again.active(token)
        again.verify(again.token("stays"))


STEPS = ["engine_jwt_before_generate", "engine_jwt_after_generate", "engine_jwt_before_write", "engine_jwt_write", "engine_jwt_after_write"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_of_a_rotation_leaves_one_key_that_signs(step):
    with Leased() as leased:
        issuer = Issuer(leased)
        issuer.make("cut")
        token, before = issuer.token("cut"), leased.get("identity/oidc/key/cut").data
        time.sleep(3.1)
        leased.stop()
        leased.start(failpoint=f"{step}=kill")
        try:
            leased.post("identity/oidc/key/cut/rotate", {})
        except OSError:
            pass
        except Exception as error:  # the connection ends without an answer
            assert "Remote" in type(error).__name__ or "Incomplete" in type(error).__name__, error
        assert leased.wait_exit(20) == -9, f"{step} was not reached"
        leased.start()
        issuer = Issuer(leased)
        after = leased.get("identity/oidc/key/cut").data
        assert after["kid"] in (before["kid"], before["next_kid"])
        assert (after["kid"] == before["next_kid"]) == (step == "engine_jwt_after_write")
        issuer.verify(token)
        issuer.verify(issuer.token("cut"))
        assert jwt.get_unverified_header(issuer.token("cut"))["kid"] == after["kid"]


def test_a_kill_while_a_role_is_written_leaves_the_one_before():
    with Leased() as leased:
        issuer = Issuer(leased)
        issuer.make("held", role={"ttl": "100s"})
        leased.stop()
        leased.start(failpoint="engine_jwt_role=kill")
        with pytest.raises(Exception):
            leased.post("identity/oidc/role/held", {"key": "held", "ttl": "200s"})
        assert leased.wait_exit(20) == -9
        leased.start()
        assert leased.get("identity/oidc/role/held").data["ttl"] == 100


def test_a_kill_between_the_signature_and_the_lease_hands_out_nothing():
    with Leased() as leased:
        issuer = Issuer(leased)
        issuer.make("lost")
        leased.stop()
        leased.start(failpoint="engine_jwt_after_sign=kill")
        with pytest.raises(Exception):
            leased.get("identity/oidc/token/lost")
        assert leased.wait_exit(20) == -9
        leased.start()
        assert not leased.get("sys/leases/count?type=identity").data.get("lease_count")
        assert Issuer(leased).active(Issuer(leased).token("lost"))
