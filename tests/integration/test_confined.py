"""Workers in the sandbox reach what their configuration names: certificates, sockets, and files that are replaced meanwhile."""

import os
import shutil

import pytest

from daemon import poll
from job import Job
from pg import Postgres


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
