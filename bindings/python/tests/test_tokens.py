"""Keys, trust, tokens: good ones, and every way in which one can be wrong."""

import json
import os
import pathlib
from datetime import datetime, timedelta, timezone

import pytest

import choria
from choria import TokenKind


def text(path):
    return pathlib.Path(path).read_text()


GOOD = [
    ("server_token", TokenKind.SERVER, "n1.demo.example.net", {"submission": True, "fleet_management": False}),
    ("client_token", TokenKind.CLIENT, "up=demo", {"fleet_management": True, "submission": False, "nonsense": False}),
    ("chain_server_token", TokenKind.SERVER, "n1.demo.example.net", {"submission": True}),
    ("chain_client_token", TokenKind.CLIENT, "up=demo", {"fleet_management": True}),
    ("provisioning_token", TokenKind.PROVISIONING, "", {}),
]
WRONG = [
    ("expired_token", choria.TokenExpired),
    ("foreign_token", choria.TokenUntrusted),
    ("broken_chain_token", choria.TokenUntrusted),
]


@pytest.mark.parametrize(("name", "kind", "identity", "permissions"), GOOD)
def test_good_tokens(network, trust, name, kind, identity, permissions):
    path = network.known[name]
    for token in (trust.verify_file(path), trust.verify(text(path) + "\n"), trust.verify_file(pathlib.Path(path))):
        assert (token.kind, token.identity, token.organization, token.verified) == (kind, identity, "choria", True)
        assert token.expires > datetime.now(timezone.utc)
        for permission, granted in permissions.items():
            assert token.permits(permission) is granted, permission
        assert token.claims["ou"] == "choria"
        assert token.claims["exp"] >= int(token.expires.timestamp())
        assert token.public_key == token.claims.get("public_key", "")
        assert text(path).split(".")[2] not in repr(token)


@pytest.mark.parametrize(("name", "error"), WRONG)
def test_wrong_tokens(network, trust, name, error):
    path = network.known[name]
    with pytest.raises(error) as by_file:
        trust.verify_file(path)
    with pytest.raises(error):
        trust.verify(text(path))
    assert str(by_file.value), "says why"


@pytest.mark.parametrize(("name", "error"), WRONG)
def test_reading_proves_nothing(network, name, error):
    token = choria.Token.read(text(network.known[name]))
    assert not token.verified
    assert token.identity == "n1.demo.example.net"
    assert "NOT verified" in repr(token)


@pytest.mark.parametrize(
    "garbage", ["", "eyJ", "no token", "a.b.c", "eyJhbGciOiJFZERTQSJ9.e30.AAAA", "eyJ" * 10000, "é" * 50]
)
def test_garbage(trust, garbage, tmp_path):
    for attempt in (trust.verify, choria.Token.read):
        if attempt == choria.Token.read and garbage.endswith("e30.AAAA"):
            continue
        with pytest.raises((choria.TokenInvalid, choria.TokenUntrusted)):
            attempt(garbage)
    (tmp_path / "token").write_text(garbage)
    with pytest.raises((choria.TokenInvalid, choria.TokenUntrusted)):
        trust.verify_file(tmp_path / "token")


def test_a_changed_token(network, trust):
    head, claims, signature = text(network.server_token).strip().split(".")
    changed = claims[:-2] + ("A" if claims[-2] != "A" else "B") + claims[-1]
    with pytest.raises((choria.TokenUntrusted, choria.TokenInvalid)):
        trust.verify(f"{head}.{changed}.{signature}")


def test_times(network, trust):
    expired = trust.verify_file(network.expired_token, now=datetime.now(timezone.utc) - timedelta(hours=12))
    assert expired.verified
    with pytest.raises(choria.TokenExpired):
        trust.verify_file(network.server_token, now=4_000_000_000)
    with pytest.raises(choria.TokenExpired):
        trust.verify_file(network.server_token, now=1_000_000_000)
    with pytest.raises(choria.InvalidArgument, match="time zone"):
        trust.verify_file(network.server_token, now=datetime(2026, 1, 1))


