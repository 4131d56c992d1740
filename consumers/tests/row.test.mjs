// <nearshelf-row> in a real Chromium: what it shows, says and keeps still, and a row that a server made.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { serveSite, siteHandler } from "../../demo-site/serve.mjs";
import { page, prepared, project, withRelease } from "./helpers.mjs";

const MAP = `<script type="importmap">{ "imports": {
  "nearshelf": "./node_modules/nearshelf/dist/index.js", "nearshelf/row": "./node_modules/nearshelf/dist/row.js" } }</script>`;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser;
let site;
before(async (t) => {
  const { tarball, release, ...found } = await prepared(t);
  browser = found.browser;
  site = project(t, tarball, {
    "index.html": page(`${MAP}<style>nearshelf-row { display: block; min-height: 10rem; }</style><nearshelf-row heading="For you" limit="6"></nearshelf-row><p id="below">below</p>
      <script type="module">
        import { createRecommender } from "nearshelf";
        import { defineRow } from "nearshelf/row";
        globalThis.shifts = 0;
        new PerformanceObserver((list) => { for (const { value } of list.getEntries()) globalThis.shifts += value; }).observe({ type: "layout-shift", buffered: true });
        defineRow();
        const row = document.querySelector("nearshelf-row");
        row.markup = { href: ({ id }) => "#" + id };
        globalThis.tracked = [];
        globalThis.recommender = await createRecommender({ release: new URL("release/", document.baseURI), cards: true });
        const track = recommender.track.bind(recommender);
        recommender.track = (...event) => { tracked.push(event); track(...event); };
        row.addEventListener("nearshelf-shown", () => { document.body.dataset.shown = "true"; });
        row.recommender = recommender;
      </script>`),
    // Recommenders whose answers wait as long as a test says.
    "made-up.html": page(`${MAP}<script type="module">
        import { defineRow } from "nearshelf/row";
        defineRow();
        globalThis.sleep = (ms) => new Promise((done) => setTimeout(done, ms));
        globalThis.asked = [];
        globalThis.tracked = [];
        globalThis.madeUp = (name, ms = 0) => ({
          track: (type, id, { recommendationId }) => tracked.push([name, type, id, recommendationId]),
          recommendedForYou: async ({ signal, limit }) => {
            asked.push(name);
            await sleep(ms);
            signal.throwIfAborted();
            const items = Array.from({ length: limit }, (_, place) => ({ id: name + place, score: -place, reason: "default" }));
            return { items, recommendationId: "by " + name };
          },
        });
        globalThis.newRow = (attributes = {}) => {
          const row = document.createElement("nearshelf-row");
          for (const [name, value] of Object.entries({ limit: 8, ...attributes })) row.setAttribute(name, value);
          row.markup = { href: ({ id }) => "#" + id };
          return document.body.appendChild(row);
        };
        globalThis.shown = (row) => [...row.shadowRoot.querySelectorAll("li[data-id]")].map(({ dataset }) => dataset.id);
        globalThis.next = (row) => new Promise((done) => row.addEventListener("nearshelf-shown", done, { once: true }));
        document.body.dataset.shown = "true";
      </script>`),
  });
  withRelease(site, release);
});

async function open(t, path = "", address = undefined) {
  const server = address === undefined ? await serveSite(site) : { address, close: () => undefined };
  t.after(() => server.close());
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
  t.after(() => context.close());
  const tab = await context.newPage();
  const printed = [];
  const asked = [];
  tab.on("console", (message) => printed.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => printed.push(`uncaught: ${error.message}`));
  tab.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await tab.goto(server.address + path);
  return { tab, printed, asked };
}

