/** What a shopper can do with a product. */
export type EventType = "view" | "cart" | "purchase";

/** One thing that a shopper did; `at` is `Date.now()` of that moment. */
export interface HistoryEvent {
  id: string;
  type: EventType;
  at: number;
}

/**
 * Where the history is kept between pages. A store is handed the whole history, oldest first, and answers with what it was
 * handed last. Ask for consent before you pass one that outlives the page.
 */
export interface HistoryStorage {
  load(): HistoryEvent[] | Promise<HistoryEvent[]>;
  save(events: readonly HistoryEvent[]): void | Promise<void>;
  erase(): void | Promise<void>;
}

/** The default store: it forgets everything with the page, so it needs no consent. */
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

/** A query tower reads the last ten or so; more are kept for a release that reads more, and no visit grows without end. */
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
