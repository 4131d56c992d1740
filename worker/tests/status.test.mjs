// The worker in workerd, the runtime that it is deployed to.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

const folder = fileURLToPath(new URL("..", import.meta.url));
let worker;

before(async () => {
  worker = new Miniflare({
    compatibilityDate: "2026-04-01",
    scriptPath: `${folder}shim.mjs`,
    modules: true,
    modulesRoot: folder,
    modulesRules: [
      { type: "ESModule", include: ["**/*.mjs", "**/*.js"] },
      { type: "CompiledWasm", include: ["**/*.wasm"] },
    ],
  });
  await worker.ready;
});

after(() => worker?.dispose());

test("the status names the version and the formats that it reads", async () => {
  const response = await worker.dispatchFetch("http://worker/v1/status");
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const status = await response.json();
  assert.match(status.version, /^\d+\.\d+\.\d+$/);
  for (const [oldest, newest] of [status.reads.shard, status.reads.query_tower]) {
    assert.ok(oldest >= 1 && oldest <= newest);
  }
});

test("a wrong method and an unknown path are told what would work", async () => {
  const post = await worker.dispatchFetch("http://worker/v1/status?x=1", { method: "POST", body: "{}" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get("allow"), "GET, HEAD");
  await post.arrayBuffer();
  const unknown = await worker.dispatchFetch("http://worker/v1/nothing");
  assert.equal(unknown.status, 404);
  assert.equal((await unknown.json()).code, "http/path");
});
