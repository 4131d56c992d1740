import type { Recommendation } from "nearshelf";
import type { Catalogue, Product } from "./catalogue.js";
import { part } from "./dom.js";
import { type Actions, blank, tile } from "./tile.js";

/** Products of the row. */
export const ROW = 12;

/** The row "Picked for you". Tiles that stay are kept, so that the eye sees what changed. */
export class Row {
  readonly #list = part("row-list");
  readonly #reason = part("row-reason");
  readonly #news = part("row-news");
  readonly #tiles = new Map<string, HTMLLIElement>();

  constructor() {
    this.#list.replaceChildren(...Array.from({ length: ROW }, blank));
    const scroll = (by: number) => this.#list.scrollBy({ left: by * this.#list.clientWidth * 0.8, behavior: calm() ? "auto" : "smooth" });
    part("row-back").addEventListener("click", () => scroll(-1));
    part("row-on").addEventListener("click", () => scroll(1));
    this.#list.addEventListener("keydown", (event) => this.#arrow(event));
  }

  show(recommendation: Recommendation, catalogue: Catalogue, actions: Actions): void {
    const products = recommendation.items.flatMap(({ id }) => catalogue.get(id) ?? []);
    const focused = [...this.#list.children].findIndex((element) => element.contains(document.activeElement));
    const first = this.#tiles.size === 0;
    const tiles = products.map((product) => {
      const kept = this.#tiles.get(product.id);
      const element = kept ?? tile(product, actions);
      element.classList.toggle("new", kept === undefined && !first);
      return element;
    });
    this.#tiles.clear();
    products.forEach(({ id }, i) => this.#tiles.set(id, tiles[i]!));
    this.#list.replaceChildren(...tiles);
    this.#list.scrollLeft = 0;
    // The tile that had the focus may be gone; its place must not be.
    if (focused >= 0 && document.activeElement === document.body) tiles[Math.min(focused, tiles.length - 1)]?.querySelector("a")?.focus();
    this.#reason.textContent = reason(recommendation, catalogue);
    if (!first) this.#news.textContent = news(products);
  }

  /** Says why there is no new row; the old one stays. */
  fail(why: string): void {
    this.#reason.textContent = why;
  }

  /** Left and right move from product to product, Home and End to the ends. */
  #arrow(event: KeyboardEvent): void {
    const links = [...this.#list.querySelectorAll<HTMLAnchorElement>("a.name")];
    const at = [...this.#list.children].findIndex((element) => element.contains(document.activeElement));
    const target = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: links.length - 1 }[event.key];
    if (target === undefined || links[target] === undefined) return;
    event.preventDefault();
    links[target].focus();
  }
}

/** Whether the shopper asked for less motion. */
export const calm = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

function reason({ source, history }: Recommendation, catalogue: Catalogue): string {
  if (source === "default") return "What most shoppers take. Open a product, and this row follows you.";
  const names = [...new Set(history.toReversed().map((id) => catalogue.get(id)?.name ?? "a product of before"))];
  const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} more`] : names;
  return `From what you looked at and took: ${new Intl.ListFormat("en").format(shown)}.`;
}

const news = (products: Product[]): string => `Picked for you has changed: ${products.slice(0, 3).map(({ name }) => name).join(", ")} and ${Math.max(0, products.length - 3)} more.`;
