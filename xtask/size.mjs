// node xtask/size.mjs LIMIT FILE | JavaScript
// What a shop's visitors download, in bytes and as JSON, with the limit that pkg-js sets under this name.
import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { LIMITS, sizes } from "../pkg-js/build.mjs";

const [what, file] = process.argv.slice(2);
if (file === undefined) {
  console.log(JSON.stringify({ brotli: (await sizes())[what], limit: LIMITS[what] }));
} else {
  const bytes = readFileSync(file);
  const gzip = gzipSync(bytes, { level: 9 }).length;
  console.log(JSON.stringify({ raw: bytes.length, gzip, brotli: brotliCompressSync(bytes).length, limit: LIMITS[what] }));
}
