// node schedules.mjs FIXTURES WHERE SCHEDULES [SEED]: a shop publishes, a host and a device fail, visits come and go, in seeded orders; after every step the
// package must serve what the shop signed, whole, or nothing if it never had anything. WHERE is chromium or node. Prints JSON; a failure is printed with its seed.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { openBrowser, random, root } from "../package/site.mjs";
import { serveFaults } from "./host.mjs";
import { Shop } from "./shop.mjs";

const STEPS = 14;
const here = fileURLToPath(new URL(".", import.meta.url));
const wasm = join(root, "pkg-js/wasm/nearshelf_bg.wasm");

/** A bundle of the client for a page or for Node, as text. */
async function bundled(platform) {
  const alias = { nearshelf: join(root, `pkg-js/dist/${platform === "node" ? "node" : "index"}.js`) };
  const result = await build({
    stdin: { contents: platform === "node" ? IN_NODE : IN_PAGE, resolveDir: here }, alias, bundle: true, write: false, minify: true,
    format: "esm", target: "es2022", platform: platform === "node" ? "node" : "browser", logLevel: "error",
  });
  return result.outputFiles[0].text;
}

const IN_PAGE = `import { calls } from "./client.mjs"; globalThis.calls = calls; document.body.dataset.ready = "";`;
const IN_NODE = `
  import { parentPort } from "node:worker_threads";
  import { calls } from "./client.mjs";
  parentPort.on("message", async ({ id, name, argument }) => {
    parentPort.postMessage({ id, value: await Promise.resolve(calls[name](argument)).catch((error) => ({ error: String(error) })) });
  });
`;

/** The client in a page of Chromium, or in a thread: `ask(name, argument)`. */
async function clientIn(where, host, folder) {
  const text = await bundled(where);
  if (where === "node") {
    const script = join(folder, "client.mjs");
    writeFileSync(script, text);
    const worker = new Worker(pathToFileURL(script));
    const waiting = new Map();
    let asked = 0;
    worker.on("message", ({ id, value }) => {
      waiting.get(id)?.(value);
      waiting.delete(id);
    });
    const ask = (name, argument) => new Promise((resolve) => {
      waiting.set((asked += 1), resolve);
      worker.postMessage({ id: asked, name, argument });
    });
    return { ask, close: () => worker.terminate(), wasm: readFileSync(wasm) };
  }
  const browser = await openBrowser();
  const page = await browser.newPage();
  const html = `<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,"><body></body><script type="module" src="/client.js"></script>`;
  // From the host itself: routes of the browser would go without its cache.
  for (const [path, type, body] of [["/page", "text/html", html], ["/client.js", "text/javascript", text], ["/engine.wasm", "application/wasm", readFileSync(wasm)]]) {
    host.pages.set(path, { type, body });
  }
  await page.goto(`${host.address}page`);
  await page.locator("body[data-ready]").waitFor({ state: "attached" });
  const ask = (name, argument) => page.evaluate(([name, argument]) => globalThis.calls[name](argument), [name, argument]);
  return { ask, close: () => browser.close(), wasm: `${host.address}engine.wasm` };
}

