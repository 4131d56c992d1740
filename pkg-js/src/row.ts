/**
 * The custom element `<nearshelf-row>`, and its markup from a server.
 * @module nearshelf/row
 */
import { escaped, type MarkupOptions, rowMarkup } from "./markup.js";
import type { RecommendOptions } from "./options.js";
import type { Recommendation, RecommendedItem } from "./recommendation.js";
import type { Recommender } from "./recommender.js";

export { escaped, type MarkupOptions } from "./markup.js";

/** Asks a recommender for a row: with any of its methods, and with `options`, in which the element says how many and when it waits no longer. */
export type RowRequest = (recommender: Recommender, options: RecommendOptions) => Promise<Recommendation>;

/** A row that a server made: put `html` into the page; once the script that defines the element is loaded and the page is whole, it takes over. */
export interface Snapshot {
  /** The element with its row inside. Every text of the row is escaped in it. */
  html: string;
  /** The row, which the markup holds, too. */
  row: Recommendation;
}

/** The name of the element. */
export const ROW_ELEMENT = "nearshelf-row";
/** Says of an element that its row comes with the page. */
const SNAPSHOT = "snapshot";

/**
 * The element with its row, for a server. The browser shows it before any script runs (declarative shadow DOM), and the element takes over what
 * it finds: the same products, and no second request.
 */
export function renderSnapshot(row: Recommendation, options: MarkupOptions = {}): Snapshot {
  // A script ends at its end tag, wherever that stands.
  const state = JSON.stringify(row).replaceAll("<", "\\u003c");
  const attribute = (name: string, text: string | undefined) => (text === undefined ? "" : ` ${name}="${escaped(text)}"`);
  const named = attribute("heading", options.heading) + attribute("aria-label", options.label);
  const shadow = `<template shadowrootmode="open">${rowMarkup(row.items, options)}</template>`;
  return { html: `<${ROW_ELEMENT} ${SNAPSHOT}${named}>${shadow}<script type="application/json">${state}</script></${ROW_ELEMENT}>`, row };
}

/** A server has no elements: there the module is loaded for its markup alone. */
const Base = (globalThis as { HTMLElement?: typeof HTMLElement }).HTMLElement ?? (class {} as typeof HTMLElement);

/**
 * A row of products. Give it a recommender, and it shows `recommendedForYou`; `request` asks for another row. It tracks impressions and
 * clicks, and shows a new row when `refresh` is called. Attributes: `heading`, `aria-label` where there is no heading, `limit`. Parts for CSS: `heading`, `list`, `item`, `link`,
 * `image`, `title`, `brand`, `price`, `note`, `place`, `empty`; custom properties: `--nearshelf-item-width`, `-item-height`, `-image-height`, `-gap`. What
 * stands in the slot `empty` is shown where the row is empty.
 */
export class NearshelfRow extends Base {
  /** For the browser. @internal */
  static readonly observedAttributes = ["heading", "aria-label", "limit"];

  #recommender: Recommender | undefined;
  #request: RowRequest = (recommender, options) => recommender.recommendedForYou(options);
  #markup: MarkupOptions = {};
  #row: Recommendation | undefined;
  /** Who was asked last, or took over a server's row. */
  #asked: Recommender | undefined;
  /** Ends what is being asked when something newer is; there until it is answered. */
  #asking: AbortController | undefined;
  #seen: IntersectionObserver | undefined;
  #tracked = new Set<string>();
  #isConnected = false;
  /** While the page still brings what is in the element. */
  #parsing: Promise<void> | undefined;

  /**
   * Asks for a row as soon as it is set; the first one takes over what a server has brought, another one, as after a login, is asked anew.
   * `undefined`, the default, asks for nothing.
   */
  set recommender(recommender: Recommender | undefined) {
    this.#recommender = recommender;
    this.#follow();
  }

  /** The one that was set. */
  get recommender(): Recommender | undefined {
    return this.#recommender;
  }