def test_verify_token_takes_text_and_files(network, trust):
    for token in (network.server_token, pathlib.Path(network.server_token), text(network.server_token)):
        assert choria.verify_token(token, trust).identity == "n1.demo.example.net"
        assert choria.verify_token(token).verified, "by the client's configuration"


def test_missing_files(trust, tmp_path):
    for attempt in (trust.verify_file, choria.Seed.open, choria.Trust.from_config):
        with pytest.raises((choria.NotFound, choria.InputOutput, choria.InvalidConfiguration)) as missing:
            attempt(tmp_path / "missing")
        assert "missing" in str(missing.value)


def test_whom_to_trust(network):
    nobody = choria.Trust()
    with pytest.raises(choria.TokenUntrusted):
        nobody.verify_file(network.server_token)
    other = choria.Trust({"other": network.issuer_public_key})
    with pytest.raises(choria.TokenUntrusted):
        other.verify_file(network.server_token)
    signer = choria.Trust(signers=[network.issuer_public_key])
    assert signer.verify_file(network.server_token).verified
    public = pathlib.Path(network.issuer_seed).with_suffix(".public")
    assert choria.Trust(signers=[public]).verify_file(network.client_token).verified
    for key in ("", "zz", network.issuer_public_key[:-2]):
        with pytest.raises((choria.InvalidArgument, choria.NotFound)):
            choria.Trust({"choria": key})


def test_from_config(network):
    assert choria.Trust.from_config(network.server_config).verify_file(network.client_token).verified
    with pytest.raises(choria.TokenUntrusted):
        choria.Trust.from_config(network.server_config).verify_file(network.foreign_token)


def test_seeds(network, tmp_path):
    seed = choria.Seed.open(network.server_seed)
    assert seed.public_key == choria.Token.read(text(network.server_token)).public_key
    same = choria.Seed.from_hex(text(network.server_seed))
    assert same.public_key == seed.public_key
    assert same.sign(b"data") == seed.sign("data")
    fresh = choria.Seed.generate()
    assert fresh.public_key != choria.Seed.generate().public_key
    choria.verify_signature(fresh.public_key, b"", fresh.sign(b""))
    choria.verify_signature(fresh.public_key, bytearray(b"a\0b"), fresh.sign(memoryview(b"a\0b")))
    for key, data, signature in (
        (fresh.public_key, b"other", fresh.sign(b"data")),
        (seed.public_key, b"data", fresh.sign(b"data")),
        (fresh.public_key, b"data", "00" * 64),
    ):
        with pytest.raises(choria.SignatureInvalid):
            choria.verify_signature(key, data, signature)
    secret = text(network.server_seed)
    for digits in ("", "zz" * 32, secret[:-1], secret + "00"):
        with pytest.raises(choria.InvalidArgument) as refused:
            choria.Seed.from_hex(digits)
        assert secret[:16] not in str(refused.value), "a seed is never quoted"
    assert secret not in repr(seed)


def test_the_signature_is_that_of_the_existing_system():
    # RFC 8032, section 7.1, test 1: as the header Choria-Signature, lower-case hexadecimal.
    seed = choria.Seed.from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert seed.public_key == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert seed.sign(b"") == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


def test_closed_objects_are_refused(network, issuers):
    trust = choria.Trust(issuers)
    seed = choria.Seed.generate()
    for thing, use in ((trust, lambda: trust.verify_file(network.server_token)), (seed, lambda: seed.sign(b"x"))):
        with thing:
            use()
        assert thing.closed
        thing.close()
        with pytest.raises(choria.InvalidArgument, match="closed"):
            use()


def test_text_that_c_cannot_hold(trust):
    for bad in ("a\0b", "\ud800", b"bytes", None, 5):
        with pytest.raises(choria.InvalidArgument):
            trust.verify(bad)


def test_claims_are_plain_json(network, trust):
    assert json.loads(json.dumps(trust.verify_file(network.client_token).claims))["callerid"] == "up=demo"


def test_the_environment_names_the_configuration(network):
    assert os.environ["CHORIA_CONFIG"] == network.client_config
