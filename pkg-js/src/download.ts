import { NearshelfError, text } from "./errors.js";

/** One file to download, and what is allowed on the way. */
export interface Request {
  url: URL;
  /** Bytes after HTTP's own decompression; reading stops at the first byte beyond. */
  limit: number;
  cache: RequestCache;
  fetch: typeof fetch;
  signal: AbortSignal;
  /** Hears of an answer that is not the file. */
  refused: (response: Response) => void;
}

/** Milliseconds without a byte after which a download has failed. */
const STALLED = 10_000;
/** Milliseconds that a byte may take on the whole, beside that, 10 KB in a second: a host that drips holds no page for long. */
const PER_BYTE = 0.1;

/** Reads a whole file of at most `limit` bytes. A shorter one passes: the engine knows the sizes and digests, not this function. */
export async function download(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const { url, limit, signal } = request;
  const stalled = new AbortController();
  const stop = () => stalled.abort(new Error("nothing comes any more"));
  const close = () => stalled.abort(signal.reason);
  signal.addEventListener("abort", close);
  let timer = setTimeout(stop, STALLED);
  const end = Date.now() + STALLED + limit * PER_BYTE;
  const moved = () => {
    clearTimeout(timer);
    timer = setTimeout(stop, Math.min(STALLED, Math.max(end - Date.now(), 0)));
  };
  // A shop's own `fetch` may not heed a signal.
  const ended = new Promise<never>((_, reject) => stalled.signal.addEventListener("abort", () => reject(stalled.signal.reason)));
  try {
    if (signal.aborted) close();
    return await Promise.race([file(request, stalled.signal, moved), ended]);
  } catch (cause) {
    if (cause instanceof NearshelfError) throw cause;
    if (signal.aborted) throw new NearshelfError("recommender/closed", "the recommender was closed while it downloaded", { cause });
    throw new NearshelfError("download/network", `${url.href}: ${text(cause)}; try again when the connection is back`, { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", close);
  }
}

async function file({ url, limit, cache, ...request }: Request, signal: AbortSignal, moved: () => void): Promise<Uint8Array<ArrayBuffer>> {
  // Cloudflare Workers know fewer modes, and throw at the default when it is named.
  const mode = cache === "default" ? {} : { cache };
  const response = await request.fetch(url.href, { ...mode, signal });
  const from = new URL(response.url || url.href).origin;
  if (from === url.origin && response.ok) return response.body === null ? new Uint8Array(0) : await readCapped(response.body, url, limit, moved);
  void response.body?.cancel().catch(() => undefined);
  if (from !== url.origin) throw new NearshelfError("download/redirected", `${url.href}: the answer came from ${from}, expected ${url.origin}; check the release's address`);
  request.refused(response);
  throw new NearshelfError("download/http-status", `${url.href}: HTTP ${response.status}, expected 200; check the release's address`);
}

/**
 * The SHA-256 of `bytes`, computed natively: several times faster than in the engine, and beside the page's thread. `undefined` where
 * the host does not offer it, as on pages of insecure origins; the engine then computes it.
 */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> {
  // The type leaves out that insecure origins lack it.
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  const digest = await subtle?.digest("SHA-256", bytes).catch(() => undefined);
  return digest && new Uint8Array(digest);
}

/** Bytes as hexadecimal digits. */
export const hexadecimal = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function readCapped(body: ReadableStream<Uint8Array>, url: URL, limit: number, moved: () => void): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    moved();
    length += part.value.length;
    if (length > limit) {
      void reader.cancel().catch(() => undefined);
      throw new NearshelfError("download/too-large", `${url.href}: more than the declared ${limit} bytes; publish the release again`);
    }
    chunks.push(part.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
