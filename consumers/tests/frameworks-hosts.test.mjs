// The code of the pages in docs/frameworks/ about where a shop runs, without a build of its own or whatever the build: run as the pages say.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { cpSync, readFileSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { borrow, prepared, project, root } from "./helpers.mjs";
import { filesOf, PATIENCE, served, shop } from "./pages.mjs";

const run = promisify(execFile);
let browser;
let tarball;
let release;
before(async (t) => {
  ({ browser, tarball, release } = await prepared(t));
});

/** A page's shop in a new project. */
const shopOf = (t, name) => project(t, tarball, filesOf(name));

const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm" };

test("plain.md, from the shop's own server and from a CDN", async (t) => {
  const folder = shopOf(t, "plain");
  const installed = join(folder, "node_modules/nearshelf");
  cpSync(installed, join(folder, "nearshelf"), { recursive: true });
  const { address } = await served(t, folder, release);
  assert.equal((await shop(t, browser, address)).started.length, 1);

  const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const base = /"(https:[^"]+)\/dist\/index\.js"/.exec(filesOf("plain")["cdn.html"])[1];
  assert.ok(base.endsWith(`/nearshelf@${version}`), `plain.md names ${base}, the package is ${version}`);
  const route = [`${base}/**`, (asked) => {
    const path = asked.request().url().slice(base.length);
    return asked.fulfill({ path: join(installed, path), contentType: TYPES[extname(path)], headers: { "access-control-allow-origin": "*" } });
  }];
  renameSync(join(folder, "cdn.html"), join(folder, "index.html"));
  assert.equal((await shop(t, browser, address, { route })).started.length, 0);
});

test("csp.md, as a policy of page and scripts", async (t) => {
  const { "Content-Security-Policy": policy, ...files } = filesOf("csp");
  const folder = project(t, tarball, { ...filesOf("vite"), ...files });
  // Vite puts files of a few bytes into `data:` addresses, as the stand-in's WASM, which the policy forbids; the real one is larger.
  await vite({ root: folder, logLevel: "error", build: { assetsInlineLimit: 0 } });
  const { address } = await served(t, join(folder, "dist"), release);
  const { started, tab } = await shop(t, browser, address, { headers: { "content-security-policy": policy.replaceAll("\n", " ") } });
  assert.equal(started.length, 1);
  const display = await tab.evaluate(() => getComputedStyle(document.querySelector("nearshelf-row").shadowRoot.querySelector("ul")).display);
  assert.equal(display, "grid", "the row has no style: the hash in csp.md is another version's");
});

test("service-worker.md, with the shop's server gone after the shopper agreed", async (t) => {
  const folder = shopOf(t, "service-worker");
  borrow(folder, "esbuild");
  await run(process.execPath, ["build.mjs"], { cwd: folder });
  const server = await served(t, join(folder, "dist"), release);
  const { tab } = await shop(t, browser, server.address);
  assert.equal(await tab.locator("#freshness").textContent(), "fresh");
  const agree = tab.getByRole("button", { name: "Remember me" });
  await agree.click();
  await tab.getByText("kept on this device").waitFor();
  await tab.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await tab.getByRole("button", { name: "Forget me" }).click();
  await tab.getByText("nothing is kept").waitFor();
  assert.deepEqual(await tab.evaluate(() => caches.keys()), []);
  await agree.click();
  await tab.getByText("kept on this device").waitFor();
  const hasAll = () => tab.evaluate(async () => {
    const [name] = await caches.keys();
    return name !== undefined && (await (await caches.open(name)).keys()).length === 4;
  });
  for (const end = Date.now() + PATIENCE; !(await hasAll()); ) assert.ok(Date.now() < end, "the page's files are not kept again");
  await server.close();
  await tab.reload();
  await tab.getByText("stale").waitFor({ timeout: PATIENCE });
  assert.equal(await tab.getByRole("list", { name: "For you" }).getByRole("link").count(), 8);
});

/** Starts the server of node.md and asks it for a product's row. */
async function asked(t, folder, script, address, id) {
  const child = spawn(process.execPath, [script], { cwd: folder, env: { ...process.env, NEARSHELF_RELEASE: address, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const at = await new Promise((resolve, reject) => {
    child.stdout.once("data", (text) => resolve(String(text).trim()));
    child.once("exit", (code) => reject(new Error(`${script} ended with ${code}`)));
  });
  const response = await fetch(`${at}?id=${id}`);
  assert.equal(response.status, 200);
  return response.json();
}

test("node.md, as it is, from CommonJS, and bundled", async (t) => {
  const folder = shopOf(t, "node");
  const { address } = await served(t, folder, release);
  const env = { ...process.env, NEARSHELF_RELEASE: `${address}release/` };
  const { stdout, stderr } = await run(process.execPath, ["once.cjs"], { cwd: folder, env });
  assert.equal(stderr, "");
  const ids = stdout.trim().split(" ");
  assert.equal(ids.length, 3);

  await esbuild({ absWorkingDir: folder, entryPoints: ["server.mjs"], outfile: "bundle/elsewhere/server.mjs", bundle: true, platform: "node", format: "esm", logLevel: "error" });
  const [plain, bundled] = [await asked(t, folder, "server.mjs", env.NEARSHELF_RELEASE, ids[0]), await asked(t, folder, "bundle/elsewhere/server.mjs", env.NEARSHELF_RELEASE, ids[0])];
  assert.ok(plain.length === 8 && plain.every(({ id, card }) => id !== ids[0] && card.title !== ""));
  assert.deepEqual(bundled.map(({ id }) => id), plain.map(({ id }) => id));
});

test("cloudflare-workers.md, asked twice", async (t) => {
  const { Miniflare } = createRequire(join(root, "worker/package.json"))("miniflare");
  const folder = shopOf(t, "cloudflare-workers");
  const { address } = await served(t, folder, release);
  const { warnings, outputFiles } = await esbuild({
    absWorkingDir: folder, entryPoints: ["worker.js"], bundle: true, format: "esm", write: false, conditions: ["workerd", "worker"], logLevel: "silent",
    // As wrangler has it: WASM stays a module of its own.
    plugins: [{ name: "wasm", setup: ({ onResolve }) => onResolve({ filter: /\.wasm$/ }, () => ({ path: "./nearshelf_bg.wasm", external: true })) }],
  });
  assert.deepEqual(warnings, []);
  const [, compatibilityDate] = /^compatibility_date = "(.+)"$/m.exec(filesOf("cloudflare-workers")["wrangler.toml"]);
  const workerd = new Miniflare({
    modules: [
      { type: "ESModule", path: "worker.js", contents: outputFiles[0].text },
      { type: "CompiledWasm", path: "nearshelf_bg.wasm", contents: readFileSync(join(folder, "node_modules/nearshelf/wasm/nearshelf_bg.wasm")) },
    ],
    bindings: { RELEASE: `${address}release/` },
    compatibilityDate,
  });
  t.after(() => workerd.dispose());
  const ids = async (query) => {
    const response = await workerd.dispatchFetch(`http://shop.test/${query}`);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
  };
  const first = await ids("");
  const related = await ids(`?id=${first[0]}`);
  assert.ok(first.length === 12 && related.length === 12 && !related.includes(first[0]));
});
