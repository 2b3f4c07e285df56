"""generate and import: a pair is new, or the one that was brought; it goes nowhere else, and what is no whole private key is refused with help."""

import base64
import os
import subprocess

import asyncssh
import pytest

from backend_ssh import ALGORITHMS
from conftest import fails
from privilege import read_as_root
from ssh_files import USER_KEYS, Files, keygen

pytestmark = pytest.mark.needs("import", "certify")
NAMES = {"ed25519": "ed25519", "ecdsa-256": "ecdsa-p256", "ecdsa-384": "ecdsa-p384", "ecdsa-521": "ecdsa-p521", "rsa-2048": "rsa-2048"}


@pytest.fixture(scope="module")
def files():
    return Files()


def private(files, name, fmt=None):
    """The text of a private key: OpenSSH's own, or of -m fmt."""
    files.user_key(name)
    path = files.path / name
    if fmt is None:
        return path.read_text()
    copy = files.write(f"{name}.{fmt}", path.read_bytes())
    keygen("-q", "-p", "-m", fmt, "-N", "", "-f", copy)
    return (files.path / f"{name}.{fmt}").read_text()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_pair_is_new_each_time_and_named_as_ssh_keygen_names_it(worker, backend, files, algorithm):
    pair = backend.pairs[algorithm]
    assert set(pair) == {"private", "public"} and set(pair["public"]) == {"kid", "algorithm", "line"} and pair["public"]["algorithm"] == algorithm
    assert files.fingerprint(pair["public"]["line"]) == "SHA256:" + pair["public"]["kid"]
    if not algorithm.startswith("rsa"):
        other = worker.call("generate", {"algorithm": algorithm})
        assert other["private"] != pair["private"] and other["public"]["kid"] != pair["public"]["kid"]
        # It is not kept: only what a worker was opened with signs.
        fails("not_found", worker.call, "krl", {"key": other["public"]["kid"], "krl": {"version": "1", "date": 1}})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_pair_for_a_client_is_a_file_that_ssh_keygen_and_asyncssh_read(worker, files, algorithm):
    pair = worker.call("generate", {"algorithm": algorithm, "format": "openssh"}, deadline_ms=60000)
    path = files.write("issued", pair["private"].encode())
    assert keygen("-y", "-f", path).split()[:2] == pair["public"]["line"].split()
    read = asyncssh.import_private_key(pair["private"])
    assert read.export_public_key().decode().split()[:2] == pair["public"]["line"].split()
    # It is what `import` takes, too, and nothing but the pair.
    assert worker.call("import", {"private": pair["private"]})["public"] == pair["public"]
    fails("invalid", worker.call, "generate", {"algorithm": algorithm, "format": "pkcs8"})


@pytest.mark.parametrize("algorithm", ["", "none", "rsa", "rsa-1024", "rsa-2049", "dsa", "ED25519", "ssh-ed25519", "e" * 300])
def test_what_is_not_on_the_list_is_no_algorithm(worker, algorithm):
    fails("invalid", worker.call, "generate", {"algorithm": algorithm})


@pytest.mark.parametrize("name", USER_KEYS)
def test_a_key_is_imported_from_each_format_and_is_the_same(plugin, backend, files, name):
    worker = plugin.worker()
    formats = [None] if name == "ed25519" else [None, "PEM", "PKCS8"]
    results = [worker.call("import", {"private": private(files, name, fmt)}) for fmt in formats]
    for result in results:
        assert result["public"] == {"kid": files.fingerprint(files.user_key(name))[7:], "algorithm": NAMES[name],
                                    "line": " ".join(files.user_key(name).split()[:2])}
    der = base64.b64decode(results[0]["private"], validate=True)
    derived = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout"], input=der, stdout=subprocess.PIPE, check=True).stdout
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n"
    assert worker.call("import", {"private": pem.decode()})["public"] == results[0]["public"]
    assert derived.startswith(b"-----BEGIN PUBLIC KEY-----")
    # What was imported signs.
    opened = plugin.worker(opened=False)
    public = results[-1]["public"]
    plugin.open(opened, {"keys": {public["kid"]: {"algorithm": public["algorithm"], "private": results[-1]["private"]}}})
    assert opened.call("krl", {"key": public["kid"], "krl": {"version": "1", "date": 1}})["krl"]


