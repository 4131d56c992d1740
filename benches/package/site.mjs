// What the measurements of the package share: a page with the package, a browser, and a server that shows what it sent.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { chromiumPath } from "../../demo-site/tests/helpers.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>shop</title><link rel="icon" href="data:,"><script type="module" src="./shop.js"></script><body></body></html>`;

/** Runs `work` with an empty folder that is gone afterwards. */
export async function withFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), "nearshelf-bench-package-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A site with the release: its page runs `script`, which imports the package. */
export async function site(folder, release, script, page = PAGE) {
  execFileSync(process.execPath, [join(root, "pkg-js/build.mjs")], { stdio: "ignore" });
  const source = join(folder, "source");
  const out = join(folder, "site");
  mkdirSync(source);
  writeFileSync(join(source, "shop.js"), script);
  const entryPoints = { shop: join(source, "shop.js"), worker: join(root, "pkg-js/dist/worker.js") };
  const alias = Object.fromEntries([["nearshelf", "index"], ["nearshelf/row", "row"]].map(([name, file]) => [name, join(root, `pkg-js/dist/${file}.js`)]));
  // The same file that the package imports, so that what a bench measures of it is what the package calls.
  alias["nearshelf-glue"] = join(root, "pkg-js/wasm/nearshelf.js");
  await build({ entryPoints, alias, outdir: out, bundle: true, splitting: true, minify: true, format: "esm", target: "es2022", logLevel: "error" });
  writeFileSync(join(out, "index.html"), page);
  cpSync(join(root, "pkg-js/wasm/nearshelf_bg.wasm"), join(out, "nearshelf_bg.wasm"));
  cpSync(release, join(out, "release"), { recursive: true, dereference: true });
  return out;
}

export const openBrowser = () => chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox", "--disable-gpu"] });

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".wasm": "application/wasm" };
/** Bytes of a piece, and milliseconds before an answer and each of its pieces: a line of some 2 MB/s. */
const PIECE = 16_384;
const DELAY = 20;
const BETWEEN = 8;

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Serves `folder` slowly, as over a telephone's line, with entity tags and ranges as hosts of static files have them. `sent` holds the bytes of each
 * answer that went out, by path.
 */
export async function serveSlowly(folder) {
  const sent = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = join(folder, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    let bytes;
    try {
      bytes = readFileSync(path);
    } catch {
      return response.writeHead(404).end();
    }
    const isObject = pathname.includes("/objects/");
    const tag = `"${statSync(path).size}-${pathname.slice(-64)}"`;
    const headers = {
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      "Cache-Control": isObject ? "public, max-age=31536000, immutable" : pathname.endsWith("head.json") ? "no-store" : "no-cache",
      "Accept-Ranges": "bytes",
      "ETag": tag,
    };
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
    const isPart = from !== undefined && (request.headers["if-range"] ?? tag) === tag;
    const body = isPart ? bytes.subarray(Number(from)) : bytes;
    const range = isPart ? { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    const answer = { path: pathname, bytes: 0 };
    sent.push(answer);
    await later(DELAY);
    response.writeHead(isPart ? 206 : 200, { ...headers, ...range, "Content-Length": body.length });
    for (let at = 0; at < body.length && !response.destroyed; at += PIECE) {
      const piece = body.subarray(at, at + PIECE);
      response.write(piece);
      answer.bytes += piece.length;
      await later(BETWEEN);
    }
    response.end();
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { address: `http://127.0.0.1:${server.address().port}/`, sent, close: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }) };
}

/** Numbers from 0 to 1, the same every time (mulberry32). */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
