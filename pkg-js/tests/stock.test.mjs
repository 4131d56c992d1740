import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { writeFakeRelease, writeFakeStock } from "./fake-engine/release.mjs";
import { settled, shop } from "./helpers.mjs";

const ids = ({ items }) => items.map(({ id }) => id);

/** Ends when everything has that `fetch` and digests take: those come from other threads, behind which its own digests wait. */
async function done() {
  for (let i = 0; i < 50; i += 1) {
    await crypto.subtle.digest("SHA-256", new Uint8Array(1 << 16));
    await settled();
  }
}

/** A page that is in sight or not. */
function page(t, visibilityState) {
  const listeners = new Set();
  const document = {
    visibilityState,
    baseURI: "https://shop.test/",
    addEventListener: (_, listener) => listeners.add(listener),
    removeEventListener: (_, listener) => listeners.delete(listener),
  };
  globalThis.document = document;
  t.after(() => {
    delete globalThis.document;
  });
  const show = (state) => {
    document.visibilityState = state;
    for (const listener of listeners) listener();
  };
  return { show, listeners };
}

test("new stock changes the next row without a reload, and is all that is downloaded", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.mock.method(Math, "random", () => 0);
  const { folder, asked, create } = await shop(t);
  const recommender = await create({ refresh: 40 });
  t.after(() => recommender.close());
  const before = await recommender.recommendedForYou({ limit: 5 });
  assert.equal(recommender.status().release.stock, undefined);
  const told = [];
  recommender.subscribe(({ release }) => told.push(release.stock));

  const [first, second] = ids(before);
  const path = writeFakeStock(folder, { version: 2, made: 999_000, out: [first], prices: { [second]: 5 } });
  asked.length = told.length = 0;
  t.mock.timers.tick(39_999);
  await done();
  assert.deepEqual(asked, []);
  t.mock.timers.tick(1);
  await done();
  assert.deepEqual(asked.map(({ path }) => path), ["head.json", path]);
  assert.deepEqual(told, [{ made: 999_000, out: 1, priced: 1 }]);
  assert.equal(recommender.status().release.version, 2);
  const row = await recommender.recommendedForYou({ limit: 5 });
  assert.equal(row.items.length, 5);
  assert.deepEqual(ids(row).slice(0, 4), ids(before).slice(1));
  assert.deepEqual(row.items.map(({ price }) => price), [5, undefined, undefined, undefined, undefined]);

  // Nothing new: the head alone. It goes on from the end of each look.
  asked.length = 0;
  t.mock.timers.tick(40_000);
  await done();
  t.mock.timers.tick(40_000);
  await done();
  assert.deepEqual(asked.map(({ path }) => path), ["head.json", "head.json"]);
  recommender.close();
  asked.length = 0;
  t.mock.timers.tick(400_000);
  await done();
  assert.deepEqual(asked, []);
});

test("stock that cannot be had leaves the last one in place, keeps no release from serving, and is told", async (t) => {
  const { folder, create } = await shop(t);
  const gone = writeFakeStock(folder, { version: 2, out: ["1"] });
  rmSync(join(folder, gone));
  const recommender = await create();
  assert.equal(recommender.status().lastError.code, "download/http-status");
  assert.equal((await recommender.recommendedForYou()).items.length, 12);

  const [first, second] = ids(await recommender.recommendedForYou());
  writeFakeStock(folder, { version: 3, made: 3, out: [first] });
  await recommender.sync();
  assert.equal(recommender.status().lastError, undefined);
  assert.ok(!ids(await recommender.recommendedForYou()).includes(first));

  writeFakeStock(folder, { version: 4, made: 4, out: [second], of: "another" });
  await recommender.sync();
  const { lastError, release } = recommender.status();
  assert.deepEqual([lastError.code, release.version, release.stock.made], ["overlay/manifest", 4, 3]);
  assert.ok(ids(await recommender.recommendedForYou()).includes(second));

  // A head that names none ends it.
  writeFakeRelease(folder, { version: 5 });
  await recommender.sync();
  assert.deepEqual([recommender.status().lastError, recommender.status().release.stock], [undefined, undefined]);
  assert.ok(ids(await recommender.recommendedForYou()).includes(first));
});

test("a page looks by itself while it is in sight, no more often than every half minute, and not where it is told not to", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.mock.method(Math, "random", () => 0);
  const { show, listeners } = page(t, "visible");
  const { asked, create } = await shop(t);
  const heads = () => asked.splice(0).filter(({ path }) => path === "head.json").length;
  const pass = async (milliseconds) => {
    t.mock.timers.tick(milliseconds);
    await done();
    return heads();
  };
  const recommender = await create({ mode: "main" });
  heads();
  assert.deepEqual([await pass(44_999), await pass(1)], [0, 1]);
  show("hidden");
  assert.equal(await pass(300_000), 0);
  show("visible");
  assert.equal(await pass(0), 1, "a look was due");
  show("hidden");
  show("visible");
  assert.deepEqual([await pass(44_999), await pass(1)], [0, 1], "none was due");
  recommender.close();
  assert.equal(listeners.size, 0);

  const hasty = await create({ mode: "main", refresh: 1 });
  heads();
  assert.deepEqual([await pass(29_999), await pass(1)], [0, 1]);
  hasty.close();
  const still = await create({ mode: "main", refresh: false });
  heads();
  assert.equal(await pass(500_000), 0);
  still.close();
});
