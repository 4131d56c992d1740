import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { temporaryFolder } from "./helpers.mjs";

test("till names read as a shopper would say them", async (t) => {
  const outfile = join(temporaryFolder(t), "words.mjs");
  buildSync({ entryPoints: [join(import.meta.dirname, "../src/words.ts")], outfile, bundle: true, format: "esm" });
  const { splitSize, productName } = await import(pathToFileURL(outfile).href);
  const read = (title, shelf) => {
    const { name, size } = splitSize(title);
    return [productName(name, shelf), size.replaceAll("\u00a0", " ")];
  };
  assert.deepEqual(read("BABY FOOD JUNIOR 4 OZ"), ["Baby food junior", "4 oz"]);
  assert.deepEqual(read("CREAM CHEESE L      8 OZ"), ["Cream cheese", "8 oz"]);
  assert.deepEqual(read("SUGAR (600) 4 LB"), ["Sugar", "4 lb"]);
  assert.deepEqual(read("MUFFIN & CORN BREAD MIX 8 1/2 OZ"), ["Muffin & corn bread mix", "8 1/2 oz"]);
  assert.deepEqual(read("SOFT DRINKS 12/18&15PK CAN CAR 12 OZ"), ["Soft drink, case of cans", "12 oz"]);
  assert.deepEqual(read("FRZN SCALLOPS W/SAUCE"), ["Frozen scallops with sauce", ""]);
  assert.deepEqual(read("PREMIUM 16 OZ", "ICE CREAM/MILK/SHERBTS"), ["Premium ice cream", "16 oz"]);
  assert.deepEqual(read("CHUNK MEATS - ALL 10 OZ"), ["Chunk meats", "10 oz"]);
  assert.deepEqual(read("CONSTRUCTOR DZ"), ["Constructor", "dozen"]);
  assert.deepEqual(read("()"), ["()", ""]);
});