/** One schedule: what went wrong in the end, if anything. */
async function run(seed, { client, host, contents, objects }, counts) {
  const next = random(seed);
  const below = (limit) => Math.floor(next() * limit);
  const shop = new Shop(contents, objects);
  const publish = () => {
    before.push(new Map(shop.files));
    shop.publish(below(contents.length));
    host.files = new Map(shop.files);
  };
  const before = [];
  shop.publish(0);
  Object.assign(host, { files: new Map(shop.files), faults: 0, random: random(seed + 1) });
  const release = `${host.address}${seed}/release/`;
  const begun = await client.ask("begin", { seed, release, publicKey: shop.publicKey, wasm: client.wasm });
  if (begun?.error !== undefined) throw new Error(begun.error);
  let held = 0;
  const log = [];
  const steps = [
    () => [`publish`, publish()],
    () => [`publish`, publish()],
    () => [`other keys`, shop.rotate(), publish()],
    () => [`host fails ${(host.faults = below(9))} of 16`],
    async () => {
      const share = below(9);
      await client.ask("device", share);
      return [`device fails ${share} of 16`];
    },
    () => {
      host.files = before[below(before.length)] ?? host.files;
      return ["host goes back"];
    },
    () => {
      const paths = [...host.files.keys()];
      const [to, from] = [paths[below(paths.length)], paths[below(paths.length)]];
      host.files = new Map(host.files).set(to, host.files.get(from));
      return [`host serves ${from} as ${to}`];
    },
    async () => ["device drops some", await client.ask("evict", 0.3)],
    async () => {
      held = 0;
      return ["visit", await client.ask("visit")];
    },
    async () => {
      held = 0;
      return ["visit", await client.ask("visit")];
    },
    async () => ["sync", await client.ask("sync")],
    async () => ["sync", await client.ask("sync")],
    async () => ["sync", await client.ask("sync")],
  ];
  const wrong = async () => {
    const items = Object.fromEntries([...shop.versions].map(([version, content]) => [version, contents[content].item]));
    const { version, ids, freshness, state, error } = await client.ask("served", items);
    if (error !== undefined) return error;
    if (version < held) return `version ${version} serves after ${held}`;
    held = version;
    if (version === 0) return undefined;
    counts.served += 1;
    counts.kept += state === "stale" ? 1 : 0;
    if (!shop.versions.has(version)) return `version ${version} was never signed`;
    if (freshness !== "fresh") return `it is ${freshness}`;
    return JSON.stringify(ids) === JSON.stringify(contents[shop.versions.get(version)].answer) ? undefined : `version ${version} answers ${ids}`;
  };
  for (let step = 0; step < STEPS; step += 1) {
    log.push((await steps[below(steps.length)]()).filter(Boolean).join(": "));
    counts.steps += 1;
    const found = await wrong();
    if (found !== undefined) return { seed, found, log };
  }
  publish();
  host.faults = 0;
  await client.ask("device", 0);
  // What a host asked for may last into the healing, and be over then.
  let error;
  for (let turn = 0; turn < 50; turn += 1) {
    error = await client.ask("sync");
    if (error !== "download/busy") break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const found = await wrong();
  if (found !== undefined) return { seed, found, log };
  return held === shop.version ? undefined : { seed, found: `healed, but version ${held} serves and not ${shop.version}: ${error}`, log };
}

/** Releases, a host and a client; `close` ends them. */
export async function openWorld(fixtures, where) {
  const contents = JSON.parse(readFileSync(join(fixtures, "contents.json"), "utf8"));
  const objects = readdirSync(join(fixtures, "objects")).map((name) => [`objects/${name}`, readFileSync(join(fixtures, "objects", name))]);
  const folder = mkdtempSync(join(tmpdir(), "nearshelf-schedules-"));
  const host = await serveFaults();
  const client = await clientIn(where, host, folder);
  const close = async () => {
    await client.close();
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { client, host, contents, objects, close };
}

/** Runs schedules and says what became of them. */
export async function schedules(fixtures, where, count, from = 0) {
  const world = await openWorld(fixtures, where);
  const { host } = world;
  const counts = { steps: 0, served: 0, kept: 0 };
  const wrong = [];
  try {
    for (let seed = from; seed < from + count; seed += 1) {
      const found = await run(seed, world, counts);
      if (found !== undefined) wrong.push(found);
    }
  } finally {
    await world.close();
  }
  return { where, schedules: count, ...counts, failed: wrong.length, wrong, faults: host.counts, connections: host.most };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [fixtures, where, count, from = "0"] = process.argv.slice(2);
  const found = await schedules(fixtures, where, Number(count), Number(from));
  console.log(JSON.stringify(found));
  for (const { seed, found: what, log } of found.wrong) console.error(`seed ${seed}: ${what}; steps:\n${log.join("\n")}`);
}
