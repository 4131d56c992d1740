import type { Engine } from "nearshelf-engine";
import { type Cards, parseCards } from "./cards.js";
import { CONNECTIONS, Connections } from "./connections.js";
import { eraseAll } from "./database.js";
import { hexadecimal, sha256 } from "./download.js";
import { asked, engineError, NearshelfError, text } from "./errors.js";
import type { Downloaded, Pinned } from "./host.js";
import { type Candidates, parseLists } from "./lists.js";
import { ObjectStore } from "./object-store.js";
import { Roots } from "./roots.js";

/** The most that `head.json` may weigh. */
const HEAD_LIMIT = 2048;
/** Objects that no release names any more go from the device when nobody has used them for so long, in milliseconds. */
const GRACE = 14 * 24 * 3_600_000;

/** The codes of a copy that may be damaged on the way, or of an answer that a cache may have kept, unlike those of a lost connection. */
const DAMAGED = /^(?:sync\/(?!unexpected$)|towers\/(?!engine$)|(?:shard|delta|release|directory|columns|overlay)\/)|^download\/(?:too-large|http-status|redirected)$/;

/** One object that the engine asks for. */
interface Fetch {
  path: string;
  digest: string;
  size: number;
  kind: "manifest" | "tower" | "routing" | "shard" | "delta" | "directory" | "cards" | "lists" | "overlay" | "root";
}

/** What the engine says of an object that neither the release that serves names nor the one that is on its way. */
const UNEXPECTED = "sync/unexpected";

const names = (files: readonly Fetch[]): string => files.map(({ digest }) => digest).join();

/**
 * Brings the engine what it asks for. The engine decides what is missing and whether bytes are what they should be; this
 * class only fetches. A failure leaves the engine with the release it had, and the next run starts from a fresh head.
 * @internal
 */
export class ReleaseSync {
  readonly #engine: Engine;
  readonly #base: URL;
  readonly #connections: Connections;
  readonly #isPinned: boolean;
  readonly #arriving = new Map<string, Promise<unknown>>();
  #running: Promise<void> | undefined;
  /** What the engine lacked when it was last asked. */
  #missing: Fetch[] = [];
  /** The files of cards and lists that arrived or are on their way, by digest. */
  readonly #files = new Map<string, Promise<unknown>>();
  /** All cards of a release, by the digests of their files. */
  #all: { of: string; cards: Promise<Cards> } | undefined;
  #shown: Cards | undefined;
  /** Whether those are of a release before the one that serves. */
  #isShownOld = false;
  #cardsAsked: boolean;
  /** Where objects are kept, after consent. */
  #store: ObjectStore | undefined;
  /** Whether the shopper agrees to that now. */
  #isKept = false;
  /** What the engine was handed of the release that serves, to be kept when the shopper agrees. */
  readonly #held = new Map<string, Fetch>();
  /** Those of it without which the release does not serve. */
  #needed = new Set<string>();
  #head: Uint8Array<ArrayBuffer> | undefined;
  readonly #roots: Roots;
  /** Why something could not be kept. */
  storeError: NearshelfError | undefined;
  /** Why the newest stock could not be had; the one before counts. */
  stockError: NearshelfError | undefined;
  /** Why the last release on the device serves in place of the one at the address. */
  stale: NearshelfError | undefined;

