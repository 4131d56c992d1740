// What a shopper did, in a storage of the shop's own: stored after consent, in order, and erased for good.
import assert from "node:assert/strict";
import { test } from "node:test";
import { settled, shop } from "./helpers.mjs";

test("a storage is read once, written after each event and erased, and its failure stops nothing", async (t) => {
  const { create } = await shop(t);
  const event = { id: "100000", type: "view", at: 1 };
  const calls = [];
  const storage = {
    load: async () => [event, { id: 7, type: "view", at: 1 }, null],
    save: (events) => calls.push(events.map(({ id }) => id)),
    erase: () => calls.push("erased"),
  };
  const recommender = await create({ storage, consent: true });
  assert.deepEqual(recommender.history(), [event]);
  recommender.track("purchase", "100037");
  await settled();
  await recommender.erase();
  assert.deepEqual(calls, [["100000", "100037"], "erased"]);

  storage.save = () => {
    throw new Error("quota");
  };
  recommender.track("view", "100000");
  assert.equal(recommender.history().length, 1);
  await settled();
  await recommender.erase();
  assert.equal(calls.length, 3, "a failed write must not stop the next");
  assert.match(recommender.status().lastError.message, /quota/);
});

test("a slow storage is written in the order of the calls, and nothing lands after an erase", async (t) => {
  const { create } = await shop(t);
  const log = [];
  let release;
  const held = new Promise((resolve) => {
    release = resolve;
  });
  const storage = {
    load: () => [],
    save: async (events) => {
      log.push(`save ${events.length}`);
      if (events.length === 1) await held;
      log.push(`saved ${events.length}`);
    },
    erase: () => log.push("erased"),
  };
  const recommender = await create({ storage, consent: true });
  recommender.track("view", "100000");
  await settled();
  recommender.track("view", "100037");
  const erasing = recommender.erase();
  recommender.track("view", "100074");
  assert.deepEqual(recommender.history().map(({ id }) => id), ["100074"]);
  release();
  await erasing;
  // What was waiting to be stored is not stored first, to be erased at once.
  assert.deepEqual(log.slice(0, 3), ["save 1", "saved 1", "erased"]);
  await settled();
  await recommender.erase();
  assert.deepEqual(log.slice(3), ["save 1", "saved 1", "erased"]);
});

test("what is forgotten while the storage is read does not come back", async (t) => {
  const { create } = await shop(t);
  let release;
  const log = [];
  const storage = {
    load: () => new Promise((resolve) => { release = () => resolve([{ id: "100000", type: "view", at: 1 }]); }),
    save: (events) => log.push(events.map(({ id }) => id)),
    erase: () => log.push("erased"),
  };
  const recommender = await create({ storage });
  const granted = recommender.consent.grant();
  await recommender.erase();
  recommender.track("view", "100037");
  release();
  await granted;
  assert.deepEqual(recommender.history().map(({ id }) => id), ["100037"]);
  assert.deepEqual(log, ["erased", ["100037"]]);
});

test("a history that is not erased is told, by who forgets it and by who withdraws the consent", async (t) => {
  const { create } = await shop(t);
  const storage = { load: () => [], save: () => undefined, erase: () => Promise.reject(new Error("server down")) };
  const recommender = await create({ storage, consent: true });
  const refused = { name: "NearshelfError", code: "storage/failed", message: /not erased: server down/ };
  await assert.rejects(recommender.erase(), refused);
  await assert.rejects(recommender.consent.revoke(), refused);
  assert.equal(recommender.consent.granted, false);
  assert.match(recommender.status().lastError.message, /server down/);
});

test("what an earlier visit stored is forgotten without the consent of this one", async (t) => {
  const { create } = await shop(t);
  const log = [];
  const note = (call) => () => { log.push(call); };
  const recommender = await create({ storage: { load: note("load"), save: note("save"), erase: note("erase") } });
  recommender.track("view", "100000");
  await recommender.erase();
  assert.deepEqual(log, ["erase"]);
});

test("what is tracked while the storage is read is stored once, behind what was there", async (t) => {
  const { create } = await shop(t);
  const log = [];
  let release;
  const stored = { id: "100074", type: "view", at: 1 };
  const storage = { load: () => new Promise((resolve) => { release = () => resolve([stored]); }), append: (events) => log.push(...events.map(({ id }) => id)), erase: () => log.push("erased") };
  const recommender = await create({ storage });
  recommender.track("view", "100000");
  assert.deepEqual(log, []);
  const granted = recommender.consent.grant();
  recommender.track("view", "100037");
  release();
  await granted;
  assert.deepEqual(log, ["100000", "100037"]);
  assert.deepEqual(recommender.history().map(({ id }) => id), ["100074", "100000", "100037"]);
  recommender.track("cart", "100074");
  await settled();
  recommender.track("cart", "100111");
  await recommender.consent.revoke();
  assert.deepEqual(log.slice(2), ["100074", "erased"]);
});

test("a consent that is given, withdrawn and given again at once stores what there is once", async (t) => {
  const { create } = await shop(t);
  const log = [];
  const storage = { load: async () => [], append: (events) => log.push(...events.map(({ id }) => id)), erase: () => { log.length = 0; } };
  const recommender = await create({ storage });
  recommender.track("view", "100000");
  await Promise.all([recommender.consent.grant(), recommender.consent.revoke(), recommender.consent.grant()]);
  assert.deepEqual(log, ["100000"]);
  assert.equal(recommender.history().length, 1);
  await Promise.all([recommender.consent.revoke(), recommender.consent.grant(), recommender.consent.revoke()]);
  assert.deepEqual([log, recommender.consent.granted], [[], false]);
});

test("a storage that cannot be read gives an empty history and a reason, never an error", async (t) => {
  const { create } = await shop(t);
  const refuse = () => {
    throw new Error("forbidden");
  };
  for (const [load, reason] of [[refuse, /forbidden/], [async () => refuse(), /forbidden/], [() => null, /gave null/], [async () => "[]", /gave string/]]) {
    const recommender = await create({ storage: { load, save: () => undefined, erase: () => undefined }, consent: true });
    const { lastError } = recommender.status();
    assert.equal(lastError.name, "NearshelfError");
    assert.equal(lastError.code, "storage/failed");
    assert.match(lastError.message, reason);
    assert.deepEqual(recommender.history(), []);
    assert.equal((await recommender.recommendedForYou()).items.length, 12);
  }
});
