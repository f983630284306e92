"""A signed URL works for anybody who holds it, without headers and without the sandbox's id.

Contract: sections 1.4 and 4.8, row 24 of section 8.
"""

from __future__ import annotations

import httpx
import pytest

EXPIRED = {"code": 401, "message": "signature is already expired"}


def test_a_signed_download_needs_nothing_else(sandbox):
    sandbox.files.write("signed.txt", "for everybody")
    url = sandbox.download_url("signed.txt", use_signature_expiration=60)
    assert sandbox.sandbox_id not in url
    assert httpx.get(url).text == "for everybody"
    assert httpx.get(sandbox.download_url("signed.txt")).text == "for everybody"


@pytest.mark.parametrize("user", ["user", "root"])
def test_a_signed_upload_needs_nothing_else(sandbox, user):
    url = sandbox.upload_url("uploaded.txt", user=user, use_signature_expiration=60)
    answer = httpx.post(url, files={"file": ("any-name", b"sent")})
    assert answer.status_code == 200, answer.text
    assert sandbox.files.read("uploaded.txt", user=user) == "sent"


def test_an_expired_signature_says_so_in_two_keys(sandbox):
    past = -120
    down = httpx.get(sandbox.download_url("signed.txt", use_signature_expiration=past))
    up = httpx.post(sandbox.upload_url("signed.txt", use_signature_expiration=past), files={"file": b"x"})
    assert (down.status_code, down.json()) == (401, EXPIRED)
    assert (up.status_code, up.json()) == (401, EXPIRED)


def test_a_wrong_signature_is_refused(sandbox):
    url = sandbox.download_url("signed.txt", use_signature_expiration=60)
    broken = url.replace("signature=v1_", "signature=v1_AAAA")
    assert httpx.get(broken).status_code == 401
    other_path = url.replace("signed.txt", "other.txt")
    assert httpx.get(other_path).status_code == 401


def test_a_signature_of_a_killed_sandbox_is_refused(create):
    sandbox = create("base")
    url = sandbox.download_url("x", use_signature_expiration=60)
    sandbox.kill()
    assert httpx.get(url).status_code == 401
