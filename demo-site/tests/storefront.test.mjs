// The storefront in a real Chromium.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, test } from "node:test";
import { copyOf, DESKTOP, openBrowser, openProduct, PHONE, row, siteFolder, storefront } from "./helpers.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LIMIT = 12;
let site;
let browser;
before(async (t) => {
  site = await siteFolder(t);
  browser = await openBrowser(t);
});

/** Opens three products of the row, from ever farther back in it; gives the four rows and what was clicked. */
async function threeClicks(page) {
  const rows = [await row(page, 0)];
  const clicked = [];
  for (const place of [1, 5, 9]) {
    clicked.push(rows.at(-1)[place]);
    await openProduct(page, clicked.at(-1));
    rows.push(await row(page, clicked.length));
  }
  return { rows, clicked };
}

test("three clicks change the row three times, the same on every fresh page, with no request and nothing printed", async (t) => {
  const shop = await storefront(t, site, browser);
  const { page, printed, requests } = await shop.open();
  await row(page, 0);
  await page.waitForLoadState("networkidle");
  const loaded = requests.length;
  const { rows, clicked } = await threeClicks(page);
  rows.forEach((ids, i) => {
    assert.equal(new Set(ids).size, LIMIT, `row ${i} holds ${ids.length} products`);
    assert.ok(clicked.slice(0, i).every((id) => !ids.includes(id)), `row ${i} shows what was looked at`);
    const left = rows[i - 1]?.filter((id) => id !== clicked[i - 1]);
    assert.notDeepEqual(ids.slice(0, LIMIT - 1), left, `row ${i} only lost what was clicked`);
  });
  assert.deepEqual(requests.slice(loaded), [], "a row went to the network");
  assert.ok(requests.every((url) => url.startsWith(shop.address)), "the page asked somebody else");
  assert.equal(await page.locator("#panel-requests").textContent(), "0");

  const again = await shop.open();
  assert.deepEqual(await threeClicks(again.page), { rows, clicked });
  assert.deepEqual([...printed, ...again.printed], []);
  assert.equal(page.workers().length, 1, "the engine is not on a thread of its own");
});

test("without the worker's script, or where a policy forbids workers, the page does the work itself", async (t) => {
  const shop = await storefront(t, site, browser);
  const { page } = await shop.open();
  const first = await row(page, 0);
  for (const [name, forbid] of [
    ["no script", (route) => (route.request().url().endsWith("/worker.js") ? route.fulfill({ status: 404, body: "not here" }) : route.continue())],
    ["a policy", async (route) => {
      if (route.request().resourceType() !== "document") return route.continue();
      const response = await route.fetch();
      return route.fulfill({ response, headers: { ...response.headers(), "content-security-policy": "worker-src 'none'" } });
    }],
  ]) {
    const alone = await shop.open({ route: forbid });
    assert.deepEqual(await row(alone.page, 0), first, name);
    assert.equal(alone.page.workers().length, 0, name);
  }
});

test("the basket feeds the row, and forgetting brings the first row back", async (t) => {
  const shop = await storefront(t, site, browser);
  const { page, printed } = await shop.open();
  const first = await row(page, 0);
  await page.locator(`#row-list [data-id="${first[1]}"] .add`).click();
  const second = await row(page, 1);
  assert.ok(!second.includes(first[1]));
  assert.equal(second.length, LIMIT);
  await page.locator("#basket").click();
  await page.getByRole("button", { name: "One more of" }).click();
  assert.match(await page.locator("#basket").textContent(), /2 pieces/);
  await page.getByRole("button", { name: "Place the order" }).click();
  assert.ok(!(await row(page, 2)).includes(first[1]));
  await page.locator("#forget").click();
  assert.deepEqual(await row(page, 0), first);
  assert.deepEqual(printed, []);
});