def test_a_key_with_a_passphrase_is_refused_with_what_to_do(worker, files):
    files.user_key("ecdsa-256")
    for fmt in ("RFC4716", "PEM", "PKCS8"):
        copy = files.write("locked", (files.path / "ecdsa-256").read_bytes())
        keygen("-q", "-p", "-m", fmt, "-N", "a passphrase", "-f", copy)
        failure = fails("invalid", worker.call, "import", {"private": (files.path / "locked").read_text()})
        assert "ssh-keygen -p" in failure.text, fmt


def test_what_signs_no_certificates_is_refused(worker, files):
    for args in (["dsa", "-genkey"],):
        parameters = subprocess.run(["openssl", "dsaparam", "-genkey", "1024"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
        assert "DSA" in fails("invalid", worker.call, "import", {"private": parameters[parameters.index("-----BEGIN DSA PRIVATE") if "BEGIN DSA PRIVATE" in parameters else parameters.index("-----BEGIN PRIVATE"):]}).text, args
    keygen("-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(files.path / "short"))
    assert "2048" in fails("invalid", worker.call, "import", {"private": (files.path / "short").read_text()}).text
    for curve in ("secp256k1", "brainpoolP256r1"):
        key = subprocess.run(["openssl", "ecparam", "-name", curve, "-genkey", "-noout"], stdout=subprocess.PIPE, check=True).stdout.decode()
        fails("invalid", worker.call, "import", {"private": key})
    x25519 = subprocess.run(["openssl", "genpkey", "-algorithm", "x25519"], stdout=subprocess.PIPE, check=True).stdout.decode()
    fails("invalid", worker.call, "import", {"private": x25519})


def test_what_openssl_writes_is_imported(worker):
    ed25519 = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert worker.call("import", {"private": ed25519})["public"]["algorithm"] == "ed25519"
    # With a block of parameters before it.
    p384 = subprocess.run(["openssl", "ecparam", "-name", "secp384r1", "-genkey"], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert p384.startswith("-----BEGIN EC PARAMETERS")
    assert worker.call("import", {"private": p384})["public"]["algorithm"] == "ecdsa-p384"


@pytest.mark.parametrize("name", ["ed25519", "ecdsa-521", "rsa-2048"])
def test_a_damaged_file_is_refused(worker, files, name):
    text = private(files, name)
    lines = text.splitlines(keepends=True)
    blob = bytearray(base64.b64decode("".join(lines[1:-1])))

    def armored(content):
        return lines[0] + base64.encodebytes(bytes(content)).decode() + lines[-1]

    assert worker.call("import", {"private": armored(blob)})["public"]["kid"]
    fingerprint = worker.call("import", {"private": text})["public"]["kid"]
    for at in range(0, len(blob), max(1, len(blob) // 150)):
        changed = bytearray(blob)
        changed[at] ^= 0x10
        try:
            assert worker.call("import", {"private": armored(changed)})["public"]["kid"] == fingerprint  # in its comment, or a name that says nothing
        except Exception as failure:
            assert getattr(failure, "code", None) == "invalid", failure
    for length in range(0, len(blob), max(1, len(blob) // 40)):
        fails("invalid", worker.call, "import", {"private": armored(blob[:length])})
    for text in ("", "x", text.replace("-----END", "-----ENDE"), text + text, text + "more", lines[0] + "=\n" + lines[-1], files.user_key(name), text + " " * 20000):
        fails("invalid", worker.call, "import", {"private": text})
    for params in ({}, {"private": 7}, {"private": None}):
        fails("invalid", worker.call, "import", params)


def test_two_keys_in_one_file_are_refused(worker, files):
    one = private(files, "ecdsa-256", "PEM")
    fails("invalid", worker.call, "import", {"private": one + one})
    fails("invalid", worker.call, "import", {"private": one + private(files, "ecdsa-384", "PKCS8")})


def test_no_private_part_is_in_the_log_the_arguments_or_the_environment(worker, backend, files):
    text = private(files, "ed25519")
    worker.call("import", {"private": text})
    fails("invalid", worker.call, "import", {"private": text[:-60]})
    seen = b"".join(read_as_root(f"/proc/{worker.pid}/{part}") for part in ("cmdline", "environ")).decode()
    for secret in [*backend.secrets(), text.splitlines()[2]]:
        assert secret not in seen and secret not in worker.log()


def test_it_connects_nowhere(worker):
    descriptors = {os.readlink(f"/proc/{worker.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{worker.pid}/fd")}
    assert len([one for one in descriptors if one.startswith("socket:")]) == 1  # the stream
