import { picture } from "./art.js";
import type { Basket } from "./basket.js";
import type { Product } from "./catalogue.js";
import { h, price } from "./dom.js";
import { to } from "./routes.js";

/** What every part of the page may do with a product. */
export interface Actions {
  basket: Basket;
  /** Puts one piece into the basket, and says so. */
  add(product: Product): void;
}

/** A product's price, or where to learn it. */
export const priceTag = (product: Product): HTMLElement =>
  h("span", { class: "price" }, product.card.price === undefined ? "In store" : price(product.card.price));

/** A product among others: drawing, name, size, price and a button. The whole tile leads to the product. */
export function tile(product: Product, actions: Actions): HTMLLIElement {
  return h("li", { class: "tile", "data-id": product.id },
    picture(product),
    h("p", { class: "shelf" }, product.shelf),
    h("a", { class: "name", href: to.item(product.id) }, product.name, h("span", { class: "size" }, product.size === "" ? "" : ` ${product.size}`)),
    h("div", { class: "buy" }, priceTag(product), addButton(product, actions, "Add")));
}

/** Keeps the place of a tile that is to come, so that nothing moves when it does. */
export function blank(): HTMLLIElement {
  const line = (name: string, text = "\u00a0") => h("span", { class: name }, text);
  return h("li", { class: "tile blank", "aria-hidden": "true" },
    h("div", { class: "picture" }), line("shelf"), line("name"), h("div", { class: "buy" }, line("price", "$0.00"), line("add", "Add")));
}

/** The button that puts a product into the basket. */
export function addButton(product: Product, actions: Actions, text: string): HTMLButtonElement {
  return h("button", { class: "add", type: "button", "aria-label": `${text} ${product.name} ${product.size}`.trim(), onclick: () => actions.add(product) }, text);
}
