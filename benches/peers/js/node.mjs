// Measuring in this process.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { constants, brotliCompressSync } from "node:zlib";
import { filesOf, measure, parseSet } from "./measure.mjs";

const PACKAGES = join(import.meta.dirname, "node_modules");
const QUALITY = 9;
const ownFile = (path) => new Uint8Array(readFileSync(join(import.meta.dirname, path)));
const packageFile = (path) => ownFile(join("node_modules", path));

/** With the largest window there is, or a repeat further apart than 16 MB would not be found. */
export function compressedBytes(bytes) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: QUALITY,
    [constants.BROTLI_PARAM_LARGE_WINDOW]: 1,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_LARGE_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength,
  };
  return brotliCompressSync(bytes, { params }).byteLength;
}

const host = {
  runtime: `node ${process.versions.node}`,
  note: null,
  now: () => performance.now(),
  cpuUs: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  ownFile: async (path) => ownFile(path),
  ownUrl: (path) => pathToFileURL(join(import.meta.dirname, path)).href,
  packageFile: async (path) => packageFile(path),
  packageUrl: (path) => pathToFileURL(join(PACKAGES, path)).href,
  packageVersion: async (name) => JSON.parse(new TextDecoder().decode(packageFile(`${name}/package.json`))).version,
  compressedBytes: async (bytes) => compressedBytes(bytes),
};

export function measureInNode(library, folder) {
  const files = Object.fromEntries(filesOf(library).map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
  return measure(library, parseSet(files), host);
}
