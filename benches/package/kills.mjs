// node kills.mjs RELEASE KILLS: two tabs of one visitor sync at once, and one of them is killed at a random moment. Prints JSON: kills, those after which the
// other tab or a later one had other rows than without a kill or an error, and the bytes of the release that were sent beyond once, as a share.
import { openBrowser, random, serveSlowly, site, withFolder } from "./site.mjs";

const [release, kills] = process.argv.slice(2);
const PRODUCTS = 12;
const SEED = 7;

// Rows of products: each of them needs its own clusters.
const SHOP = `
  import { createRecommender, init } from "nearshelf";
  globalThis.sync = async (products) => {
    await init("./nearshelf_bg.wasm");
    const recommender = await createRecommender({ release: new URL("release/", document.baseURI), consent: true });
    const rows = [];
    for (const id of products) rows.push((await recommender.relatedProducts(id, { limit: 6 })).items.map((item) => item.id));
    const { lastError } = recommender.status();
    return { rows, error: lastError?.message };
  };
  globalThis.products = async () => {
    await init("./nearshelf_bg.wasm");
    const recommender = await createRecommender({ release: new URL("release/", document.baseURI) });
    return [...(await recommender.cards()).keys()];
  };
  document.body.dataset.ready = "";
`;

async function open(context, address) {
  const page = await context.newPage();
  await page.goto(address);
  await page.locator("body[data-ready]").waitFor({ state: "attached" });
  return page;
}

const sync = (page, products) => page.evaluate((products) => globalThis.sync(products), products);
const ofRelease = ({ path }) => path.includes("/release/objects/");
const sum = (answers) => answers.reduce((sum, { bytes }) => sum + bytes, 0);

await withFolder(async (folder) => {
  const server = await serveSlowly(await site(folder, release, SHOP));
  const browser = await openBrowser();
  const next = random(SEED);
  const all = await open(await browser.newContext(), server.address).then((page) => page.evaluate(() => globalThis.products()));
  let [harmed, twice, once] = [0, 0, 0];
  for (let kill = 0; kill < Number(kills); kill += 1) {
    const products = Array.from({ length: PRODUCTS }, () => all[Math.floor(next() * all.length)]);
    // Undisturbed: the rows, the time that they take, and what they need.
    const calm = await browser.newContext();
    const page = await open(calm, server.address);
    server.sent.length = 0;
    const started = performance.now();
    const { rows } = await sync(page, products);
    const time = performance.now() - started;
    const needed = sum(server.sent.filter(ofRelease));
    await calm.close();

    const context = await browser.newContext();
    const [one, two] = [await open(context, server.address), await open(context, server.address)];
    server.sent.length = 0;
    const killed = sync(one, products).catch(() => undefined);
    const other = sync(two, products).catch((cause) => ({ error: String(cause) }));
    await new Promise((resolve) => setTimeout(resolve, next() * time));
    await one.close();
    await killed;
    const answers = [await other, await open(context, server.address).then((page) => sync(page, products))];
    if (answers.some(({ rows: found, error }) => error !== undefined || JSON.stringify(found) !== JSON.stringify(rows))) harmed += 1;
    twice += sum(server.sent.filter(ofRelease)) - needed;
    once += needed;
    await context.close();
  }
  await browser.close();
  await server.close();
  console.log(JSON.stringify({ kills: Number(kills), harmed, twice: twice / once }));
});