test("it is a list with a name, keeps what is below it still, and tells what was seen and clicked", async (t) => {
  const { tab, printed } = await open(t);
  const before = await tab.locator("#below").boundingBox();
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  assert.deepEqual(await tab.locator("#below").boundingBox(), before);
  const list = tab.getByRole("list", { name: "For you" });
  assert.equal(await list.getByRole("listitem").count(), 6);
  assert.ok((await list.getByRole("listitem").first().textContent()).trim().length > 3);
  await tab.waitForFunction(() => tracked.filter(([type]) => type === "impression").length >= 3);
  const [, id, { recommendationId }] = await tab.evaluate(() => tracked[0]);
  assert.equal(recommendationId, await tab.evaluate(() => document.querySelector("nearshelf-row").row.recommendationId));

  await tab.keyboard.press("Tab");
  await tab.keyboard.press("Tab");
  await tab.keyboard.press("Enter");
  const first = await tab.evaluate(() => document.querySelector("nearshelf-row").row.items[0].id);
  assert.equal(new URL(tab.url()).hash, `#${first}`);
  assert.deepEqual(await tab.evaluate(() => tracked.find(([type]) => type === "click")?.slice(0, 2)), ["click", first]);
  assert.ok((await tab.evaluate(() => tracked.filter(([type, of]) => type === "impression" && of === tracked[0][1]).length)) === 1, `${id} is tracked twice`);

  // Another product's row, and one that fails: what was there stays.
  const related = await tab.evaluate(async (of) => {
    const row = document.querySelector("nearshelf-row");
    row.request = (recommender, options) => recommender.relatedProducts(of, options);
    await row.refresh();
    const ids = row.row.items.map((item) => item.id);
    let error;
    row.addEventListener("nearshelf-error", ({ detail }) => { error = detail.code; });
    row.request = (recommender, options) => recommender.recommendedForYou({ ...options, limit: 0 });
    await row.refresh();
    return { ids, after: row.row.items.map((item) => item.id), error, of };
  }, first);
  assert.ok(related.ids.length === 6 && !related.ids.includes(first));
  assert.deepEqual(related.after, related.ids);
  assert.equal(related.error, "request/limit");
  assert.equal(await tab.evaluate(() => globalThis.shifts), 0);
  assert.deepEqual(printed, []);
});

test("what a server made is shown without a script, taken over without a request, and is nothing but text", async (t) => {
  const { renderSnapshot } = await import(pathToFileURL(join(site, "node_modules/nearshelf/dist/row.js")).href);
  const nasty = `<img src=x onerror="alert(1)">&"'</script>`;
  const items = [nasty, "2", "3"].map((title, place) => ({ id: String(place), score: -place, reason: "history", card: { id: String(place), title, category: [], popularity: 1, price: 199 } }));
  const row = { items, recommendationId: "server", history: [], source: "history", status: { name: "s", version: 1, freshness: "fresh" }, timings: { tower: 0, search: 0, rank: 0 }, bytes: 0 };
  const { html } = renderSnapshot(row, { heading: nasty, href: ({ id }) => `#${id}"` });
  writeFileSync(join(site, "server.html"), page(`${MAP}${html}
    <script type="module">
      import { defineRow } from "nearshelf/row";
      globalThis.without = document.querySelector("nearshelf-row").shadowRoot.innerHTML;
      defineRow();
      const row = document.querySelector("nearshelf-row");
      globalThis.tracked = [];
      globalThis.asked = 0;
      row.recommender = { track: (...event) => tracked.push(event), recommendedForYou: () => { globalThis.asked += 1; return new Promise(() => undefined); } };
      document.body.dataset.shown = "true";
    </script>`));
  const { tab, printed, asked } = await open(t, "server.html");
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  assert.equal(await tab.getByRole("listitem").count(), 3);
  assert.equal(await tab.getByRole("heading").textContent(), nasty);
  assert.ok((await tab.getByRole("listitem").first().textContent()).includes(nasty));
  assert.equal(await tab.evaluate(() => document.querySelector("nearshelf-row").shadowRoot.innerHTML === globalThis.without), true);
  assert.equal(await tab.evaluate(() => globalThis.asked), 0);
  assert.ok(asked.every((path) => !path.startsWith("/release/") && path !== "/x"), String(asked));
  await tab.waitForFunction(() => tracked.some(([type, , { recommendationId }]) => type === "impression" && recommendationId === "server"));

  assert.deepEqual(printed, []);

  // What a script puts into the page as HTML has no shadow tree; its row is taken over all the same.
  const titles = await tab.evaluate((text) => {
    const place = document.body.appendChild(document.createElement("div"));
    place.innerHTML = text;
    const row = place.firstElementChild;
    row.recommender = document.querySelector("nearshelf-row").recommender;
    return [...row.shadowRoot.querySelectorAll("li .title")].map(({ textContent }) => textContent);
  }, html);
  assert.deepEqual(titles, [nasty, "2", "3"]);
  assert.equal(await tab.evaluate(() => globalThis.asked), 0);
  // Chromium says itself that it leaves the shadow tree unread.
  assert.deepEqual(printed.filter((line) => !/declarative shadowrootmode/i.test(line)), []);
});

