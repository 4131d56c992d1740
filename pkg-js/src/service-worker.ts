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

interface WaitingEvent {
  waitUntil(done: Promise<unknown>): void;
}

interface FetchEvent extends WaitingEvent {
  request: Request;
  respondWith(response: Promise<Response>): void;
}

/** The part of a service worker that is used here; the library of types knows pages only. */
interface ServiceWorkerScope {
  addEventListener(type: "install" | "activate", listener: (event: WaitingEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
  addEventListener(type: "message", listener: (event: WaitingEvent & { data: unknown }) => void): void;
  location: { href: string };
  registration: { active: object | null };
}

const PREFIX = "nearshelf-shell ";
/** What a page says to a service worker that is to keep it. */
const KEEP = "nearshelf keep";

/**
 * Keeps what the page is made of, and gives it where the network does not. Call it once while the service worker's script is evaluated, and register
 * that after the shopper's consent, with {@link keepOffline}. What is on the network comes from there, so a new version of the page is seen at once; of the release,
 * nothing goes through here. Without the network, a page comes for any query behind its address. {@link forgetOffline} deletes what is kept.
 * @param options the page's files
 * @throws `offline/address` where the shell has something that is no address
 */
export function serveOffline({ shell, name = "1" }: OfflineOptions): void {
  const scope = globalThis as unknown as ServiceWorkerScope;
  const cacheName = PREFIX + name;
  let addresses: Set<string>;
  try {
    addresses = new Set(shell.map((address) => plain(new URL(address, scope.location.href).href)));
  } catch (cause) {
    throw new NearshelfError("offline/address", "serveOffline: the shell has something that is no address; list addresses of files", { cause });
  }
  const install = async () => (await caches.open(cacheName)).addAll([...addresses]);
  scope.addEventListener("install", (event) => {
    // A new version of a service worker that keeps nothing, because the shopper said so, keeps nothing either.
    const isWanted = async () => scope.registration.active === null || (await ownCaches()).length > 0;
    event.waitUntil(isWanted().then((wanted) => (wanted ? install() : undefined)));
  });
  scope.addEventListener("message", (event) => {
    // Where that fails, what the page fetches is kept from now on.
    if (event.data === KEEP) event.waitUntil(caches.has(cacheName).then((isKept) => (isKept ? undefined : install())).catch(() => undefined));
  });
  scope.addEventListener("activate", (event) => {
    event.waitUntil(ownCaches().then((keys) => Promise.all(keys.filter((key) => key !== cacheName).map((key) => caches.delete(key)))));
  });
  scope.addEventListener("fetch", (event) => {
    const { method, mode, url } = event.request;
    const address = plain(url);
    // A page is the same whatever its query says: where a link came from, say.
    const found = addresses.has(address) || mode !== "navigate" ? address : address.replace(/\?.*/, "");
    if (method === "GET" && addresses.has(found)) event.respondWith(fresh(event, found, cacheName));
  });
}

const ownCaches = async (): Promise<string[]> => (await caches.keys()).filter((key) => key.startsWith(PREFIX));

/** An address as caches have it. */
const plain = (url: string): string => url.replace(/#.*/, "");

/** The network's answer, a copy of which is kept for later; where it gives none, the one that was kept. */
async function fresh(event: FetchEvent, address: string, cacheName: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(event.request);
  } catch (cause) {
    const kept = await caches.match(address, { cacheName });
    if (kept === undefined) throw cause;
    return kept;
  }
  // Apart from the answer, which waits neither for its end nor for a device that is full: there the earlier copy stays.
  if (response.ok && plain(event.request.url) === address) event.waitUntil(keep(cacheName, address, response.clone()).catch(() => undefined));
  return response;
}

async function keep(cacheName: string, address: string, response: Response): Promise<void> {
  // What was forgotten stays so.
  if (await caches.has(cacheName)) await (await caches.open(cacheName)).put(address, response);
}

/**
 * Registers the service worker, and has one that is there already keep the page again, after {@link forgetOffline}. For a page, after the shopper's consent.
 * @param script the address of the service worker's script, a module
 * @throws what the browser says where it registers none
 */
export async function keepOffline(script: string | URL): Promise<void> {
  const { active } = await navigator.serviceWorker.register(script, { type: "module" });
  active?.postMessage(KEEP);
}

/**
 * Deletes what {@link serveOffline} keeps on the device, for a page whose shopper withdraws the consent: `consent.revoke()` leaves it. The service worker
 * stays, and neither it nor a new version of it keeps anything until {@link keepOffline}.
 */
export async function forgetOffline(): Promise<void> {
  await Promise.all((await ownCaches()).map((key) => caches.delete(key)));
}
