import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EMPTY_WASM } from "./fake-engine/release.mjs";
import { freshPackage, serveFolder } from "./helpers.mjs";

test("every kind of source starts the engine", async (t) => {
  const sources = {
    "nothing, in Node": () => undefined,
    "bytes": () => EMPTY_WASM,
    "a buffer": () => EMPTY_WASM.slice().buffer,
    "a module": () => new WebAssembly.Module(EMPTY_WASM),
    "a response": () => new Response(EMPTY_WASM),
    "a response to come": async () => new Response(EMPTY_WASM),
    "an address": async (folder) => new URL("wasm/nearshelf_bg.wasm", await serveFolder(t, folder)),
    "an address in text": async (folder) => `${await serveFolder(t, folder)}wasm/nearshelf_bg.wasm`,
  };
  for (const [name, source] of Object.entries(sources)) {
    const { init, Engine, folder } = await freshPackage(t);
    assert.throws(() => new Engine(), undefined, name);
    await init(name.startsWith("an address") ? await source(folder) : source(folder));
    assert.ok(new Engine(), name);
  }
});

test("init may run twice, also at once, and after a failure it tries again", async (t) => {
  const { init, Engine, folder } = await freshPackage(t);
  const address = await serveFolder(t, folder);
  await assert.rejects(init(`${address}nowhere.wasm`), { name: "NearshelfError", code: "init/http-status" });
  await assert.rejects(init(readFileSync(join(folder, "package.json"))), { code: "init/wasm" });
  await Promise.all([init(EMPTY_WASM), init(EMPTY_WASM), init()]);
  await init();
  assert.ok(new Engine());
});
