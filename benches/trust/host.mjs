// A host that fails in every way that a network and a server can.
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

const BOMB = gzipSync(Buffer.alloc(1 << 26), { level: 9 });
/** Milliseconds between the bytes of a slow host. */
const DRIP = 40;

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Each takes an answer, the whole file, headers, and a number below 1 by chance. */
const FAULTS = {
  reset: (response) => response.socket.resetAndDestroy(),
  closed: (response) => response.socket.destroy(),
  stall: () => undefined,
  truncated(response, bytes, headers, chance) {
    response.writeHead(200, { ...headers, "Content-Length": bytes.length });
    response.write(bytes.subarray(0, Math.floor(chance * bytes.length)), () => response.socket?.destroy());
  },
  short(response, bytes, headers, chance) {
    response.writeHead(200, headers).end(bytes.subarray(0, Math.floor(chance * bytes.length)));
  },
  long: (response, bytes, headers) => response.writeHead(200, headers).end(Buffer.concat([bytes, bytes])),
  flipped(response, bytes, headers, chance) {
    const damaged = Buffer.from(bytes);
    damaged[Math.floor(chance * bytes.length)] ^= 4;
    response.writeHead(200, headers).end(damaged);
  },
  page: (response, _, headers) => response.writeHead(200, { ...headers, "Content-Type": "text/html" }).end("<!doctype html><title>Sign in</title>"),
  bomb: (response, _, headers) => response.writeHead(200, { ...headers, "Content-Encoding": "gzip" }).end(BOMB),
  unchanged: (response) => response.socket.end("HTTP/1.1 304 Not Modified\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
  async drip(response, bytes, headers) {
    response.writeHead(200, headers);
    for (let at = 0; at < bytes.length && at < 50 && !response.destroyed; at += 1) {
      response.write(bytes.subarray(at, at + 1));
      await later(DRIP);
    }
    response.destroy();
  },
  busy: (response, _, headers, chance) => response.writeHead(chance < 0.5 ? 429 : 503, { ...headers, "Retry-After": "2" }).end(),
  error: (response, _, headers) => response.writeHead(500, headers).end("{}"),
  moved: (response, bytes, headers, chance, elsewhere) => response.writeHead(302, { ...headers, "Location": elsewhere }).end(),
};

/** Serves `host.files` below `/…/release/`, none of those in `host.gone`; and `host.pages`, always; `host.faults` of 16 answers fail, drawn by `host.random`. */
export async function serveFaults() {
  const host = { files: new Map(), gone: new Set(), pages: new Map(), faults: 0, random: Math.random, counts: {}, open: 0, most: 0 };
  const answer = (request, response) => {
    const page = host.pages.get(request.url);
    if (page !== undefined) return response.writeHead(200, { "Content-Type": page.type }).end(page.body);
    const path = decodeURIComponent(new URL(request.url, "http://host").pathname).replace(/^.*?\/release\//, "");
    const isHead = path === "head.json";
    const headers = {
      "Access-Control-Allow-Origin": "*",
      "Content-Type": isHead ? "application/json" : "application/octet-stream",
      "Cache-Control": isHead ? "no-store" : "public, max-age=31536000, immutable",
    };
    host.open += 1;
    host.most = Math.max(host.most, host.open);
    response.on("close", () => { host.open -= 1; });
    // A wrong answer that caches keep for a year.
    if (host.gone.has(path)) return response.writeHead(404, { ...headers, "Cache-Control": "public, max-age=31536000, immutable" }).end();
    const bytes = host.files.get(path);
    if (host.random() * 16 < host.faults) {
      const names = Object.keys(FAULTS);
      const name = names[Math.floor(host.random() * names.length)];
      host.counts[name] = (host.counts[name] ?? 0) + 1;
      return FAULTS[name](response, bytes ?? Buffer.from("{}"), headers, host.random(), `${elsewhere.address}release/${path}`);
    }
    if (bytes === undefined) return response.writeHead(404, { ...headers, "Cache-Control": "no-store" }).end();
    response.writeHead(200, headers).end(bytes);
  };
  // Where redirects lead: it serves the right bytes, and nobody should take them from there.
  const elsewhere = await listen((request, response) => {
    const path = new URL(request.url, "http://host").pathname.replace(/^.*?\/release\//, "");
    response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end(host.files.get(path) ?? "");
  });
  const { address, close } = await listen(answer);
  return Object.assign(host, { address, close: () => Promise.all([close(), elsewhere.close()]) });
}

async function listen(answer) {
  const server = createServer(answer);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const close = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  return { address: `http://127.0.0.1:${server.address().port}/`, close };
}
