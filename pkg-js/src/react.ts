"use client";
// `nearshelf/react`: rows as hooks and as a component. React is the shop's own (a peer dependency).
import {
  createContext, createElement, type ReactElement, type ReactNode, useCallback, useContext, useEffect, useRef, useState,
} from "react";
import type { Recommendation, RecommendedItem, Recommender, RecommendOptions } from "./recommender.js";

const Shared = createContext<Recommender | undefined>(undefined);

/** Gives what is below it a recommender; without one yet, rows wait for it. */
export function RecommenderProvider({ recommender, children }: { recommender: Recommender | undefined; children?: ReactNode }): ReactElement {
  return createElement(Shared.Provider, { value: recommender }, children);
}

/** The recommender of the provider above, once it is there. */
export const useRecommender = (): Recommender | undefined => useContext(Shared);

/** What a row is made with, `(recommender, options) => recommender.relatedProducts(id, options)` say. */
export type RowRequest = (recommender: Recommender, options: RecommendOptions) => Promise<Recommendation>;

export interface RowOptions {
  /** What is asked for; the shopper's own row unless told. */
  request?: RowRequest;
  /** Another value asks anew: the product's id, say. */
  of?: string | number;
  /** A row that a server made: it is shown at once, and nothing is asked for until `of` changes or `refresh` is called. */
  initial?: Recommendation;
}

export interface RowState {
  /** The last row that came; while a new one is on its way, the one before. */
  row: Recommendation | undefined;
  /** Why the last question failed. */
  error: unknown;
  isLoading: boolean;
  refresh: () => void;
}

const forYou: RowRequest = (recommender, options) => recommender.recommendedForYou(options);

/** A row that follows the recommender, `of` and `refresh`. */
export function useRecommendations({ request = forYou, of, initial }: RowOptions = {}): RowState {
  const recommender = useRecommender();
  const [state, setState] = useState<Omit<RowState, "refresh">>({ row: initial, error: undefined, isLoading: initial === undefined });
  const [round, setRound] = useState(0);
  // What the row that is shown answers: that of a server answers the first question.
  const answered = useRef(initial === undefined ? undefined : `0 ${String(of)}`);
  const latest = useRef(request);
  latest.current = request;
  const question = `${round} ${String(of)}`;
  useEffect(() => {
    if (recommender === undefined || answered.current === question) return;
    const asking = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    latest.current(recommender, { signal: asking.signal }).then(
      (row) => {
        if (asking.signal.aborted) return;
        answered.current = question;
        setState({ row, error: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (!asking.signal.aborted) setState(({ row }) => ({ row, error, isLoading: false }));
      },
    );
    return () => asking.abort();
  }, [recommender, question]);
  const refresh = useCallback(() => setRound((before) => before + 1), []);
  return { ...state, refresh };
}

export interface RecommendationRowProps extends RowOptions {
  /** Names the list. */
  label: string;
  /** What a product looks like: a link, best of all. */
  children: (item: RecommendedItem) => ReactNode;
  className?: string;
  /** Shown while there is no row yet, in its size, and where the row is empty. */
  fallback?: ReactNode;
}

/** A row as a list; it tracks what was seen and clicked. */
export function RecommendationRow({ label, children, className, fallback, ...options }: RecommendationRowProps): ReactElement {
  const { row } = useRecommendations(options);
  const recommender = useRecommender();
  const list = useRef<HTMLUListElement>(null);
  const seen = useRef({ of: "", ids: new Set<string>() });
  useEffect(() => {
    if (recommender === undefined || row === undefined || list.current === null || typeof IntersectionObserver !== "function") return;
    const { recommendationId } = row;
    if (seen.current.of !== recommendationId) seen.current = { of: recommendationId, ids: new Set() };
    const observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        const id = (target as HTMLElement).dataset["id"];
        if (!isIntersecting || id === undefined || seen.current.ids.has(id)) continue;
        seen.current.ids.add(id);
        recommender.track("impression", id, { recommendationId });
      }
    }, { threshold: 0.5 });
    for (const item of list.current.children) observer.observe(item);
    return () => observer.disconnect();
  }, [recommender, row]);
  if (row === undefined || row.items.length === 0) return createElement("div", { className, "aria-busy": row === undefined }, fallback);
  const items = row.items.map((item) => createElement("li", {
    key: item.id,
    "data-id": item.id,
    onClick: () => recommender?.track("click", item.id, { recommendationId: row.recommendationId }),
  }, children(item)));
  // Safari forgets that a list without bullets is one.
  return createElement("ul", { ref: list, role: "list", "aria-label": label, className }, items);
}
