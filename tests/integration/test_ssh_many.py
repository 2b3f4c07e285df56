"""Very many revoked certificates: the list stays short, comes whole, and ssh-keygen reads it back.

100 000 of 300 000 numbers, drawn at random, as where one certificate in three is taken back. LEASED_TEST_ALL: a million as well, about a hundred numbers
apart, where nothing shortens them.
"""

import os
import random
import re
import subprocess
import time

import pytest

from offline import BUILD, Configured
from ssh_host import keygen, make_key

ALL = bool(os.environ.get("LEASED_TEST_ALL"))
SHAPES = {"100_000 of 300_000": (100_000, 300_000, 64_000)} | ({"1_000_000 far apart": (1_000_000, 100_000_000, 8_100_000)} if ALL else {})
FIRST = 1_000_000


def fill(leased, serials):
    leased.stop()
    begin = time.monotonic()
    done = subprocess.run([BUILD / "bench" / "fill_revoked", leased.data, leased.key, "ssh/"], input="".join(f"{one}\n" for one in serials).encode())
    assert done.returncode == 0
    print("filled in", time.monotonic() - begin)
    leased.start()


def certificate(leased, key, name):
    answer = leased.post("ssh/sign/r", {"public_key": key.with_suffix(".pub").read_text(), "valid_principals": "alice"})
    assert answer.status == 200, answer
    path = key.parent / name
    path.write_text(answer.data["signed_key"])
    return answer, path


@pytest.mark.parametrize("shape", SHAPES)
def test_a_list_of_very_many_is_short_and_whole(shape, tmp_path):
    count, span, most = SHAPES[shape]
    serials = sorted(random.Random(7).sample(range(FIRST, FIRST + span), count))
    with Configured() as leased:
        assert leased.post("sys/mounts/ssh", {"type": "ssh"}).status == 204
        assert leased.post("ssh/config/ca").status == 200
        assert leased.post("ssh/roles/r", {"key_type": "ca", "allow_user_certificates": True, "allowed_users": "*", "ttl": "8h"}).status == 204
        key = make_key(tmp_path / "key")
        fill(leased, serials)
        (taken, taken_path), (_, good_path) = certificate(leased, key, "taken-cert.pub"), certificate(leased, key, "good-cert.pub")
        assert leased.post("sys/leases/revoke", {"lease_id": taken.json["lease_id"]}).status == 204
        begin = time.monotonic()
        answer = leased.request("GET", "ssh/krl", token="", timeout=300)
        print(f"{shape}: {len(answer.body)} bytes, made in {time.monotonic() - begin:.2f} s")
        assert answer.status == 200 and len(answer.body) < most, answer.status
        begin = time.monotonic()
        assert leased.request("GET", "ssh/krl", token="").body == answer.body
        assert time.monotonic() - begin < 1, "made anew though nothing has changed"
        krl = tmp_path / "krl"
        krl.write_bytes(answer.body)
        serials = sorted([*serials, int(taken.data["serial_number"], 16)])
        listed = keygen("-Q", "-l", "-f", krl)
        found = [range(int(low), int(high or low) + 1) for low, high in re.findall(rb"^serial: (\d+)(?:-(\d+))?$", listed, re.M)]
        assert [serial for one in found for serial in one] == serials
        asked = subprocess.run(["ssh-keygen", "-Q", "-f", krl, taken_path, good_path], capture_output=True, text=True)
        assert asked.returncode == 1 and re.search(r"taken-cert.pub.*REVOKED", asked.stdout) and re.search(r"good-cert.pub.*: ok", asked.stdout), asked
        signature = leased.request("GET", "ssh/krl.sig", token="").body
        (tmp_path / "sig").write_bytes(signature)
        (tmp_path / "signers").write_bytes(b"leased " + leased.request("GET", "ssh/public_key", token="").body)
        subprocess.run(["ssh-keygen", "-Y", "verify", "-f", tmp_path / "signers", "-I", "leased", "-n", "leased-krl", "-s", tmp_path / "sig"],
                       input=answer.body, check=True, capture_output=True)
