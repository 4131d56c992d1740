// What is on a device when consent, releases and tabs change under way, in a real Chromium: with the engine's stand-in, whose releases a test can write.
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { serveSite } from "../../demo-site/serve.mjs";
import { openBrowser } from "../../demo-site/tests/helpers.mjs";
import { fakeProducts, writeFakeRelease } from "../../pkg-js/tests/fake-engine/release.mjs";
import { fakePackageFolder } from "../../pkg-js/tests/helpers.mjs";
import { page } from "./helpers.mjs";

const [first, second] = fakeProducts().map(({ id }) => id);

let browser;
before(async (t) => {
  browser = await openBrowser(t);
});

/** A shop with a release, and a browser of its own whose tabs share a device. */
async function shop(t, options) {
  const folder = fakePackageFolder(t);
  writeFileSync(join(folder, "index.html"), page(""));
  const publish = (next) => writeFakeRelease(join(folder, "release"), next);
  const objects = publish(options);
  const server = await serveSite(folder);
  const context = await browser.newContext();
  t.after(() => Promise.all([context.close(), server.close()]));
  // The browser's own cache would hide what the package asks for.
  await context.route("**/release/**", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), "cache-control": "no-store" } });
  });
  const open = async () => {
    const tab = await context.newPage();
    await tab.goto(server.address);
    await tab.evaluate(async () => {
      const { createRecommender } = await import("/dist/index.js");
      globalThis.create = async (more) => {
        globalThis.recommender = await createRecommender({ release: new URL("release/", document.baseURI), mode: "main", ...more });
        return recommender;
      };
      globalThis.later = (milliseconds = 100) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
      /** What became of a call: `"done"`, or its error's code. */
      globalThis.end = (call) => call.then(() => "done", ({ code }) => code);
      globalThis.state = () => {
        const { release, freshness, lastError } = recommender.status();
        return [release.version, freshness, lastError?.code];
      };
      /** What is in each store: ids of events, digests of objects. */
      globalThis.stored = async () => {
        if ((await indexedDB.databases()).length === 0) return "no database";
        const database = await new Promise((resolve) => { indexedDB.open("nearshelf").onsuccess = (event) => resolve(event.target.result); });
        const all = (name, call) => new Promise((resolve) => { database.transaction(name).objectStore(name)[call]().onsuccess = (event) => resolve(event.target.result); });
        const events = (await all("events", "getAll")).map(({ id }) => id);
        const found = { events, objects: await all("objects", "getAllKeys"), heads: (await all("heads", "getAllKeys")).length };
        database.close();
        return found;
      };
    });
    return tab;
  };
  return { folder, objects, publish, context, open };
}

/** Has requests for this wait until the function that is given is called. */
async function held(context, pattern) {
  let go;
  const gate = new Promise((resolve) => { go = resolve; });
  await context.route(pattern, (route) => gate.then(() => route.fallback()));
  return go;
}

const NOTHING = { events: [], objects: [], heads: 0 };

for (const mode of ["main", "worker"]) {
  test(`a tab that is still loading when another withdraws the consent keeps nothing: ${mode}`, async (t) => {
    const { context, open } = await shop(t);
    const [one, two] = [await open(), await open()];
    await one.evaluate(() => create({ consent: true }).then(() => undefined));
    assert.notDeepEqual((await one.evaluate(() => stored())).objects, []);
    const go = await held(context, "**/head.json");
    const asked = two.waitForRequest("**/head.json");
    const loading = two.evaluate((mode) => create({ consent: true, mode }).then(() => recommender.consent.granted), mode);
    await asked;
    await one.evaluate(() => recommender.consent.revoke());
    go();
    assert.equal(await loading, false);
    await two.evaluate((id) => recommender.track("view", id), first);
    await two.evaluate(() => later());
    assert.deepEqual(await one.evaluate(() => stored()), NOTHING);
  });
}

test("a tab that cannot load when another withdraws the consent keeps nothing", async (t) => {
  const { context, open, objects } = await shop(t);
  const [one, two] = [await open(), await open()];
  await one.evaluate(() => create({ consent: true }).then(() => undefined));
  const go = await held(context, "**/head.json");
  await context.route(`**/${objects.shard.split("/").at(-1)}`, (route) => route.fulfill({ status: 500, body: "" }));
  const asked = two.waitForRequest("**/head.json");
  const loading = two.evaluate(() => end(create({ consent: true })));
  await asked;
  await one.evaluate(() => recommender.consent.revoke());
  go();
  assert.equal(await loading, "download/http-status");
  assert.deepEqual(await one.evaluate(() => stored()), NOTHING);
});

test("what a tab stores before it hears that another withdrew the consent goes, too, of whatever release", async (t) => {
  const { folder, open } = await shop(t);
  writeFakeRelease(join(folder, "other"));
  const tab = await open();
  const left = await tab.evaluate(async ([view, cart]) => {
    const [one, two, elsewhere] = [await create({ consent: true }), await create({ consent: true }), await create({ consent: true, release: "/other" })];
    const revoked = one.consent.revoke();
    for (const id of [view, cart, view]) two.track("view", id);
    await revoked;
    await later();
    return [two.consent.granted, elsewhere.consent.granted, await stored()];
  }, [first, second]);
  assert.deepEqual(left, [false, false, NOTHING]);
});

