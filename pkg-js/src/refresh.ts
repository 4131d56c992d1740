import { NearshelfError } from "./errors.js";

/** Seconds from one look for newer stock to the next, unless told. */
export const DEFAULT_SECONDS = 45;
/** Fewer seconds count as these: stock that is half a minute old is new enough, and hosts are asked often enough. */
export const LEAST_SECONDS = 30;

/** How much longer than asked a look may be put off, as a share: pages that were opened together do not ask together for ever. */
const JITTER = 0.2;
/** The longest that failures put a look off, in milliseconds. */
const MOST_AFTER_FAILURES = 3_600_000;

/** More seconds than timers take count as these, some 24 days. */
const MOST_SECONDS = 2_147_483;

/** The part of a page that says whether somebody looks at it. */
interface Page {
  visibilityState: string;
  addEventListener(type: "visibilitychange", listener: () => void): void;
  removeEventListener(type: "visibilitychange", listener: () => void): void;
}

/**
 * Looks again and again, from the end of one look on, while the page is in sight; when it comes back into sight, at once where a look is due.
 * @internal
 */
export class Refresher {
  readonly #milliseconds: number;
  readonly #look: () => Promise<unknown>;
  readonly #page = (globalThis as { document?: Page }).document;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isLooking = false;
  #isClosed = false;
  /** Looks that failed since one did not. */
  #failures = 0;
  /** When the next look is due. */
  #due = 0;

  constructor(seconds: number, look: () => Promise<unknown>) {
    this.#milliseconds = Math.min(Math.max(seconds, LEAST_SECONDS), MOST_SECONDS) * 1000;
    this.#look = look;
    this.#page?.addEventListener("visibilitychange", this.#seen);
    this.#wait();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#page?.removeEventListener("visibilitychange", this.#seen);
  }

  #wait(): void {
    if (this.#isClosed) return;
    this.#due = Date.now() + delay(this.#milliseconds, this.#failures, Math.random());
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#page?.visibilityState === "hidden") return;
    this.#timer = setTimeout(() => this.#now(), Math.max(this.#due - Date.now(), 0));
    // Node waits for timers; a page does not.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  #now(): void {
    this.#isLooking = true;
    // What fails is in the status, and is looked for again.
    void this.#look().then(() => {
      this.#failures = 0;
    }, () => {
      this.#failures += 1;
    }).finally(() => {
      this.#isLooking = false;
      this.#wait();
    });
  }

  readonly #seen = (): void => {
    if (!this.#isLooking) this.#arm();
  };
}

/**
 * Milliseconds until the next look: twice as many after each failure, and up to twice that by chance, where `chance` is 0 to 1 (the way of Safe Browsing's
 * update protocol); no failure makes it come sooner, nor later than an hour unless looks are that rare.
 * @internal
 */
export function delay(milliseconds: number, failures: number, chance: number): number {
  if (failures === 0) return milliseconds * (1 + JITTER * chance);
  const longer = milliseconds * 2 ** Math.min(failures - 1, 20) * (1 + chance);
  return Math.min(longer, Math.max(MOST_AFTER_FAILURES, milliseconds));
}

/** How often a recommender looks, where it does: in pages unless told, and elsewhere where it is told. @internal */
export function secondsOf(refresh: number | false | undefined): number | undefined {
  if (refresh === false) return undefined;
  if (Number.isNaN(refresh)) throw new NearshelfError("request/refresh", "refresh is NaN, expected seconds or false");
  return refresh ?? ("document" in globalThis ? DEFAULT_SECONDS : undefined);
}
