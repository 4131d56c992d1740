import type { Card, Cards } from "./cards.js";
import { NearshelfError } from "./errors.js";
import { type EventType, type HistoryEvent, isHistoryEvent } from "./history.js";
import type { Trial } from "./experiment.js";
import type { Host, ReleaseStatus, Request as Asked } from "./host.js";
import type { Keeper } from "./keeper.js";
import { listName } from "./lists.js";
import type { Context, Mode, RecommenderOptions, RecommendOptions, TrendingOptions } from "./options.js";
import type { Outbox } from "./outbox.js";
import { Refresher, secondsOf } from "./refresh.js";
import type { Consent, Empty, Explanation, Exported, Freshness, Reason, Recommendation, RecommendedItem, Status } from "./recommendation.js";

/** What a row is made of; the shopper's history where nothing is said. */
type Query = Partial<Pick<Asked, "history" | "like" | "lists" | "show">>;

const DEFAULT_LIMIT = 12;
/** Events that reasons are sought among: each costs a run of the query tower. */
const REASONS = 8;

/** The folder of a release. @internal */
export function releaseAddress(release: string | URL): string {
  const page = (globalThis as { document?: { baseURI: string } }).document?.baseURI;
  try {
    const url = new URL(release, page);
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    url.search = url.hash = "";
    return url.href;
  } catch (cause) {
    throw new NearshelfError("release/address", `${release} is no address; outside a page it must begin with https://`, { cause });
  }
}

/**
 * Recommends from what one shopper did. Made by {@link createRecommender}. What it throws is a {@link NearshelfError}; every call but `close`,
 * `history` and `card` throws `recommender/closed` after `close`.
 */
export class Recommender {
  readonly #host: Host;
  readonly #mode: Mode;
  readonly #keeper: Keeper;
  readonly #outbox: Outbox | undefined;
  readonly #trial: Trial | undefined;
  readonly #listeners = new Set<(status: Status) => void>();
  #context: Context;
  readonly #scenario: string | undefined;
  /** How often each product was shown since the shopper last did something with it; gone with the page. */
  readonly #shown = new Map<string, number>();
  /** What chance depends on where rules leave something to it: the same for a visit. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32);
  readonly #refresher: Refresher | undefined;
  #closed = false;
  /** The shopper's consent to what is stored on the device. */
  readonly consent: Consent;

