// What the package keeps on a device, in a real Chromium: after consent, for the next visit, for other tabs, and offline.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { build as esbuild } from "esbuild";
import { serveSite } from "../../demo-site/serve.mjs";
import { page, prepared, project, withRelease } from "./helpers.mjs";

let browser;
let site;
let tarball;
let release;
before(async (t) => {
  ({ browser, tarball, release } = await prepared(t));
  site = project(t, tarball, { "index.html": page("") });
  withRelease(site, release);
});

/** A shopper's browser, and the shop's server, which counts the bytes of release files that it gives. */
async function visitor(t, folder = site) {
  const server = await serveSite(folder);
  t.after(() => server.close());
  const context = await browser.newContext();
  t.after(() => context.close());
  const asked = [];
  // With the browser's cache in between, nobody would see what the package itself keeps.
  await context.route("**/release/**", async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    asked.push({ path: new URL(route.request().url()).pathname, bytes: body.length });
    await route.fulfill({ response, body, headers: { ...response.headers(), "cache-control": "no-store" } });
  });
  return {
    asked,
    context,
    open: async () => {
      const tab = await context.newPage();
      tab.on("pageerror", (error) => t.diagnostic(`uncaught: ${error.message}`));
      await tab.goto(server.address);
      await tab.evaluate(async () => {
        const { createRecommender } = await import("/node_modules/nearshelf/dist/index.js");
        globalThis.start = async (options = {}) => {
          globalThis.recommender = await createRecommender({ release: new URL("release/", document.baseURI), ...options });
          const { items, history } = await recommender.recommendedForYou();
          return { ids: items.map(({ id }) => id), history, status: { ...recommender.status(), lastError: recommender.status().lastError?.code } };
        };
        globalThis.stored = async () => {
          const names = await indexedDB.databases();
          if (names.length === 0) return { objects: 0, events: 0, bytes: 0 };
          const database = await new Promise((resolve) => { indexedDB.open("nearshelf").onsuccess = (event) => resolve(event.target.result); });
          const all = (name) => new Promise((resolve) => { database.transaction(name).objectStore(name).getAll().onsuccess = (event) => resolve(event.target.result); });
          const [objects, uses, events] = [await all("objects"), await all("uses"), await all("events")];
          database.close();
          return { objects: objects.length, events: events.length, bytes: uses.reduce((sum, { size }) => sum + size, 0) };
        };
      });
      return tab;
    },
  };
}

const objects = (asked) => asked.filter(({ path }) => path.includes("/objects/"));

test("nothing is stored before consent, and after it the next visit downloads the head alone", async (t) => {
  const { asked, open } = await visitor(t);
  const first = await open();
  const row = await first.evaluate(() => start());
  assert.equal(row.status.mode, "worker");
  await first.evaluate((id) => recommender.track("view", id), row.ids[0]);
  assert.deepEqual(await first.evaluate(() => stored()), { objects: 0, events: 0, bytes: 0 });
  assert.equal(await first.evaluate(() => recommender.consent.granted), false);

  await first.evaluate(() => recommender.consent.grant());
  const kept = await first.evaluate(() => stored());
  assert.equal(kept.events, 1);
  assert.equal(kept.objects, row.status.downloaded.files - 1, "all but the head");
  await first.close();

  const before = asked.length;
  const second = await open();
  const again = await second.evaluate(() => start({ consent: true }));
  assert.deepEqual(asked.slice(before).map(({ path }) => path), ["/release/head.json"]);
  assert.ok(asked[before].bytes <= 4096);
  assert.deepEqual(again.history, [row.ids[0]]);

  // Withdrawn while it is still being carried out, it leaves nothing either.
  await second.evaluate(async () => {
    await recommender.consent.revoke();
    await Promise.all([recommender.consent.grant(), recommender.consent.revoke()]);
  });
  assert.equal(await second.evaluate(() => recommender.status().lastError), undefined);
  assert.deepEqual(await second.evaluate(() => stored()), { objects: 0, events: 0, bytes: 0 });
  assert.deepEqual(await second.evaluate(() => recommender.history().length), 1);
});

test("a consent that is withdrawn says where the browser does not erase", async (t) => {
  const { open } = await visitor(t);
  const tab = await open();
  await tab.evaluate(() => start({ mode: "main" }));
  const code = await tab.evaluate(async () => {
    IDBFactory.prototype.open = () => { throw new DOMException("not here", "SecurityError"); };
    return recommender.consent.revoke().then(() => "none", (error) => `${error.name} ${error.code}`);
  });
  assert.equal(code, "NearshelfError storage/failed");
});

