// node demo-site/serve.mjs --dir DIR [--port N]
// Serves a built site on loopback as a CDN would: compressed, digest-named objects for ever, the head never from a cache.
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
  ".json": "application/json", ".map": "application/json", ".wasm": "application/wasm", ".png": "image/png",
};
/** Between the quality of a CDN's precompressed files, 11, which takes seconds, and what it does on the fly, 4 or 5. */
const BROTLI_QUALITY = 9;
const ENCODERS = {
  br: (bytes) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }),
  gzip: (bytes) => promisify(gzip)(bytes),
};

function caching(path) {
  if (path.endsWith("/head.json")) return "no-store";
  return /\/objects\/[0-9a-f]{64}$/.test(path) ? "public, max-age=31536000, immutable" : "no-cache";
}

/** A request handler over the files of `dir`. */
export function siteHandler(dir) {
  const root = resolve(dir);
  const encoded = new Map();

  /** The file in the best encoding that the browser takes, made once per version of the file. */
  async function encodedFile(path, accept) {
    const { mtimeMs, size } = statSync(path);
    const wanted = ["br", "gzip"].find((name) => accept.split(",").some((part) => part.trim().split(";")[0] === name));
    const key = `${wanted} ${mtimeMs} ${size} ${path}`;
    if (!encoded.has(key)) {
      encoded.set(key, (async () => {
        const plain = await readFile(path);
        const packed = wanted === undefined ? plain : await ENCODERS[wanted](plain);
        const [body, encoding] = packed.length < plain.length ? [packed, wanted] : [plain, undefined];
        return { body, encoding, tag: `"${createHash("sha256").update(body).digest("hex").slice(0, 32)}"` };
      })());
      encoded.get(key).catch(() => encoded.delete(key));
    }
    return encoded.get(key);
  }

  return async (request, response) => {
    const refuse = (status, text) => response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(`${text}\n`);
    try {
      if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "only GET and HEAD");
      const { pathname } = new URL(request.url, "http://localhost");
      const wanted = decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
      const path = resolve(join(root, wanted));
      if (!path.startsWith(root + sep) || !existsSync(path) || !statSync(path).isFile()) return refuse(404, `${wanted}: not found`);
      const { body, encoding, tag } = await encodedFile(path, request.headers["accept-encoding"] ?? "");
      const headers = {
        "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
        "Cache-Control": caching(wanted),
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        // Isolation gives the page a clock fine enough to show what a tower costs.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        ...(encoding === undefined ? {} : { "Content-Encoding": encoding }),
      };
      if (request.headers["if-none-match"] === tag) return response.writeHead(304, headers).end();
      response.writeHead(200, { ...headers, "Content-Length": body.length }).end(request.method === "HEAD" ? undefined : body);
    } catch (error) {
      if (error instanceof URIError || error.code === "ERR_INVALID_URL") return refuse(400, "not an address");
      console.error(`${request.url}: ${error.message}`);
      if (!response.headersSent) refuse(500, "the file could not be read");
      else response.destroy();
    }
  };
}

/** Starts the server on loopback; port 0 takes any free one. */
export async function serveSite(dir, port = 0) {
  const server = createServer(siteHandler(dir));
  await new Promise((done, failed) => server.once("error", failed).listen(port, "127.0.0.1", done));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { dir: { type: "string" }, port: { type: "string", default: "0" } } });
  const port = Number(values.port);
  if (values.dir === undefined || !Number.isInteger(port) || port < 0 || port > 65_535) {
    console.error("usage: node demo-site/serve.mjs --dir DIR [--port N]");
    process.exit(2);
  }
  if (!existsSync(join(values.dir, "index.html"))) {
    console.error(`${join(values.dir, "index.html")}: not found; build the site: node demo-site/build.mjs --release DIR`);
    process.exit(1);
  }
  try {
    console.log((await serveSite(values.dir, port)).address);
  } catch (error) {
    console.error(`port ${port}: ${error.message}; choose another with --port`);
    process.exit(1);
  }
}
