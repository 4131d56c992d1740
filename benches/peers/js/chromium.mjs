// Measuring in a page of headless Chromium, served from a loopback address.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import { filesOf, LIBRARIES } from "./measure.mjs";
import { compressedBytes } from "./node.mjs";

const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };
/** Isolation makes the page's clock move in steps of 5 us; without it they are 100. */
const HEADERS = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
/** The browser asks nobody but this server. */
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** What a page may ask for of the bench set. */
const SET_FILES = new Set(Object.keys(LIBRARIES).flatMap(filesOf));

/** The file that a request means, or null. */
function fileOf(path, folder) {
  const name = path.startsWith("/set/") ? path.slice("/set/".length) : null;
  if (name !== null) return SET_FILES.has(name) ? join(folder, name) : null;
  const file = normalize(join(import.meta.dirname, path));
  return file.startsWith(import.meta.dirname) ? file : null;
}

async function answer(request, folder) {
  const { pathname } = new URL(request.url, "http://loopback");
  if (pathname === "/") return { body: "<!doctype html><title>peers</title>", type: "text/html" };
  if (pathname === "/compressed-bytes") {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return { body: String(compressedBytes(Buffer.concat(chunks))), type: "text/plain" };
  }
  const file = fileOf(pathname, folder);
  return file === null ? null : { body: await readFile(file), type: TYPES[extname(file)] ?? "application/octet-stream" };
}

async function served(folder) {
  const server = createServer((request, response) => {
    answer(request, folder).catch(() => null).then((found) => {
      response.writeHead(found === null ? 404 : 200, { ...HEADERS, "content-type": found?.type ?? "text/plain" });
      response.end(found?.body);
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

export async function measureInChromium(library, folder) {
  const server = await served(folder);
  const executablePath = process.env.CHROME_PATH ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    return await page.evaluate(
      async ([name, runtime]) => (await import("/page.mjs")).measureInPage(name, runtime),
      [library, `chromium ${browser.version()}`],
    );
  } finally {
    await browser.close();
    server.close();
  }
}
