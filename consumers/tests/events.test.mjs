// What the package posts to a shop's own address, from a page that is left.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { before, test } from "node:test";
import { serveSite } from "../../demo-site/serve.mjs";
import { page, prepared, project, withRelease } from "./helpers.mjs";

let browser;
let site;
before(async (t) => {
  const { tarball, release, ...found } = await prepared(t);
  browser = found.browser;
  site = project(t, tarball, { "index.html": page("") });
  withRelease(site, release);
});

/** A server on another origin; `next` gives the events of the next post. */
async function inbox(t) {
  const posts = [];
  const waiting = [];
  const server = createServer((request, response) => {
    const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "content-type", "Cross-Origin-Resource-Policy": "cross-origin" };
    const parts = [];
    request.on("data", (part) => parts.push(part)).on("end", () => {
      response.writeHead(204, headers).end();
      if (request.method !== "POST") return;
      const { events } = JSON.parse(Buffer.concat(parts).toString());
      const wants = waiting.shift();
      if (wants === undefined) posts.push(events);
      else wants(events);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return {
    url: `http://127.0.0.1:${server.address().port}/events`,
    posts,
    next: () => (posts.length > 0 ? Promise.resolve(posts.shift()) : new Promise((resolve) => waiting.push(resolve))),
  };
}

test("events are posted, and what is left when the page closes goes by a beacon; without consent nothing does", async (t) => {
  const { url, posts, next } = await inbox(t);
  const server = await serveSite(site);
  t.after(() => server.close());
  const context = await browser.newContext();
  t.after(() => context.close());
  const open = async (consent) => {
    const tab = await context.newPage();
    await tab.goto(server.address);
    return [tab, await tab.evaluate(async ([address, consent]) => {
      const { createRecommender } = await import("/node_modules/nearshelf/dist/index.js");
      globalThis.recommender = await createRecommender({ release: new URL("release/", document.baseURI), consent, events: { url: address, batch: 2 } });
      const { items, recommendationId } = await recommender.recommendedForYou();
      return { ids: items.map(({ id }) => id), recommendationId };
    }, [url, consent])];
  };
  const [silent] = await open(false);
  await silent.evaluate(() => recommender.track("click", "1"));
  await silent.close({ runBeforeUnload: true });

  const [tab, { ids, recommendationId }] = await open(true);
  await tab.evaluate((shown) => shown.forEach((id) => recommender.track("impression", id)), ids.slice(0, 2));
  assert.deepEqual((await next()).map(({ type, id }) => [type, id]), ids.slice(0, 2).map((id) => ["impression", id]));
  await tab.evaluate((id) => recommender.track("click", id), ids[0]);
  await tab.close({ runBeforeUnload: true });
  const [event] = await next();
  assert.deepEqual([event.type, event.id, event.recommendationId], ["click", ids[0], recommendationId]);
  assert.deepEqual(posts, []);
});
