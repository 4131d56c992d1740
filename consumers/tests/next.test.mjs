// The shop of docs/frameworks/nextjs.md, built and started as Next.js does it, and opened in a real Chromium.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { before, test } from "node:test";
import { serveSite } from "../../demo-site/serve.mjs";
import { prepared, project, root, withRelease } from "./helpers.mjs";
import { filesOf } from "./pages.mjs";

const NEXT = join(root, "node_modules/next/dist/bin/next");
/** A build takes 17 s on two cores; a start less than one. */
const BUILD_TIMEOUT = 180_000;
const START_TIMEOUT = 20_000;

/** Runs Next.js in a folder; what it says is in `said`. */
function next(folder, args, env) {
  const child = spawn(process.execPath, [NEXT, ...args], { cwd: folder, env: { ...process.env, ...env, NEXT_TELEMETRY_DISABLED: "1" }, stdio: ["ignore", "pipe", "pipe"] });
  const run = { child, said: "", ended: new Promise((done) => child.once("close", done)) };
  for (const out of [child.stdout, child.stderr]) out.setEncoding("utf8").on("data", (text) => { run.said += text; });
  return run;
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

let address;
let browser;
let objects;
let server;
before(async (t) => {
  const { tarball, release, ...found } = await prepared(t);
  browser = found.browser;
  // Turbopack follows no link out of the folder that holds the packages, so the shop is in it.
  mkdirSync(join(root, "work"), { recursive: true });
  const folder = mkdtempSync(join(root, "work/next-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  project(t, tarball, filesOf("nextjs"), folder);
  withRelease(join(folder, "public"), release);
  objects = join(folder, "public/release/objects");
  const origin = await serveSite(release);
  t.after(() => origin.close());

  const building = next(folder, ["build"], {});
  const timer = setTimeout(() => building.child.kill("SIGKILL"), BUILD_TIMEOUT);
  assert.equal(await building.ended, 0, building.said);
  clearTimeout(timer);
  // At every build Next.js says that the edge runtime is deprecated, and on a machine of CI that it found no cache of a build before.
  const isUsual = /edge runtime|no build cache/i;
  assert.deepEqual(building.said.split("\n").filter((line) => /⚠|⨯/.test(line) && !isUsual.test(line)), []);

  const port = await freePort();
  server = next(folder, ["start", "--hostname", "127.0.0.1", "--port", String(port)], { NEARSHELF_RELEASE: origin.address });
  t.after(async () => {
    server.child.kill("SIGKILL");
    await server.ended;
  });
  address = `http://127.0.0.1:${port}/`;
  for (const until = Date.now() + START_TIMEOUT; !/Ready in/.test(server.said); ) {
    assert.ok(Date.now() < until && server.child.exitCode === null, `Next.js did not start: ${server.said}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}, { timeout: BUILD_TIMEOUT + 2 * START_TIMEOUT });

/** A page, what it printed, and its requests for the release, which wait for `letGo()`. */
async function open(t, path = "") {
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  const printed = [];
  tab.on("console", (message) => printed.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
  const held = [];
  let isHeld = true;
  let loaded = 0;
  tab.on("response", (answer) => { if (/\/release\/objects\//.test(answer.url())) loaded += 1; });
  await context.route("**/release/**", (route) => (isHeld ? held.push(route) : route.continue()));
  const letGo = () => {
    isHeld = false;
    return Promise.all(held.map((route) => route.continue()));
  };
  await tab.goto(address + path);
  return { tab, printed, held, letGo, loaded: () => loaded };
}

/** The ids of the list, which are those of its links' addresses. */
const ids = (tab) => tab.getByRole("list", { name: "For you" }).getByRole("listitem").evaluateAll((items) => items.map((item) => item.dataset.id));
const idsIn = (html) => [...html.matchAll(/<li[^>]* data-id="(\w+)"/g)].map(([, id]) => id);
const until = async (what, holds) => {
  for (const end = Date.now() + START_TIMEOUT; !(await holds()); await new Promise((done) => setTimeout(done, 50))) assert.ok(Date.now() < end, what);
};

for (const [what, path] of [["a row with React", ""], ["a row as an element", "element"]]) {
  test(`${what}: written by the server, taken over without a question`, async (t) => {
    const response = await fetch(address + path);
    const html = await response.text();
    assert.equal(response.status, 200, server.said);
    const written = idsIn(html);
    assert.equal(written.length, 6);
    // Each with its card: no title is an id.
    assert.ok(written.every((id) => !html.includes(`>${id}<`)));

    const { tab, printed, held, letGo, loaded } = await open(t, path);
    // With nothing of the release there yet, the engine's scripts run and the list is the server's.
    await until("the release was never asked for", () => held.length > 0);
    assert.deepEqual(await ids(tab), written);
    await letGo();
    // The row is of six products, what the page asks for of twelve: a question of its own would show.
    await until("the release was not loaded", () => loaded() > 0);
    await tab.waitForLoadState("networkidle");
    assert.deepEqual(await ids(tab), written);
    assert.deepEqual(printed, []);

    if (path !== "") return;
    await tab.getByRole("listitem").first().getByRole("link").click();
    await until("no new row came", async () => (await ids(tab)).length === 12);
    const row = await ids(tab);
    assert.ok(!row.includes(written[0]), String(row));
    assert.deepEqual(printed, []);
    // Where Next.js brings the element without a new document, browsers leave its shadow tree unread, as Chromium says; the row is the server's all the same.
    await tab.getByRole("link", { name: "as an element" }).click();
    await tab.waitForURL("**/element");
    await until("the element is empty", async () => (await ids(tab)).length > 0);
    assert.equal((await ids(tab)).length, 6);
    assert.deepEqual(printed.filter((line) => !/declarative shadowrootmode/i.test(line)), []);
  });
}

test("an edge route takes the compiled module by its condition", async () => {
  const [id] = idsIn(await (await fetch(address)).text());
  const response = await fetch(`${address}api/related?id=${id}`);
  const text = await response.text();
  assert.equal(response.status, 200, `${text} ${server.said}`);
  const items = JSON.parse(text);
  assert.ok(items.length === 12 && !items.includes(id), text);
});

test("the release has the headers that it needs", async () => {
  const caching = async (path) => (await fetch(`${address}release/${path}`)).headers.get("cache-control");
  assert.equal(await caching("head.json"), "no-store");
  assert.equal(await caching(`objects/${readdirSync(objects)[0]}`), "public, max-age=31536000, immutable");
});
