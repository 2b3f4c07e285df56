"""The main job on real Redis servers: with and without an aclfile, with TLS, and on two nodes that know nothing of each other."""

import json
import subprocess
import time

import pytest

from daemon import poll
from keyval_job import KeyvalJob
from redis_server import Redis, RedisError

# What docs/how-to/redis.md tells people to grant, and nothing else.
ADMIN_RULES = ("+acl|setuser +acl|getuser +acl|deluser +acl|users +acl|list +acl|save "
               "+client|id +client|setname +client|kill +info +ping")
ROLE = {"creation_statements": json.dumps(["~app:*", "&app:*", "+@read", "+@write", "+ping", "+subscribe", "-@dangerous"])}
GONE_S = 2


def config(*servers, **more):
    one = servers[0]
    found = {"username": one.admin_user, "password": one.admin_password}
    if len(servers) == 1:
        found |= {"host": one.host, "port": one.port}
    else:
        found["nodes"] = [f"{server.host}:{server.port}" for server in servers]
    return found | more


def job_on(*servers, **more):
    return KeyvalJob(servers[0], "redis-database-plugin", config(*servers, **more), ROLE)


@pytest.fixture(scope="module")
def redis():
    with Redis(admin_rules=ADMIN_RULES) as one:
        one.call("SET", "canary", "untouched", user="default")
        yield one
        assert one.call("GET", "canary", user="default") == "untouched"


@pytest.fixture(scope="module")
def job(redis):
    with job_on(redis) as one:
        yield one


def redis_cli(server, credential, *words):
    command = ["redis-cli", "-h", server.host, "-p", str(server.port), "--user", credential.user, "--no-auth-warning", *words]
    environment = {"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": credential.password}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20).stdout.strip()


def test_a_minted_login_does_what_its_rules_say_with_the_servers_own_client(job, redis):
    credential = job.mint()
    assert credential.ttl == 3600
    assert redis_cli(redis, credential, "SET", "app:x", "1") == "OK"
    assert redis_cli(redis, credential, "GET", "app:x") == "1"
    assert redis_cli(redis, credential, "GET", "canary").startswith("NOPERM")
    assert redis_cli(redis, credential, "ACL", "LIST").startswith("NOPERM")
    assert redis_cli(redis, credential, "FLUSHALL").startswith("NOPERM")
    assert not any("aclfile" in text for text in credential.warnings)
    assert job.revoke(credential).status == 204


def test_the_password_is_nowhere_on_the_server(job, redis):
    credential = job.mint()
    assert credential.password not in redis.acl_path.read_text()
    assert credential.user in redis.acl_path.read_text(), "the account is saved before it is given out"
    assert credential.password not in job.leased.output()
    assert job.revoke(credential).status == 204
    assert credential.user not in redis.acl_path.read_text(), "its end is saved before it is said"


def test_revoke_refuses_logins_cuts_sessions_and_works_twice(job, redis):
    credential = job.mint()
    sessions = [redis.session(credential.user, credential.password) for _ in range(3)]
    subscriber = redis.session(credential.user, credential.password)
    subscriber.call("SUBSCRIBE", "app:news")
    started = time.monotonic()
    assert job.revoke(credential).status == 204
    assert not any(session.alive() for session in (*sessions, subscriber))
    assert time.monotonic() - started < GONE_S
    assert job.gone(credential)
    assert job.revoke(credential).status == 204, "again is fine"
    assert job.state(credential) == "gone"


def test_a_renewal_moves_the_end(job):
    credential = job.mint()
    response = job.renew(credential, 7200)
    assert response.status == 200 and response.json["lease_duration"] == 7200
    assert job.revoke(credential).status == 204


def test_an_account_that_was_removed_by_hand_cannot_be_renewed_and_can_be_revoked(job, redis):
    credential = job.mint()
    assert redis.call("ACL", "DELUSER", credential.user, user="default") == 1
    response = job.renew(credential)
    assert response.status == 400 and "no user" in response.error, response
    assert job.revoke(credential).status == 204


def test_expiry_is_in_time_and_cuts_what_is_open(job, redis):
    assert job.role("brief", default_ttl="3s").status in (200, 204)
    credential = job.mint("brief")
    minted = time.monotonic()
    session = redis.session(credential.user, credential.password)
    while time.monotonic() - minted < 2.7:
        assert session.alive(), "ended before its time"
        time.sleep(0.2)
    job.wait_gone(credential, 3 + GONE_S - (time.monotonic() - minted))
    assert not session.alive()


def test_with_an_aclfile_accounts_outlive_a_restart_and_a_server_that_was_down_at_expiry_is_caught_up_with(job, redis):
    assert job.role("brief", default_ttl="4s").status in (200, 204)
    keeps, ends = job.mint(), job.mint("brief")
    redis.stop()
    time.sleep(5)
    redis.start()
    redis.call("SET", "canary", "untouched", user="default")  # this server keeps no keys
    assert redis.can_login(keeps.user, keeps.password)
    job.wait_gone(ends, 60)
    poll(lambda: job.renew(keeps).status == 200, 30, what="a renewal after the restart")
    assert "another server" not in job.leased.output(), "a restart is no other server"
    assert job.revoke(keeps).status == 204


