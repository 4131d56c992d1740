import type { Product } from "./catalogue.js";

/** What the shopper means to buy. It lives as long as the page: this shop stores nothing. */
export class Basket extends EventTarget {
  readonly #lines = new Map<string, { product: Product; count: number }>();

  lines(): { product: Product; count: number }[] {
    return [...this.#lines.values()];
  }

  ids(): string[] {
    return [...this.#lines.keys()];
  }

  get count(): number {
    return this.lines().reduce((sum, { count }) => sum + count, 0);
  }

  /** In cents. */
  get total(): number {
    return this.lines().reduce((sum, { product, count }) => sum + count * (product.card.price ?? 0), 0);
  }

  /** Adds `by` pieces; with none left the line goes. */
  change(product: Product, by: number): void {
    const count = (this.#lines.get(product.id)?.count ?? 0) + by;
    if (count > 0) this.#lines.set(product.id, { product, count });
    else this.#lines.delete(product.id);
    this.dispatchEvent(new Event("change"));
  }

  clear(): void {
    this.#lines.clear();
    this.dispatchEvent(new Event("change"));
  }
}
