// What becomes of calls when the worker that holds the engine stops, in a real Chromium: each ends, with a row or a reason.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { serveSite } from "../../demo-site/serve.mjs";
import { page, prepared, project, withRelease } from "./helpers.mjs";

const PACKAGE = "/node_modules/nearshelf";

let browser;
let site;
before(async (t) => {
  const { tarball, release, ...found } = await prepared(t);
  browser = found.browser;
  site = project(t, tarball, {
    "index.html": page(""),
    // A trap leaves the engine locked: from then on it refuses every call.
    "trap.js": `
      import { Engine } from "${PACKAGE}/wasm/nearshelf.js";
      import "${PACKAGE}/dist/worker.js";
      Engine.prototype.recommend = () => {
        Engine.prototype.status = () => { throw new Error("recursive use of an object detected"); };
        throw new WebAssembly.RuntimeError("unreachable");
      };
    `,
    "gone.js": `
      import "${PACKAGE}/dist/worker.js";
      const answer = onmessage;
      onmessage = (event) => {
        if (event.data.call === "row") { close(); throw new Error("out of memory"); }
        answer(event);
      };
    `,
  });
  withRelease(site, release);
});

/** Runs `work` in a page with two helpers: `create`, and `end`, which gives what became of a call, `"never"` of one that does not end. */
async function inPage(t, work, argument) {
  const server = await serveSite(site);
  t.after(() => server.close());
  const tab = await browser.newPage();
  t.after(() => tab.close());
  await tab.goto(server.address);
  await tab.evaluate(async (path) => {
    const { createRecommender } = await import(`${path}/dist/index.js`);
    globalThis.create = (worker) => createRecommender({ release: new URL("release/", document.baseURI), worker });
    globalThis.end = (call, seconds = 3) => Promise.race([
      call.then((value) => value ?? "done", ({ code, message }) => code ?? message),
      new Promise((resolve) => { setTimeout(resolve, seconds * 1000, "never"); }),
    ]);
  }, PACKAGE);
  return tab.evaluate(work, argument);
}

test("after the engine has trapped in the worker every call ends", async (t) => {
  const ended = await inPage(t, async () => {
    const recommender = await create("trap.js");
    return [recommender.status().mode, await end(recommender.recommendedForYou()), await end(recommender.sync().then(() => recommender.status().release.version))];
  });
  assert.deepEqual(ended.slice(0, 2), ["worker", "engine/failed"]);
  assert.notEqual(ended[2], "never");
});

test("after the worker has stopped its calls fail, and so do later ones", async (t) => {
  const ended = await inPage(t, async () => {
    const recommender = await create("gone.js");
    return [await end(recommender.recommendedForYou()), await end(recommender.recommendedForYou()), await end(recommender.sync()), await end(recommender.consent.revoke())];
  });
  assert.deepEqual(ended, Array(4).fill("engine/failed"));
});

test("a worker that was closed, or whose script was not there, is done without", async (t) => {
  const ended = await inPage(t, async (path) => {
    const [closed, absent] = [`${path}/dist/worker.js`, "nowhere.js"].map((script) => new Worker(script, { type: "module" }));
    (await create(closed)).close();
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    return Promise.all([closed, absent].map((worker) => end(create(worker).then((recommender) => recommender.status().mode), 15)));
  }, PACKAGE);
  assert.deepEqual(ended, ["main", "main"]);
});
