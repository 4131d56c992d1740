import { NearshelfError } from "./errors.js";
import type { Assignment } from "./experiment.js";
import type { EventType } from "./history.js";
import type { Recommendation, RecommendedItem } from "./recommendation.js";

/** What is sent to the shop of what happened on a page. */
export interface SentEvent extends Partial<Assignment> {
  /** What happened. */
  type: EventType | "impression" | "click";
  /** The product's id. */
  id: string;
  /** `Date.now()` of that moment, in milliseconds, by the shopper's clock. */
  at: number;
  /** The row that showed the product, where one did. */
  recommendationId?: string;
  /** Where the product is in that row, from 1. */
  slot?: number;
  /** As in {@link RecommendedItem.propensity}. */
  propensity?: number;
  /** As in {@link RecommendedItem.insteadOf}. */
  insteadOf?: string;
  /** The row's, as in {@link Recommendation.scenario}. */
  scenario?: string;
}

/** Where and when the shop hears of events. At most 1,000 wait, of which the oldest go first; nothing is sent before consent. */
export interface EventsOptions {
  /**
   * Where {@link SentEvent}s are posted, as JSON: `{ "events": [...] }`. 429, 500 to 599 and no answer are tried again, after up to five minutes; every
   * other answer takes them. What is left when the page is closed comes as `text/plain`.
   */
  url: string | URL;
  /** Milliseconds between two posts, above 0 and at most 2,147,483,647; 10,000 unless told. Shorter loses less when a browser is killed, and asks more often. */
  every?: number;
  /** Events of a post, a whole number from 1; 50 unless told. As soon as so many wait, they go. */
  batch?: number;
}

/** Events that wait when nobody takes them: the oldest go first. */
const MOST_WAITING = 1000;
/** The longest wait between two tries of a post, in milliseconds. */
const LONGEST_WAIT = 5 * 60_000;
/** What a timer can wait for: beyond it, it does not wait at all. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Rows whose products an event is attributed to. */
const ROWS = 50;

/**
 * Posts what happened, in batches, to the address that the shop names. Without consent nothing waits and nothing is sent; what is left when
 * the page is closed goes by a beacon.
 * @internal
 */
export class Outbox {
  readonly #url: string;
  readonly #every: number;
  readonly #batch: number;
  #isAllowed = false;
  #waiting: SentEvent[] = [];
  #sending: SentEvent[] = [];
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What rows said of their products, the last row first. */
  readonly #rows: { id: string; items: Map<string, Partial<SentEvent>> }[] = [];
  /** What all events say, in an experiment. */
  assignment: Assignment | undefined;
  readonly #leave = () => {
    if (document.visibilityState === "hidden") this.#beacon();
  };
  readonly #hide = () => this.#beacon();

  constructor({ url, every = 10_000, batch = 50 }: EventsOptions) {
    if (!(every > 0 && every <= LONGEST_TIMER) || !Number.isInteger(batch) || batch < 1) {
      const expected = `expected above 0 to ${LONGEST_TIMER} milliseconds, and a whole number from 1`;
      throw new NearshelfError("request/events", `events: found every ${every}, batch ${batch}; ${expected}`);
    }
    this.#url = String(url);
    this.#every = every;
    this.#batch = batch;
    if (typeof document === "object") {
      document.addEventListener("visibilitychange", this.#leave);
      addEventListener("pagehide", this.#hide);
    }
  }

  allow(isAllowed: boolean): void {
    this.#isAllowed = isAllowed;
    if (!isAllowed) this.#empty();
  }

  /** Forgets what waits, what is tried again, and that it was. */
  #empty(): void {
    this.#waiting = this.#sending = [];
    this.#failures = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Remembers what a row showed. */
  shown({ recommendationId, scenario, items }: Recommendation): void {
    const of = ({ id, propensity, insteadOf }: RecommendedItem, place: number): [string, Partial<SentEvent>] => [id, {
      recommendationId,
      slot: place + 1,
      ...(propensity === undefined ? {} : { propensity }),
      ...(insteadOf === undefined ? {} : { insteadOf }),
      ...(scenario === undefined ? {} : { scenario }),
    }];
    this.#rows.unshift({ id: recommendationId, items: new Map(items.map(of)) });
    this.#rows.length = Math.min(this.#rows.length, ROWS);
  }

  add(type: SentEvent["type"], id: string, at: number, recommendationId?: string): void {
    if (!this.#isAllowed) return;
    const row = this.#rows.find((row) => (recommendationId === undefined ? row.items.has(id) : row.id === recommendationId));
    const event: SentEvent = { type, id, at, ...(recommendationId === undefined ? {} : { recommendationId }), ...row?.items.get(id), ...this.assignment };
    this.#waiting = [...this.#waiting, event].slice(-MOST_WAITING);
    this.#later(this.#waiting.length >= this.#batch ? 0 : this.#every);
  }

  close(): void {
    this.#beacon();
    clearTimeout(this.#timer);
    this.#isAllowed = false;
    if (typeof document === "object") {
      document.removeEventListener("visibilitychange", this.#leave);
      removeEventListener("pagehide", this.#hide);
    }
  }

  #later(delay: number): void {
    if (this.#sending.length > 0) return;
    // A full batch goes at once, but not before its time to be tried again.
    if (this.#timer !== undefined && (delay > 0 || this.#failures > 0)) return;
    this.#schedule(delay);
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#post();
    }, delay);
    // Node does not stay for a post; a page never ends by itself.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  async #post(): Promise<void> {
    if (this.#sending.length > 0 || this.#waiting.length === 0) return;
    const sending = this.#waiting.slice(0, this.#batch);
    this.#sending = sending;
    this.#waiting = this.#waiting.slice(this.#batch);
    const isTaken = await this.#offer(sending);
    // Meanwhile the shopper may have withdrawn the consent.
    if (this.#sending !== sending) return;
    if (!isTaken) this.#waiting = [...sending, ...this.#waiting].slice(-MOST_WAITING);
    this.#sending = [];
    this.#failures = isTaken ? 0 : this.#failures + 1;
    if (this.#waiting.length > 0) this.#schedule(isTaken ? 0 : this.#backOff());
  }

  /** Twice as long after every failure, and never the same for all shoppers of a shop. */
  #backOff(): number {
    return Math.min(LONGEST_WAIT, this.#every * 2 ** this.#failures) * (0.5 + Math.random() / 2);
  }

  /** Whether the events are somebody else's now: taken, or refused for good. */
  async #offer(events: readonly SentEvent[]): Promise<boolean> {
    try {
      const headers = { "Content-Type": "application/json" };
      const { status } = await fetch(this.#url, { method: "POST", headers, body: body(events), keepalive: true });
      return status !== 429 && status < 500;
    } catch {
      return false;
    }
  }

  /** What a page that is left gives to the browser to send. */
  #beacon(): void {
    // What is being posted goes on without the page (`keepalive`).
    const events = this.#waiting;
    if (!this.#isAllowed || events.length === 0 || typeof navigator.sendBeacon !== "function") return;
    for (let at = 0; at < events.length; at += this.#batch) {
      // A text, not JSON by its type: that would need a preflight, for which a page that closes has no time.
      if (!navigator.sendBeacon(this.#url, body(events.slice(at, at + this.#batch)))) {
        this.#waiting = events.slice(at);
        return;
      }
    }
    this.#waiting = [];
    // What is being posted comes back if nobody takes it.
    if (this.#sending.length === 0) this.#empty();
  }
}

const body = (events: readonly SentEvent[]): string => JSON.stringify({ events });
