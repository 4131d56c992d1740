// Measuring in a page that chromium.mjs serves.

import { filesOf, measure, parseSet } from "./measure.mjs";

async function bytesOf(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const ownUrl = (path) => new URL(`/${path}`, location.href).href;
const packageUrl = (path) => ownUrl(`node_modules/${path}`);
const packageFile = (path) => bytesOf(packageUrl(path));

function hostOf(runtime) {
  return {
    runtime,
    // This rounds the p50 of short queries; the mean is of a whole round, where it does not matter.
    note: "the page's clock moves in steps of 5 us",
    now: () => performance.now(),
    cpuUs: () => null,
    ownFile: (path) => bytesOf(ownUrl(path)),
    ownUrl,
    packageFile,
    packageUrl,
    packageVersion: async (name) => JSON.parse(new TextDecoder().decode(await packageFile(`${name}/package.json`))).version,
    compressedBytes: async (bytes) => Number(await (await fetch("/compressed-bytes", { method: "POST", body: bytes })).text()),
  };
}

export async function measureInPage(library, runtime) {
  if (!crossOriginIsolated) throw new Error("the page is not isolated, so its clock is too coarse; serve it with chromium.mjs");
  const files = Object.fromEntries(await Promise.all(filesOf(library).map(async (name) => [name, await bytesOf(`/set/${name}`)])));
  return measure(library, parseSet(files), hostOf(runtime));
}
