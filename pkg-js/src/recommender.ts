import type { Engine } from "nearshelf-engine";
import type { Card, Cards } from "./cards.js";
import { engineError, NearshelfError, text } from "./errors.js";
import {
  type EventType, type HistoryEvent, type HistoryStorage, isHistoryEvent, type LoadedHistory, loadHistory, MAX_HISTORY, memoryStorage,
} from "./history.js";
import type { Loader, WasmSource } from "./init.js";
import { type Downloaded, ReleaseSync } from "./sync.js";

/** What the query tower may know beside the history. What is left out takes the trained default. */
export interface Context {
  /** The time that the row is for, like `Date.now()`, and its default. */
  now?: number;
  /** A store or region, as in the training data; a path there, `US/CA/Fresno`, may end at any of its parts. */
  location?: string;
  /** Household attributes, as in the training data; and `device`, where the training data have one. */
  attributes?: Record<string, string>;
  /** The shopper's long-term vector, which `nearshelf user-vectors` computes at the origin; without it, a trained default. */
  user?: readonly number[];
}

export interface RecommenderOptions {
  /** The folder that holds `head.json`. */
  release: string | URL;
  /** Which part of a release by column, a market say, this shopper sees: one of the column's values. Other releases ignore it. */
  segment?: string;
  /** Where the history is kept; by default in memory, until the page is left. */
  storage?: HistoryStorage;
  context?: Context;
  /**
   * Download the product cards too, beside the rest; of a release in clusters, those of the products that rows show. Without it,
   * [`Recommender.cards`] does so when first called.
   */
  cards?: boolean;
  /** Where the WASM comes from, when `init` was not called before. */
  wasm?: WasmSource;
  /** The same of `nearshelf_onnx_bg.wasm`, which is loaded when the release has a query tower that needs it. */
  wasmOnnx?: WasmSource;
  fetch?: typeof fetch;
}

/**
 * What a column of the release is asked for: an array of what is allowed, or a range of numbers. In a column of categories a text
 * is an outermost category, an array of texts a path from there down; what lies below passes too.
 */
export type Condition = readonly number[] | readonly (string | readonly string[])[] | { readonly min?: number; readonly max?: number };

/** Conditions by column, all of which must hold. A product of which nothing is known there passes none. */
export type Where = Readonly<Record<string, Condition>>;

export interface RecommendOptions {
  /** How many products, at most; 12 unless told. */
  limit?: number;
  /** Products that must not appear, the basket's say. */
  exclude?: Iterable<string>;
  /** Only products like these: `{ category: ["Bakery"], price: { max: 1000 } }`. Prices are in cents. */
  where?: Where;
  /** Overrides of the recommender's context, for this row. */
  context?: Context;
}

export interface RecommendedItem {
  id: string;
  /** Larger is better; comparable within one row only. */
  score: number;
  /** Where cards are loaded and hold the product. */
  card?: Card;
}

export interface Recommendation {
  /** Best first. */
  items: RecommendedItem[];
  /** The ids of the history that entered the query. */
  history: string[];
  /** `default` where no event of the history was of a known product. */
  source: "history" | "default";
  /** Milliseconds that each stage took. */
  timings: { tower: number; search: number; rank: number };
}

/** The release that serves. */
export interface ReleaseStatus {
  name: string;
  version: number;
  /** The digest of the towers. */
  towers: string;
  items: number;
  dim: number;
  shards: number;
  bytes: number;
}

export interface Status {
  release: ReleaseStatus;
  downloaded: Readonly<Downloaded>;
  /** What failed last, a sync, a row or the storage; the release above serves on. */
  lastError?: NearshelfError;
}

const DEFAULT_LIMIT = 12;

/** An engine that serves, and what brings it releases. */
interface Serving {
  engine: Engine;
  sync: ReleaseSync;
}

/** What an engine says of a release whose query tower it cannot run. */
const OTHER_ENGINE = "towers/engine";

/**
 * Makes a recommender with the engine of `loader`, or, where the release asks for it, that of `larger`.
 * @internal
 */
