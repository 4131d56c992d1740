// The built module reaches what SECURITY.md says, and nothing else.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packageFolder } from "./helpers.mjs";

const wasm = join(packageFolder, "wasm/nearshelf_bg.wasm");
// Where the module was not built, an empty one may have its name.
const isBuilt = existsSync(wasm) && readFileSync(wasm).length > 1000;
const skip = !isBuilt && "no wasm/nearshelf_bg.wasm; `cargo xtask wasm` builds it";

/** The section's lines. */
function section() {
  const text = readFileSync(join(packageFolder, "../SECURITY.md"), "utf8");
  const [, after = ""] = text.split("## What the WebAssembly module can reach\n");
  return after.split("\n## ")[0];
}

/** Names without the hash that the build adds. */
const plain = (names) => names.map((name) => name.replace(/_[0-9a-f]{16}$/, "")).sort();

test("the WebAssembly module imports what SECURITY.md lists", { skip }, () => {
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(wasm)));
  const listed = [...section().matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(plain(imports.map(({ name }) => name)), listed.sort());
  assert.deepEqual([...new Set(imports.map(({ module, kind }) => `${module} ${kind}`))], ["./nearshelf_bg.js function"]);
});

test("the WebAssembly module exports what SECURITY.md says", { skip }, () => {
  const exports = WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(wasm)));
  const [, described] = section().split("It exports");
  const said = [...described.matchAll(/`(\w+)(…?)`/g)];
  const isSaid = (name) => name === "memory" || said.some(([, word, more]) => (more ? name.startsWith(word) : name === word));
  assert.deepEqual(exports.filter(({ name }) => !isSaid(name)), []);
  assert.deepEqual(exports.filter(({ kind }) => kind !== "function").map(({ kind }) => kind).sort(), ["global", "global", "memory", "table"]);
});
