"""certify, inspect: every CA with every type of key, read back by ssh-keygen and by asyncssh; and what is not signed."""

import asyncssh
import pytest

from conftest import fails
from backend_ssh import ALGORITHMS
from ssh_files import USER_TYPES, Files, keygen

pytestmark = pytest.mark.needs("certify")
AFTER, BEFORE = 1767225600, 4102444800  # 2026, 2100
SIGNED_BY = {"ed25519": "ssh-ed25519", "ecdsa-p256": "ecdsa-sha2-nistp256", "ecdsa-p384": "ecdsa-sha2-nistp384", "ecdsa-p521": "ecdsa-sha2-nistp521",
             "rsa-2048": "rsa-sha2-512"}


@pytest.fixture(scope="module")
def files():
    return Files()


def claims(line, **more):
    return {"public_key": line, "type": "user", "serial": "7", "key_id": "ssh/sign/ops/7/alice/ops", "principals": ["alice", "root"],
            "valid_after": AFTER, "valid_before": BEFORE, "critical_options": {"source-address": "10.0.0.0/8,::1/128", "force-command": "/bin/true \"x\" ü"},
            "extensions": {"permit-pty": "", "login@example.com": "alice", "permit-agent-forwarding": ""}, **more}


def certify(worker, backend, files, ca="ed25519", user="ed25519", **more):
    return worker.call("certify", {"key": backend.pairs[ca]["public"]["kid"], "certificate": claims(files.user_key(user), **more)})


@pytest.mark.parametrize("ca", ALGORITHMS)
def test_ssh_keygen_reads_what_was_certified(worker, backend, files, ca):
    for user in USER_TYPES:
        result = certify(worker, backend, files, ca, user)
        text = keygen("-L", "-f", files.write("cert.pub", result["certificate"] + "\n"))
        line = files.user_key(user)
        assert result["type"] == line.split()[0] and result["fingerprint"] == files.fingerprint(line)
        assert f"Public key: {'ECDSA-SK' if user == 'sk-ecdsa' else 'ED25519-SK' if user == 'sk-ed25519' else user.split('-')[0].upper()}-CERT {result['fingerprint']}" in text
        assert f"SHA256:{backend.pairs[ca]['public']['kid']} (using {SIGNED_BY[ca]})" in text
        assert "user certificate" in text and 'Key ID: "ssh/sign/ops/7/alice/ops"' in text and "Serial: 7\n" in text
        assert "Valid: from 2026-01-01T00:00:00 to 2100-01-01T00:00:00" in text
        sections = [part.strip() for part in text.split("Principals:")[1].replace("Extensions:", "Critical Options:").split("Critical Options:")]
        assert [part.split("\n")[0].split()[0] for part in sections] == ["alice", "force-command", "login@example.com"]
        assert sections[0].split() == ["alice", "root"] and "source-address 10.0.0.0/8,::1/128" in sections[1]
        assert [one.split()[0] for one in sections[2].split("\n")] == ["login@example.com", "permit-agent-forwarding", "permit-pty"]


@pytest.mark.parametrize("ca", ALGORITHMS)
def test_a_second_reader_verifies_the_signature_and_says_the_same(worker, backend, files, ca):
    for user in USER_TYPES:
        for kind in ("user", "host"):
            more = {"type": kind, "serial": str(2**64 - 1)}
            line = certify(worker, backend, files, ca, user, **more, **({"critical_options": {}} if kind == "host" else {}))["certificate"]
            certificate = asyncssh.import_certificate(line)  # verifies
            assert certificate.key.public_data == asyncssh.import_public_key(files.user_key(user)).public_data
            assert certificate.signing_key.public_data == asyncssh.import_public_key(backend.pairs[ca]["public"]["line"]).public_data
            certificate.validate(asyncssh.public_key.CERT_TYPE_USER if kind == "user" else asyncssh.public_key.CERT_TYPE_HOST, "root")
            with pytest.raises(ValueError):
                certificate.validate(asyncssh.public_key.CERT_TYPE_HOST if kind == "user" else asyncssh.public_key.CERT_TYPE_USER, "root")
            with pytest.raises(ValueError):
                certificate.validate(asyncssh.public_key.CERT_TYPE_USER if kind == "user" else asyncssh.public_key.CERT_TYPE_HOST, "bob")


