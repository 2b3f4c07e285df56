"""generate and sign: a pair is new and goes nowhere else, and a signature is by the key that was named and verifies."""

import base64
import json
import os

import jwt
import pytest

from conftest import fails
from privilege import read_as_root

pytestmark = pytest.mark.needs("generate", "sign")
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
CLAIMS = {"iss": "https://leased.example", "sub": "x\"\\\u00fc", "exp": 4102444800, "deep": {"list": [1, True, None]}}


def public_key(jwk):
    kind = {"RSA": jwt.algorithms.RSAAlgorithm, "EC": jwt.algorithms.ECAlgorithm, "OKP": jwt.algorithms.OKPAlgorithm}[jwk["kty"]]
    return kind.from_jwk(json.dumps(jwk))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_is_verified_by_the_public_part_of_its_key(worker, backend, algorithm):
    jwk = backend.pairs[algorithm]["public"]
    token = worker.call("sign", {"key": jwk["kid"], "claims": CLAIMS})["token"]
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": jwk["kid"], "typ": "JWT"}
    assert jwt.decode(token, public_key(jwk), algorithms=[algorithm]) == CLAIMS
    body, _, signature = token.rpartition(".")
    flipped = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    flipped[-1] ^= 1
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(body + "." + base64.urlsafe_b64encode(flipped).rstrip(b"=").decode(), public_key(jwk), algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_pair_is_new_each_time_and_its_public_part_tells_nothing(worker, algorithm):
    first, second = (worker.call("generate", {"algorithm": algorithm}) for _ in range(2))
    assert set(first) == {"private", "public"} and first["private"] != second["private"]
    assert first["public"]["kid"] != second["public"]["kid"] and first["public"]["alg"] == algorithm
    assert set(first["public"]) <= {"kty", "crv", "n", "e", "x", "y", "use", "alg", "kid"}
    # It is not kept: only what a worker was opened with signs.
    fails("not_found", worker.call, "sign", {"key": first["public"]["kid"], "claims": CLAIMS})


@pytest.mark.parametrize("algorithm", ["none", "HS256", "PS256", "rs256", "", "ES256K", "R" * 300])
def test_what_is_not_on_the_list_is_no_algorithm(worker, algorithm):
    fails("invalid", worker.call, "generate", {"algorithm": algorithm})


@pytest.mark.parametrize("params", [{}, {"key": "x"}, {"key": 7, "claims": {}}, {"key": "x", "claims": []}, {"key": "x", "claims": None}, {"claims": {}}],
                         ids=str)
def test_malformed_params_of_sign_are_invalid(worker, params):
    fails("invalid", worker.call, "sign", params)
    worker.call("ping")


def test_an_unknown_key_signs_nothing(worker):
    for key in ("", "x", "../x", "A" * 5000):
        fails({"not_found", "invalid"}, worker.call, "sign", {"key": key, "claims": {}})


def test_claims_that_no_header_holds_are_too_big(worker, backend):
    fails("too_big", worker.call, "sign", {"key": backend.pairs["ES256"]["public"]["kid"], "claims": {"x": "y" * 20000}})
    worker.call("ping")


def test_no_private_part_is_in_the_log_the_arguments_or_the_environment(worker, backend):
    worker.call("sign", {"key": backend.pairs["RS256"]["public"]["kid"], "claims": CLAIMS})
    seen = b"".join(read_as_root(f"/proc/{worker.pid}/{part}") for part in ("cmdline", "environ")).decode()
    for secret in backend.secrets():
        assert secret not in seen and secret not in worker.log()


def test_it_connects_nowhere_and_reads_no_file_of_ours(worker):
    descriptors = {os.readlink(f"/proc/{worker.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{worker.pid}/fd")}
    assert len([one for one in descriptors if one.startswith("socket:")]) == 1  # the stream