def test_rules_that_are_leaseds_own_to_say_are_refused_when_the_role_is_written(job, redis):
    before = redis.call("ACL", "LIST", user="default")
    for rules, word in [(["on"], "leased makes"), ([">s3cret"], "leased makes"), (["+@read", "nopass"], "leased makes"),
                        (["+nosuchcommand"], "nosuchcommand"), (["hello"], "hello"), ("no JSON", "JSON")]:
        response = job.role("wrong", creation_statements=rules if isinstance(rules, str) else json.dumps(rules))
        assert response.status == 400 and word in response.error, (rules, response)
    response = job.leased.post("database/roles/wrong", {"db_name": "main"})
    assert response.status == 400 and "creation_statements" in response.error, response
    assert job.leased.get("database/roles/wrong").status == 404
    poll(lambda: redis.call("ACL", "LIST", user="default") == before, 20, what="the canaries to be gone")


def test_a_missing_right_is_named_when_the_connection_is_written(redis):
    for rule in ADMIN_RULES.split():
        if rule in ("+client|setname", "+ping"):
            continue  # it works without: nobody sees our name then
        redis.call("ACL", "SETUSER", "lacking", "reset", "on", ">lacking-Password-1",
                   *(one for one in ADMIN_RULES.split() if one != rule), user="default")
        with KeyvalJobless(redis, "lacking", "lacking-Password-1") as answer:
            if rule == "+acl|list":
                continue  # of the daily comparison only
            assert answer.status == 400 and rule in answer.error, (rule, answer)
    redis.call("ACL", "DELUSER", "lacking", user="default")


class KeyvalJobless:
    """The answer to writing a connection, of a leased that is gone again."""

    def __init__(self, server, username, password):
        self.job = KeyvalJob(server, "redis", config(server, username=username, password=password), ROLE)

    def __enter__(self):
        return self.job.configure()

    def __exit__(self, *_):
        self.job.leased.close()


def test_the_password_of_leaseds_own_login_is_rotated(redis):
    redis.call("ACL", "SETUSER", "rotated", "reset", "on", ">rotated-Password-1", *ADMIN_RULES.split(), user="default")
    with KeyvalJob(redis, "redis", config(redis, username="rotated", password="rotated-Password-1"), ROLE) as job:
        assert job.leased.post("database/rotate-root/main").status in (200, 204)
        assert not redis.can_login("rotated", "rotated-Password-1")
        credential = job.mint()
        assert redis.can_login(credential.user, credential.password)
        assert job.revoke(credential).status == 204
    redis.call("ACL", "DELUSER", "rotated", user="default")


# ---- a server that keeps nothing ----


def test_without_an_aclfile_accounts_are_made_anew_after_a_restart():
    with Redis(aclfile=False, admin_rules=ADMIN_RULES) as server, job_on(server) as job:
        first, second, ended = job.mint(), job.mint(), job.mint()
        assert any("aclfile" in text for text in first.warnings), "who gets it is told"
        assert job.revoke(ended).status == 204
        removed = job.mint()
        assert server.call("ACL", "DELUSER", removed.user, user="default") == 1
        response = job.renew(removed)
        assert response.status == 400, "in the life that it was made in, somebody removed it"
        server.restart()
        for credential in (first, second):
            poll(lambda: server.can_login(credential.user, credential.password), 30, every=0.2, what="the account")
        assert redis_cli(server, first, "SET", "app:y", "1") == "OK" and redis_cli(server, first, "GET", "z").startswith("NOPERM")
        assert not server.can_login(ended.user, ended.password)
        assert "another server" not in job.leased.output()
        assert job.renew(first).status == 200
        server.restart()
        assert poll(lambda: job.renew(second).status == 200, 30, what="a renewal by hand") and \
            server.can_login(second.user, second.password)
        for credential in (first, second):
            assert job.revoke(credential).status == 204
        job.wait_gone(first, GONE_S)


# ---- several nodes, TLS ----


def test_on_two_nodes_nothing_is_gone_before_it_is_gone_on_both():
    with Redis(admin_rules=ADMIN_RULES, tls=True) as one, Redis(admin_rules=ADMIN_RULES, tls=True) as two:
        two.call("ACL", "SETUSER", two.admin_user, "resetpass", ">" + one.admin_password, user="default")
        two.call("ACL", "SAVE", user="default")
        two.admin_password = one.admin_password
        authorities = open(one.ca_file).read() + open(two.ca_file).read()
        refused = KeyvalJob(one, "redis", config(one, two, tls=True), ROLE)
        try:
            response = refused.configure()
            assert response.status == 400 and "ca_cert" in response.error, "TLS is checked"
        finally:
            refused.leased.close()
        with job_on(one, two, tls=True, ca_cert=authorities) as job:
            credential, other = job.mint(), job.mint()
            for server in (one, two):
                assert server.can_login(credential.user, credential.password)
            assert job.revoke(other).status == 204 and job.gone(other, one) and job.gone(other, two)
            session = one.session(credential.user, credential.password)
            two.stop()
            response = job.leased.get("database/creds/app")
            assert response.status >= 500 and str(two.port) in response.error, "an account is on all nodes, or is none"
            response = job.revoke(credential)
            assert response.status == 503 and str(two.port) in response.error, response
            assert not session.alive() and not one.can_login(credential.user, credential.password), "ended where it can be"
            assert job.state(credential) != "gone"
            two.start()
            job.wait_gone(credential, 70, two)
            poll(lambda: job.state(credential) == "gone", 70, what="the lease to be gone")
            assert one.role_names() == two.role_names() == []
            fresh = job.mint()
            assert two.can_login(fresh.user, fresh.password)