test("search, aisles and going back find products", async (t) => {
  const shop = await storefront(t, site, browser);
  const { page, printed } = await shop.open();
  await row(page, 0);
  const name = (await page.locator("#below .tile a.name").first().textContent()).split(" ")[0];
  await page.locator("#search").fill(name);
  // The address changes before the page does, so each step waits for what the page says.
  await page.getByRole("heading", { level: 1, name: `“${name}”` }).waitFor();
  assert.match(await page.locator("#above .tile a.name").first().textContent(), new RegExp(name, "i"));
  await page.locator("#search").fill("zzzz");
  await page.getByText("Nothing in the shop is called that").waitFor();
  const aisle = await page.locator("#aisles a span").first().textContent();
  await page.locator("#aisles a").first().click();
  await page.getByRole("heading", { level: 1, name: aisle }).waitFor();
  const product = page.locator("#below .tile").first();
  const id = await product.getAttribute("data-id");
  await product.locator("a.name").click();
  await page.waitForURL((url) => url.hash === `#/item/${id}`);
  await row(page, 1);
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: aisle }).waitFor();
  assert.deepEqual(printed, []);
});

test("the keyboard alone opens a product, fills the basket and keeps a visible focus", async (t) => {
  const shop = await storefront(t, site, browser);
  const { page } = await shop.open();
  const first = await row(page, 0);
  const focused = () => page.evaluate(() => {
    const { id, tagName, className } = document.activeElement;
    return id || `${tagName}.${className}`;
  });
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "skip");
  assert.ok(await page.locator("#skip").evaluate((link) => link.getBoundingClientRect().top >= 0), "the skip link stays hidden");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "main");
  for (let i = 0; i < 10 && (await focused()) !== "A.name"; i++) await page.keyboard.press("Tab");
  assert.equal(await focused(), "A.name");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement, "::after").outlineStyle);
  assert.equal(outline, "solid", "the focus cannot be seen");

  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.hash === `#/item/${first[1]}`);
  await row(page, 1);
  assert.equal(await focused(), "H1.");
  assert.match(await page.locator("#row-news").textContent(), /has changed/);
  assert.equal(await page.locator("#row-news").getAttribute("aria-live"), "polite");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "BUTTON.add");
  await page.keyboard.press("Enter");
  const second = await row(page, 2);
  await page.locator("#row-list a.name").first().focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await row(page, 3);
  assert.equal(await focused(), "A.name", "adding from the row lost the focus");
  assert.ok(!(await row(page, 3)).includes(second[0]));
});

test("on a phone nothing is wider than the screen, and the panel folds", async (t) => {
  const shop = await storefront(t, site, browser);
  const { page, printed } = await shop.open({ viewport: PHONE, hasTouch: true, isMobile: true });
  const [first] = await row(page, 0);
  const aisle = await page.locator("#aisles a").first().getAttribute("href");
  await page.locator("#row-list .add").first().tap();
  for (const hash of [undefined, aisle, `#/item/${first}`, "#/search/a", "#/basket"]) {
    if (hash !== undefined) {
      const before = await page.title();
      await page.goto(`${shop.address}${hash}`);
      await page.waitForFunction((title) => document.title !== title, before);
    }
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `${hash ?? "the front page"} is ${width} pixels wide`);
  }
  assert.ok(await page.locator("#panel-body").isHidden());
  await page.locator("#panel-toggle").tap();
  assert.ok(await page.locator("#panel-body").isVisible());
  assert.deepEqual(printed, []);
});

/** The contrast of every text on the page with what lies behind it, where that is one colour. */
function faintTexts() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  return [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility({ opacityProperty: true }) && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "")).flatMap((element) => {
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return contrast < 4.5 ? [`${element.textContent.trim()}: ${contrast.toFixed(2)}`] : [];
  });
}

