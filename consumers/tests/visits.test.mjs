// What one visit has seen counts in the next, in a real Chromium with its own cache: keys that were taken away, versions, and wrong answers that caches keep.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openWorld } from "../../benches/trust/schedules.mjs";
import { Shop } from "../../benches/trust/shop.mjs";

const fixtures = join(process.env.NEARSHELF_WASM_FIXTURES ?? "", "trust");
const skip = existsSync(join(fixtures, "contents.json")) ? false : "NEARSHELF_WASM_FIXTURES names no releases; `cargo xtask test` makes them";

/** A shop at version 1, and a browser that knows nothing of it; what a new visit finds, and what its host then serves. */
async function begin(t) {
  const world = await openWorld(fixtures, "chromium");
  t.after(() => world.close());
  const { client, host, contents, objects } = world;
  const shop = new Shop(contents, objects);
  shop.publish(0);
  host.files = shop.files;
  const begun = await client.ask("begin", { seed: 1, release: `${host.address}visits/release/`, publicKey: shop.publicKey, wasm: client.wasm });
  assert.equal(begun?.error, undefined);
  const visit = async () => {
    const error = await client.ask("visit");
    const items = Object.fromEntries([...shop.versions].map(([version, content]) => [version, contents[content].item]));
    const { version, state } = await client.ask("served", items);
    return { error, version, state };
  };
  return { shop, host, client, visit };
}

test("a key that was taken away stays away, whatever root its thief's head names", { skip }, async (t) => {
  const { shop, host, visit } = await begin(t);
  assert.deepEqual(await visit(), { error: undefined, version: 1, state: "fresh" });
  const stolen = shop.head(5, { version: 500, root: 1 });
  shop.rotate();
  shop.publish(2);
  assert.deepEqual(await visit(), { error: undefined, version: 2, state: "fresh" });
  host.files = new Map(shop.files).set("head.json", stolen);
  assert.deepEqual(await visit(), { error: undefined, version: 2, state: "stale" });
  host.files = shop.files;
  shop.publish(3);
  assert.deepEqual(await visit(), { error: undefined, version: 3, state: "fresh" });
});

test("the highest version that was seen stays, though its release was withheld and an older one serves", { skip }, async (t) => {
  const { shop, host, visit } = await begin(t);
  await visit();
  const second = shop.head(2, { version: 2 });
  shop.version = 2;
  shop.publish(4);
  const withheld = new Map([...shop.files].filter(([path]) => path === "head.json" || path.startsWith("root/")));
  host.files = withheld;
  assert.deepEqual(await visit(), { error: undefined, version: 1, state: "stale" });
  host.files = new Map(shop.files).set("head.json", second);
  assert.deepEqual(await visit(), { error: undefined, version: 1, state: "stale" }, "version 3 was seen");
  host.files = shop.files;
  assert.deepEqual(await visit(), { error: undefined, version: 3, state: "fresh" });
});

test("a wrong answer that the browser keeps for a year locks nobody out", { skip }, async (t) => {
  const { shop, host, client, visit } = await begin(t);
  await visit();
  shop.rotate();
  shop.publish(4);
  for (const path of ["root/2.json", ...[...shop.files.keys()].filter((path) => path.startsWith("objects/"))]) host.gone.add(path);
  assert.equal(await client.ask("sync"), "download/http-status");
  assert.equal((await visit()).version, 1);
  host.gone.clear();
  assert.deepEqual(await visit(), { error: undefined, version: 2, state: "fresh" });
});
