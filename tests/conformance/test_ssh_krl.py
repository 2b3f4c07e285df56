"""krl: lists that ssh-keygen reads as they were meant, short, and signed; and what is refused."""

import base64
import random
import re
import subprocess

import pytest

import krl_reader
from backend_ssh import ALGORITHMS
from conftest import fails
from ssh_files import Files, keygen, run

pytestmark = pytest.mark.needs("krl")
DATE = 1795396400


@pytest.fixture(scope="module")
def files():
    return Files()


def make(worker, backend, ca="ed25519", **krl):
    result = worker.call("krl", {"key": backend.pairs[ca]["public"]["kid"], "krl": {"version": "17", "date": DATE, **krl}})
    assert set(result) == {"krl", "signature"}
    return base64.b64decode(result["krl"], validate=True), result["signature"]


def of_serials(backend, serials, ca="ed25519", **more):
    return {"line": backend.pairs[ca]["public"]["line"], "serials": krl_reader.distances(serials), **more}


def certificate(worker, backend, files, serial, ca="ed25519", user="ed25519", key_id="some"):
    """The path of a file with one."""
    line = worker.call("certify", {"key": backend.pairs[ca]["public"]["kid"], "certificate": {
        "public_key": files.user_key(user), "type": "user", "serial": str(serial), "key_id": key_id, "principals": ["alice"], "valid_after": DATE,
        "valid_before": DATE + 60}})["certificate"]
    return files.write(f"{ca}-{user}-{serial}-cert.pub", line + "\n")


def revoked(files, krl, *paths):
    """For each file with a key or certificate: does ssh-keygen find it in the list?"""
    _, text = run("ssh-keygen", "-Q", "-f", files.write("list.krl", krl), *paths)
    answers = re.findall(r"^(\S+) .*: (ok|REVOKED)$", text, re.M)
    assert [path for path, _ in answers] == list(paths), text
    return [answer == "REVOKED" for _, answer in answers]


def test_an_empty_list_revokes_nothing_and_is_read(worker, backend, files):
    krl, _ = make(worker, backend)
    assert revoked(files, krl, certificate(worker, backend, files, 7)) == [False]
    assert "KRL version 17" in keygen("-Q", "-l", "-f", files.write("list.krl", krl))
    assert make(worker, backend, cas=[of_serials(backend, [])], keys=[])[0] == krl


def test_a_serial_is_revoked_for_its_ca_alone(worker, backend, files):
    for ca in ALGORITHMS:
        krl, _ = make(worker, backend, cas=[of_serials(backend, [7, 9], ca)], comment="leased")
        other = "ed25519" if ca != "ed25519" else "rsa-2048"
        paths = [certificate(worker, backend, files, serial, ca) for serial in (6, 7, 8, 9, 10)]
        assert revoked(files, krl, *paths, certificate(worker, backend, files, 7, other)) == [False, True, False, True, False, False]


def test_several_cas_key_ids_and_keys_stand_in_one_list(worker, backend, files):
    fingerprints = [files.fingerprint(files.user_key(user)) for user in ("ecdsa-256", "rsa-2048", "sk-ed25519", "rsa-2048")]
    krl, _ = make(worker, backend, keys=fingerprints, comment="two cas", cas=[
        of_serials(backend, [1, 2, 3, 1000], "ed25519", key_ids=["by id"]), of_serials(backend, [2**64 - 1], "ecdsa-p521"), {"key_ids": ["anywhere ü"]}])
    expected = [(certificate(worker, backend, files, 2), True), (certificate(worker, backend, files, 4), False),
                (certificate(worker, backend, files, 2, "ecdsa-p521"), False), (certificate(worker, backend, files, 2**64 - 1, "ecdsa-p521"), True),
                (certificate(worker, backend, files, 50, key_id="by id"), True), (certificate(worker, backend, files, 51, key_id="by i"), False),
                (certificate(worker, backend, files, 52, "ecdsa-p521", key_id="by id"), False),
                (certificate(worker, backend, files, 53, "rsa-2048", key_id="anywhere ü"), True),
                (certificate(worker, backend, files, 54, user="rsa-2048"), True), (certificate(worker, backend, files, 55, user="sk-ed25519"), True),
                (files.write("plain.pub", files.user_key("ecdsa-256")), True), (files.write("plain2.pub", files.user_key("ecdsa-384")), False)]
    assert revoked(files, krl, *[path for path, _ in expected]) == [answer for _, answer in expected]
    read = krl_reader.read(krl)
    assert (read["version"], read["date"], read["comment"], len(read["hashes"])) == (17, DATE, "two cas", 3)
    assert [ids for _, ids in read["cas"].values()] == [["by id"], [], ["anywhere ü"]]


def test_100_000_sparse_serials_make_a_list_under_64_kb(worker, backend, files):
    serials = sorted(random.Random(7).sample(range(4_000_000, 4_300_000), 100_000))
    krl, _ = make(worker, backend, cas=[of_serials(backend, serials)])
    assert len(krl) < 40_000
    assert list(krl_reader.read(krl)["cas"].values())[0][0] == serials
    listed = keygen("-Q", "-l", "-f", files.write("list.krl", krl))
    found = [range(int(low), int(high or low) + 1) for low, high in re.findall(r"^serial: (\d+)(?:-(\d+))?$", listed, re.M)]
    assert [serial for one in found for serial in one] == serials