test("nothing moves while the shop fills, and axe-core finds nothing", async (t) => {
  const shop = await storefront(t, site, browser);
  for (const viewport of [DESKTOP, PHONE]) {
    // A tile that fades in stands out when it is there.
    const { page, printed } = await shop.open({ viewport, reducedMotion: "reduce", init: `
      globalThis.moved = [];
      new PerformanceObserver((list) => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
          if (!hadRecentInput) globalThis.moved.push(value + " " + sources.map(({ node }) => node?.outerHTML?.slice(0, 100)).join(" "));
        }
      }).observe({ type: "layout-shift", buffered: true });
    ` });
    const [, second] = await row(page, 0);
    await page.waitForLoadState("networkidle");
    assert.deepEqual(await page.evaluate(() => globalThis.moved), []);
    for (const open of [() => undefined, () => openProduct(page, second), () => page.locator("article.product .add").click(), () => page.locator("#basket").click()]) {
      await open();
      await page.evaluate(AXE);
      const violations = await page.evaluate(async () => (await globalThis.axe.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`)));
      assert.deepEqual(violations, []);
    }
    assert.deepEqual(printed, []);
  }
});

test("text stands out by day and by night", async (t) => {
  const shop = await storefront(t, site, browser);
  for (const colorScheme of ["light", "dark"]) {
    const { page } = await shop.open({ colorScheme, reducedMotion: "reduce" });
    const [first] = await row(page, 0);
    assert.deepEqual(await page.evaluate(faintTexts), [], colorScheme);
    await openProduct(page, first);
    await row(page, 1);
    assert.deepEqual(await page.evaluate(faintTexts), [], colorScheme);
  }
});

/** Flips a bit in the middle of the largest object of a site's release. */
function damage(folder) {
  const objects = join(folder, "release/objects");
  const [largest] = readdirSync(objects).map((name) => join(objects, name)).sort((a, b) => statSync(b).size - statSync(a).size);
  const bytes = readFileSync(largest);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(largest, bytes);
  return () => {
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(largest, bytes);
  };
}

test("a damaged release is refused with a message, and trying again works once it is repaired", async (t) => {
  const folder = copyOf(t, site);
  const repair = damage(folder);
  const shop = await storefront(t, folder, browser);
  const { page } = await shop.open();
  await page.getByRole("heading", { name: "The shop cannot open" }).waitFor();
  assert.match(await page.locator("#failure-text").textContent(), /damaged/);
  assert.match(await page.locator("#failure-code").textContent(), /^(sync|shard|release|towers)\/[a-z-]+: /);
  repair();
  await page.getByRole("button", { name: "Try again" }).click();
  assert.equal((await row(page, 0)).length, LIMIT);
});

test("a missing release is named as missing", async (t) => {
  const folder = copyOf(t, site);
  rmSync(join(folder, "release"), { recursive: true });
  const shop = await storefront(t, folder, browser);
  const { page } = await shop.open();
  await page.getByRole("heading", { name: "The shop cannot open" }).waitFor();
  assert.match(await page.locator("#failure-text").textContent(), /no release to show/);
  assert.match(await page.locator("#failure-code").textContent(), /^download\/http-status: .*head\.json/);
});

const screenshots = process.env.NEARSHELF_SCREENSHOTS;
test("screenshots", { skip: screenshots ? false : "NEARSHELF_SCREENSHOTS names no folder" }, async (t) => {
  mkdirSync(screenshots, { recursive: true });
  const shop = await storefront(t, site, browser);
  for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    const { page } = await shop.open({ viewport, deviceScaleFactor: name === "phone" ? 2 : 1, reducedMotion: "reduce", now: null });
    await row(page, 0);
    for (const [events, place] of [[1, 3], [2, 8], [3, 14]]) {
      await page.locator("#below .tile a.name").nth(place).click();
      await row(page, events);
      await page.locator(".logo").click();
      await page.locator(".hero").waitFor();
    }
    const path = join(screenshots, `storefront-${name}.png`);
    await page.screenshot({ path });
    t.diagnostic(`${path}: ${statSync(path).size} bytes`);
  }
});