def test_two_certificates_of_the_same_claims_differ_by_their_nonce(worker, backend, files):
    assert certify(worker, backend, files)["certificate"] != certify(worker, backend, files)["certificate"]


def test_inspect_says_what_certify_says(worker, backend, files):
    for user, bits in zip(USER_TYPES, ("256", "256", "384", "521", "2048", "256", "256")):
        result = worker.call("inspect", {"public_key": files.user_key(user) + "\n"})
        certified = certify(worker, backend, files, user=user)
        assert certified.pop("certificate") and certified == result and result["bits"] == bits
    for params in ({}, {"public_key": 7}, {"public_key": ""}, {"public_key": "ssh-ed25519 AAAA"}, {"public_key": "ssh-dss AAAAB3NzaC1kc3M="}):
        fails("invalid", worker.call, "inspect", params)


WRONG = [
    {"principals": []}, {"principals": None}, {"principals": "alice"}, {"principals": [""]}, {"principals": ["alice", ""]}, {"principals": ["a,b"]},
    {"principals": ["a\nb"]}, {"principals": ["*"]}, {"principals": ["web?.example"]}, {"principals": ["x" * 256]}, {"principals": [7]},
    {"principals": [" alice"]}, {"principals": ["alice\x7f"]}, {"principals": [f"u{i}" for i in range(257)]},
    {"serial": "0"}, {"serial": ""}, {"serial": "07"}, {"serial": "-1"}, {"serial": "18446744073709551616"}, {"serial": 7}, {"serial": "7 "},
    {"type": "both"}, {"type": ""}, {"type": None}, {"key_id": ""}, {"key_id": "a\nb"}, {"key_id": "x" * 257}, {"key_id": None},
    {"valid_before": AFTER}, {"valid_before": AFTER - 1}, {"valid_after": -1}, {"valid_after": "0"}, {"valid_before": 1e12}, {"valid_before": None},
    {"critical_options": {"no-such-option": ""}}, {"critical_options": {"force-command": ""}}, {"critical_options": {"verify-required": "yes"}},
    {"critical_options": {"permit-pty": ""}}, {"critical_options": []}, {"critical_options": {"a@b": 7}}, {"critical_options": {"": ""}},
    {"extensions": {"force-command": "/bin/true"}}, {"extensions": {"permit-pty": "yes"}}, {"extensions": {"a b": ""}}, {"extensions": {"a@b": "x\ny"}},
    {"extensions": {f"o{i}@x": "" for i in range(40)}}, {"type": "host"},
    {"public_key": ""}, {"public_key": "ssh-ed25519"}, {"public_key": None},
]


@pytest.mark.parametrize("change", WRONG, ids=lambda change: str(change)[:40])
def test_what_must_not_be_signed_is_invalid(worker, backend, files, change):
    failure = fails("invalid", certify, worker, backend, files, **change)
    assert failure.text and "\n" not in failure.text
    worker.call("ping")


def test_a_certificate_that_no_header_holds_is_too_big(worker, backend, files):
    fails("too_big", certify, worker, backend, files, principals=[f"{i:03}" + "x" * 200 for i in range(200)])
    assert certify(worker, backend, files, principals=[f"user{i}" for i in range(256)])


def test_an_unknown_key_certifies_nothing(worker, files):
    for key in ("", "x", "A" * 5000):
        fails("not_found", worker.call, "certify", {"key": key, "certificate": claims(files.user_key("ed25519"))})
    for params in ({}, {"key": "x"}, {"key": "x", "certificate": []}, {"key": 7, "certificate": {}}):
        fails("invalid", worker.call, "certify", params)


def test_keys_that_are_too_short_are_refused(worker, files):
    keygen("-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(files.path / "short"))
    failure = fails("invalid", worker.call, "inspect", {"public_key": (files.path / "short.pub").read_text()})
    assert "ssh-keygen -t ed25519" in failure.text