test("with the network off, the last release on the device serves and says that it is stale", async (t) => {
  const { context, open } = await visitor(t);
  const first = await open();
  const online = await first.evaluate(() => start({ consent: true }));
  await context.unroute("**/release/**");
  await context.route("**/release/**", (route) => route.abort("internetdisconnected"));
  const second = await open();
  const offline = await second.evaluate(() => start({ consent: true }));
  assert.deepEqual(offline.ids, online.ids);
  assert.deepEqual([offline.status.freshness, offline.status.lastError], ["stale", "download/network"]);
  const third = await open();
  const refused = await third.evaluate(() => start().catch(({ code }) => code));
  assert.equal(refused, "download/network");
});

test("with the service worker's help, the page comes back with the network off", async (t) => {
  const folder = project(t, tarball, {
    "dist/index.html": page(`<script type="module" src="./shop.js"></script>`),
    "shop.js": `
      import { createRecommender } from "nearshelf";
      const recommender = await createRecommender({ release: new URL("release/", document.baseURI), consent: true });
      await navigator.serviceWorker.register("./service.js", { type: "module" });
      await navigator.serviceWorker.ready;
      const { items } = await recommender.recommendedForYou();
      const { mode, freshness } = recommender.status();
      document.body.dataset.shown = JSON.stringify({ ids: items.map(({ id }) => id), mode, freshness });
    `,
    "service.js": `
      import { serveOffline } from "nearshelf/service-worker";
      serveOffline({ shell: ["./", "./shop.js", "./worker.js", "./wasm/nearshelf_bg.wasm"] });
    `,
  });
  const entryPoints = { "shop": "shop.js", "worker": "nearshelf/worker", "service": "service.js" };
  await esbuild({ absWorkingDir: folder, entryPoints, outdir: "dist/js", bundle: true, format: "esm", logLevel: "silent" });
  // The package looks for its WASM beside the folder of its scripts.
  for (const name of ["shop.js", "worker.js", "service.js"]) renameSync(join(folder, "dist/js", name), join(folder, "dist", name));
  mkdirSync(join(folder, "dist/wasm"));
  cpSync(join(folder, "node_modules/nearshelf/wasm/nearshelf_bg.wasm"), join(folder, "dist/wasm/nearshelf_bg.wasm"));
  withRelease(join(folder, "dist"), release);
  const server = await serveSite(join(folder, "dist"));
  const context = await browser.newContext();
  t.after(() => context.close());
  const shownBy = async (query = "") => {
    const tab = await context.newPage();
    await tab.goto(server.address + query);
    await tab.locator("body[data-shown]").waitFor({ state: "attached" });
    const text = await tab.locator("body").getAttribute("data-shown");
    await tab.close();
    return JSON.parse(text);
  };
  const online = await shownBy();
  assert.deepEqual([online.mode, online.freshness], ["worker", "fresh"]);
  // Not only the browser but the shop itself is gone.
  await server.close();
  assert.deepEqual(await shownBy(), { ...online, freshness: "stale" });
  assert.deepEqual(await shownBy("?utm_source=letter"), { ...online, freshness: "stale" });
});

test("what the service worker keeps is deleted on request, and kept again after the next consent", async (t) => {
  const folder = project(t, tarball, { "index.html": page(""), "service.js": `import { serveOffline } from "./node_modules/nearshelf/dist/service-worker.js"; serveOffline({ shell: ["./"] });` });
  const server = await serveSite(folder);
  t.after(() => server.close());
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  await tab.goto(server.address);
  const agree = () => tab.evaluate(async () => {
    const { keepOffline } = await import("./node_modules/nearshelf/dist/service-worker.js");
    await keepOffline("./service.js");
    await navigator.serviceWorker.ready;
  });
  const kept = () => tab.evaluate(async () => {
    const names = await caches.keys();
    return Promise.all(names.map(async (name) => [name, (await (await caches.open(name)).keys()).length]));
  });
  await agree();
  await tab.reload();
  assert.equal(await tab.evaluate(() => navigator.serviceWorker.controller !== null), true);
  assert.deepEqual(await kept(), [["nearshelf-shell 1", 1]]);
  await tab.evaluate(async () => {
    const { forgetOffline } = await import("./node_modules/nearshelf/dist/service-worker.js");
    await forgetOffline();
  });
  // The page is still the service worker's.
  await tab.reload();
  assert.deepEqual(await kept(), []);
  await agree();
  for (const end = Date.now() + 10_000; (await kept())[0]?.[1] !== 1; ) assert.ok(Date.now() < end, "nothing is kept again");
});