export async function open(options: RecommenderOptions, loader: Loader, larger?: () => Promise<Loader>): Promise<Recommender> {
  const base = releaseAddress(options.release);
  const serveLarger = larger && (async () => serve(options, base, await larger(), options.wasmOnnx));
  const first = serve(options, base, loader, options.wasm).catch((cause: unknown) => {
    if (serveLarger === undefined || engineError(cause).code !== OTHER_ENGINE) throw cause;
    return serveLarger();
  });
  const storage = options.storage ?? memoryStorage();
  const loading = loadHistory(storage);
  // Both end before a failure is reported, so that the next call meets nothing of this one.
  const serving = await first.finally(() => loading);
  return new Recommender(serving, storage, await loading, options.context ?? {}, serveLarger);
}

/** Starts an engine and brings it the release. */
async function serve(options: RecommenderOptions, base: URL, { init, Engine }: Loader, wasm: WasmSource | undefined): Promise<Serving> {
  await init(wasm);
  const engine = new Engine();
  if (options.segment !== undefined) engine.setSegment(options.segment);
  const fetchFrom: typeof fetch = options.fetch ?? ((input, request) => fetch(input, request));
  const sync = new ReleaseSync(engine, base, fetchFrom, options.cards ?? false);
  try {
    await sync.run();
    if (!engine.isReady()) throw new NearshelfError("sync/incomplete", `${base.href}: nothing to serve; publish the release again`);
    return { engine, sync };
  } catch (cause) {
    sync.close();
    engine.free();
    throw cause;
  }
}

function releaseAddress(release: string | URL): URL {
  const page = (globalThis as { document?: { baseURI: string } }).document?.baseURI;
  try {
    const url = new URL(release, page);
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    url.search = url.hash = "";
    return url;
  } catch (cause) {
    throw new NearshelfError("release/address", `${release} is no address; outside a page it must begin with https://`, { cause });
  }
}

/** Recommends from what one shopper did. Made by [`createRecommender`]. */
export class Recommender {
  #serving: Serving;
  /** Brings the release into the larger engine, where there is one that is not used yet. */
  #serveLarger: (() => Promise<Serving>) | undefined;
  #changing: Promise<void> | undefined;
  readonly #storage: HistoryStorage;
  #events: HistoryEvent[];
  #context: Context;
  #lastError: NearshelfError | undefined;
  /** What failed when the last row was brought together. */
  #rowError: NearshelfError | undefined;
  /** Ends with the last write that was asked for, and never rejects. */
  #writes: Promise<void> = Promise.resolve();
  #closed = false;

  /** @internal */
  constructor(serving: Serving, storage: HistoryStorage, history: LoadedHistory, context: Context, larger?: () => Promise<Serving>) {
    this.#serving = serving;
    this.#serveLarger = larger;
    this.#storage = storage;
    this.#events = history.events;
    this.#lastError = history.error;
    this.#context = context;
  }

