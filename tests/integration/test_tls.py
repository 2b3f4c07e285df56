"""TLS: who is served over it, who is not and what he is told, and certificates that take each other's place."""

import os
import pathlib
import re
import socket
import struct
import subprocess
import time

import pytest

from certs import Authority
from daemon import BUILD, PRESET, Leased, poll
from job import Job
from served import Served, ask, write_pair

LEASED, LEASE = BUILD / "bin" / "leased", str(BUILD / "bin" / "lease")


@pytest.fixture(scope="module")
def leased():
    with Served() as one:
        yield one


def curl(*words):
    return subprocess.run(["curl", "-sS", *[str(word) for word in words]], capture_output=True, text=True, timeout=30)


def s_client(leased, *words):
    return subprocess.run(["openssl", "s_client", "-connect", leased.address, "-CAfile", leased.authority.ca_file,
                           "-verify_return_error", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def lease(address, *words, **env):
    names = {"PATH": "/usr/bin:/bin", "LEASE_ADDR": address, **{name: str(value) for name, value in env.items()}}
    return subprocess.run([LEASE, *words], env=names, capture_output=True, text=True, timeout=30)


# ---- what is spoken ----


def test_curl_and_lease_reach_it_by_the_ca_that_vouches_for_it(leased):
    done = curl("--cacert", leased.authority.ca_file, "-i", f"https://{leased.address}/v1/sys/health")
    assert "HTTP/1.1 200" in done.stdout, done
    token = leased.root_like_token()
    for name in ("LEASE_CACERT", "VAULT_CACERT"):
        done = lease(f"https://{leased.address}", "whoami", LEASE_TOKEN=token, **{name: leased.authority.ca_file})
        assert done.returncode == 0 and "admin" in done.stdout, done


def test_it_speaks_tls_1_3_and_http_1_1_and_keeps_no_session(leased):
    done = s_client(leased, "-alpn", "h2,http/1.1")
    assert "TLSv1.3" in done.stdout and "ALPN protocol: http/1.1" in done.stdout, done
    assert "New Session Ticket" not in done.stdout
    for words in (["-tls1_2"], ["-alpn", "h2"]):
        assert "Cipher is (NONE)" in s_client(leased, *words).stdout


def test_tls_1_2_is_spoken_where_the_file_says_so():
    with Served(start=False) as old:
        old.config = old.config.replace('a.key" }', 'a.key"  tls_min_version = "1.2" }')
        old.start()
        assert "Protocol  : TLSv1.2" in s_client(old, "-tls1_2").stdout
        assert "TLSv1.3" in s_client(old).stdout
        assert "Cipher is (NONE)" in s_client(old, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0").stdout


def test_a_token_is_needed_as_on_tcp(leased):
    assert leased.tls_request("GET", "sys/mounts").status == 403
    assert leased.tls_request("GET", "sys/mounts", token=leased.root_like_token()).status == 200


# ---- clients that are told what is wrong ----


def test_plain_http_is_told_to_write_https(leased):
    done = curl("-X", "LIST", "-i", f"http://{leased.address}/v1/sys/policies/acl")
    assert "HTTP/1.1 400" in done.stdout and "https://" in done.stdout, done
    done = lease(f"http://{leased.address}", "status")
    assert done.returncode == 1 and "https://" in done.stderr, done


def test_https_to_plain_http_is_told_to_write_http():
    with Leased() as plain:
        host, port = plain.tcp_address
        done = lease(f"https://{host}:{port}", "status")
    assert done.returncode == 5 and "http://" in done.stderr, done


def test_lease_believes_nobody_by_itself(leased, tmp_path):
    other = Authority(tmp_path, "other")
    done = lease(f"https://{leased.address}", "status")
    assert done.returncode == 5 and "LEASE_CACERT" in done.stderr, done
    done = lease(f"https://{leased.address}", "status", LEASE_CACERT=other.ca_file, VAULT_SKIP_VERIFY="true")
    assert done.returncode == 5 and "LEASE_CACERT" in done.stderr, done
    done = lease(f"https://{leased.address}", "status", LEASE_CACERT=tmp_path / "none")
    assert done.returncode == 5 and "cannot be read" in done.stderr, done


@pytest.mark.parametrize("how, words", [(dict(days=-1), ["has ended", "SIGHUP"]),
                                        (dict(names="DNS:leased.example,IP:127.0.0.2"), ["other names", "LEASE_ADDR"])])
def test_lease_says_what_is_wrong_with_a_certificate(how, words):
    with Served(start=False) as bad:
        write_pair(bad, "bad", **how)
        bad.start()
        done = lease(f"https://{bad.address}", "status", LEASE_CACERT=bad.authority.ca_file)
        assert done.returncode == 5 and all(word in done.stderr for word in words), done
        if "days" in how:
            assert "clients will refuse a certificate" in bad.output() and "ended at" in bad.output()


def test_a_handshake_that_does_not_come_ends_at_its_deadline():
    with Served(start=False) as short:
        short.config += 'limits { tls_handshake_timeout = "1s" }\n'
        short.start()
        with socket.create_connection(("127.0.0.1", short.port)) as silent:
            silent.settimeout(5)
            started = time.monotonic()
            silent.sendall(b"\x16\x03\x01")
            assert silent.recv(1) == b""
            assert 0.8 < time.monotonic() - started < 3
        assert short.tls_request("GET", "sys/health").status == 200


def test_slow_and_broken_handshakes_hold_up_nobody(leased):
    silent = [socket.create_connection(("127.0.0.1", leased.port)) for _ in range(200)]
    try:
        for sock in silent[::2]:
            sock.sendall(b"\x16\x03\x01\x02\x00" + os.urandom(40))
        started = time.monotonic()
        for _ in range(10):
            assert leased.tls_request("GET", "sys/health").status == 200
        assert time.monotonic() - started < 5, "the deadline of a handshake: they were waited for"
    finally:
        for sock in silent:
            sock.close()


# ---- files ----


def bad_files(leased):
    other = leased.authority.issue("other")
    open_key = leased.tls / "open.key"
    open_key.write_bytes((leased.tls / "a.key").read_bytes())
    open_key.chmod(0o644)
    return [("a.key", other[1].name, "does not belong to"), ("a.key", "open.key", "chmod 0600"),
            ("a.crt", "none.crt", "cannot open"), ("a.crt", "a.key", "no certificate")]


def test_check_and_a_start_name_what_is_wrong_with_a_pair():
    with Served(start=False) as bad:
        good = bad.config
        for old, new, says in bad_files(bad):
            bad.config = good.replace(f"tls/{old}", f"tls/{new}")
            bad.write()
            done = subprocess.run([LEASED, "check", "-config", bad.dir / "leased.hcl"], capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and f"{bad.dir}/leased.hcl:4:" in done.stderr and says in done.stderr, done
            bad.start(wait=False)
            assert bad.wait_exit() == 1 and says in bad.output(this_start_only=True)


def test_sighup_shows_a_new_certificate_and_drops_no_connection():
    with Served() as one:
        held, before = one.connect_tls(), one.shown_serial()
        assert ask(held).status == 200
        write_pair(one, "renewed")
        assert one.shown_serial() == before
        assert one.reload()
        after = one.shown_serial()
        text = one.get("sys/metrics?format=openmetrics").body.decode()
        end_s = float(re.search(r"^leased_tls_certificate_end_timestamp_seconds (\S+)$", text, re.MULTILINE).group(1))
        assert 86000 < end_s - time.time() <= 86400
        assert after != before
        assert ask(held).status == 200 and held.sock.getpeercert()["serialNumber"] == before
        # The same files again, and other files: both are taken.
        assert one.reload() and one.shown_serial() == after
        one.authority.issue("third")
        one.config = one.config.replace("tls/a.", "tls/third.")
        one.write()
        assert one.reload() and one.shown_serial() not in (before, after)
        held.close()


def test_a_bad_new_pair_keeps_the_old_one_and_says_why():
    with Served() as one:
        before, good = one.shown_serial(), {name: (one.tls / name).read_bytes() for name in ("a.crt", "a.key")}
        cases = [(dict(), "a.key", "does not belong to"), (dict(days=-1), None, "ended at")]
        for number, (how, keep, says) in enumerate(cases):
            write_pair(one, f"bad{number}", **how)
            if keep is not None:
                (one.tls / keep).write_bytes(good[keep])
            assert not one.reload()
            assert says in one.output() and one.shown_serial() == before
        (one.tls / "a.crt").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
        assert not one.reload() and one.shown_serial() == before
        for name, data in good.items():
            (one.tls / name).write_bytes(data)
        assert one.reload() and one.shown_serial() == before


def test_files_out_of_the_sandbox_are_said_to_need_a_restart(tmp_path):
    with Served() as one:
        for path in one.authority.issue("far"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
            (tmp_path / path.name).chmod(0o600)
        before, near = one.shown_serial(), one.config
        one.config = near.replace("{dir}/tls/a.", f"{tmp_path}/far.")
        one.write()
        if one.reload():  # a kernel without landlock
            assert one.shown_serial() != before
        else:
            assert "restart leased" in one.output() and one.shown_serial() == before
        one.restart()
        assert one.shown_serial() != before


def test_a_shown_certificate_that_has_ended_does_not_stop_other_changes():
    with Served(start=False) as one:
        write_pair(one, "old", days=-1)
        one.start()
        one.edit('level = "info"', 'level = "debug"')
        assert one.reload()


# ---- leases ----


@pytest.fixture
def job(server):
    with Served() as one:
        one.post("sys/mounts/database", {"type": "database"})  # it may be there already
        yield Job(server, leased=one).set_up()


def test_a_lease_is_made_renewed_and_ended_over_tls(job):
    token = job.leased.root_like_token()
    answer = job.leased.tls_request("GET", "database/creds/app", token=token)
    assert answer.status == 200 and job.server.can_login(answer.data["username"], answer.data["password"])
    lease_id = {"lease_id": answer.json["lease_id"]}
    assert job.leased.tls_request("PUT", "sys/leases/renew", lease_id, token=token).status == 200
    assert job.leased.tls_request("PUT", "sys/leases/revoke", lease_id, token=token).status == 204
    poll(lambda: job.accounts() == [], what="the end of the account")


@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_vanishes_before_its_answer_leaves_no_user(job, reset):
    assert job.slow_role(1).status in (200, 204)
    connection = job.leased.connect_tls()
    connection.request("GET", "/v1/database/creds/slow", headers={"X-Vault-Token": job.leased.root_like_token()})
    time.sleep(0.4)
    if reset:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    time.sleep(1)  # now the mint has ended, and the answer had nobody to go to
    poll(lambda: job.accounts() == [], 8, what="the account to be taken back")
    assert re.search(r'CREATE ROLE "(l-[a-z0-9]+-slow-[a-z0-9]+)"(?s:.*)DROP ROLE (?:IF EXISTS )?"?\1', job.server.log())


def test_no_key_or_token_is_in_what_it_says(leased):
    assert "PRIVATE KEY" not in leased.output()
    assert not [path for path in pathlib.Path(f"/proc/{leased.pid}/fd").iterdir() if str(path.resolve()).endswith("a.key")]


def test_an_idle_connection_costs_little_memory(leased):
    def anonymous_kib():
        status = pathlib.Path(f"/proc/{leased.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status).group(1))

    held = [leased.connect_tls()]
    assert ask(held[0]).status == 200
    before = anonymous_kib()
    try:
        for _ in range(200):
            held.append(leased.connect_tls())
            assert ask(held[-1]).status == 200
        assert (anonymous_kib() - before) / 200 <= (40 if PRESET != "asan" else 1000)  # whose allocator keeps what is freed
    finally:
        for connection in held:
            connection.close()
