/**
 * Rows as hooks and as a component. React is the shop's own (a peer dependency).
 * @module nearshelf/react
 */
"use client";
import {
  createContext, createElement, type ReactElement, type ReactNode, useCallback, useContext, useEffect, useRef, useState,
} from "react";
import type { NearshelfError } from "./errors.js";
import type { RecommendOptions } from "./options.js";
import type { Recommendation, RecommendedItem } from "./recommendation.js";
import type { Recommender } from "./recommender.js";

const Shared = createContext<Recommender | undefined>(undefined);

/**
 * Gives what is below it a recommender; with `undefined`, because there is none yet, rows wait for it. Who made it closes it.
 * @param props the recommender, and what is below
 */
export function RecommenderProvider({ recommender, children }: { recommender: Recommender | undefined; children?: ReactNode }): ReactElement {
  return createElement(Shared.Provider, { value: recommender }, children);
}

/** The recommender of the provider above, once it is there; `undefined` before, and without a provider. */
export const useRecommender = (): Recommender | undefined => useContext(Shared);

/** What a row is made with, `(recommender, options) => recommender.relatedProducts(id, options)` say. */
export type RowRequest = (recommender: Recommender, options: RecommendOptions) => Promise<Recommendation>;

/** What a row is of. */
export interface RowOptions {
  /** What is asked for; the shopper's own row, `recommendedForYou`, unless told. Another function alone asks nothing anew: `of` does. */
  request?: RowRequest;
  /** Another value asks anew: the product's id, say, or how often the shopper has clicked. */
  of?: string | number;
  /** A row that a server made: it is shown at once, and nothing is asked for until `of` or the recommender changes or `refresh` is called. None unless told. */
  initial?: Recommendation;
}

/** A row and how it stands. */
export interface RowState {
  /** The last row that came; while a new one is on its way, the one before. */
  row: Recommendation | undefined;
  /** Why the last question failed, a {@link NearshelfError} where the package threw it; `undefined` after a success. The row before stays. */
  error: unknown;
  /** Whether a row is on its way, also while there is no recommender yet. */
  isLoading: boolean;
  /** Asks anew; the same function at every rendering. */
  refresh: () => void;
}

const forYou: RowRequest = (recommender, options) => recommender.recommendedForYou(options);

/**
 * A row that follows the recommender, `of` and `refresh`; another recommender, as after a login, is asked anew. It never throws: what failed is its `error`.
 * @param options what the row is of; the shopper's own unless told
 */
export function useRecommendations({ request = forYou, of, initial }: RowOptions = {}): RowState {
  const recommender = useRecommender();
  const [state, setState] = useState<Omit<RowState, "refresh">>({ row: initial, error: undefined, isLoading: initial === undefined });
  const [round, setRound] = useState(0);
  const question = `${round} ${String(of)}`;
  // What the row that is shown answers, and who gave it: that of a server answers the first question, whoever it is put to.
  const answered = useRef<{ question: string; by?: Recommender } | undefined>(initial === undefined ? undefined : { question });
  const latest = useRef(request);
  latest.current = request;
  useEffect(() => {
    if (recommender === undefined) return;
    const { by = recommender, question: before } = answered.current ?? {};
    if (by === recommender && before === question) {
      answered.current = { question, by };
      setState(({ row }) => ({ row, error: undefined, isLoading: false }));
      return;
    }
    const asking = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    latest.current(recommender, { signal: asking.signal }).then(
      (row) => {
        if (asking.signal.aborted) return;
        answered.current = { question, by: recommender };
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

/** What {@link RecommendationRow} is given. */
export interface RecommendationRowProps extends RowOptions {
  /** Names the list for who hears the page. */
  label: string;
  /** What a product looks like: a link, best of all. */
  children: (item: RecommendedItem) => ReactNode;
  /** The class of the list, and of what stands in its place. */
  className?: string;
  /** Shown while there is no row yet, in its size, and where the row is empty. */
  fallback?: ReactNode;
}

/**
 * A row as a list; it tracks what was seen, half of it at least, and clicked. Where a row fails, the one before stays, or `fallback`;
 * {@link useRecommendations} says why.
 * @param props what the row is of, and how it looks
 */
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
