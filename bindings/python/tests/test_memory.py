"""Thousands of calls do not make the process grow, failures and abandoned requests included."""

import gc
import os

import pytest

import choria
from choria import Draft, Received

ALL = ("n1.demo.example.net", "n2.demo.example.net")
WARM_UP = 300
ROUNDS = 3000
#: Far below one leaked handle each time, far above what allocators keep for themselves.
ALLOWED_KIB = 3000


def resident_kib():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def refused(function, error):
    with pytest.raises(error):
        function()


def calls(network, trust, tmp_path, client):
    config = tmp_path / "server.conf"
    (tmp_path / "spool").mkdir()
    config.write_text(
        f"plugin.choria.submission.spool = {tmp_path}/spool\nplugin.choria.submission.socket = {tmp_path}/none\n"
        "plugin.choria.submission.max_spool_size = 3\n"
    )
    direct = choria.Submitter(config)
    for _ in range(6):
        try:
            direct.submit("local.full", b"x")
        except choria.SpoolFull:
            break
    seed = choria.Seed.generate()
    headers = [("Choria-Token", open(network.server_token).read()), ("Choria-Signature", "00" * 64)]
    return {
        "verify": (lambda: trust.verify_file(network.server_token).claims, 1),
        "verify, refused": (lambda: refused(lambda: trust.verify_file(network.foreign_token), choria.TokenUntrusted), 1),
        "trust": (lambda: choria.Trust.from_config(network.client_config), 1),
        "sign": (lambda: choria.verify_signature(seed.public_key, b"x" * 1000, seed.sign(b"x" * 1000)), 1),
        "submit, refused": (lambda: refused(lambda: direct.submit("local.full", b"x" * 1000), choria.SpoolFull), 1),
        "submit many, refused": (
            lambda: refused(lambda: direct.submit_many([Draft("local.full", b"x")] * 10), choria.SpoolFull), 1
        ),
        "status": (direct.status, 1),
        "received": (
            lambda: refused(
                lambda: Received("a.b", b"x" * 1000, headers).verify(trust), (choria.SignatureInvalid, choria.ChoriaError)
            ),
            1,
        ),
        "request": (lambda: client.request("rpcutil", "ping", nodes=ALL).all(), 5),
        "abandoned request": (lambda: next(client.request("rpcutil", "ping", nodes=ALL)), 5),
        "request, refused": (lambda: refused(lambda: client.request("nonsense", "ping"), choria.NotFound), 1),
    }  # fmt: skip


def test_memory_does_not_grow(network, trust, tmp_path, client):
    for name, (call, cost) in calls(network, trust, tmp_path, client).items():
        for _ in range(WARM_UP // cost):
            call()
        files, before = descriptors(), resident_kib()
        for _ in range(ROUNDS // cost):
            call()
        grown = resident_kib() - before
        assert grown < ALLOWED_KIB, f"{name}: {grown} KiB in {ROUNDS // cost} calls"
        assert descriptors() - files <= 2, f"{name}: descriptors stay open"


def test_clients_come_and_go(network):
    def call():
        with choria.Client(network.client_config) as client:
            next(client.request("rpcutil", "ping", nodes=ALL))

    for _ in range(10):
        call()
    files, before = descriptors(), resident_kib()
    for _ in range(50):
        call()
    assert resident_kib() - before < ALLOWED_KIB
    assert descriptors() - files <= 2
