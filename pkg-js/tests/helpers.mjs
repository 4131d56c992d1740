import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, normalize, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { EMPTY_WASM, writeFakeEngine, writeFakeRelease } from "./fake-engine/release.mjs";

export const packageFolder = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A new folder that goes with the test. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "nearshelf-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The built package with the fake engine in place of the real one, as a folder. */
export function fakePackageFolder(t) {
  const folder = temporaryFolder(t);
  for (const part of ["dist", "package.json"]) cpSync(join(packageFolder, part), join(folder, part), { recursive: true });
  writeFakeEngine(join(folder, "wasm"));
  writeFakeEngine(join(folder, "wasm-onnx"), "nearshelf_onnx");
  for (const name of ["inline", "node"]) {
    const script = join(folder, `dist/${name}.js`);
    writeFileSync(script, readFileSync(script, "utf8").replace(/WASM = "[^"]*"/, `WASM = "${gzipSync(EMPTY_WASM).toString("base64")}"`));
  }
  return folder;
}

/** That package, loaded anew: nothing of another test's `init` is in it. `Engine` is the fake's class. */
export async function freshPackage(t) {
  const folder = fakePackageFolder(t);
  const load = (file) => import(pathToFileURL(join(folder, file)).href);
  const [nearshelf, { Engine }] = await Promise.all([load("dist/index.js"), load("wasm/nearshelf.js")]);
  return { ...nearshelf, Engine, folder };
}

/** A `fetch` that reads `folder` as if it were `https://shop.test/release/`, and notes what it was asked. */
export function folderFetch(folder) {
  const asked = [];
  const answer = async (address, { cache, signal }) => {
    signal.throwIfAborted();
    const path = new URL(address).pathname.replace("/release/", "");
    asked.push({ path, cache });
    try {
      return new Response(readFileSync(join(folder, path)));
    } catch {
      return new Response("not here", { status: 404 });
    }
  };
  return { fetch: answer, asked };
}

export const RELEASE = "https://shop.test/release";

/** The package, a release, and `create`, which makes a recommender of the two. */
export async function shop(t, options = {}) {
  const nearshelf = await freshPackage(t);
  const folder = temporaryFolder(t);
  const objects = writeFakeRelease(folder);
  const { fetch, asked } = folderFetch(folder);
  const create = (more = {}) => nearshelf.createRecommender({ release: RELEASE, fetch, ...options, ...more });
  return { nearshelf, folder, objects, asked, create };
}

/** Ends when everything has that waits for nothing else. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Serves `folder` on a loopback port until the test ends, and gives the address. */
export async function serveFolder(t, folder) {
  const server = createServer((request, response) => {
    const path = normalize(join(folder, new URL(request.url, "http://host").pathname));
    try {
      if (!path.startsWith(folder + sep)) throw new Error("outside");
      response.end(readFileSync(path));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${server.address().port}/`;
}

/** The shop's address for events; `answers` are the states that it gives in turn, then 204. */
export function inbox(t, answers = []) {
  const posts = [];
  const { fetch } = globalThis;
  t.after(() => {
    globalThis.fetch = fetch;
  });
  globalThis.fetch = async (url, { body, keepalive }) => {
    const status = answers.shift() ?? 204;
    posts.push({ url, status, keepalive, events: JSON.parse(body).events });
    if (status === 0) throw new TypeError("offline");
    return { status };
  };
  return posts;
}

/** Where to and how often, in tests. */
export const EVENTS = { url: "https://shop.test/events", every: 1000, batch: 3 };
