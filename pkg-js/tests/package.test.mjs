// What npm would publish, installed into an empty project: it loads in Node, type-checks for its users, and stays small.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { LIMITS, sizes } from "../build.mjs";
import { writeFakeRelease } from "./fake-engine/release.mjs";
import { fakePackageFolder, packageFolder, serveFolder, temporaryFolder } from "./helpers.mjs";

const release = process.env.NEARSHELF_RELEASE;
/** With a query tower that is an ONNX graph. */
const onnxRelease = process.env.NEARSHELF_ONNX_RELEASE;
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

/** An empty project with the tarball of `folder` installed. */
function install(t, folder) {
  const project = temporaryFolder(t);
  const npm = (...args) => execFileSync("npm", [...args, "--loglevel=error"], { cwd: project, encoding: "utf8" });
  const [{ filename }] = JSON.parse(npm("pack", folder, "--json"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  npm("install", "--offline", "--no-audit", "--no-fund", `./${filename}`);
  return project;
}

/** Runs a shop's few lines in the project: three clicks, then a row, printed. */
function runShop(project, address, entry = "nearshelf") {
  writeFileSync(join(project, "shop.js"), `
    import { createRecommender } from "${entry}";
    const recommender = await createRecommender({ release: process.argv[2] });
    const first = await recommender.recommendedForYou();
    for (const { id } of first.items.slice(0, 3)) recommender.track("view", id);
    const row = await recommender.recommendedForYou({ exclude: recommender.history().map(({ id }) => id) });
    const status = recommender.status();
    const trending = await recommender.trendingItems();
    const cards = await recommender.cards().catch(() => new Map());
    const category = cards.get(trending.items[0]?.id)?.category ?? [];
    const inCategory = await recommender.trendingItems({ category });
    const popular = [...cards.values()].sort((a, b) => b.popularity - a.popularity)[0]?.id ?? "";
    const together = await recommender.frequentlyBoughtTogether(popular);
    const cheap = await recommender.frequentlyBoughtTogether(popular, { filters: { price: { max: 300 } } }).catch(() => undefined);
    const lists = { trending, category, inCategory, popular, together, cheap, cards: [...cards.values()] };
    console.log(JSON.stringify({ first, row, status, lists }));
    recommender.close();
  `);
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ["shop.js", address], { cwd: project, maxBuffer: 1 << 24 }, (error, out) => (error ? reject(error) : resolve(JSON.parse(out))));
  });
}

function assertRows({ first, row, status }) {
  assert.equal(first.source, "default");
  assert.equal(first.items.length, 12);
  assert.equal(row.source, "history");
  assert.equal(row.items.length, 12);
  const clicked = first.items.slice(0, 3).map(({ id }) => id);
  assert.deepEqual([...row.history].sort(), [...clicked].sort());
  assert.ok(row.items.every(({ id }) => !clicked.includes(id)));
  assert.ok(Object.values(row.timings).every((ms) => ms >= 0));
  assert.ok(status.release.items > 12 && status.downloaded.files >= 4);
}

test("the packed package runs in Node and type-checks", async (t) => {
  const source = fakePackageFolder(t);
  cpSync(join(packageFolder, "src/engine.d.ts"), join(source, "wasm/nearshelf.d.ts"));
  cpSync(join(packageFolder, "src/engine.d.ts"), join(source, "wasm-onnx/nearshelf_onnx.d.ts"));
  const project = install(t, source);
  const folder = temporaryFolder(t);
  writeFakeRelease(folder);
  assertRows(await runShop(project, await serveFolder(t, folder)));
  // Node's entry has one engine inside; for a release that needs the other it finds the file.
  const towers = temporaryFolder(t);
  writeFakeRelease(towers, { engine: "tract" });
  assertRows(await runShop(project, await serveFolder(t, towers)));

  writeFileSync(join(project, "shop.ts"), `
    import { createRecommender, init, NearshelfError, type Recommendation } from "nearshelf";
    import { createRecommender as withOnnx } from "nearshelf/onnx";
    const create: typeof createRecommender = withOnnx;
    await init(new URL("https://shop.test/nearshelf_bg.wasm"));
    const recommender = await createRecommender({ release: "/release/", context: { location: "north" } });
    recommender.track("view", "1");
    const row: Recommendation = await recommender.recommendedForYou({ limit: 4, exclude: new Set(["1"]) });
    const title: string | undefined = row.items[0]?.card?.title;
    const code: string = new NearshelfError("shop/own", title ?? "").code;
    // @ts-expect-error an event of no known type
    recommender.track(code, "1");
  `);
  for (const resolution of [["--module", "nodenext"], ["--module", "esnext", "--moduleResolution", "bundler"]]) {
    execFileSync(process.execPath, [tsc, "--noEmit", "--strict", "--types", "", "--target", "es2022", "--ignoreConfig", ...resolution, "shop.ts"], { cwd: project, stdio: "inherit" });
  }
});

test("the download stays within its limits", async (t) => {
  const measured = await sizes();
  for (const [what, bytes] of Object.entries(measured)) {
    t.diagnostic(`${what}: ${bytes} bytes brotli, limit ${LIMITS[what]}`);
    assert.ok(bytes <= LIMITS[what], `${what}: ${bytes} bytes brotli, limit ${LIMITS[what]}`);
  }
  if (measured.WASM === undefined) t.diagnostic("pkg-js/wasm is not built, so only the JavaScript was measured: cargo xtask wasm");
});

test("the packed package serves a real release", { skip: release ? false : "NEARSHELF_RELEASE names no release: set it to a release's folder" }, async (t) => {
  assert.ok(existsSync(join(packageFolder, "wasm/nearshelf_bg.wasm")), "pkg-js/wasm is not built: run cargo xtask wasm");
  const project = install(t, packageFolder);
  const installed = join(project, "node_modules/nearshelf");
  const files = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")).files;
  for (const file of files) assert.ok(existsSync(join(installed, file)), file);
  const shown = await runShop(project, await serveFolder(t, release));
  assertRows(shown);
  assertLists(shown.lists);
});

/** What the release lists is what its cards say of it. */
function assertLists({ trending, category, inCategory, popular, together, cheap, cards }) {
  const card = new Map(cards.map((card) => [card.id, card]));
  for (const row of [trending, inCategory, together, cheap]) {
    assert.ok(row.items.length > 0, row.empty);
    assert.ok(row.items.every(({ id }) => card.has(id)));
    assert.ok(row.items.every(({ score }, place) => place === 0 || score <= row.items[place - 1].score));
  }
  assert.ok(category.length > 0 && inCategory.items.every(({ id }) => category.every((name, depth) => card.get(id).category[depth] === name)));
  assert.ok(together.items.every(({ id, score, reason }) => id !== popular && score > 0 && score <= 1 && reason === "together"));
  assert.ok(cheap.items.every(({ id }) => card.get(id).price <= 300));
}

test("a release with an ONNX tower is served by the packed package, whichever entry a shop imports", { skip: onnxRelease ? false : "NEARSHELF_ONNX_RELEASE names no release: set it to a release's folder" }, async (t) => {
  assert.ok(existsSync(join(packageFolder, "wasm-onnx/nearshelf_onnx_bg.wasm")), "pkg-js/wasm-onnx is not built: run cargo xtask wasm --onnx");
  const project = install(t, packageFolder);
  const address = await serveFolder(t, onnxRelease);
  const [lazy, direct] = [await runShop(project, address), await runShop(project, address, "nearshelf/onnx")];
  assertRows(lazy);
  assert.deepEqual(direct.row.items, lazy.row.items);
});
