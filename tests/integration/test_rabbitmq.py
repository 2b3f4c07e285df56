"""The main job on a real RabbitMQ: through the management API, used over AMQP by a client that others wrote, cut when its lease ends."""

import time

import pika
import pytest

from daemon import Leased, poll
from keyval_job import Credential, KeyvalJob
from rabbitmq_server import RabbitMQ

GONE_S = 2
# What docs/how-to/rabbitmq.md tells people to make.
LOGIN, PASSWORD = "for-leased", "Aa1-of-the-login-for-leased"
ROLE = {"vhosts": '{"/": {"configure": "^app-", "write": "^(app-|amq.default|amq.topic)", "read": "^(app-|amq.topic)"}}',
        "vhost_topics": {"/": {"amq.topic": {"write": "^app[.]", "read": "^app[.]"}}}}


@pytest.fixture(scope="module")
def rabbitmq():
    with RabbitMQ() as one:
        status, answer = one.api("PUT", f"/api/users/{LOGIN}", {"password": PASSWORD, "tags": "administrator"})
        assert status == 201, answer
        status, canary = one.api("PUT", "/api/users/canary", {"password": "untouched", "tags": "management"})
        assert status == 201, canary
        yield one
        assert one.api("GET", "/api/whoami", user="canary", password="untouched")[0] == 200


def config(server, **more):
    uri = f"http://{server.host}:{server.api_port}"
    return {"connection_uri": uri, "username": LOGIN, "password": PASSWORD} | more


@pytest.fixture(scope="module")
def job(rabbitmq):
    with KeyvalJob(rabbitmq, "rabbitmq", config(rabbitmq), ROLE) as one:
        yield one


def connect(server, credential, vhost="/"):
    login = pika.PlainCredentials(credential.user, credential.password)
    return pika.BlockingConnection(pika.ConnectionParameters(server.host, server.port, vhost, login, heartbeat=0))


def is_cut(connection):
    try:
        connection.process_data_events(0.2)
        connection.channel()
        return False
    except pika.exceptions.AMQPError:
        return True


def test_a_minted_login_does_what_its_role_says_with_a_client_of_others(job, rabbitmq):
    credential = job.mint()
    assert credential.ttl == 3600
    connection = connect(rabbitmq, credential)
    channel = connection.channel()
    channel.queue_declare("app-work")
    channel.basic_publish("", "app-work", b"hello")
    assert channel.basic_get("app-work", auto_ack=True)[2] == b"hello"
    channel.basic_publish("amq.topic", "app.x", b"")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        channel.queue_declare("other")
    channel = connection.channel()
    channel.queue_delete("app-work")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        channel.basic_publish("amq.topic", "other.x", b"")
        channel.queue_declare("app-sync")
    assert rabbitmq.api("GET", "/api/whoami", user=credential.user, password=credential.password)[0] == 401, "it has no tag"
    connection.close()
    assert job.revoke(credential).status == 204


def test_revoke_refuses_logins_cuts_connections_and_works_twice(job, rabbitmq):
    credential = job.mint()
    connections = [connect(rabbitmq, credential) for _ in range(3)]
    assert not any(is_cut(connection) for connection in connections)
    started = time.monotonic()
    assert job.revoke(credential).status == 204
    assert all(is_cut(connection) for connection in connections)
    assert time.monotonic() - started < GONE_S
    assert job.gone(credential)
    assert job.revoke(credential).status == 204, "again is fine"
    assert job.state(credential) == "gone"


def test_a_client_that_ignores_that_it_is_closed_keeps_no_lease_from_ending(job, rabbitmq):
    credential = job.mint()
    session = rabbitmq.session(credential.user, credential.password)  # answers nothing by itself
    assert job.revoke(credential).status == 204
    assert job.gone(credential) and not session.alive()


def test_a_renewal_moves_the_end_and_needs_the_account(job, rabbitmq):
    credential = job.mint()
    response = job.renew(credential, 7200)
    assert response.status == 200 and response.json["lease_duration"] == 7200
    assert rabbitmq.api("DELETE", f"/api/users/{credential.user}")[0] == 204
    response = job.renew(credential)
    assert response.status == 400 and "no user" in response.error, response
    assert job.revoke(credential).status == 204, "removed by hand before"


