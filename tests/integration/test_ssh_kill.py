"""SSH certificates and a daemon that is killed at each step: no serial twice, nothing revoked that the list lacks."""

import subprocess

import pytest

from daemon import Leased, poll
from ssh_host import make_key

SIGN = ["engine_ssh_before_certify", "engine_ssh_after_certify"]
CA = ["engine_ssh_ca_before_write", "engine_ssh_ca_write", "engine_ssh_ca_after_write"]
BAN = ["engine_ssh_ban_write", "engine_ssh_ban_after_write", "engine_ssh_sweep_page"]


@pytest.fixture(scope="module")
def leased(tmp_path_factory):
    with Leased() as daemon:
        daemon.key = make_key(tmp_path_factory.mktemp("key") / "k").with_suffix(".pub").read_text()
        assert daemon.post("sys/mounts/ssh", {"type": "ssh"}).status == 204
        assert daemon.post("ssh/config/ca", {}).status == 200
        assert daemon.post("ssh/roles/r", {"key_type": "ca", "allow_user_certificates": True, "default_user": "x"}).status == 204
        yield daemon


def sign(leased):
    answer = leased.post("ssh/sign/r", {"public_key": leased.key})
    assert answer.status == 200, answer
    return int(answer.data["serial_number"], 16), answer.json["lease_id"]


def killed(leased, step, path, body=None):
    leased.stop()
    leased.start(failpoint=f"{step}=kill")
    try:
        leased.post(path, body) if body is not None else leased.get(path)
    except Exception:
        pass
    assert leased.wait_exit(20) == -9
    leased.start()


def test_a_kill_at_any_step_of_a_signature_gives_no_serial_twice(leased):
    seen = [sign(leased)[0]]
    for step in SIGN:
        killed(leased, step, "ssh/sign/r", {"public_key": leased.key})
        rows = leased.get("sys/leases/count?type=ssh").data
        seen.append(sign(leased)[0])
        assert seen[-1] > seen[-2] + 1, f"{step}: the number of the one that was lost is given out again ({rows})"


def test_a_kill_at_any_step_of_a_rotation_leaves_a_ca_that_signs(leased):
    for step in CA:
        before = len(leased.get("ssh/config/ca").data["keys"])
        killed(leased, step, "ssh/config/ca/rotate", {"activate": True})
        assert len(leased.get("ssh/config/ca").data["keys"]) == before + (step == "engine_ssh_ca_after_write")
        sign(leased)


def on_list(leased, serial):
    krl = leased.get("ssh/krl")
    path = leased.dir / "krl"
    path.write_bytes(krl.body)
    told = subprocess.run(["ssh-keygen", "-Q", "-l", "-f", path], capture_output=True, text=True, check=True).stdout
    return f"serial: {serial}\n" in told or any(
        int(first) <= serial <= int(last) for first, last in
        (line.split()[1].split("-") for line in told.splitlines() if line.startswith("serial:") and "-" in line))


def test_a_kill_while_a_lease_goes_leaves_it_on_the_list(leased):
    for step in ("engine_ssh_krl_write",):
        serial, lease = sign(leased)
        killed(leased, step, "sys/leases/revoke", {"lease_id": lease})
        poll(lambda: leased.post("sys/leases/lookup", {"lease_id": lease}).data.get("state") != "live", 15)
        poll(lambda: on_list(leased, serial), 15)


def test_a_ban_that_a_kill_cut_short_is_carried_out(leased):
    for step in BAN:
        serial, _ = sign(leased)
        killed(leased, step, "ssh/bans/cut", {"public_key": leased.key})
        if step == "engine_ssh_ban_write":
            sign(leased)
        else:
            poll(lambda: on_list(leased, serial), 15, what=f"{step}: it on the list")
            assert leased.delete("ssh/bans/cut").status == 204


def test_a_kill_when_the_list_is_made_changes_nothing_of_it(leased):
    before = leased.get("ssh/krl")
    killed(leased, "engine_ssh_after_krl", "ssh/krl")
    after = leased.get("ssh/krl")
    assert (after.headers["etag"], after.body) == (before.headers["etag"], before.body)
