"""Workers in the sandbox reach what their configuration names: certificates, sockets, and files that are replaced meanwhile; and nothing of leased's own."""

import os
import shutil

import pytest

from daemon import poll
from job import Job
from pg import Postgres
from served import Served


@pytest.fixture(scope="module")
def tls_server():
    with Postgres(tls=True) as server:
        yield server


@pytest.fixture
def job(tls_server):
    with Job(tls_server) as one:
        yield one


@pytest.fixture
def authority(tls_server, tmp_path):
    """The server's authority in a file that no system knows."""
    path = tmp_path / "the authority.pem"
    shutil.copy(tls_server.ca_file, path)
    return path


def workers(job):
    return set(job.leased.descendants()[1:])


def test_a_certificate_is_read_where_the_configuration_names_it(job, authority):
    assert job.configure(host="localhost", sslmode="verify-full", sslrootcert=str(authority)).status == 204
    assert job.role().status in (200, 204)
    credential = job.mint()
    assert job.server.can_login(credential.user, credential.password)
    quoted = str(authority).replace(" ", "%20")
    url = f"postgresql://{{{{username}}}}:{{{{password}}}}@localhost:{job.server.port}/postgres"
    config = {"host": None, "port": None, "dbname": None}
    url += f"?sslmode=verify-full&sslrootcert={quoted}"
    assert job.configure("by-url", connection_url=url, **config).status == 204


def test_a_worker_whose_certificate_was_replaced_makes_room_for_one_that_sees_the_new_one(job, authority):
    assert job.configure(host="localhost", sslmode="verify-full", sslrootcert=str(authority)).status == 204
    assert job.role().status in (200, 204)
    job.mint()
    before = workers(job)
    fresh = authority.with_suffix(".new")
    shutil.copy(authority, fresh)
    os.rename(fresh, authority)
    poll(lambda: workers(job) and not workers(job) & before, 20, what="another worker")
    assert "was replaced" in job.leased.output()
    credential = job.mint()
    assert job.server.can_login(credential.user, credential.password)


def test_a_server_is_reached_by_its_socket(job):
    assert job.configure(host=job.server.socket_dir).status == 204, job.leased.output()[-2000:]
    assert job.role().status in (200, 204)
    credential = job.mint()
    assert job.server.can_login(credential.user, credential.password)
    assert job.revoke(credential).status == 204


def test_an_abstract_socket_is_refused_with_the_reason(job):
    answer = job.configure(host="@leased-test")
    assert answer.status == 400 and "abstract socket" in answer.error, answer


def is_refused(job, path, says, **more):
    """At the door, whether the connection is tried or not, with the file, the reason and what to do."""
    for verify in (True, False):
        answer = job.configure("own", **{"host": "localhost", "verify_connection": verify} | more)
        assert answer.status == 400, (path, answer)
        assert f"names {path}, which is {says}" in answer.error, answer.error
        assert "no worker may read that" in answer.error and "in another directory" in answer.error, answer.error
    assert job.leased.get("database/config/own").status == 404


def test_no_file_of_leased_itself_is_given_to_a_worker(job, authority, tmp_path):
    own, link = job.leased.dir, tmp_path / "link.pem"
    link.symlink_to(own / "root.key")
    (own / "beside.pem").write_bytes(authority.read_bytes())
    for path, says in [(own / "root.key", "the root key"), (link, "the root key"), (own / "leased.db", "in the data directory"),
                       (own / "root-token", "in the data directory"), (own / "beside.pem", "in the data directory")]:
        for field in ("sslrootcert", "sslkey"):
            is_refused(job, path, says, **{field: str(path)})
    url = f"postgresql://{{{{username}}}}:{{{{password}}}}@localhost:{job.server.port}/postgres?sslcrl={str(own / 'root.key').replace('/', '%2f')}"
    is_refused(job, own / "root.key", "the root key", connection_url=url, host=None, port=None, dbname=None)
    assert job.configure(host="localhost", sslmode="verify-full", sslrootcert=str(authority)).status == 204
    answer = job.configure(sslkey=str(link))
    assert answer.status == 400, answer
    assert job.role().status in (200, 204)
    job.mint()  # what was refused changed nothing


def test_a_name_that_is_made_to_lead_to_a_key_later_opens_nothing(job, authority, tmp_path):
    link = tmp_path / "link.pem"
    link.symlink_to(authority)
    assert job.configure(host="localhost", sslmode="verify-full", sslrootcert=str(link)).status == 204
    link.unlink()
    link.symlink_to(job.leased.dir / "root.key")
    job.leased.post("database/reset/main")
    poll(lambda: f"names {link}, which is the root key" in job.leased.output(), what="the refusal in the log")
    assert job.role(verify_role=False).status in (200, 204)
    answer = job.leased.get("database/creds/app")
    assert answer.status >= 400 and "which is the root key" in answer.error, answer
    link.unlink()
    link.symlink_to(authority)
    assert job.leased.post("database/reset/main").status in (200, 204)
    job.mint()


def test_what_the_configuration_file_names_is_given_to_no_worker(tls_server):
    with Served(start=False) as one:
        one.config += 'audit "file" { path = "{dir}/audit.log" }\n'
        one.start()
        one.post("sys/mounts/database", {"type": "database"})  # it may be there already
        job = Job(tls_server, leased=one)
        for path, says in [("tls/a.key", "the private key of a listener"), ("audit.log", "the audit"), ("root.key", "the root key"),
                           ("leased.hcl", "the configuration file"), ("data/leased.db", "in the data directory")]:
            is_refused(job, one.dir / path, says, sslkey=str(one.dir / path))
        one.authority.issue("third")
        assert job.configure("key", verify_connection=False, sslkey=str(one.tls / "third.key")).status in (200, 204)
        one.edit("tls/a.crt", "tls/third.crt")
        one.edit("tls/a.key", "tls/third.key")
        assert one.reload()
        is_refused(job, one.tls / "third.key", "the private key of a listener", sslkey=str(one.tls / "third.key"))
        assert job.configure("cert", verify_connection=False, sslrootcert=str(one.tls / "third.crt")).status in (200, 204)