  constructor(engine: Engine, base: URL, fetchFrom: typeof fetch, cards: boolean, pinned: Pinned | undefined) {
    this.#engine = engine;
    this.#base = base;
    this.#connections = new Connections(base, fetchFrom);
    this.#cardsAsked = cards;
    this.#isPinned = pinned !== undefined;
    this.#roots = new Roots(engine, this.#connections, {
      get: (path) => this.#store?.get(base.href + path).catch((cause: unknown) => this.#notKept(cause)),
      put: (path, bytes) => this.#keep(base.href + path, bytes),
      took: (path, bytes) => this.#tookRoot(path, bytes),
    });
    if (pinned !== undefined) asked(() => engine.setPin(pinned.publicKey, pinned.hardLimit));
  }

  get downloaded(): Downloaded {
    return this.#connections.downloaded;
  }

  /** The cards at hand, of the last release whose cards arrived. */
  get shown(): Cards | undefined {
    return this.#shown;
  }

  /** Reads the head again and fetches what the engine lacks. Calls at the same time share one run. */
  run(): Promise<void> {
    this.#running ??= this.#alone(() => this.#run()).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Brings the last release that was whole on the device, where there is one: what is at the address failed by `cause`. */
  async runKept(cause: NearshelfError): Promise<void> {
    const head = await this.#store?.head(this.#base.href).catch(() => undefined);
    this.#connections.checkOpen();
    if (head === undefined) throw cause;
    await this.#alone(async () => {
      await this.#roots.follow();
      await this.#roots.bring(head);
      this.#engine.restore(head);
      // What was taken before has no end here: the page says how old it is.
      await this.#bringRelease(head, undefined);
    });
    this.stale = cause;
  }

  close(): void {
    this.#connections.close();
    this.#store?.close();
  }

  /**
   * Keeps objects on the device from now on, those too that were downloaded already: the browser's own cache still has them. It never
   * throws: without a place to keep them, everything is in memory.
   */
  async keep(budget: number): Promise<void> {
    this.#isKept = true;
    try {
      const store = this.#store ?? (await ObjectStore.open(budget));
      // Meanwhile the consent may have been withdrawn, or another call may have opened it.
      if (!this.#isKept || this.#connections.isClosed || (this.#store !== undefined && this.#store !== store)) return store.close();
      this.#store = store;
      this.storeError = undefined;
      const keepHeld = async ({ path, digest, size, kind }: Fetch) => {
        if ((await store.get(digest)) !== undefined) return;
        const bytes = await this.#connections.get(path, size, "force-cache");
        const computed = kind === "root" ? undefined : await sha256(bytes);
        if (computed !== undefined && hexadecimal(computed) !== digest) throw new Error(`${path} is another file now`);
        await this.#keep(digest, bytes);
      };
      // One that is gone from the address costs no other.
      for (const held of [...this.#held.values()]) {
        if (this.#store === store) await keepHeld(held).catch((cause: unknown) => this.#notKept(cause));
      }
      await this.#keepHead();
    } catch (cause) {
      this.#notKept(cause);
    }
  }

  /** Notes that the release is whole on the device, or says that it is not. */
  async #keepHead(): Promise<void> {
    const [store, head] = [this.#store, this.#head];
    if (store === undefined || head === undefined) return;
    if (await store.has(this.#needed)) {
      await store.putHead(this.#base.href, head);
      await store.collect((digest) => this.#isNamed(digest), GRACE);
    }
    else if (this.storeError === undefined) {
      this.#notKept(new Error(`its files do not fit into the budget of ${store.budget} bytes, or the site's data were deleted`));
    }
  }

  /** Keeps nothing more. */
  leave(): void {
    this.#isKept = false;
    this.storeError = undefined;
    this.#store?.close();
    this.#store = undefined;
  }

  /** Forgets what is kept, of other releases too, and keeps nothing more. */
  async erase(): Promise<void> {
    this.leave();
    await eraseAll();
  }

  async #keep(digest: string, bytes: Uint8Array): Promise<void> {
    await this.#store?.put(digest, bytes).catch((cause: unknown) => this.#notKept(cause));
  }

  #notKept(cause: unknown): void {
    if (this.#connections.isClosed || !this.#isKept) return;
    this.storeError = new NearshelfError("storage/failed", `the release was not kept on the device: ${text(cause)}`, { cause });
  }

  /** Downloads all cards of the release once; a failed download is tried again by the next call. */
  cards(): Promise<Cards> {
    this.#cardsAsked = true;
    return this.#twice(async () => this.#allCards());
  }

  #allCards(): Promise<Cards> {
    const files = this.#read(() => this.#engine.cards());
    if (files.length === 0) return Promise.reject(new NearshelfError("cards/absent", "this release has no product cards; use the shop's own"));
    const of = names(files);
    if (this.#all?.of === of) return this.#all.cards;
    const cards = this.#cardsIn(files).then((parts) => {
      const all = new Map(parts.flatMap((part) => [...part]));
      if (this.#all?.of === of) this.#show(all);
      return all;
    }).catch((cause: unknown) => {
      if (this.#all?.of === of) this.#all = undefined;
      throw cause;
    });
    this.#all = { of, cards };
    return cards;
  }

  /**
   * Where cards were asked for, ends when those of these products are there: with all cards of the release, or, where the shelf they stand on has
   * its own file, with those that this downloads.
   */
  async cardsOf(ids: readonly string[]): Promise<void> {
    if (this.#cardsAsked) await this.#twice(() => this.#someCards(ids));
  }

  async #someCards(ids: readonly string[]): Promise<void> {
    if (this.#all !== undefined) {
      if (this.#all.of === names(this.#read(() => this.#engine.cards()))) {
        await this.#all.cards;
        return;
      }
      this.#all = undefined;
    }
    const parts = await this.#cardsIn(ids.flatMap((id) => this.#read(() => this.#engine.cards(id))));
    const before = this.#isShownOld ? [] : (this.#shown ?? []);
    this.#show(new Map([...before, ...parts.flatMap((part) => [...part])]));
  }

  #show(cards: Cards): void {
    this.#shown = cards;
    this.#isShownOld = false;
  }

  async #cardsIn(files: readonly Fetch[]): Promise<Cards[]> {
    const queue = [...files];
    const work = async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await this.#file(next, parseCards);
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, work));
    return Promise.all(files.map((file) => this.#file(file, parseCards)));
  }

  /** A file that only the page reads, downloaded once. Its digest says what it is, so it is read in one way only. */
  #file<T>(file: Fetch, parse: (bytes: Uint8Array) => T): Promise<T> {
    const known = this.#files.get(file.digest) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const arriving = this.#object(file, true).then(parse).catch((cause: unknown) => {
      this.#files.delete(file.digest);
      throw cause;
    });
    this.#files.set(file.digest, arriving);
    return arriving;
  }

  /** The list of this name, where the release has it. */
  list(name: string): Promise<Candidates | undefined> {
    return this.#twice(async () => {
      const [file] = this.#read(() => this.#engine.lists(name));
      return file && (await this.#file(file, parseLists)).get(name);
    });
  }

  /** Asks the engine anew, and once, where a newer release came while a file of the one before was on its way. */
  #twice<T>(work: () => Promise<T>): Promise<T> {
    return work().catch((cause: unknown) => {
      if (engineError(cause).code !== UNEXPECTED) throw cause;
      return work();
    });
  }

  /** One tab of a shop syncs at a time where objects are kept: what the first has downloaded, the next finds on the device. */
  #alone(work: () => Promise<void>): Promise<void> {
    const { locks } = globalThis.navigator ?? {};
    if (this.#store === undefined || locks === undefined) return work();
    return this.#connections.endable((signal) => locks.request(`nearshelf ${this.#base.href}`, { signal }, work)).catch((cause: unknown) => {
      this.#connections.checkOpen();
      throw cause;
    });
  }

  async #run(): Promise<void> {
    const marks = this.#isPinned && (await this.#restore());
    const head = await this.#connections.get("head.json", HEAD_LIMIT, "no-store", true);
    this.storeError = undefined;
    await this.#roots.bring(head);
    await this.#bringRelease(head, Date.now() / 1000, marks);
    this.stale = undefined;
    this.#head = head;
    await this.#keepHead().catch((cause: unknown) => this.#notKept(cause));
  }

  #tookRoot(path: string, bytes: Uint8Array): void {
    const digest = this.#base.href + path;
    this.#held.set(digest, { path, digest, size: bytes.length, kind: "root" });
    this.#needed.add(digest);
  }

  /**
   * No head passes that is lower than one that an earlier visit took, whether its release was whole then or not. Whether that could be read, so that a higher one may
   * take its place.
   */
  async #restore(): Promise<boolean> {
    await this.#roots.follow();
    let canRead = true;
    const highest = await this.#store?.head(this.#trusted).catch((cause: unknown) => {
      canRead = false;
      this.#notKept(cause);
    });
    this.#connections.checkOpen();
    if (highest) {
      // Its roots may have been dropped from the device; without them the head is not believed.
      await this.#roots.bring(highest).catch(() => this.#connections.checkOpen());
      this.#engine.restore(highest);
    }
    return canRead;
  }

  /** Takes over what another engine of this page had seen. */
  adopt(other: ReleaseSync): void {
    if (!this.#isPinned) return;
    this.#roots.adopt(other.#roots);
    if (other.#head !== undefined) this.#engine.restore(other.#head);
  }

  /** Where the highest head is kept that was taken. */
  get #trusted(): string {
    return `${this.#base.href}#trusted`;
  }

  async #bringRelease(head: Uint8Array<ArrayBuffer>, now: number | undefined, marks = false): Promise<void> {
    const isFirst = !this.#engine.isReady();
    this.stockError = undefined;
    this.#ask(() => this.#engine.setHead(head, now));
    if (marks) await this.#store?.putHead(this.#trusted, head).catch((cause: unknown) => this.#notKept(cause));
    const done = new Set<string>();
    const stock = new Map<string, Promise<void>>();
    for (;;) {
      const round = this.#missing.filter(({ kind }) => kind !== "cards" && kind !== "overlay");
      for (const file of this.#missing) {
        if (file.kind === "overlay" && !stock.has(file.digest)) stock.set(file.digest, this.#stock(file));
      }
      // Cards of a release that is held whole come beside the rest; whoever awaits `cards` sees their failure.
      if (this.#missing.some(({ kind }) => kind === "cards") && this.#cardsAsked && this.#engine.isReady()) this.cards().catch(() => undefined);
      if (round.length === 0) {
        this.#needed = new Set([...this.#needed, ...done]);
        if (done.size > 0 && !isFirst) this.#forgetOthers();
        await Promise.all(stock.values());
        return;
      }
      const again = round.find(({ digest }) => done.has(digest));
      if (again !== undefined) {
        throw new NearshelfError("sync/no-progress", `${again.path} was accepted and asked for again; publish the release again`);
      }
      // Every download ends before a failure is reported, so that a new run never meets one of this run.
      const results = await Promise.allSettled([...round.map((fetch) => this.#object(fetch)), ...stock.values()]);
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      for (const { digest } of round) done.add(digest);
    }
  }

  /** Brings what is in stock now. A release serves without it, or with what was last known. */
  async #stock(file: Fetch): Promise<void> {
    await this.#object(file).catch((cause: unknown) => {
      if (this.#connections.isClosed) throw cause;
      this.stockError = engineError(cause);
    });
  }

  /** Drops what the release that serves does not name: a page stays open over many. */
  #forgetOthers(): void {
    for (const files of [this.#held, this.#files]) {
      for (const digest of files.keys()) if (!this.#isNamed(digest)) files.delete(digest);
    }
    if (this.#all?.of !== names(this.#read(() => this.#engine.cards()))) this.#all = undefined;
    this.#isShownOld = true;
    this.#needed = new Set([...this.#needed].filter((digest) => this.#held.has(digest)));
  }

  /** The engine takes nothing of another release, whatever its bytes. */
  #isNamed(digest: string): boolean {
    try {
      this.#engine.accept(digest, new Uint8Array());
      return true;
    } catch (cause) {
      return engineError(cause).code !== UNEXPECTED;
    }
  }

  /**
   * Brings what a request lacks, which `absent` names: first where the items of its history are, then the clusters that it
   * visits. Requests at the same time share the downloads.
   */
  async bring(absent: () => string): Promise<void> {
    const done = new Set<string>();
    for (;;) {
      const lacking = this.#read(absent).filter(({ digest }) => !done.has(digest));
      if (lacking.length === 0) return;
      const queue = [...lacking];
      const failed: unknown[] = [];
      const work = async () => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          await this.#shared(next).catch((cause: unknown) => {
            // A newer release came in between; what that lacks is asked for in the next round.
            if (engineError(cause).code !== UNEXPECTED) failed.push(cause);
          });
        }
      };
      await Promise.all(Array.from({ length: Math.min(CONNECTIONS, queue.length) }, work));
      if (failed.length > 0) throw failed[0];
      for (const { digest } of lacking) done.add(digest);
    }
  }

  #shared(fetch: Fetch): Promise<unknown> {
    const running = this.#arriving.get(fetch.digest);
    if (running !== undefined) return running;
    const arriving = this.#object(fetch, true).finally(() => this.#arriving.delete(fetch.digest));
    this.#arriving.set(fetch.digest, arriving);
    return arriving;
  }

  /**
   * Fetches one object and hands it over. Bytes that the engine refuses are fetched once more past the HTTP cache: objects
   * are cached for ever, so a copy damaged there would otherwise stay. What is kept on the device comes from there.
   */
  async #object(fetch: Fetch, isUrgent = false): Promise<Uint8Array> {
    // Stock of an hour ago is worth nothing, and would take the place of what is.
    const isKept = fetch.kind !== "overlay";
    const accept = async (bytes: Uint8Array<ArrayBuffer>) => {
      const computed = await sha256(bytes);
      this.#connections.checkOpen();
      this.#ask(() => this.#engine.accept(fetch.digest, bytes, computed));
      if (isKept) this.#held.set(fetch.digest, fetch);
      return bytes;
    };
    const download = async (cache: RequestCache) => {
      const bytes = await accept(await this.#connections.get(fetch.path, fetch.size, cache, isUrgent));
      if (isKept) await this.#keep(fetch.digest, bytes);
      return bytes;
    };
    const kept = isKept && await this.#store?.get(fetch.digest).catch((cause: unknown) => this.#notKept(cause));
    this.#connections.checkOpen();
    const whole = kept && (await accept(kept).catch((cause: unknown) => {
      if (!DAMAGED.test(engineError(cause).code)) throw cause;
    }));
    if (whole) return whole;
    try {
      return await download("default");
    } catch (cause) {
      const { code } = engineError(cause);
      if (!DAMAGED.test(code)) throw cause;
      return download("reload");
    }
  }

  #ask(call: () => string): void {
    this.#missing = this.#read(call);
  }

  #read(call: () => string): Fetch[] {
    return JSON.parse(asked(call)) as Fetch[];
  }
}