  /** Notes what the shopper just did. Nothing is sent. */
  track(type: EventType, itemId: string): void {
    this.#open();
    const event = { id: itemId, type, at: Date.now() };
    if (!isHistoryEvent(event)) {
      throw new NearshelfError("request/event", `track(${String(type)}, ${String(itemId)}): expected "view", "cart" or "purchase", and an id`);
    }
    const events = [...this.#events, event].slice(-MAX_HISTORY);
    this.#events = events;
    void this.#store(() => this.#storage.save(events));
  }

  /**
   * The row for this shopper, computed here. Of a release in one shard no request goes out once it is loaded; of one in
   * clusters, those are fetched that this shopper's row needs and that are not held yet. Where that fails, the row is
   * computed from what is held, and [`status`] keeps the reason.
   */
  async recommendedForYou(options: RecommendOptions = {}): Promise<Recommendation> {
    this.#open();
    // The whole row comes from one engine.
    const { engine, sync } = this.#serving;
    const { now = Date.now(), ...context } = { ...this.#context, ...options.context };
    const request = {
      limit: options.limit ?? DEFAULT_LIMIT,
      history: this.#events.map(({ id, type, at }) => ({ id, type, at: wallClock(at) })),
      exclude: [...(options.exclude ?? [])],
      where: options.where ?? {},
      context: { ...context, now: wallClock(now) },
    };
    const json = JSON.stringify(request);
    try {
      await sync.bring(() => engine.absent(json));
      if (this.#lastError === this.#rowError) this.#lastError = undefined;
      this.#rowError = undefined;
    } catch (cause) {
      this.#open();
      const error = engineError(cause);
      if (error.code.startsWith("request/")) throw error;
      this.#lastError = this.#rowError = error;
      // What an item of the history needs may be gone for good; the clusters of a row without history are not.
      const withoutHistory = JSON.stringify({ ...request, history: [] });
      await sync.bring(() => engine.absent(withoutHistory)).catch(() => undefined);
    }
    this.#open();
    const answer = this.#ask<Recommendation>(() => engine.recommend(json));
    // A row without cards is a row.
    await sync.cardsOf(answer.items.map(({ id }) => id)).catch(() => undefined);
    const cards = sync.shown;
    for (const item of answer.items) {
      const card = cards?.get(item.id);
      if (card !== undefined) item.card = card;
    }
    return answer;
  }

  /** What the shopper did, oldest first. */
  history(): HistoryEvent[] {
    return this.#events.map((event) => ({ ...event }));
  }

  /** Forgets the history, here at once and in the storage when the promise ends. */
  async erase(): Promise<void> {
    this.#open();
    this.#events = [];
    await this.#store(() => this.#storage.erase());
  }

  /** Replaces what the query tower knows beside the history. */
  setContext(context: Context): void {
    this.#open();
    this.#context = { ...context };
  }

  /** The product cards of the whole release, downloaded by the first call: a file, or, of a release in clusters, one for each. */
  async cards(): Promise<Cards> {
    this.#open();
    return this.#serving.sync.cards();
  }

  /** One card, where the cards are loaded. */
  card(id: string): Card | undefined {
    return this.#serving.sync.shown?.get(id);
  }

  status(): Status {
    this.#open();
    const { engine, sync } = this.#serving;
    return {
      release: this.#ask<ReleaseStatus>(() => engine.status()),
      downloaded: { ...sync.downloaded },
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  /** Looks for a newer release. It throws when that fails, and [`status`] keeps the reason; the present release serves on. */
  async sync(): Promise<void> {
    this.#open();
    try {
      await this.#serving.sync.run().catch((cause: unknown) => {
        if (this.#serveLarger === undefined || engineError(cause).code !== OTHER_ENGINE) throw cause;
        this.#changing ??= this.#change(this.#serveLarger).finally(() => {
          this.#changing = undefined;
        });
        return this.#changing;
      });
      this.#lastError = undefined;
    } catch (cause) {
      this.#lastError = engineError(cause);
      throw this.#lastError;
    }
  }

  /** Goes on with the larger engine. Rows that are on their way end with the one before, which goes with the last of them. */
  async #change(serveLarger: () => Promise<Serving>): Promise<void> {
    const { engine, sync } = await serveLarger();
    if (this.#closed) {
      sync.close();
      engine.free();
      this.#open();
    }
    sync.downloaded.files += this.#serving.sync.downloaded.files;
    sync.downloaded.bytes += this.#serving.sync.downloaded.bytes;
    this.#serving = { engine, sync };
    this.#serveLarger = undefined;
  }

  /** Ends downloads and frees the engine's memory. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#serving.sync.close();
    this.#serving.engine.free();
  }

  #open(): void {
    if (this.#closed) throw new NearshelfError("recommender/closed", "the recommender was closed; create a new one");
  }

  #ask<T>(call: () => string): T {
    try {
      return JSON.parse(call()) as T;
    } catch (cause) {
      throw engineError(cause);
    }
  }

  /**
   * Writes after every earlier write has ended: a slow store must not keep an old history over a newer one, or over an
   * erased one. A full or forbidden storage must not stop a page; the history in memory is right, and `status` tells.
   */
  #store(write: () => void | Promise<void>): Promise<void> {
    this.#writes = this.#writes.then(write).catch((cause: unknown) => {
      this.#lastError = new NearshelfError("storage/failed", `the history was not stored: ${text(cause)}`, { cause });
    });
    return this.#writes;
  }
}

/** The hour that the shopper's clock shows, as milliseconds: the query tower reads hours and weekdays, not time zones. */
function wallClock(at: number): number {
  return at - new Date(at).getTimezoneOffset() * 60_000;
}
