import { NearshelfError, text } from "./errors.js";

/** What a shopper can do with a product, as far as the towers read it. */
export type EventType = "view" | "cart" | "purchase";

/** One thing that a shopper did. */
export interface HistoryEvent {
  /** The product's id; never empty. */
  id: string;
  /** What was done. */
  type: EventType;
  /** `Date.now()` of that moment, in milliseconds. */
  at: number;
}

/**
 * Where the history is kept between pages. A store is handed the whole history, oldest first, and answers with what it was
 * handed last. Before the shopper's consent it is asked for nothing but to erase. What it throws is `storage/failed` in {@link Status.lastError}, and
 * is thrown on only by who asked to erase: {@link Recommender.erase} and {@link Consent.revoke}.
 */
export interface HistoryStorage {
  /** What was saved last, oldest first; what is no event is left out, and of more than 200 the latest count. */
  load(): HistoryEvent[] | Promise<HistoryEvent[]>;
  /** Keeps these events, 200 at most, in place of what was there. The next call waits for the promise. */
  save(events: readonly HistoryEvent[]): void | Promise<void>;
  /** Where it is there, new events come here one by one, and `save` is not called; the store then drops old ones itself. */
  append?(events: readonly HistoryEvent[]): void | Promise<void>;
  /** Forgets everything. */
  erase(): void | Promise<void>;
}

/** A store that forgets everything with the page; what `storage: "memory"` means. */
export function memoryStorage(): HistoryStorage {
  let kept: readonly HistoryEvent[] = [];
  return {
    load: () => [...kept],
    save: (events) => {
      kept = [...events];
    },
    erase: () => {
      kept = [];
    },
  };
}

/** The release's query tower decides how many enter, 100 products in the demo; events repeat products, so more are kept. */
export const MAX_HISTORY = 200;

const TYPES: readonly string[] = ["view", "cart", "purchase"] satisfies EventType[];

/** Whether a value read back from a store is an event: what is stored on a device can be anything. */
export function isHistoryEvent(value: unknown): value is HistoryEvent {
  const event = value as Partial<HistoryEvent> | null;
  return typeof event === "object" && event !== null
    && typeof event.id === "string" && event.id !== ""
    && typeof event.type === "string" && TYPES.includes(event.type)
    && Number.isFinite(event.at);
}

/** What a store gave when the recommender began. */
export interface LoadedHistory {
  events: HistoryEvent[];
  /** Why the events could not be read; they are none then. */
  error?: NearshelfError;
}

/** Reads the history back and never rejects: a shopper whose storage is forbidden or damaged still gets a row. */
export async function loadHistory(storage: HistoryStorage): Promise<LoadedHistory> {
  try {
    const stored: unknown = await storage.load();
    if (!Array.isArray(stored)) throw new TypeError(`load() gave ${stored === null ? "null" : typeof stored}, expected an array of events`);
    return { events: stored.filter(isHistoryEvent).slice(-MAX_HISTORY) };
  } catch (cause) {
    return { events: [], error: new NearshelfError("storage/failed", `the history was not read and begins empty: ${text(cause)}`, { cause }) };
  }
}