test("a consent that changes while the larger engine is loaded is that engine's, too", async (t) => {
  const { context, open, publish } = await shop(t);
  const tab = await open();
  await tab.evaluate(() => create({ consent: true }).then(() => undefined));
  const shard = publish({ version: 2, engine: "tract", products: fakeProducts().slice(5) }).shard.split("/").at(-1);
  const go = await held(context, `**/${shard}`);
  const asked = tab.waitForRequest(`**/${shard}`);
  const syncing = tab.evaluate(() => recommender.sync().then(state));
  await asked;
  await tab.evaluate(() => recommender.consent.revoke());
  go();
  assert.deepEqual(await syncing, [2, "fresh", undefined]);
  assert.deepEqual(await tab.evaluate(() => stored()), NOTHING);
});

test("what other releases of the shop left on the device goes with the consent, and stays when one history is forgotten", async (t) => {
  const { folder, open } = await shop(t);
  writeFakeRelease(join(folder, "moved"));
  const tab = await open();
  const [before, forgotten, revoked] = await tab.evaluate(async ([view, cart]) => {
    (await create({ consent: true })).track("view", view);
    (await create({ consent: true, release: "/moved" })).track("cart", cart);
    await later();
    // As of the next visit, before its consent.
    const here = await create();
    const seen = [await stored()];
    await here.erase();
    seen.push(await stored());
    await here.consent.revoke();
    return [...seen, await stored()];
  }, [first, second]);
  assert.deepEqual([before.events, before.heads], [[first, second], 2]);
  assert.deepEqual(forgotten, { ...before, events: [second] });
  assert.deepEqual(revoked, NOTHING);
});

test("a shopper who never agreed gets no database when nothing is to be erased", async (t) => {
  const { open } = await shop(t);
  const tab = await open();
  assert.equal(await tab.evaluate(async () => {
    await create();
    await recommender.erase();
    await recommender.consent.revoke();
    return stored();
  }), "no database");
});

test("a browser that does not erase the history says so", async (t) => {
  const { open } = await shop(t);
  const tab = await open();
  assert.deepEqual(await tab.evaluate(async () => {
    await create({ consent: true, budget: 0 });
    IDBFactory.prototype.open = () => { throw new DOMException("not here", "SecurityError"); };
    return [await end(recommender.erase()), await end(recommender.consent.revoke())];
  }), ["storage/failed", "storage/failed"]);
});

/** Answers for the release's files as `answers` say, by the end of their path. */
async function answering(context, answers) {
  await context.route("**/release/**", (route) => {
    const [, answer] = Object.entries(answers).find(([path]) => route.request().url().endsWith(path)) ?? [];
    return answer === undefined ? route.fallback() : route.fulfill(answer);
  });
}

test("whatever is wrong at the release's address, what is whole on the device serves", async (t) => {
  const { context, open, publish } = await shop(t);
  const tab = await open();
  const visit = () => tab.evaluate((id) => create({ consent: true }).then(async () => {
    const { items } = await recommender.recommendedForYou();
    const found = [...state(), items.length];
    recommender.close();
    return found;
  }, ({ code }) => code), first);
  assert.deepEqual(await visit(), [1, "fresh", undefined, 12]);
  const next = publish({ version: 2, products: fakeProducts().slice(5) });
  const name = (path) => path.split("/").at(-1);
  const absent = { status: 404, body: "" };
  const login = { contentType: "text/html", body: "<html>Log in to the Wi-Fi" };
  for (const [answers, code] of [
    [{ [name(next.manifest)]: login }, "sync/digest-mismatch"],
    [{ [name(next.shard)]: absent }, "download/http-status"],
    [{ "head.json": login }, "sync/head-malformed"],
    [{ "head.json": { body: "x".repeat(4096) } }, "download/too-large"],
  ]) {
    await context.unroute("**/release/**");
    await answering(context, answers);
    assert.deepEqual(await visit(), [1, "stale", code, 12]);
  }
  await context.unroute("**/release/**");
  assert.deepEqual(await visit(), [2, "fresh", undefined, 12]);
});

test("a release of the device is stale until a newer one is whole", async (t) => {
  const { context, open, publish } = await shop(t);
  const tab = await open();
  await tab.evaluate(() => create({ consent: true }).then(() => recommender.close()));
  await context.route("**/release/**", (route) => route.abort("internetdisconnected"));
  await tab.evaluate(() => create({ consent: true }).then(() => undefined));
  assert.deepEqual(await tab.evaluate(() => state()), [1, "stale", "download/network"]);
  const next = publish({ version: 2, products: fakeProducts().slice(5) });
  await context.unroute("**/release/**");
  await answering(context, { [next.shard.split("/").at(-1)]: { status: 404, body: "" } });
  assert.equal(await tab.evaluate(() => end(recommender.sync())), "download/http-status");
  assert.deepEqual(await tab.evaluate(() => state()), [1, "stale", "download/http-status"]);
  await context.unroute("**/release/**");
  assert.equal(await tab.evaluate(() => end(recommender.sync())), "done");
  assert.deepEqual(await tab.evaluate(() => state()), [2, "fresh", undefined]);
});

