export type { Card, Cards } from "./cards.js";
export { type ErrorCode, NearshelfError } from "./errors.js";
export { type EventType, type HistoryEvent, type HistoryStorage, memoryStorage } from "./history.js";
export type { Downloaded, ReleaseStatus, StockStatus } from "./host.js";
export type { EventsOptions, SentEvent } from "./outbox.js";
export type { WasmSource } from "./init.js";
export type { Boost, Condition, Context, Filters, Mode, RecommenderOptions, RecommendOptions, TrendingOptions } from "./options.js";
export type { Consent, Empty, Exported, Reason, Recommendation, RecommendedItem, Status } from "./recommendation.js";
export type { Recommender } from "./recommender.js";
