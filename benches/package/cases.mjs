// node cases.mjs RELEASE CASES: random requests, answered by the package in Node and in Chromium. Prints JSON: cases, and those whose ids, order, scores or
// history differ in a single bit.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser, random, root, site, withFolder } from "./site.mjs";
import { serveSite } from "../../demo-site/serve.mjs";

const [release, cases] = process.argv.slice(2);
const SEED = 11;
const DAY_MS = 86_400_000;

// One text for both sides.
const ANSWER = `
  async ({ createRecommender }, release, requests) => {
    // Query towers may read how old an event is.
    Date.now = () => 1_700_000_000_000;
    const recommender = await createRecommender({ release });
    const answers = [];
    for (const { history, call, options } of requests) {
      for (const [type, id] of history) recommender.track(type, id);
      const { items, history: read, source, empty } = await recommender[call[0]](...call.slice(1), options);
      answers.push(JSON.stringify({ items: items.map(({ id, score, reason }) => [id, score, reason]), read, source, empty }));
      await recommender.erase();
    }
    recommender.close();
    return answers;
  }
`;
const SHOP = `
  import * as nearshelf from "nearshelf";
  await nearshelf.init("./nearshelf_bg.wasm");
  globalThis.answer = (requests) => (${ANSWER})(nearshelf, new URL("release/", document.baseURI), requests);
  document.body.dataset.ready = "";
`;

function requests(ids, categories, count) {
  const next = random(SEED);
  const one = (list) => list[Math.floor(next() * list.length)];
  return Array.from({ length: count }, () => {
    const history = Array.from({ length: Math.floor(next() * 20) }, () => [one(["view", "cart", "purchase"]), one(ids)]);
    const call = one([["recommendedForYou"], ["recommendedForYou"], ["relatedProducts", one(ids)], ["lookingSimilar", one(ids)], ["frequentlyBoughtTogether", [one(ids), one(ids)]]]);
    const filters = one([{}, {}, { price: { max: Math.floor(next() * 1000) } }, { category: [one(categories)] }]);
    const options = { limit: 1 + Math.floor(next() * 24), filters, exclude: [one(ids)], context: { now: Math.floor(next() * 3650) * DAY_MS } };
    return { history, call, options };
  });
}

await withFolder(async (folder) => {
  const server = await serveSite(await site(folder, release, SHOP));
  const nearshelf = await import(pathToFileURL(join(root, "pkg-js/dist/index.js")));
  const recommender = await nearshelf.createRecommender({ release: `${server.address}release/` });
  const cards = [...(await recommender.cards()).values()];
  recommender.close();
  const asked = requests(cards.map(({ id }) => id), [...new Set(cards.map(({ category }) => category[0] ?? ""))], Number(cases));
  const answer = (0, eval)(`(${ANSWER})`);
  const onServer = await answer(nearshelf, `${server.address}release/`, asked);
  const browser = await openBrowser();
  const page = await browser.newPage();
  await page.goto(server.address);
  await page.locator("body[data-ready]").waitFor({ state: "attached" });
  const inPage = await page.evaluate((asked) => globalThis.answer(asked), asked);
  await browser.close();
  await server.close();
  const differ = onServer.filter((text, place) => text !== inPage[place]).length;
  const filled = onServer.filter((text) => !text.startsWith('{"items":[]')).length;
  console.log(JSON.stringify({ cases: onServer.length, filled, differ }));
});