test("a copy that was damaged on the device is downloaded again", async (t) => {
  const { asked, open } = await visitor(t);
  const first = await open();
  const whole = await first.evaluate(() => start({ consent: true }));
  await first.evaluate(async () => {
    recommender.close();
    const database = await new Promise((resolve) => { indexedDB.open("nearshelf").onsuccess = (event) => resolve(event.target.result); });
    const store = database.transaction("objects", "readwrite").objectStore("objects");
    await new Promise((resolve) => {
      store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (cursor === null) return resolve();
        const bytes = cursor.value;
        bytes[bytes.length >> 1] ^= 1;
        cursor.update(bytes);
        cursor.continue();
      };
    });
    database.close();
  });
  const before = objects(asked).length;
  const second = await open();
  assert.deepEqual((await second.evaluate(() => start({ consent: true }))).ids, whole.ids);
  assert.equal(objects(asked).length - before, before);
  const third = await open();
  await third.evaluate(() => start({ consent: true }));
  assert.equal(objects(asked).length, 2 * before);
});

test("within its budget, what was not used for longest goes first", async (t) => {
  const { asked, open } = await visitor(t);
  const tab = await open();
  await tab.evaluate(() => start());
  const sizes = objects(asked).map(({ bytes }) => bytes);
  const budget = sizes.reduce((sum, bytes) => sum + bytes, 0) - 1;
  const second = await open();
  await second.evaluate((most) => start({ consent: true, budget: most }), budget);
  const { bytes, objects: count } = await second.evaluate(() => stored());
  assert.ok(bytes <= budget && count < sizes.length, `${bytes} of ${budget} bytes, ${count} of ${sizes.length} objects`);
});

test("tabs share the history, and forgetting it", async (t) => {
  const { open } = await visitor(t);
  const [one, two] = [await open(), await open()];
  const { ids } = await one.evaluate(() => start({ consent: true }));
  await two.evaluate(() => start({ consent: true }));
  await one.evaluate((id) => recommender.track("view", id), ids[0]);
  await two.waitForFunction(() => recommender.history().length === 1);
  await two.evaluate((id) => recommender.track("cart", id), ids[1]);
  await one.waitForFunction(() => recommender.history().length === 2);
  await two.evaluate(() => recommender.erase());
  await one.waitForFunction(() => recommender.history().length === 0);
  assert.equal((await one.evaluate(() => stored())).events, 0);
  // Consent is one shopper's, not one tab's.
  await one.evaluate(() => recommender.consent.revoke());
  await two.waitForFunction(() => !recommender.consent.granted);
  await two.evaluate((id) => recommender.track("view", id), ids[2]);
  await two.waitForFunction(async () => (await stored()).objects === 0);
  assert.deepEqual(await two.evaluate(() => stored()), { objects: 0, events: 0, bytes: 0 });
});

test("two tabs that open at once download once", async (t) => {
  const { asked, open } = await visitor(t);
  const tabs = [await open(), await open()];
  const rows = await Promise.all(tabs.map((tab) => tab.evaluate(() => start({ consent: true }))));
  assert.deepEqual(rows[0].ids, rows[1].ids);
  const paths = objects(asked).map(({ path }) => path);
  assert.equal(new Set(paths).size, paths.length, "an object was downloaded twice");
});

test("a tab that is killed in the middle of a sync harms neither the other nor the next", async (t) => {
  const ROUNDS = 8;
  let twice = 0;
  let all = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const { asked, open, context } = await visitor(t);
    const [one, two] = [await open(), await open()];
    const killed = one.evaluate(() => start({ consent: true })).catch(() => undefined);
    const rows = two.evaluate(() => start({ consent: true }));
    // The tab goes when its share of the objects has been asked for.
    while (asked.length < 1 + round % 4) await new Promise((resolve) => setImmediate(resolve));
    await one.close();
    await killed;
    const { ids, status } = await rows;
    assert.equal(ids.length, 12);
    assert.equal(status.lastError, undefined);
    const three = await open();
    const before = objects(asked).length;
    assert.deepEqual((await three.evaluate(() => start({ consent: true }))).ids, ids);
    assert.equal(objects(asked).length, before, "what the second tab had was downloaded by a third");
    const distinct = new Set(objects(asked).map(({ path }) => path)).size;
    twice += objects(asked).length - distinct;
    all += distinct;
    await context.close();
  }
  t.diagnostic(`${twice} of ${all} objects were downloaded twice over ${ROUNDS} kills`);
});
