"""What a user's program does, in order; prints what it saw. Knows E2B_DOMAIN and E2B_API_KEY only."""

import json
import time
import urllib.request

from e2b_code_interpreter import Sandbox

seen = {}
sandbox = Sandbox.create(timeout=600, request_timeout=150)
try:
    seen["sandbox"] = sandbox.sandbox_id
    seen["text"] = sandbox.run_code("6 * 7").text
    seen["command"] = sandbox.commands.run("echo out; echo err >&2").stdout
    sandbox.files.write("/home/user/page.txt", "from inside")
    seen["file"] = sandbox.files.read("/home/user/page.txt")
    with urllib.request.urlopen(sandbox.download_url("/home/user/page.txt"), timeout=60) as answer:
        seen["signed"] = answer.read().decode()
    sandbox.commands.run("python3 -m http.server 8080 --bind 127.0.0.1", background=True, timeout=0)
    seen["host"] = sandbox.get_host(8080)
    for _ in range(60):
        try:
            with urllib.request.urlopen(f"https://{seen['host']}/page.txt", timeout=60) as answer:
                seen["page"] = answer.read().decode()
            break
        except OSError as error:
            seen["page"] = str(error)
            time.sleep(0.5)
    seen["again"] = Sandbox.connect(sandbox.sandbox_id).run_code("1 + 1").text
finally:
    sandbox.kill()
seen["running"] = sandbox.is_running()
print(json.dumps(seen))
