"""SSH certificates by hvac, the Python client of Vault's API, as Debian has it; with the bodies that its later versions send."""

import base64
import subprocess

import hvac
import pytest

from daemon import Leased
from ssh_host import SshHost, keygen, make_key


@pytest.fixture(scope="module")
def leased():
    with Leased() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def client(leased):
    host, port = leased.tcp_address
    client = hvac.Client(url=f"http://{host}:{port}", token=leased.root_token)
    client.sys.enable_secrets_engine("ssh", path="hvac")
    assert client.sys.list_mounted_secrets_engines()["data"]["hvac/"]["type"] == "ssh"
    return client


@pytest.fixture(scope="module")
def ca(client):
    answer = client.write("hvac/config/ca", generate_signing_key=True, key_type="ed25519", key_bits=0)
    return answer["data"]["public_key"]


def test_a_ca_is_made_read_and_found_by_hosts(client, ca):
    assert client.read("hvac/config/ca")["data"]["public_key"] == ca
    page = client.session.get(f"{client.url}/v1/hvac/public_key")
    assert page.status_code == 200 and page.text.splitlines() == [ca]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="keys are already configured"):
        client.write("hvac/config/ca", generate_signing_key=True)


def test_a_ca_is_brought_along_and_deleted(client, tmp_path):
    key = make_key(tmp_path / "ca", "rsa", "-b", 2048)
    client.sys.enable_secrets_engine("ssh", path="brought")
    public = key.with_suffix(".pub").read_text()
    with pytest.raises(hvac.exceptions.InvalidRequest, match="haven't been configured yet"):
        client.read("brought/config/ca")
    assert client.write("brought/config/ca", private_key=key.read_text(), public_key=public, generate_signing_key=False).status_code == 204
    assert client.read("brought/config/ca")["data"]["public_key"].split() == public.split()
    client.delete("brought/config/ca")
    with pytest.raises(hvac.exceptions.InvalidRequest, match="haven't been configured yet"):
        client.read("brought/config/ca")
    client.sys.disable_secrets_engine("brought")
    assert client.read("brought/config/ca") is None


def test_roles_are_written_read_listed_and_deleted(client, ca):
    assert client.list("hvac/roles") is None
    for name in ("a", "b"):
        # Whatever hvac's create_or_update_role has a word for, and nothing that was not said.
        assert client.write(f"hvac/roles/{name}", key_type="ca", allow_user_certificates=True, allowed_users="web,db", ttl="10m", max_ttl=3600,
                            default_extensions={"permit-pty": ""}, allowed_extensions="permit-pty", algorithm_signer="default",
                            not_before_duration=30, key_bits=1024, port=22, cidr_list="", exclude_cidr_list="").status_code == 204
    assert client.list("hvac/roles")["data"] == {"keys": ["a", "b"], "key_info": {"a": {"key_type": "ca"}, "b": {"key_type": "ca"}}}
    role = client.read("hvac/roles/a")["data"]
    assert (role["ttl"], role["max_ttl"], role["allowed_users"], role["key_type"]) == (600, 3600, "web,db", "ca")
    client.write("hvac/roles/a", **role)  # what is read can be written
    assert client.read("hvac/roles/a")["data"] == role
    client.delete("hvac/roles/b")
    assert client.read("hvac/roles/b") is None and client.list("hvac/roles")["data"]["keys"] == ["a"]
    with pytest.raises(hvac.exceptions.InvalidRequest, match="either allow_user_certificates or allow_host_certificates"):
        client.write("hvac/roles/b", key_type="ca")


# hvac's sign_ssh_key and generate_ssh_credentials send all of these, whatever was said.
UNSAID = {"ttl": "", "valid_principals": "", "key_id": "", "critical_options": None, "extensions": None}


def test_what_is_signed_lets_in_and_what_is_revoked_is_listed(client, ca, tmp_path):
    with SshHost(ca + "\n") as host:
        client.write("hvac/roles/login", key_type="ca", allow_user_certificates=True, default_user=host.user, ttl="5m")
        key = make_key(tmp_path / "key")
        answer = client.write("hvac/sign/login", **UNSAID, cert_type="user", public_key=key.with_suffix(".pub").read_text())
        certificate = key.with_name("key-cert.pub")
        certificate.write_text(answer["data"]["signed_key"])
        serial = int(answer["data"]["serial_number"], 16)
        assert f"Serial: {serial}\n" in keygen("-L", "-f", certificate).decode() and 0 < answer["lease_duration"] <= 300
        assert host.login("-i", str(key), "-o", "IdentitiesOnly=yes").stdout == b"in\n"
        client.sys.revoke_lease(answer["lease_id"])
        host.krl.write_bytes(client.session.get(f"{client.url}/v1/hvac/krl").content)
        assert subprocess.run(["ssh-keygen", "-Q", "-f", host.krl, certificate], capture_output=True).returncode == 1
        assert host.login("-i", str(key), "-o", "IdentitiesOnly=yes").returncode == 255


def test_a_key_pair_is_issued(client, ca, tmp_path):
    client.write("hvac/roles/login", key_type="ca", allow_user_certificates=True, default_user="web", ttl="5m")
    data = client.write("hvac/issue/login", **UNSAID, cert_type="user", key_type="ed25519", key_bits=0)["data"]
    key = tmp_path / "issued"
    key.touch(mode=0o600)
    key.write_text(data["private_key"])
    public = keygen("-y", "-f", key).split()
    assert base64.b64decode(public[1])[-32:] in base64.b64decode(data["signed_key"].split()[1])


def test_what_is_refused_is_an_exception_of_hvac_s_that_says_why(client, ca, tmp_path):
    client.write("hvac/roles/login", key_type="ca", allow_user_certificates=True, default_user="web", max_ttl="1h")
    public = make_key(tmp_path / "key").with_suffix(".pub").read_text()
    for more, why in (({"ttl": "2h"}, "ttl is larger than maximum allowed 3600"), ({"valid_principals": "root"}, "not a valid value"),
                      ({"cert_type": "host"}, "not allowed by role"), ({"key_id": "mine"}, "setting key_id is not allowed")):
        with pytest.raises(hvac.exceptions.InvalidRequest, match=why):
            client.write("hvac/sign/login", **{**UNSAID, "public_key": public, **more})
    with pytest.raises(hvac.exceptions.InvalidRequest, match="unknown role"):
        client.write("hvac/sign/nobody", public_key=public)
    with pytest.raises(hvac.exceptions.Forbidden):
        hvac.Client(url=client.url, token="hvs.none").write("hvac/sign/login", public_key=public)
