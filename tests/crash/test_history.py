"""The oracle itself: a history in which something was promised and not kept must not pass."""

import time
import types

import pytest

from history import BOUND_S, Exchange, History

NOW = time.time()
USER, LEASE = "l-tag-app-1", "database/creds/app/1"


def answered(method, path, at, body=None, token=None, status=200, **answer):
    exchange = Exchange(method, path, body, token)
    exchange.begun, exchange.ended = at, at + 0.1
    exchange.response = types.SimpleNamespace(status=status, json=answer, auth=answer.get("auth"))
    return exchange


def unanswered(method, path, at, body=None):
    exchange = answered(method, path, at, body)
    exchange.response = None
    return exchange


def minted(at, ttl=3600, token=None):
    return answered("GET", "database/creds/app", at, token=token, lease_id=LEASE, lease_duration=ttl,
                    data={"username": USER, "password": "x"})


def history(*exchanges, views=(), disturbed=None):
    made = History()
    for exchange in exchanges:
        made.add(exchange)
    made.views = [(at, at + 0.01, frozenset(names)) for at, names in views]
    made.disturbed = disturbed if disturbed is not None else NOW - 100
    return made


def ago(seconds):
    return NOW - seconds


def revoked(at, status=204):
    return answered("PUT", "sys/leases/revoke", at, {"lease_id": LEASE}, status=status)


def renewed(at, ttl):
    return answered("PUT", "sys/leases/renew", at, {"lease_id": LEASE, "increment": ttl}, lease_duration=ttl)


BULK = "sys/leases/revoke-prefix/database/creds/app"

GOOD = [
    ([minted(ago(50))], [(ago(20), [USER])], {USER: LEASE}),
    ([minted(ago(50)), revoked(ago(20))], [(ago(30), [USER]), (ago(10), [])], {}),
    # Nobody knows whether an unanswered revocation was heard.
    ([minted(ago(50)), unanswered("PUT", "sys/leases/revoke", ago(20), {"lease_id": LEASE})], [(ago(10), [USER])], {USER: LEASE}),
    ([minted(ago(50)), unanswered("PUT", "sys/leases/revoke", ago(20), {"lease_id": LEASE})], [(ago(10), [])], {}),
    ([minted(ago(50), 2)], [(ago(49), [USER]), (ago(40), [])], {}),
    ([minted(ago(50), 20), renewed(ago(40), 3600)], [(ago(10), [USER])], {USER: LEASE}),
    ([minted(ago(50)), answered("PUT", BULK, ago(20), status=204)], [(ago(30), [USER]), (ago(10), [])], {}),
    # Made after the revocation was answered: it is not of it.
    ([answered("PUT", BULK, ago(60), status=204), minted(ago(50))], [(ago(10), [USER])], {USER: LEASE}),
]

BAD = {
    "is lost": ([minted(ago(50))], [], {}),
    "was given to a client, nobody ended it": ([minted(ago(50), 20), renewed(ago(40), 3600)], [], {}),
    "nobody had ended it": ([minted(ago(50))], [(ago(20), [])], {USER: LEASE}),
    "came back": ([], [(ago(20), [USER]), (ago(19), []), (ago(18), [USER])], {}),
    "was told to be gone, and is there": ([minted(ago(50)), revoked(ago(20))], [(ago(10), [USER])], {}),
    "was told to have ended, and lives": ([minted(ago(50)), revoked(ago(20))], [], {USER: LEASE}),
    "is past its end": ([minted(ago(90), 2)], [], {USER: LEASE}),
    "past its end": ([minted(ago(90), 2)], [(ago(10), [USER])], {}),
}


@pytest.mark.parametrize("exchanges,views,live", GOOD, ids=range(len(GOOD)))
def test_a_history_in_which_every_promise_was_kept_passes(exchanges, views, live):
    history(*exchanges, views=views).judge(live)


@pytest.mark.parametrize("what", BAD)
def test_a_broken_promise_is_found(what):
    exchanges, views, live = BAD[what]
    with pytest.raises(AssertionError, match=what):
        history(*exchanges, views=views).judge(live)


def test_after_a_start_there_is_time_to_come_to_rest():
    exchanges, views, live = BAD["past its end"]
    history(*exchanges, views=views, disturbed=ago(10 + BOUND_S - 1)).judge(live)


def test_a_tokens_leases_may_end_with_it_and_not_before():
    made = answered("POST", "auth/token/create", ago(60), auth={"client_token": "t", "lease_duration": 3600})
    end = answered("POST", "auth/token/revoke-self", ago(20), token="t", status=204)
    history(made, minted(ago(50), token="t"), end, views=[(ago(30), [USER]), (ago(10), [])]).judge({})
    with pytest.raises(AssertionError, match="nobody had ended it"):
        history(made, minted(ago(50), token="t"), end, views=[(ago(30), [])]).judge({})
