"""What programs in a sandbox reach outside, each in its own way, with nothing set by hand."""

from __future__ import annotations

from conftest import PROXY
from outside import ADDRESS, LARGE_BYTES, PAGE, SILENT

HELLO = f"200 {PAGE.decode().strip()}"


def test_curl_fetches_by_name_and_by_address(inside, outside, fetch):
    assert fetch(inside, outside.url()) == HELLO
    assert fetch(inside, outside.url(host=ADDRESS)) == HELLO


def test_a_tunnel_and_socks_lead_to_the_same_place(inside, outside, fetch):
    assert fetch(inside, outside.url(), "-p") == HELLO
    assert fetch(inside, outside.url(), "--socks5-hostname", PROXY) == HELLO
    assert fetch(inside, outside.url(host=ADDRESS), "--socks5", PROXY) == HELLO


def test_bodies_go_out_with_and_without_a_length(inside, outside, fetch):
    inside.commands.run("head -c 3000000 /dev/zero > /tmp/body")
    post = ("--data-binary", "@/tmp/body")
    assert fetch(inside, outside.url(), *post) == "200 3000000 bytes"
    assert fetch(inside, outside.url(), *post, "-H", "Transfer-Encoding: chunked") == "200 3000000 bytes"


def test_the_origin_sees_no_trace_of_the_proxy(inside, outside, fetch):
    seen = fetch(inside, outside.url("/headers"), "-H", "Host: elsewhere.test", "-H", "X-Own: 1").lower()
    assert f"host: open.test:{outside.port('pages')}" in seen and "x-own: 1" in seen
    assert "proxy" not in seen and "elsewhere" not in seen


def test_python_in_a_kernel_finds_the_way(inside, outside):
    code = f"import requests, urllib.request as u\nurl = {outside.url()!r}\n"
    run = inside.run_code(code + "print(u.urlopen(url).read(), requests.get(url).text)")
    assert run.error is None and "".join(run.logs.stdout).count("hello from outside") == 2


def test_pip_downloads_a_package(inside, outside):
    index = f"--index-url {outside.url('/simple')} --trusted-host open.test"
    done = inside.commands.run(f"pip download --no-cache-dir -d /tmp/wheels {index} tiny", timeout=120)
    assert "Successfully downloaded tiny" in done.stdout


def test_sudo_keeps_the_way(inside, outside):
    assert inside.commands.run(f"sudo curl -sS {outside.url()}").stdout == PAGE.decode()


def test_a_large_download_arrives_whole(inside, outside):
    done = inside.commands.run(f"curl -sS {outside.url('/large')} | tr -d -c x | wc -c", timeout=120)
    assert int(done.stdout) == LARGE_BYTES


def test_half_an_answer_is_not_taken_for_a_whole_one(inside, outside, fetch):
    # 18: "transfer closed with outstanding read data remaining"; 56: "failure in receiving".
    assert fetch(inside, outside.url("/half")) in {"failed 18", "failed 56"}
    assert fetch(inside, outside.url("/half"), "-p") in {"failed 18", "failed 56"}


def test_one_direction_may_end_before_the_other(inside, outside):
    code = f"""
import socket
s = socket.create_connection(("127.0.0.1", 28128))
s.sendall(b"CONNECT open.test:{outside.port("echo")} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
head = b""
while b"\\r\\n\\r\\n" not in head:
    head += s.recv(1)
s.sendall(b"a question")
s.shutdown(socket.SHUT_WR)
heard = b""
while piece := s.recv(4096):
    heard += piece
print(head.split(b" ")[1], heard)
"""
    assert inside.run_code(code).logs.stdout == ["b'200' b'a questionheard 10'\n"]


def test_a_failure_says_what_failed(inside, outside, fetch):
    assert fetch(inside, outside.url(host="nowhere.test")).startswith("502 The name")
    assert fetch(inside, f"http://{SILENT}:81/").startswith("502 The server refused")
    assert fetch(inside, f"http://{PROXY}/", "--noproxy", "*").startswith("400 This is the sandbox's proxy")
    # 97: curl's word for a SOCKS server that says no.
    assert fetch(inside, outside.url(host="nowhere.test"), "--socks5-hostname", PROXY) == "failed 97"


def test_proxies_of_an_owner_are_left_alone(inside, create):
    own = create(template="base", envs={"HTTPS_PROXY": "http://mine.test:1"})
    names = own.commands.run("env | grep -i https_proxy").stdout
    assert names == "HTTPS_PROXY=http://mine.test:1\n"
    names = inside.commands.run("env | grep -i ^http_proxy", envs={"HTTP_PROXY": "http://mine.test:1"}).stdout
    assert names == "HTTP_PROXY=http://mine.test:1\n"