def test_a_node_that_is_taken_out_of_the_configuration_is_missed_by_the_leases_that_were_made_there():
    with Redis(admin_rules=ADMIN_RULES) as one, Redis(admin_rules=ADMIN_RULES) as two:
        two.call("ACL", "SETUSER", two.admin_user, "resetpass", ">" + one.admin_password, user="default")
        two.call("ACL", "SAVE", user="default")
        with job_on(one, two) as job:
            credential, other, last = job.mint(), job.mint(), job.mint()
            left = f"{two.host}:{two.port}"
            assert job.configure(nodes=[f"{one.host}:{one.port}"]).status in (200, 204)
            response = job.revoke(credential)
            assert response.status == 503 and left in response.error and "gone_nodes" in response.error, response
            assert job.gone(credential, one) or not one.can_login(credential.user, credential.password)
            assert two.can_login(credential.user, credential.password) and job.state(credential) != "gone"
            assert job.revoke(job.mint()).status == 204, "what was made on the nodes of now ends there"
            assert job.configure(gone_nodes=left, nodes=[f"{one.host}:{one.port}"]).status in (200, 204)
            assert job.revoke(other).status == 204 and two.can_login(other.user, other.password)
            poll(lambda: job.state(credential) == "gone", 10, what="the end of what waited for that node")
            assert two.can_login(credential.user, credential.password), "nobody was asked there"
            assert job.configure(gone_nodes=[]).status in (200, 204)
            assert job.revoke(last).status == 204 and job.gone(last, one) and job.gone(last, two)


@pytest.mark.parametrize("aclfile", [True, False], ids=["with-an-aclfile", "without"])
def test_a_node_that_is_added_gets_the_live_leases_and_is_missed_when_it_is_taken_out_again(aclfile):
    with Redis(aclfile=aclfile, admin_rules=ADMIN_RULES) as one, Redis(aclfile=aclfile, admin_rules=ADMIN_RULES) as two:
        two.call("ACL", "SETUSER", two.admin_user, "resetpass", ">" + one.admin_password, user="default")
        if aclfile:
            two.call("ACL", "SAVE", user="default")
        with job_on(one) as job:
            credential, ended, removed = job.mint(), job.mint(), job.mint()
            assert job.revoke(ended).status == 204
            assert one.call("ACL", "DELUSER", removed.user, user="default") == 1
            both = [f"{one.host}:{one.port}", f"{two.host}:{two.port}"]
            assert job.leased.post("database/config/main", {"nodes": json.dumps(both), "host": "", "port": ""}).status in (200, 204)
            assert job.leased.post("sys/leases/reconcile", {}).status in (200, 202), "at once; by itself it is within half a minute"
            poll(lambda: two.can_login(credential.user, credential.password), 30, every=0.2, what="the account on the new node")
            assert redis_cli(two, credential, "SET", "app:y", "1") == "OK" and redis_cli(two, credential, "GET", "z").startswith("NOPERM")
            if aclfile:
                assert credential.user in two.acl_path.read_text() and removed.user not in two.role_names()
                assert job.renew(removed).status == 400, "somebody removed it"
            assert ended.user not in two.role_names()
            assert job.renew(credential).status == 200
            assert job.leased.post("database/config/main", {"nodes": both[:1]}).status in (200, 204)
            response = job.revoke(credential)
            assert response.status == 503 and both[1] in response.error, response
            assert two.can_login(credential.user, credential.password)
            assert job.leased.post("database/config/main", {"nodes": both}).status in (200, 204)
            assert job.revoke(credential).status == 204
            assert job.gone(credential, one) and job.gone(credential, two)


def test_another_server_at_the_address_is_noticed_and_nothing_is_called_gone():
    with Redis(admin_rules=ADMIN_RULES) as one, job_on(one) as job:
        credential = job.mint()
        one.stop()
        other = Redis(admin_rules=ADMIN_RULES)
        other.port, other.admin_password = one.port, one.admin_password
        with other:
            poll(lambda: "another server" in job.leased.get("database/creds/app").error, 40, every=0.2, what="the flag")
            response = job.revoke(credential)
            assert response.status == 503, response
            assert job.state(credential) != "gone"
        one.start()
        job.wait_gone(credential, 70)