  /** What is asked for, `(recommender, options) => recommender.relatedProducts("1", options)` say; `recommendedForYou` unless told. Setting it asks anew. */
  set request(request: RowRequest) {
    this.#request = request;
    if (this.#recommender !== undefined) void this.refresh();
  }

  /** How products are shown; setting it shows the row again, and asks for nothing. */
  set markup(options: MarkupOptions) {
    this.#markup = options;
    if (this.isConnected) this.#show();
  }

  /** The row that is shown; `undefined` until one is there. */
  get row(): Recommendation | undefined {
    return this.#row;
  }

  /**
   * Asks for a new row and shows it; an older question is then no longer waited for. It never rejects: `nearshelf-shown` has the row as its `detail`,
   * `nearshelf-error` the error, after which the row that was there stays.
   */
  async refresh(): Promise<void> {
    const recommender = this.#recommender;
    if (recommender === undefined) return;
    this.#asking?.abort();
    this.#asked = recommender;
    const asking = (this.#asking = new AbortController());
    try {
      const row = await this.#request(recommender, { limit: this.#limit, signal: asking.signal });
      await this.#parsing;
      if (asking.signal.aborted) return;
      this.#row = row;
      this.#tracked = new Set();
      this.#show();
      this.#tell("nearshelf-shown", row);
    } catch (error) {
      // The row that was there stays.
      if (!asking.signal.aborted) this.#tell("nearshelf-error", error);
    } finally {
      if (!asking.signal.aborted) this.#asking = undefined;
    }
  }

  /** For the browser. @internal */
  connectedCallback(): void {
    this.#isConnected = true;
    this.addEventListener("click", this.#click);
    // An element that is defined before the parser reaches it is connected while it is empty; a shadow tree now would keep out the server's.
    if (document.readyState !== "loading" || !this.hasAttribute(SNAPSHOT)) return this.#begin();
    this.#parsing = new Promise((done) => {
      document.addEventListener("DOMContentLoaded", () => {
        this.#parsing = undefined;
        done();
        if (this.#isConnected) this.#begin();
      }, { once: true });
    });
  }

  /** For the browser. @internal */
  disconnectedCallback(): void {
    this.#isConnected = false;
    this.removeEventListener("click", this.#click);
    this.#asking?.abort();
    this.#seen?.disconnect();
  }

  /** For the browser. @internal */
  attributeChangedCallback(name: string, before: string | null): void {
    // An element that a page brings hears of its attributes before it is connected, and of nothing new.
    if (!this.#isConnected || before === this.getAttribute(name)) return;
    if (name === "limit") void this.refresh();
    else this.#show();
  }

  /** Takes over what a server has brought, or keeps places free. */
  #begin(): void {
    if (this.#row === undefined) {
      const state = this.querySelector(":scope > script[type='application/json']")?.textContent;
      if (state != null) this.#row = JSON.parse(state) as Recommendation;
      // What a script puts into a page as HTML, a router for one, comes without its shadow tree.
      if (state == null || this.shadowRoot === null) this.#show();
    }
    this.#follow();
  }

  /** Asks where there is neither row nor question, where leaving the page ended the question, and where the recommender is another one. */
  #follow(): void {
    const recommender = this.#recommender;
    if (recommender === undefined) return this.#asking?.abort();
    if (this.#parsing !== undefined) return;
    const isDue = this.#asking === undefined ? this.#row === undefined : this.#asking.signal.aborted;
    const isAnother = this.#asked !== undefined && this.#asked !== recommender;
    this.#asked = recommender;
    this.#watch();
    if (isDue || isAnother) void this.refresh();
  }

  get #limit(): number {
    const limit = Number(this.getAttribute("limit") ?? this.#markup.limit ?? 12);
    return Number.isInteger(limit) && limit > 0 ? limit : 12;
  }

  #show(): void {
    if (this.#parsing !== undefined) return void this.#parsing.then(() => this.#show());
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const heading = this.getAttribute("heading") ?? this.#markup.heading;
    const label = this.getAttribute("aria-label") ?? this.#markup.label;
    const named = { ...(heading === undefined ? {} : { heading }), ...(label === undefined ? {} : { label }) };
    replace(root, rowMarkup(this.#row?.items, { ...this.#markup, limit: this.#limit, ...named }));
    this.#watch();
  }

  /** Notes which products come into sight. */
  #watch(): void {
    this.#seen?.disconnect();
    if (this.#recommender === undefined || this.#row === undefined || typeof IntersectionObserver !== "function") return;
    this.#seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.#impression((target as HTMLElement).dataset["id"]);
    }, { threshold: 0.5 });
    for (const item of this.shadowRoot?.querySelectorAll("li[data-id]") ?? []) this.#seen.observe(item);
  }

  #impression(id: string | undefined): void {
    const { recommendationId } = this.#row ?? {};
    if (id === undefined || recommendationId === undefined || this.#tracked.has(id)) return;
    this.#tracked.add(id);
    this.#recommender?.track("impression", id, { recommendationId });
  }

  readonly #click = (event: Event): void => {
    const item = event.composedPath().find((target): target is HTMLElement => target instanceof HTMLElement && target.dataset["id"] !== undefined);
    const id = item?.dataset["id"];
    const { recommendationId } = this.#row ?? {};
    if (id === undefined || recommendationId === undefined) return;
    this.#recommender?.track("click", id, { recommendationId });
    this.#tell("nearshelf-click", { id, recommendationId });
  };

  #tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

/** Shows something else. The keyboard stays with the product that it is at, or with the list, and what the list was scrolled to stays in sight. */
function replace(root: ShadowRoot, html: string): void {
  const focused = root.activeElement;
  const from = focused?.closest("li");
  const at = from?.offsetLeft ?? 0;
  const left = root.querySelector("ul")?.scrollLeft ?? 0;
  root.innerHTML = html;
  const list = root.querySelector("ul");
  const item = from && [...root.querySelectorAll("li")].find(({ dataset }) => dataset["id"] === from.dataset["id"]);
  list?.scrollTo({ left: left + (item ? item.offsetLeft - at : 0), behavior: "instant" });
  if (focused !== null) (item?.querySelector("a") ?? list)?.focus({ preventScroll: true });
}

/** Defines the element; a page may call it more than once, and on a server it does nothing. */
export function defineRow(): void {
  if (typeof customElements === "object" && customElements.get(ROW_ELEMENT) === undefined) customElements.define(ROW_ELEMENT, NearshelfRow);
}

export type { Recommendation, RecommendedItem };