test("a server's row that comes when the element is defined already is taken over all the same", async (t) => {
  const { renderSnapshot } = await import(pathToFileURL(join(site, "node_modules/nearshelf/dist/row.js")).href);
  const items = ["1", "2", "3"].map((id) => ({ id, score: 0, reason: "default" }));
  const { html } = renderSnapshot({ items, recommendationId: "server" }, { heading: "For you" });
  let rest;
  const isDefined = new Promise((done) => { rest = done; });
  const files = siteHandler(site);
  const server = createServer(async (request, response) => {
    if (request.url === "/defined") return rest(response.writeHead(204).end());
    if (request.url !== "/streamed.html") return files(request, response);
    response.writeHead(200, { "content-type": "text/html" });
    // As some chat or advertisement does, a script puts something behind what the parser is at.
    response.write(page(`${MAP}<script async type="module">
      import { defineRow } from "nearshelf/row";
      defineRow();
      globalThis.asked = 0;
      new MutationObserver(() => {
        const row = document.querySelector("nearshelf-row");
        if (row === null || row.recommender !== undefined) return;
        row.recommender = { track: () => undefined, recommendedForYou: () => { globalThis.asked += 1; return new Promise(() => undefined); } };
        row.setAttribute("heading", "Yours");
        document.body.append(document.createElement("aside"));
      }).observe(document, { childList: true, subtree: true });
      await fetch("/defined");
    </script>`).replace("</body>", `<main>${" ".repeat(2000)}`));
    await isDefined;
    // Cut within the element, behind its start tag, and within its data.
    const cuts = [0, html.indexOf("<template") + 5, html.indexOf("application/json") + 40, html.length];
    for (const [place, cut] of cuts.slice(1).entries()) {
      response.write(html.slice(cuts[place], cut));
      await new Promise((done) => setTimeout(done, 150));
    }
    response.end("</main></body>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => new Promise((done) => { server.close(done); server.closeAllConnections(); }));
  const { tab, printed } = await open(t, "streamed.html", `http://127.0.0.1:${server.address().port}/`);
  const found = await tab.evaluate(() => {
    const row = document.querySelector("nearshelf-row");
    const ids = [...row.shadowRoot.querySelectorAll("li")].map(({ dataset }) => dataset.id);
    return { ids, heading: row.shadowRoot.querySelector("h2").textContent, by: row.row?.recommendationId, isStray: row.querySelector("template") !== null, asked };
  });
  assert.deepEqual(found, { ids: ["1", "2", "3"], heading: "Yours", by: "server", isStray: false, asked: 0 });
  assert.deepEqual(printed, []);
});

test("moved while a row is on its way, it asks again; moved after, it does not", async (t) => {
  const { tab, printed } = await open(t, "made-up.html");
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  const found = await tab.evaluate(async () => {
    const row = newRow();
    const place = document.body.appendChild(document.createElement("div"));
    const errors = [];
    row.addEventListener("nearshelf-error", ({ detail }) => errors.push(detail));
    row.recommender = madeUp("a", 50);
    await sleep(10);
    const first = next(row);
    place.append(row);
    await Promise.race([first, sleep(2000)]);
    const whenFirst = [...asked];
    document.body.append(row);
    await sleep(100);
    const whenMoved = [...asked];
    // A new row, for which the one that is there makes way, is not lost either.
    void row.refresh();
    place.append(row);
    await sleep(200);
    return { ids: shown(row).length, whenFirst, whenMoved, atLast: asked, errors };
  });
  assert.deepEqual(found, { ids: 8, whenFirst: ["a", "a"], whenMoved: ["a", "a"], atLast: ["a", "a", "a", "a"], errors: [] });
  assert.deepEqual(printed, []);
});

test("another recommender is asked anew, and hears of its own row", async (t) => {
  const { tab, printed } = await open(t, "made-up.html");
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  const found = await tab.evaluate(async () => {
    const [a, b] = [madeUp("a"), madeUp("b", 100)];
    const row = newRow();
    const first = next(row);
    row.recommender = a;
    await first;
    row.recommender = a;
    const second = next(row);
    row.recommender = b;
    await Promise.race([second, sleep(2000)]);
    row.shadowRoot.querySelector("a").click();
    const followed = [shown(row)[0], tracked.find(([, type]) => type === "click")];
    // Back before the other one has answered: what it says then is nobody's.
    row.recommender = a;
    row.recommender = b;
    row.recommender = a;
    await sleep(300);
    const back = shown(row)[0];
    row.recommender = b;
    row.recommender = undefined;
    await sleep(300);
    return { followed, back, without: shown(row)[0], again: asked.slice(0, 2) };
  });
  assert.deepEqual(found, { followed: ["b0", ["b", "click", "b0", "by b"]], back: "a0", without: "a0", again: ["a", "b"] });
  assert.deepEqual(printed, []);
});

test("the keyboard and what is in sight stay where they were when a row is shown anew", async (t) => {
  const { tab, printed } = await open(t, "made-up.html");
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  const found = await tab.evaluate(async () => {
    const row = newRow({ limit: 20, heading: "For you" });
    const first = next(row);
    const recommender = row.recommender = madeUp("a");
    await first;
    const at = () => {
      const { activeElement } = row.shadowRoot;
      const place = activeElement?.closest("li");
      return [activeElement?.localName, place?.dataset.id, place && Math.round(place.getBoundingClientRect().left)];
    };
    const tenth = row.shadowRoot.querySelectorAll("a")[9];
    row.shadowRoot.querySelector("ul").scrollTo({ left: 1500, behavior: "instant" });
    tenth.focus({ preventScroll: true });
    const all = [at()];
    await row.refresh();
    all.push(at());
    row.markup = { href: ({ id }) => "#" + id, price: () => "" };
    all.push(at());
    // The product moves up by two places, so the list moves along.
    row.request = async (...asked) => {
      const made = await recommender.recommendedForYou(asked[1]);
      return { ...made, items: made.items.slice(2) };
    };
    await next(row);
    all.push(at());
    row.request = async (...asked) => {
      const made = await recommender.recommendedForYou(asked[1]);
      return { ...made, items: made.items.filter(({ id }) => id !== "a9") };
    };
    await next(row);
    all.push(at());
    return { all, left: row.shadowRoot.querySelector("ul").scrollLeft };
  });
  const [before, ...after] = found.all;
  assert.deepEqual(before.slice(0, 2), ["a", "a9"]);
  assert.deepEqual(after, [before, before, before, ["ul", undefined, null]]);
  assert.ok(found.left > 1000, String(found.left));
  assert.deepEqual(printed, []);
});

test("its list has a name with a heading or without, the focus is seen, and axe-core finds nothing", async (t) => {
  const { renderSnapshot } = await import(pathToFileURL(join(site, "node_modules/nearshelf/dist/row.js")).href);
  const { html } = renderSnapshot({ items: [{ id: "1", score: 0, reason: "default" }], recommendationId: "server" }, { label: "Of a server", href: () => "#1" });
  const { tab, printed } = await open(t, "made-up.html");
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  await tab.evaluate(async (text) => {
    document.documentElement.lang = "en";
    const main = document.body.appendChild(document.createElement("main"));
    main.innerHTML = "<h1>Shop</h1>";
    main.append(...[{ heading: "For you" }, { "aria-label": "Picked" }, { "aria-label": "One moment" }, { heading: "Nothing" }].map(newRow));
    main.append(document.createRange().createContextualFragment(text));
    const [first, second, , empty, served] = document.querySelectorAll("nearshelf-row");
    const shown = [first, second, empty].map(next);
    first.recommender = madeUp("a");
    second.recommender = madeUp("b");
    empty.request = async () => ({ items: [], recommendationId: "empty" });
    empty.recommender = madeUp("c");
    served.recommender = madeUp("d");
    await Promise.all(shown);
  }, html);
  for (const name of ["For you", "Picked", "Of a server"]) assert.equal(await tab.getByRole("list", { name, exact: true }).count(), 1, name);
  await tab.evaluate(() => document.querySelector("[aria-label=Picked]").setAttribute("aria-label", "Chosen"));
  assert.equal(await tab.getByRole("list", { name: "Chosen", exact: true }).count(), 1);

  await tab.evaluate(AXE);
  const violations = await tab.evaluate(async () => (await axe.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ html, target }) => `${id}: ${target} ${html}`)));
  assert.deepEqual(violations, []);

  // What is drawn outside of a place is cut off, so the outline is inside.
  const link = tab.getByRole("list", { name: "For you" }).getByRole("link").first();
  await tab.keyboard.press("Tab");
  for (const focused of [tab.getByRole("list", { name: "For you" }), link]) {
    const { width, offset, isFocused } = await focused.evaluate((element) => {
      const { outlineWidth, outlineOffset } = getComputedStyle(element);
      return { width: parseFloat(outlineWidth), offset: parseFloat(outlineOffset), isFocused: element.matches(":focus-visible") };
    });
    assert.ok(isFocused && width >= 2 && offset <= -width, JSON.stringify({ isFocused, width, offset }));
    await tab.keyboard.press("Tab");
  }
  assert.deepEqual(printed.filter((line) => !/declarative shadowrootmode/i.test(line)), []);
});

