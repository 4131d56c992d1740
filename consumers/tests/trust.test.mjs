// What a shop's page is told of whose release it has, in Node, with the engine itself.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Shop } from "../../benches/trust/shop.mjs";
import { root } from "./helpers.mjs";

const fixtures = join(process.env.NEARSHELF_WASM_FIXTURES ?? "", "trust");
const isThere = existsSync(join(fixtures, "contents.json"));
const skip = isThere ? false : "NEARSHELF_WASM_FIXTURES names no releases; `cargo xtask test` makes them";
const DAY = 86_400_000;

/** A signed release, a `fetch` of it, and what creates a recommender. */
async function shop() {
  const { createRecommender } = await import(pathToFileURL(join(root, "pkg-js/dist/node.js")).href);
  const contents = JSON.parse(readFileSync(join(fixtures, "contents.json"), "utf8"));
  const objects = readdirSync(join(fixtures, "objects")).map((name) => [`objects/${name}`, readFileSync(join(fixtures, "objects", name))]);
  const signed = new Shop(contents, objects);
  signed.publish(0);
  const fetch = async (address) => {
    const bytes = signed.files.get(new URL(address).pathname.replace("/release/", ""));
    return bytes === undefined ? new Response("", { status: 404 }) : new Response(bytes);
  };
  const create = (options) => createRecommender({ release: "https://shop.test/release", fetch, publicKey: signed.publicKey, ...options });
  return { signed, contents, create };
}

test("a page takes the release of its shop and no other's, and says so", { skip }, async () => {
  const { signed, contents, create } = await shop();
  const recommender = await create();
  const { release, freshness } = recommender.status();
  const { signed: head } = JSON.parse(signed.files.get("head.json"));
  assert.deepEqual([release.trust, freshness], [{ freshness: "fresh", ends: head.expires, behind: 0 }, "fresh"]);
  const row = await recommender.relatedProducts(contents[0].item, { limit: 12 });
  assert.deepEqual(row.items.map(({ id }) => id), contents[0].answer);

  const unsigned = await create({ publicKey: undefined });
  assert.deepEqual(unsigned.status().release.trust, { freshness: "unsigned" });
  unsigned.close();
  for (const [publicKey, code] of [["hello", "request/public-key"], [`0.${"a".repeat(64)}`, "request/public-key"], [`1.${"a".repeat(64)}`, "sync/root-pin"]]) {
    await assert.rejects(create({ publicKey }), { code });
  }
  // Somebody who can write to the host, but not sign.
  const good = signed.files.get("head.json");
  const text = good.toString();
  signed.files.set("head.json", Buffer.from(text.replace(/"version":1/, '"version":2')));
  await assert.rejects(recommender.sync(), { code: "release/signatures" });
  signed.files.set("head.json", Buffer.from(JSON.stringify({ ...JSON.parse(text), signatures: [] })));
  await assert.rejects(recommender.sync(), { code: "release/signatures" });
  assert.deepEqual((await recommender.relatedProducts(contents[0].item, { limit: 12 })).items.map(({ id }) => id), contents[0].answer);
  assert.equal(recommender.status().lastError.code, "release/signatures");
  signed.publish(1);
  await recommender.sync();
  assert.equal(recommender.status().release.version, 2);
  recommender.close();
});

test("a release whose signature has ended is stale, then expired, and serves on; anew it is taken as long as the page allows", { skip }, async (t) => {
  const { signed, create } = await shop();
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  const recommender = await create({ hardLimit: 2 * 86_400 });
  const state = async () => [recommender.status().freshness, (await recommender.recommendedForYou({ limit: 1 })).status.freshness];
  // A week that it counts, a day for clocks.
  for (const [days, expected] of [[7.9, "fresh"], [0.2, "stale"], [1.8, "stale"], [0.2, "expired"]]) {
    t.mock.timers.tick(days * DAY);
    assert.deepEqual(await state(), [expected, expected], `${days}`);
  }
  await recommender.sync();
  await assert.rejects(create({ hardLimit: 2 * 86_400 }), { code: "sync/expired" });
  const patient = await create({ hardLimit: 4 * 86_400 });
  assert.equal(patient.status().freshness, "stale");
  signed.publish(1);
  await recommender.sync();
  assert.deepEqual(await state(), ["fresh", "fresh"]);
  t.mock.timers.setTime(Date.now() - 3 * DAY);
  assert.equal(recommender.status().release.trust.behind > 2.9 * 86_400, true);
  patient.close();
  recommender.close();
});

test("a release that needs more memory than the page gives is refused, and the one before serves on", { skip }, async () => {
  const { signed, contents, create } = await shop();
  const needed = (content) => {
    const { query_tower: tower, shards } = JSON.parse(signed.files.get(`objects/${contents[content].manifest.digest}`));
    return [tower, ...shards.map(({ object }) => object)].reduce((sum, { size }) => sum + size, 0);
  };
  // One shard, and three.
  assert.ok(needed(0) < needed(2));
  await assert.rejects(create({ memory: needed(0) - 1 }), { code: "sync/budget" });
  const recommender = await create({ memory: needed(0) });
  signed.publish(2);
  await assert.rejects(recommender.sync(), { code: "sync/budget" });
  assert.equal(recommender.status().release.version, 1);
  recommender.close();
});
