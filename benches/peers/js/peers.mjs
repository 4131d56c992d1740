// node peers.mjs --set DIR --library NAME --json FILE [--runtime node|chromium]

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureInChromium } from "./chromium.mjs";
import { LIBRARIES } from "./measure.mjs";
import { measureInNode } from "./node.mjs";

const RUNTIMES = { node: measureInNode, chromium: measureInChromium };

function oneOf(table, option, value) {
  if (Object.hasOwn(table, value ?? "")) return value;
  throw new Error(`--${option} ${value ?? "is absent"}; it is one of ${Object.keys(table).join(", ")}`);
}

function given(option, value) {
  if (value === undefined) throw new Error(`--${option} is absent`);
  return value;
}

const options = { set: { type: "string" }, library: { type: "string" }, json: { type: "string" }, runtime: { type: "string", default: "node" } };
const { values } = parseArgs({ options });
const library = oneOf(LIBRARIES, "library", values.library);
const measureIn = RUNTIMES[oneOf(RUNTIMES, "runtime", values.runtime)];
const folder = given("set", values.set);
const file = given("json", values.json);
const result = await measureIn(library, folder);
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