test("lists are rows like others: with reasons and pictures, whole, in the places that were kept free; or empty, and why", async (t) => {
  const { tab, printed } = await open(t);
  await tab.locator("body[data-shown]").waitFor({ state: "attached" });
  const found = await tab.evaluate(async () => {
    const WHY = { trending: "Selling fast", together: "Often in the same basket" };
    const row = async (request) => {
      const element = document.createElement("nearshelf-row");
      element.innerHTML = "<p slot=empty>Nothing goes with this yet.</p>";
      element.setAttribute("limit", "4");
      element.markup = { href: ({ id }) => "#" + id, image: () => "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>", note: ({ reason }) => WHY[reason] };
      document.body.append(element);
      const before = element.offsetHeight;
      element.request = request;
      const shown = new Promise((done) => element.addEventListener("nearshelf-shown", done, { once: true }));
      element.recommender = recommender;
      await shown;
      const items = [...element.shadowRoot.querySelectorAll("li")];
      const isWhole = items.every((item) => [...item.querySelectorAll("img, .title, .price, .note")].every((part) => part.getBoundingClientRect().bottom <= item.getBoundingClientRect().bottom));
      return { ids: items.map(({ dataset }) => dataset.id), notes: items.map((item) => item.querySelector(".note")?.textContent), isWhole, grown: element.offsetHeight - before, empty: element.row.empty };
    };
    const trending = await row((recommender, options) => recommender.trendingItems(options));
    const together = await row((recommender, options) => recommender.frequentlyBoughtTogether(trending.ids[0], options));
    const none = await row((recommender, options) => recommender.trendingItems({ ...options, category: "no such" }));
    return { trending, together, none };
  });
  for (const [name, note] of [["trending", "Selling fast"], ["together", "Often in the same basket"]]) {
    const { ids, ...row } = found[name];
    assert.equal(new Set(ids).size, 4);
    assert.deepEqual(row, { notes: Array(4).fill(note), isWhole: true, grown: 0, empty: undefined }, name);
  }
  assert.deepEqual([found.none.ids, found.none.empty], [[], "no-data"]);
  assert.equal(await tab.getByText("Nothing goes with this yet.").last().isVisible(), true);
  assert.deepEqual(printed, []);
});