def test_expiry_is_in_time(job, rabbitmq):
    assert job.role("brief", default_ttl="3s").status in (200, 204)
    credential = job.mint("brief")
    minted = time.monotonic()
    connection = connect(rabbitmq, credential)
    while time.monotonic() - minted < 2.5:
        assert not is_cut(connection), "ended before its time"
        time.sleep(0.2)
    job.wait_gone(credential, 3 + GONE_S - (time.monotonic() - minted))
    assert is_cut(connection)


def test_what_is_wrong_with_a_role_or_a_connection_is_said_when_it_is_written(job, rabbitmq):
    before = rabbitmq.role_names("")
    for settings, word in [({"vhosts": "{"}, "vhosts"), ({"vhosts": {"/": {"writes": ""}}}, "permissions look like"),
                           ({"vhosts": {"nowhere": {"write": ".*"}}}, "virtual host"), ({"tags": "a b"}, "tags"), ({}, "tags"),
                           ({"vhosts": {"/": {"configure": "("}}}, '"(" is no regular expression')]:
        response = job.leased.post("database/roles/wrong", {"db_name": "main"} | settings)
        assert response.status == 400 and word in response.error, (settings, response)
    for settings, word in [({"password": "wrong"}, "refuses the login"), ({"connection_uri": "http://192.0.2.1"}, "connection_uri"),
                           ({"connection_uri": "ftp://localhost"}, "connection_uri"),
                           ({"connection_uri": f"http://{rabbitmq.host}:{rabbitmq.port}"}, "15672")]:
        response = job.configure("other", **settings)
        assert response.status == 400 and word in response.error and PASSWORD not in response.error, response
    assert rabbitmq.api("PUT", "/api/users/lacking", {"password": "lacking", "tags": "monitoring"})[0] == 201
    response = job.configure("other", username="lacking", password="lacking")
    assert response.status == 400 and "set_user_tags lacking administrator" in response.error, response
    assert rabbitmq.api("DELETE", "/api/users/lacking")[0] == 204
    poll(lambda: rabbitmq.role_names("") == before, 20, what="the canaries to be gone")


def test_the_password_of_leaseds_own_login_is_rotated(rabbitmq):
    assert rabbitmq.api("PUT", "/api/users/rotated", {"password": "before", "tags": "administrator"})[0] == 201
    with KeyvalJob(rabbitmq, "rabbitmq", config(rabbitmq, username="rotated", password="before"), ROLE) as job:
        assert job.leased.post("database/rotate-root/main").status in (200, 204)
        assert rabbitmq.api("GET", "/api/whoami", user="rotated", password="before")[0] == 401
        credential = job.mint()
        assert job.revoke(credential).status == 204
    assert rabbitmq.api("DELETE", "/api/users/rotated")[0] == 204


def test_a_mount_of_type_rabbitmq_gives_the_same(rabbitmq):
    with Leased() as leased:
        for path, body in [("sys/mounts/rabbitmq", {"type": "rabbitmq"}), ("rabbitmq/config/connection", config(rabbitmq)),
                           ("rabbitmq/config/lease", {"ttl": "60s", "max_ttl": "120s"}), ("rabbitmq/roles/app", ROLE)]:
            response = leased.post(path, body)
            assert response.status in (200, 204), (path, response)
        response = leased.get("rabbitmq/creds/app")
        assert response.status == 200 and response.json["lease_duration"] == 60, response
        credential = Credential(response)
        connect(rabbitmq, credential).close()
        assert leased.put("sys/leases/revoke", {"lease_id": credential.lease_id}).status == 204
        assert credential.user not in rabbitmq.role_names()


def test_accounts_outlive_a_restart_and_what_ended_meanwhile_is_caught_up_with(job, rabbitmq):
    assert job.role("brief", default_ttl="4s").status in (200, 204)
    keeps, ends = job.mint(), job.mint("brief")
    rabbitmq.stop()
    time.sleep(5)
    response = job.leased.get("database/creds/app")
    assert response.status == 503, response
    rabbitmq.start()
    connect(rabbitmq, keeps).close()
    job.wait_gone(ends, 60)
    poll(lambda: job.renew(keeps).status == 200, 30, what="a renewal after the restart")
    assert "another server" not in job.leased.output(), "a restart is no other server"
    assert job.revoke(keeps).status == 204