test("a consent after a sync keeps the release that serves, and that alone", async (t) => {
  const { context, folder, open, publish, objects } = await shop(t);
  const tab = await open();
  await tab.evaluate(() => create().then(() => undefined));
  const next = publish({ version: 2, products: fakeProducts().slice(0, -5) });
  assert.equal(next.tower, objects.tower);
  for (const kind of ["manifest", "shard"]) rmSync(objects[kind]);
  await tab.evaluate(() => recommender.sync().then(() => recommender.consent.grant()));
  assert.deepEqual(await tab.evaluate(() => state()), [2, "fresh", undefined]);
  const { objects: kept, heads } = await tab.evaluate(() => stored());
  const manifest = JSON.parse(readFileSync(next.manifest, "utf8"));
  const named = manifest.objects.filter(({ kind }) => kind !== "cards").map(({ digest }) => digest);
  assert.deepEqual([kept, heads], [[...named, next.manifest.split("/").at(-1)].sort(), 1]);
  await tab.evaluate(() => recommender.close());
  await context.route("**/release/**", (route) => route.abort("internetdisconnected"));
  assert.deepEqual(await tab.evaluate(() => create({ consent: true }).then(state)), [2, "stale", "download/network"]);
});

test("an object that is gone when the shopper agrees costs no other, and no head says that the release is whole", async (t) => {
  const { open, objects } = await shop(t);
  const tab = await open();
  await tab.evaluate(() => create().then(() => undefined));
  rmSync(objects.tower);
  await tab.evaluate(() => recommender.consent.grant());
  assert.deepEqual(await tab.evaluate(() => state()), [1, "fresh", "storage/failed"]);
  const { objects: kept, heads } = await tab.evaluate(() => stored());
  assert.deepEqual([kept.length, heads], [3, 0]);
});

test("a release that weighs more than the budget is not kept without a word", async (t) => {
  const { open } = await shop(t);
  const tab = await open();
  const [state, { heads }, message] = await tab.evaluate(async () => {
    await create({ consent: true, budget: 4000 });
    return [globalThis.state(), await stored(), recommender.status().lastError?.message];
  });
  assert.deepEqual([state, heads], [[1, "fresh", "storage/failed"], 0]);
  assert.match(message, /budget of 4000 bytes/);
});

test("cards of a release before leave the page when a worker serves a newer one", async (t) => {
  const { open, publish } = await shop(t);
  const tab = await open();
  const shown = () => tab.evaluate(async (id) => {
    if (globalThis.recommender) await recommender.sync();
    else await create({ mode: "worker", cards: true });
    const { items } = await recommender.recommendedForYou({ limit: 500 });
    return [recommender.card(id)?.id, recommender.card(items[0].id)?.id === items[0].id];
  }, first);
  assert.deepEqual(await shown(), [first, true]);
  publish({ version: 2, products: fakeProducts().slice(1) });
  assert.deepEqual(await shown(), [undefined, true]);
});

test("what is open comes with its cards from a worker", async (t) => {
  const { open } = await shop(t);
  const tab = await open();
  assert.deepEqual(await tab.evaluate(async (ids) => {
    await create({ mode: "worker", cards: true });
    for (const id of ids) recommender.track("view", id);
    const { items } = await recommender.continueShopping();
    return items.map(({ id, card }) => [id, card?.id]);
  }, [first, second]), [[second, second], [first, first]]);
});

test("where the site's data are deleted behind its back, what comes later is stored, and a closed recommender is in nobody's way", async (t) => {
  const { open } = await shop(t);
  const tab = await open();
  const found = await tab.evaluate(async ([view, cart]) => {
    /** Whether the database went at once, and what of it: a connection that does not close would be waited for. */
    const deleted = () => new Promise((resolve) => {
      const request = indexedDB.deleteDatabase("nearshelf");
      request.onsuccess = () => resolve("deleted");
      request.onblocked = () => resolve("blocked");
    });
    await create({ consent: true });
    recommender.track("view", view);
    await later();
    const seen = [await deleted()];
    recommender.track("cart", cart);
    await later();
    await recommender.sync();
    const { events, heads } = await stored();
    seen.push(events, heads, recommender.status().lastError?.code);
    recommender.track("view", view);
    recommender.close();
    await later();
    return [...seen, (await stored()).events.length, await deleted()];
  }, [first, second]);
  assert.deepEqual(found, ["deleted", [second], 0, "storage/failed", 2, "deleted"]);
});
