import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { serveSite } from "../serve.mjs";
import { temporaryFolder } from "./helpers.mjs";

const DIGEST = "0123456789abcdef".repeat(4);

async function site(t) {
  const outer = temporaryFolder(t);
  const folder = join(outer, "site");
  mkdirSync(join(folder, "release/objects"), { recursive: true });
  writeFileSync(join(outer, "secret"), "not for visitors");
  writeFileSync(join(folder, "index.html"), "<p>shop</p>".repeat(100));
  writeFileSync(join(folder, "engine.wasm"), new Uint8Array(4000));
  writeFileSync(join(folder, "release/head.json"), "{}");
  writeFileSync(join(folder, "release/objects", DIGEST), "object ".repeat(100));
  const server = await serveSite(folder);
  t.after(() => server.close());
  return (path, headers = {}) => fetch(server.address + path, { headers });
}

test("files come with their type, compressed, and cached as long as they may be", async (t) => {
  const get = await site(t);
  const index = await get("", { "accept-encoding": "gzip, br" });
  assert.equal(index.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(index.headers.get("content-encoding"), "br");
  assert.equal(await index.text(), "<p>shop</p>".repeat(100));
  const wasm = await get("engine.wasm", { "accept-encoding": "gzip" });
  assert.equal(wasm.headers.get("content-type"), "application/wasm");
  assert.equal(wasm.headers.get("content-encoding"), "gzip");
  assert.equal((await wasm.arrayBuffer()).byteLength, 4000);
  const object = await get(`release/objects/${DIGEST}`, { "accept-encoding": "identity" });
  assert.equal(object.headers.get("content-encoding"), null);
  assert.match(object.headers.get("cache-control"), /max-age=31536000, immutable/);
  assert.equal((await get("release/head.json")).headers.get("cache-control"), "no-store");
  assert.equal(index.headers.get("cache-control"), "no-cache");
  assert.equal((await get("", { "accept-encoding": "br", "if-none-match": index.headers.get("etag"), "cache-control": "no-cache" })).status, 304);
});

test("only files of the site are served", async (t) => {
  const get = await site(t);
  assert.equal((await get("nowhere")).status, 404);
  assert.equal((await get("release")).status, 404);
  assert.equal((await get("%E0%A4%A")).status, 400);
  const { port } = new URL((await get("")).url);
  // fetch tidies such a path away, so it is sent as it is.
  for (const path of ["/../secret", "/%2e%2e/secret", "/..%2fsecret"]) {
    const status = await new Promise((done) => request({ port, host: "127.0.0.1", path }, (response) => done(response.resume().statusCode)).end());
    assert.equal(status, 404, path);
  }
});
