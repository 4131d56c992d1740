// The markup of a row: one function for server and client, so that what one rendered the other finds.
import type { RecommendedItem } from "./recommendation.js";

/** How a row is shown. Texts are escaped, addresses are taken as they are. */
export interface MarkupOptions {
  /** Above the row, and its name; rows without one need a `label`. The attribute goes before it. */
  heading?: string;
  /** Names the list, for who hears the page, where there is no heading. The attribute `aria-label` of the element goes before it. */
  label?: string;
  /** The address of a product's page; without it, products are no links. */
  href?: (item: RecommendedItem) => string;
  /** The address of a product's picture; without it, or for `undefined`, there is no picture. */
  image?: (item: RecommendedItem) => string | undefined;
  /** What a price is written as; `(cents / 100).toFixed(2)`, without a currency, unless told. */
  price?: (cents: number) => string;
  /** A line below the price, why the product is there say: `({ reason }) => WORDS[reason]`; none unless told, nor where it is `undefined`. */
  note?: (item: RecommendedItem) => string | undefined;
  /** Places that are kept free until the row is there, and how many products are asked for; 12 unless told. The attribute `limit` goes before it. */
  limit?: number;
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;" };

/** A text within HTML, also within an attribute's quotes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}

/** Sizes are reserved before there is anything to show, so that nothing below moves when it comes. */
export const STYLE = `
:host { display: block; contain: content; }
:host([hidden]) { display: none; }
h2 { font: inherit; font-weight: 600; margin: 0 0 .5em; }
ul { display: grid; grid-auto-flow: column; grid-auto-columns: var(--nearshelf-item-width, 11rem); gap: var(--nearshelf-gap, 1rem);
  margin: 0; padding: .25rem; list-style: none; overflow-x: auto; scroll-snap-type: x proximity; }
.pictured { --picture: var(--nearshelf-image-height, 8rem); }
.noted { --note: 1.5rem; }
li, .empty { --height: var(--nearshelf-item-height, calc(7rem + var(--picture, 0rem) + var(--note, 0rem))); }
li { scroll-snap-align: start; height: var(--height); overflow: hidden; box-sizing: border-box; }
a { display: block; height: 100%; color: inherit; text-decoration: none; }
a:hover .title, a:focus-visible .title { text-decoration: underline; }
a:focus-visible, ul:focus-visible { outline: 2px solid; outline-offset: -2px; }
img { display: block; width: 100%; height: var(--nearshelf-image-height, 8rem); object-fit: contain; }
.title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
.brand, .price, .note { display: block; }
.place { background: currentColor; opacity: .08; border-radius: .5rem; }
.empty { margin: 0; min-height: var(--height); }
@media (prefers-reduced-motion: no-preference) { ul { scroll-behavior: smooth; } }
`;

const plainPrice = (cents: number): string => (cents / 100).toFixed(2);

function itemMarkup(item: RecommendedItem, { href, image, note, price = plainPrice }: MarkupOptions): string {
  const { card } = item;
  const cents = item.price ?? card?.price;
  const [picture, remark] = [image?.(item), note?.(item)];
  const parts = [
    picture === undefined ? "" : `<img part="image" src="${escaped(picture)}" alt="" loading="lazy">`,
    `<span class="title" part="title">${escaped(card?.title ?? item.id)}</span>`,
    card?.brand === undefined ? "" : `<span class="brand" part="brand">${escaped(card.brand)}</span>`,
    cents === undefined ? "" : `<span class="price" part="price">${escaped(price(cents))}</span>`,
    remark === undefined ? "" : `<span class="note" part="note">${escaped(remark)}</span>`,
  ].join("");
  const address = href?.(item);
  const inner = address === undefined ? parts : `<a part="link" href="${escaped(address)}">${parts}</a>`;
  return `<li part="item" data-id="${escaped(item.id)}">${inner}</li>`;
}

/** What stands in a row's shadow tree; `items` are not given while the row is on its way. */
export function rowMarkup(items: readonly RecommendedItem[] | undefined, options: MarkupOptions = {}): string {
  const { heading, label, limit = 12 } = options;
  const head = heading === undefined ? "" : `<h2 id="heading" part="heading">${escaped(heading)}</h2>`;
  const named = heading !== undefined ? ` aria-labelledby="heading"` : label !== undefined ? ` aria-label="${escaped(label)}"` : "";
  const sized = `${options.image === undefined ? "" : "pictured"} ${options.note === undefined ? "" : "noted"}`.trim();
  let list: string;
  if (items === undefined) {
    const places = Array.from({ length: limit }, () => `<li class="place" part="place"></li>`).join("");
    list = `<ul part="list" class="${sized}" aria-busy="true" aria-hidden="true">${places}</ul>`;
  } else if (items.length === 0) {
    list = `<p class="empty ${sized}" part="empty"><slot name="empty"></slot></p>`;
  } else {
    // A list that scrolls sideways must be reachable by the keyboard. Safari forgets that a list without bullets is one.
    list = `<ul part="list" class="${sized}" role="list" tabindex="0"${named}>${items.map((item) => itemMarkup(item, options)).join("")}</ul>`;
  }
  return `<style>${STYLE}</style>${head}${list}`;
}
