export type { Card, Cards } from "./cards.js";
export { type ErrorCode, NearshelfError } from "./errors.js";
export { type EventType, type HistoryEvent, type HistoryStorage, memoryStorage } from "./history.js";
export { init, type WasmSource } from "./init.js";
export {
  type Condition,
  type Context,
  createRecommender,
  type Recommendation,
  type RecommendedItem,
  type Recommender,
  type RecommenderOptions,
  type RecommendOptions,
  type ReleaseStatus,
  type Status,
  type Where,
} from "./recommender.js";
export type { Downloaded } from "./sync.js";