def test_serials_are_written_the_shortest_way_and_none_is_lost(worker, backend):
    choose = random.Random(11)
    shapes = [[1], [2**64 - 1], [1, 2**64 - 1], list(range(5, 5000)), list(range(1, 1000, 2)), [n * 10**9 + 1 for n in range(100)],
              [*range(1, 2000, 3), 10**12, *range(10**15, 10**15 + 5000), 2**63, 2**63 + 2]]
    for _ in range(60):
        serial, shape = 0, []
        for _ in range(choose.randrange(1, 12)):
            step = choose.choice((1, 2, 7, 65, 500, 10**6, 10**15))
            for _ in range(choose.randrange(1, 60)):
                serial += choose.randrange(1, step + 1)
                shape.append(serial)
        shapes.append(shape)
    for shape in shapes:
        krl, _ = make(worker, backend, cas=[of_serials(backend, shape)])
        (serials, _), = krl_reader.read(krl)["cas"].values()
        assert serials == shape
        assert len(krl) <= 200 + min(13 + 8 * len(shape), 20 + (shape[-1] - shape[0]) // 8 + 2)


def test_it_is_no_longer_than_what_ssh_keygen_writes(worker, backend, files):
    choose = random.Random(3)
    ca = files.write("ca.pub", backend.pairs["ed25519"]["public"]["line"])
    for step in (3, 40, 300, 20000):
        serials = sorted(choose.sample(range(1, 2000 * step), 2000))
        keygen("-q", "-k", "-f", str(files.path / "theirs"), "-s", ca, files.write("spec", "".join(f"serial: {one}\n" for one in serials)))
        krl, _ = make(worker, backend, cas=[of_serials(backend, serials)])
        assert len(krl) <= (files.path / "theirs").stat().st_size


@pytest.mark.parametrize("ca", ALGORITHMS)
def test_the_signature_verifies_for_its_namespace_and_content_only(worker, backend, files, ca):
    krl, signature = make(worker, backend, ca, cas=[of_serials(backend, [7], ca)])
    signers = files.write("signers", f"leased {backend.pairs[ca]['public']['line']}\n")

    def verifies(namespace, content):
        return subprocess.run(["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "leased", "-n", namespace, "-s", files.write("sig", signature)],
                              input=content, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    assert verifies("leased-krl", krl)
    assert not verifies("file", krl) and not verifies("leased-krl", krl[:-1] + b"\0")


WRONG = [
    {"version": "0"}, {"version": 17}, {"version": "x"}, {"date": "x"}, {"date": -1}, {"comment": "x" * 300}, {"cas": {}}, {"cas": [7]}, {"cas": [{"line": 7}]},
    {"cas": [{"serials": "1"}]}, {"cas": [{"line": "ssh-ed25519 AAAA", "serials": "1"}]}, {"keys": "SHA256:"}, {"keys": ["SHA256:"]}, {"keys": [7]},
    {"keys": ["MD5:00:11"]}, {"keys": ["SHA256:" + "A" * 42 + "B"]}, {"keys": ["SHA256:" + "A" * 44]},
]
WRONG_SERIALS = ["0", "1,0", ",", "1,", ",1", "1,,2", "-1", "1 ", " 1", "+1", "0x1", "01", "1;2", "18446744073709551616", "18446744073709551615,1", "1-3", 7, ["1"]]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_what_is_no_list_is_invalid(worker, backend, change):
    fails("invalid", make, worker, backend, **change)
    worker.call("ping")


def test_malformed_serials_and_key_ids_are_invalid(worker, backend):
    line = backend.pairs["ed25519"]["public"]["line"]
    for serials in WRONG_SERIALS:
        fails("invalid", make, worker, backend, cas=[{"line": line, "serials": serials}])
    for key_ids in ("x", [""], [7], ["x" * 257]):
        fails("invalid", make, worker, backend, cas=[{"line": line, "key_ids": key_ids}])


def test_a_million_serials_far_apart_make_a_list(worker, backend, files):
    """8 bytes each: what no bitmap shortens."""
    serials = [n * 1000 + 1 for n in range(1_000_000)]
    krl, signature = make(worker, backend, cas=[of_serials(backend, serials)])
    assert len(krl) < 8_000_400
    assert list(krl_reader.read(krl)["cas"].values())[0][0] == serials
    worker.call("ping")


def test_a_list_that_no_reply_holds_is_too_big(worker, backend):
    line = backend.pairs["ed25519"]["public"]["line"]
    fails("too_big", make, worker, backend, cas=[of_serials(backend, [n * 1000 + 1 for n in range(1_600_000)])])
    fails("too_big", make, worker, backend, cas=[{"key_ids": ["x"] * 5000}])
    fails("too_big", make, worker, backend, cas=[{"line": line, "serials": ",".join(["1"] * 2_000_001)}])
    assert len(make(worker, backend, cas=[{"line": line, "serials": ",".join(["1"] * 2_000_000)}])[0]) < 300


def test_an_unknown_key_signs_no_list(worker):
    fails("not_found", worker.call, "krl", {"key": "x", "krl": {"version": "1", "date": DATE}})
    for params in ({}, {"key": "x"}, {"key": "x", "krl": []}):
        fails("invalid", worker.call, "krl", params)
