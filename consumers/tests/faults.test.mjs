// The package against a host and a device that fail, in a real Chromium and in Node: `benches/trust/schedules.mjs` with few schedules.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { schedules } from "../../benches/trust/schedules.mjs";

const fixtures = join(process.env.NEARSHELF_WASM_FIXTURES ?? "", "trust");

for (const [where, count] of [["chromium", 25], ["node", 25]]) {
  test(`faults of host and device lose and mix nothing, in ${where}`, async (t) => {
    if (!existsSync(join(fixtures, "contents.json"))) return t.skip("NEARSHELF_WASM_FIXTURES names no releases; `cargo xtask test` makes them");
    const found = await schedules(fixtures, where, count);
    t.diagnostic(JSON.stringify(found));
    assert.deepEqual(found.wrong, []);
    assert.ok(found.served > count && Object.keys(found.faults).length > 5, "releases served, and hosts failed");
  });
}