  /** @internal */
  constructor([host, mode]: [Host, Mode], keeper: Keeper, options: Pick<RecommenderOptions, "consent" | "context" | "refresh" | "scenario">, outbox?: Outbox, trial?: Trial) {
    const { context = {}, scenario } = options;
    this.#trial = trial;
    this.#scenario = trial?.variant?.scenario ?? scenario;
    this.#host = host;
    this.#mode = mode;
    this.#keeper = keeper;
    this.#context = context;
    this.#outbox = outbox;
    outbox?.allow(keeper.isAllowed);
    if (keeper.isAllowed) trial?.keep(true);
    const ask = async (isAllowed: boolean) => {
      this.#open();
      outbox?.allow(isAllowed);
      trial?.keep(isAllowed);
      await Promise.all([isAllowed ? keeper.allow() : keeper.forbid(), host.keep(isAllowed)]).finally(() => this.#changed());
    };
    this.consent = {
      get granted() {
        return keeper.isAllowed;
      },
      grant: () => ask(true),
      revoke: () => ask(false),
    };
    keeper.onRevoked = () => {
      outbox?.allow(false);
      trial?.keep(false);
      if (!this.#closed) void host.keep(false).catch(() => undefined).then(() => this.#changed());
    };
    // Another tab may have withdrawn it while the release was loaded, and kept.
    if (options.consent === true && !keeper.isAllowed) keeper.onRevoked();
    keeper.onRelease = (version) => {
      if (!this.#closed && host.status().release.version < version) void this.sync().catch(() => undefined);
    };
    const seconds = secondsOf(options.refresh);
    this.#refresher = seconds === undefined ? undefined : new Refresher(seconds, () => this.sync());
  }

  /**
   * Notes what the shopper just did: views, carts and purchases are history, of which the last 200 are kept, and the next row follows them;
   * impressions and clicks are only for the shop, where it asks for events. Without {@link RecommenderOptions.events} nothing is sent.
   * `recommendationId` names the row that showed the product, the last one that did unless told.
   * @throws `request/event` for another type, or an id that is empty or no text
   */
  track(type: EventType | "impression" | "click", itemId: string, options: { recommendationId?: string } = {}): void {
    this.#open();
    const at = Date.now();
    const event = { id: itemId, type, at };
    if (isHistoryEvent(event)) this.#keeper.add(event);
    else if ((type !== "impression" && type !== "click") || typeof itemId !== "string" || itemId === "") {
      const found = `track(${String(type)}, ${String(itemId)})`;
      throw new NearshelfError("request/event", `${found}: expected "view", "cart", "purchase", "impression" or "click", and an id`);
    }
    if (type === "impression") this.#shown.set(itemId, (this.#shown.get(itemId) ?? 0) + 1);
    else this.#shown.delete(itemId);
    this.#outbox?.add(type, itemId, at, options.recommendationId);
  }

  /**
   * The row for this shopper, computed here. Of a release in one shard no request goes out once it is loaded; of one in
   * clusters, those are fetched that this shopper's row needs and that are not held yet. Where that fails, the row is
   * computed from what is held, and {@link Recommender.status} keeps the reason.
   * @throws `request/limit` `request/column` `request/condition` `request/json` for options out of their range, `towers/query` for a long-term vector that
   * the tower does not take, `engine/failed`, or the reason of `signal`
   */
  recommendedForYou(options: RecommendOptions = {}): Promise<Recommendation> {
    return this.#row(options, {});
  }

  /**
   * What shoppers who look at a product may like, whoever they are: the row for a history of this product alone, which is not in it. Of a product
   * that the release does not have, the row is empty (`"unknown-item"`).
   * @throws as {@link Recommender.recommendedForYou}
   */
  relatedProducts(itemId: string, options: RecommendOptions = {}): Promise<Recommendation> {
    return this.#row(options, { history: [{ id: itemId, type: "view", at: wallClock(Date.now()) }] }, itemId);
  }

  /**
   * Products that stand nearest to a product: bought by the same shoppers, of the same kind. Of a product that the release does not have, the row
   * is empty (`"unknown-item"`).
   * @throws as {@link Recommender.recommendedForYou}
   */
  lookingSimilar(itemId: string, options: RecommendOptions = {}): Promise<Recommendation> {
    return this.#row(options, { history: [], like: itemId }, itemId);
  }

  /**
   * What is bought together with a product, or with those of a cart, by the baskets of the shop's training data: scores are cosines of
   * baskets, above 0 to 1, summed over the cart. Where the release has no such data of any of them, the row is empty with `"no-data"`.
   * @param item the product, or those of a cart; none of them is in the row
   * @throws as {@link Recommender.recommendedForYou}; `download/…` where the lists are not held and cannot be had, `lists/malformed`
   */
  frequentlyBoughtTogether(item: string | readonly string[], options: RecommendOptions = {}): Promise<Recommendation> {
    const cart = typeof item === "string" ? [item] : [...item];
    return this.#listed("together", cart.map((id) => listName("together", id)), options, cart);
  }

  /**
   * What more shoppers buy in the last days of the shop's training data than the weeks before lead one to expect, of the whole shop or of a
   * category. Scores are in standard deviations; what does not sell better is not listed.
   * @throws as {@link Recommender.frequentlyBoughtTogether}
   */
  trendingItems(options: TrendingOptions = {}): Promise<Recommendation> {
    const { category = [], ...rest } = options;
    const path = typeof category === "string" ? [category] : category;
    return this.#listed("trending", [listName("trending", ...path)], rest);
  }

  /**
   * What every stage decides of a product in the row that {@link Recommender.recommendedForYou} gives for these options: where retrieval finds it, what
   * leaves it out, how it is ranked and moved, and which slot it gets.
   * @throws as {@link Recommender.recommendedForYou}; `download/…` where what is asked for is not held and cannot be had
   */
  async explain(itemId: string, options: RecommendOptions = {}): Promise<Explanation> {
    this.#open();
    options.signal?.throwIfAborted();
    return until(this.#host.explain({ reasons: REASONS, ...this.#query(options, {}) }, itemId), options.signal);
  }

  /** A row of lists of the release; `items` are those that it is for. */
  async #listed(reason: Reason, lists: string[], options: RecommendOptions, items?: readonly string[]): Promise<Recommendation> {
    const exclude = [...(options.exclude ?? []), ...(items ?? [])];
    const row = await this.#asked({ ...options, exclude }, { history: [], lists });
    const listed = row.items.map((item) => ({ ...item, reason: item.reason === "pinned" || item.reason === "explored" ? item.reason : reason }));
    return this.#given({ ...row, items: listed, source: items ? "item" : "shop" }, options, row.empty ?? "nothing-passed");
  }

  /**
   * What the shopper looked at or put into the cart and did not buy since, the last first; as many as the query tower reads, at most. Products that
   * left the release are left out, `filters` and `threshold` have no say. Scores count down from 0.
   * @throws as {@link Recommender.recommendedForYou}
   */
  async continueShopping(options: RecommendOptions = {}): Promise<Recommendation> {
    const { limit = DEFAULT_LIMIT, exclude = [] } = options;
    const left = new Set(exclude);
    const open = new Map<string, HistoryEvent>();
    for (const event of this.#keeper.events) {
      open.delete(event.id);
      if (event.type !== "purchase" && !left.has(event.id)) open.set(event.id, event);
    }
    const history = [...open.values()].map(({ id, type, at }) => ({ id, type, at: wallClock(at) }));
    const { limit: _, threshold: __, ...rest } = options;
    // The engine says which of these it knows; its own products are not asked for.
    const row = await this.#asked({ ...rest, limit: 1 }, { history, show: limit });
    const items = row.items.map((item): RecommendedItem => ({ ...item, reason: "viewed" }));
    return this.#given({ ...row, source: "history", items }, options, "no-history");
  }

  #history(): Asked["history"] {
    return this.#keeper.events.map(({ id, type, at }) => ({ id, type, at: wallClock(at) }));
  }

  async #row(options: RecommendOptions, of: Query, item?: string): Promise<Recommendation> {
    const row = await this.#asked(options, of, item);
    return this.#given(row, options, item !== undefined && !row.history.includes(item) ? "unknown-item" : "nothing-passed");
  }

  /** What the engine is asked; `item` is the product that the row is for, which is not in it. */
  #query(options: RecommendOptions, of: Query, item?: string): Asked {
    const { scenario = this.#scenario } = options;
    const history = this.#history();
    // What is asked of a product is the same for everybody.
    const own = item === undefined ? this.#context : {};
    const { now = this.#context.now ?? Date.now(), ...context } = { ...own, ...options.context };
    return {
      history,
      ...of,
      past: of.history === undefined ? [] : history,
      ...(of.history === undefined ? {} : { unranked: true as const }),
      limit: options.limit ?? DEFAULT_LIMIT,
      exclude: [...(options.exclude ?? []), ...(item === undefined ? [] : [item])],
      where: options.filters ?? {},
      shown: [...this.#shown],
      boosts: (options.boosts ?? []).map(({ filters, by }) => ({ where: filters, by })),
      seed: this.#seed,
      ...(options.reasons === true ? { reasons: REASONS } : {}),
      ...(scenario === undefined ? {} : { scenario }),
      context: { ...context, now: wallClock(now) },
    };
  }

  /** A row as the engine has it; `item` is the product that it is for, which is not in it. */
  async #asked(options: RecommendOptions, of: Query, item?: string): Promise<Recommendation> {
    this.#open();
    const { signal, threshold = -Infinity, scenario = this.#scenario } = options;
    signal?.throwIfAborted();
    const asked = this.#query(options, of, item);
    const { items, history: read, source, timings, bytes, lists } = await until(this.#host.row(asked), signal);
    const reason: Reason = item === undefined ? source : of.like === undefined ? "related" : "similar";
    const { release, isStale } = this.#host.status();
    return {
      // Of a product that is not known, nobody asked for what the trained default would say.
      items: item !== undefined && !read.includes(item) ? [] : items.filter(({ score, pinned }) => pinned || score >= threshold)
        .map(({ pinned, price, ...found }) => ({
          ...found,
          ...(price == null ? {} : { price }),
          reason: pinned ? "pinned" : found.insteadOf === undefined ? reason : "explored",
        })),
      recommendationId: newId(),
      ...(scenario === undefined ? {} : { scenario }),
      ...(this.#trial?.variant === undefined ? {} : { variant: this.#trial.variant.name }),
      history: read,
      source: item === undefined ? source : "item",
      status: { name: release.name, version: release.version, freshness: freshnessOf(release, isStale) },
      timings,
      bytes,
      ...(lists === 0 ? { empty: "no-data" as const } : {}),
    };
  }

  /** A row as the shop gets it. */
  async #given(row: Recommendation, options: RecommendOptions, why: Empty): Promise<Recommendation> {
    const { transformItems, fallback, threshold: _, ...rest } = options;
    if (transformItems !== undefined) row.items = transformItems(row.items);
    if (row.items.length === 0) {
      if (fallback !== undefined) return fallback(this, transformItems === undefined ? rest : { ...rest, transformItems });
      row.empty = why;
    }
    this.#outbox?.shown(row);
    this.#changed();
    return row;
  }

  /** What the shopper did, oldest first, 200 events at most: a copy. */
  history(): HistoryEvent[] {
    return this.#keeper.events.map((event) => ({ ...event }));
  }

  /**
   * Forgets the history, here and in other tabs at once, and in the storage when the promise ends: what an earlier visit stored, too, whether the
   * shopper has agreed in this one or not.
   * @throws `storage/failed` where the storage does not erase it; here it is forgotten all the same
   */
  async erase(): Promise<void> {
    this.#open();
    this.#shown.clear();
    await this.#keeper.erase();
  }

  /** Everything that is known of the shopper here, for whoever asks for it. */
  export(): Exported {
    this.#open();
    return { history: this.history(), context: { ...this.#context }, consent: this.consent.granted, ...(this.#trial && { visitor: this.#trial.visitor }) };
  }

  /** Sets the shopper's long-term vector, which `nearshelf user-vectors` computes at the origin. Whether its length is right, the next row says. */
  setUser(vector: readonly number[]): void {
    this.#open();
    this.#context = { ...this.#context, user: [...vector] };
  }

  /** Forgets the long-term vector, as when a shopper logs out. */
  unsetUser(): void {
    this.#open();
    const { user: _, ...context } = this.#context;
    this.#context = context;
  }

  /**
   * Calls `listener` with the status now and after everything that may change it; the function that is given ends that. What the listener throws
   * later is reported as an uncaught error, and stops nothing.
   */
  subscribe(listener: (status: Status) => void): () => void {
    this.#open();
    listener(this.status());
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #changed(): void {
    for (const listener of this.#closed ? [] : [...this.#listeners]) {
      try {
        listener(this.status());
      } catch (cause) {
        report(cause);
      }
    }
  }

  /**
   * Downloads what this shopper's next row needs, without a row: before a page of products is opened, say. Of a release in one shard nothing is
   * left to download.
   * @throws as {@link Recommender.recommendedForYou}
   */
  async prefetch(options: Pick<RecommendOptions, "filters" | "context"> = {}): Promise<void> {
    await this.#asked({ ...options, limit: 1 }, {});
    this.#changed();
  }

  /**
   * Replaces what the query tower knows beside the history, the long-term vector too.
   * @throws `recommender/closed`; what is wrong in a context, the next row says
   */
  setContext(context: Context): void {
    this.#open();
    this.#context = { ...context };
  }

  /**
   * The product cards of the whole release, downloaded by the first call: a file, or, of a release in clusters, one for each. A call after a
   * failure tries again.
   * @throws `cards/absent` of a release without cards, `cards/malformed`, `download/…`, `recommender/closed`
   */
  async cards(): Promise<Cards> {
    this.#open();
    return this.#host.cards();
  }

  /** One card, where it is loaded: after {@link Recommender.cards}, or, with {@link RecommenderOptions.cards}, when a row showed the product. */
  card(id: string): Card | undefined {
    return this.#host.card(id);
  }

  /** The release that serves, what was downloaded, and what failed last. */
  status(): Status {
    this.#open();
    const { release, downloaded, isStale, lastError = this.#keeper.error } = this.#host.status();
    const freshness = freshnessOf(release, isStale);
    return { release, freshness, downloaded, mode: this.#mode, ...(lastError === undefined ? {} : { lastError }) };
  }

  /**
   * Looks for newer stock and for a newer release, which then serves whole. Pages look by themselves ({@link RecommenderOptions.refresh}); elsewhere
   * call it every few minutes. When it fails, the present release serves on, and {@link Recommender.status} keeps the reason; where only the stock
   * cannot be had, the last one counts, and nothing is thrown.
   * @throws `download/…`, or the code of what is wrong with the newer release: `sync/…`, `release/…`, `shard/…`, `delta/…`, `towers/…`, `directory/…`,
   * `columns/…`, `request/segment`
   */
  async sync(): Promise<void> {
    this.#open();
    const { version } = this.#host.status().release;
    await this.#host.sync().finally(() => this.#changed());
    this.#keeper.error = undefined;
    if (this.#host.status().release.version > version) this.#keeper.tellRelease(this.#host.status().release.version);
  }

  /** Ends downloads, hands events that wait to the browser to send, and frees the engine's memory. A second call does nothing. */
  close(): void {
    this.#closed = true;
    this.#refresher?.close();
    this.#outbox?.close();
    this.#keeper.close();
    this.#host.close();
  }

  #open(): void {
    if (this.#closed) throw new NearshelfError("recommender/closed", "the recommender was closed; create a new one");
  }
}

/** What a page hears: the older of what the signature and what the last download say. */
function freshnessOf({ trust }: ReleaseStatus, isStale: boolean): Freshness {
  if (trust.freshness === "expired") return "expired";
  return isStale || trust.freshness === "stale" ? "stale" : "fresh";
}

/** Says what a listener threw, as of an error that nobody catches; at one of those Node, which has no such call, would end. */
function report(cause: unknown): void {
  const host = globalThis as { reportError?: (cause: unknown) => void };
  if (host.reportError === undefined) console.error(cause);
  else host.reportError(cause);
}

/** Names a row or a visitor: unlike others, and no secret. @internal */
export function newId(): string {
  // The type leaves out that insecure origins lack it.
  const host = globalThis.crypto as { randomUUID?: () => string } | undefined;
  return host?.randomUUID?.() ?? `${Date.now().toString(16)}-${Math.random().toString(16).slice(2)}`;
}

/** A promise, or the reason of the signal that ends it. */
function until<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const end = () => reject(signal.reason as Error);
    signal.addEventListener("abort", end, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
  });
}

/** The hour that the shopper's clock shows, as milliseconds: the query tower reads hours and weekdays, not time zones. */
function wallClock(at: number): number {
  return at - new Date(at).getTimezoneOffset() * 60_000;
}
