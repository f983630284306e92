"""What the TLS port does with those who speak it well, badly or not at all."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import stat

from harness.patience import eventually

API = "api.box.test"


def context(domain, *protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(domain.authority))
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def connect(domain, name: str, *protocols: str) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", domain.port), timeout=30)
    return context(domain, *protocols).wrap_socket(plain, server_hostname=name)


def test_clients_get_the_best_protocol_that_they_know(domain):
    for offered, chosen in (
        (("h2", "http/1.1"), "h2"),
        (("http/1.1",), "http/1.1"),
        ((), None),
    ):
        with connect(domain, API, *offered) as made:
            assert made.selected_alpn_protocol() == chosen
            assert made.version() == "TLSv1.3"


def test_the_certificate_is_for_the_domain_and_right_below_it_only(domain):
    for name in ("box.test", API, "8080-iabc.box.test"):
        connect(domain, name).close()
    for name in ("a.b.box.test", "example.org", "localhost"):
        try:
            connect(domain, name)
        except ssl.SSLCertVerificationError:
            continue
        raise AssertionError(f"{name} was taken for ours")


def test_the_authority_is_for_everybody_and_its_key_for_nobody(domain):
    key = domain.authority.with_name("ca.key")
    assert stat.S_IMODE(domain.authority.stat().st_mode) == 0o644
    assert (stat.S_IMODE(key.stat().st_mode), key.stat().st_uid) == (0o600, 0)
    for process in domain.server.gateways():
        assert not any("PRIVATE KEY" in argument for argument in process.arguments)


def test_plain_http_on_the_tls_port_is_told_so(domain):
    connection = http.client.HTTPConnection("127.0.0.1", domain.port, timeout=30)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (400, 400)


def test_whoever_says_nothing_or_nonsense_is_let_go_and_hurts_nobody(domain):
    broken = socket.create_connection(("127.0.0.1", domain.port), timeout=60)
    broken.sendall(b"\x16\x03\x01\x02\x00" + b"x" * 512)
    assert broken.recv(64)[:1] in (b"\x15", b""), "an alert, or the end"
    with connect(domain, API, "http/1.1") as made:
        made.sendall(b"GET /health HTTP/1.1\r\nHost: api.box.test\r\nConnection: close\r\n\r\n")
        assert made.recv(4096).startswith(b"HTTP/1.1 200")
    assert all(one.recv(1) == b"" for one in domain.silent), "they are let go within a minute"


def test_a_renewed_certificate_is_taken_up_without_a_restart(domain):
    def serial() -> bytes | None:
        with connect(domain, API) as made:
            return made.getpeercert(binary_form=True)

    before = serial()
    with connect(domain, API, "http/1.1") as kept:
        launcher = domain.server.gateways()[0]
        handle = os.pidfd_open(launcher.pid)
        signal.pidfd_send_signal(handle, signal.SIGHUP)
        os.close(handle)
        eventually(lambda: serial() != before)
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: api.box.test\r\nConnection: close\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200"), "old connections go on"
