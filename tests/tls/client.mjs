// What a user's program does, in order; prints what it saw. Knows E2B_DOMAIN and E2B_API_KEY only.
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.env.SOULBOX_NPM}/package.json`);
const { Sandbox } = require("@e2b/code-interpreter");

const seen = {};
const sandbox = await Sandbox.create({ timeoutMs: 600_000, requestTimeoutMs: 150_000 });
try {
  seen.sandbox = sandbox.sandboxId;
  seen.text = (await sandbox.runCode("6 * 7")).text;
  seen.command = (await sandbox.commands.run("echo out; echo err >&2")).stdout;
  await sandbox.files.write("/home/user/page.txt", "from inside");
  seen.file = await sandbox.files.read("/home/user/page.txt");
  seen.signed = await (await fetch(await sandbox.downloadUrl("/home/user/page.txt"))).text();
  await sandbox.commands.run("python3 -m http.server 8080 --bind 127.0.0.1", { background: true, timeoutMs: 0 });
  seen.host = sandbox.getHost(8080);
  for (let tries = 0; tries < 60; tries += 1) {
    const answer = await fetch(`https://${seen.host}/page.txt`);
    seen.page = await answer.text();
    if (answer.ok) break;
    await sleep(500);
  }
  seen.again = (await (await Sandbox.connect(sandbox.sandboxId)).runCode("1 + 1")).text;
} finally {
  await sandbox.kill();
}
seen.running = await sandbox.isRunning();
console.log(JSON.stringify(seen));
