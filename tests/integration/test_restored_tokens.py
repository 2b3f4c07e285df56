"""Tokens behind a restore: what was ended after the backup is good again, and what the guide tells to do about it."""

import pathlib
import re
import subprocess

import jwt

from lease_cli import LEASE
from offline import Configured

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "how-to" / "when-something-is-wrong.md"


def commands_of_the_guide(accessor):
    section = PAGE.read_text().split("## The machine is lost")[1].split("\n## ")[0]
    names = ("revoke --prefix token", "write identity/oidc/key/main/rotate verification_ttl=0", "write auth/token/revoke-accessor accessor=ACCESSOR")
    for name in names:
        assert re.search(f"^    lease {name} *#", section, re.M), name
        yield name.replace("ACCESSOR", accessor).split()


def issue(leased):
    opaque, signed = leased.get("token/creds/shop"), leased.get("identity/oidc/token/shop")
    login = leased.post("auth/token/create", {"policies": ["everything"]})
    assert opaque.status == signed.status == login.status == 200, (opaque, signed, login)
    return opaque.data["token"], signed.data["token"], login.auth


def good(leased, opaque, signed, login):
    kids = [key["kid"] for key in leased.get("identity/oidc/.well-known/keys").json["keys"]]
    return (leased.post("token/introspect", {"token": opaque}).json["active"],
            leased.post("identity/oidc/introspect", {"token": signed}).json["active"],
            jwt.get_unverified_header(signed)["kid"] in kids,  # who verifies it himself
            leased.get("auth/token/lookup-self", token=login["client_token"]).status == 200)


def test_what_the_guide_names_ends_what_came_back_and_what_nobody_knows(tmp_path):
    with Configured() as leased:
        leased.post("sys/mounts/token", {"type": "token"})
        leased.post("token/roles/shop", {"scopes": "read"})
        leased.post("identity/oidc/config", {"issuer": "http://127.0.0.1:1"})
        assert leased.post("identity/oidc/key/main", {"algorithm": "ES256", "allowed_client_ids": "*"}).status == 204
        assert leased.post("identity/oidc/role/shop", {"key": "main"}).status == 204
        ended = issue(leased)
        done = leased.command("backup", tmp_path / "copy")
        assert done.returncode == 0, done.stderr
        assert leased.post("token/revoke", {"token": ended[0]}).status == 200
        assert leased.post("token/revoke", {"token": ended[1]}).status == 200
        assert leased.post("auth/token/revoke", {"token": ended[2]["client_token"]}).status == 204
        assert good(leased, *ended) == (False, False, True, False)
        unknown = issue(leased)
        leased.stop()
        with Configured(key=leased.key, start=False) as new:
            assert new.command("restore", tmp_path / "copy").returncode == 0
            new.start()
            assert good(new, *ended) == (True, True, True, True)
            assert good(new, *unknown) == (False, False, True, False)
            for command in commands_of_the_guide(ended[2]["accessor"]):
                done = subprocess.run([LEASE, *command], capture_output=True, text=True, timeout=60,
                                      env={"PATH": "/usr/bin:/bin", "LEASE_ADDR": f"unix://{new.socket_path}"})
                assert done.returncode == 0, (command, done)
            assert good(new, *ended) == good(new, *unknown) == (False, False, False, False)
            assert good(new, *issue(new)) == (True, True, True, True)
