export type { Card, Cards } from "./cards.js";
export { type ErrorCode, NearshelfError } from "./errors.js";
export { type EventType, type HistoryEvent, type HistoryStorage, memoryStorage } from "./history.js";
export type { WasmSource } from "./init.js";
export type {
  Condition, Context, Recommendation, RecommendedItem, Recommender, RecommenderOptions, RecommendOptions, ReleaseStatus, Status, Where,
} from "./recommender.js";
export type { Downloaded } from "./sync.js";
