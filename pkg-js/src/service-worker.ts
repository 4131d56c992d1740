/**
 * With the network off, the page itself comes from here; the release and the history it finds on the device.
 * @module nearshelf/service-worker
 */
import { NearshelfError } from "./errors.js";

/** What is there without the network. */
export interface OfflineOptions {
  /** What the page is made of, this package's scripts and WASM too: addresses, relative to the service worker's. One that is missing fails its installation. */
  shell: readonly (string | URL)[];
  /** The name of the cache, `"1"` unless told; another one, a version say, replaces the earlier. */
  name?: string;
}

/** The part of a service worker that is used here; the library of types knows pages only. */
interface ServiceWorkerScope {
  addEventListener(type: "install" | "activate", listener: (event: { waitUntil(done: Promise<unknown>): void }) => void): void;
  addEventListener(type: "fetch", listener: (event: { request: Request; respondWith(response: Promise<Response>): void }) => void): void;
  location: { href: string };
}

const PREFIX = "nearshelf-shell ";

/**
 * Keeps what the page is made of, and gives it where the network does not. Call it once while the service worker's script is evaluated, and register
 * that after the shopper's consent. What is on the network comes from there, so a new version of the page is seen at once; of the release,
 * nothing goes through here.
 * @param options the page's files
 * @throws `offline/address` where the shell has something that is no address
 */
export function serveOffline({ shell, name = "1" }: OfflineOptions): void {
  const scope = globalThis as unknown as ServiceWorkerScope;
  const cacheName = PREFIX + name;
  let addresses: Set<string>;
  try {
    addresses = new Set(shell.map((address) => new URL(address, scope.location.href).href));
  } catch (cause) {
    throw new NearshelfError("offline/address", "serveOffline: the shell has something that is no address; list addresses of files", { cause });
  }
  scope.addEventListener("install", (event) => {
    event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll([...addresses])));
  });
  scope.addEventListener("activate", (event) => {
    const old = (key: string) => key.startsWith(PREFIX) && key !== cacheName;
    event.waitUntil(caches.keys().then((keys) => Promise.all(keys.filter(old).map((key) => caches.delete(key)))));
  });
  scope.addEventListener("fetch", (event) => {
    const { request } = event;
    const address = request.url.replace(/#.*/, "");
    if (request.method !== "GET" || !addresses.has(address)) return;
    event.respondWith(fresh(request, cacheName));
  });
}

/** The network's answer, kept for later; where it gives none, the one that was kept. */
async function fresh(request: Request, cacheName: string): Promise<Response> {
  const cache = await caches.open(cacheName);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (cause) {
    const kept = await cache.match(request);
    if (kept === undefined) throw cause;
    return kept;
  }
}
