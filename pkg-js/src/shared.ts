export type { Card, Cards } from "./cards.js";
export { type ErrorCode, NearshelfError } from "./errors.js";
export { type EventType, type HistoryEvent, type HistoryStorage, memoryStorage } from "./history.js";
export type { Downloaded, ReleaseStatus } from "./host.js";
export type { EventsOptions, SentEvent } from "./outbox.js";
export type { WasmSource } from "./init.js";
export type {
  Condition, Consent, Context, Empty, Exported, Filters, Mode, Reason, Recommendation, RecommendedItem, Recommender, RecommenderOptions,
  RecommendOptions, Status, TrendingOptions,
} from "./recommender.js";
