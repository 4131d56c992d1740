import { type Aisle, aisleBySlug } from "./aisles.js";
import { picture } from "./art.js";
import type { Catalogue, Product, Shelf } from "./catalogue.js";
import { h, plural, price, symbols } from "./dom.js";
import { type Route, to } from "./routes.js";
import { type Actions, addButton, blank, priceTag, tile } from "./tile.js";

/** What a route shows above and below the row. */
export interface View {
  title: string;
  above: Node[];
  below: Node[];
}

/** The sections of a page that the engine fills. */
export type Asked = "together" | "similar" | "trending";

/** How many products they show. */
export const ASKED = 4;

const PAGE = 24;
/** Two lines of them, about. */
const CHIPS = 9;

/** How many products each address showed, so that going back finds the list as it was left. */
const shown = new Map<string, number>();

/** The page of a route. */
export function view(route: Route, catalogue: Catalogue, actions: Actions): View {
  switch (route.view) {
    case "aisle": {
      const aisle = aisleBySlug(route.aisle);
      return aisle === undefined ? missing("There is no such aisle") : aisleView(aisle, route.shelf, catalogue, actions);
    }
    case "search":
      return searchView(route.query, catalogue, actions);
    case "item": {
      const product = catalogue.get(route.id);
      return product === undefined ? missing("This product is no longer on the shelf") : productView(product, catalogue, actions);
    }
    case "basket":
      return basketView(actions);
    case "home":
      return homeView(catalogue, actions);
  }
}

const heading = (text: string): HTMLHeadingElement => h("h1", { tabindex: "-1" }, text);

function homeView(catalogue: Catalogue, actions: Actions): View {
  const baskets = ["art-carrot", "art-loaf", "art-milk", "art-apple", "art-cheese"].map((id, i) => symbols(`art hero-${i}`, id));
  return {
    title: "Larder Lane",
    above: [h("section", { class: "hero" },
      h("div", {}, heading("The corner shop that learns on your side of the counter"), h("p", {}, `${catalogue.all.length.toLocaleString("en-US")} everyday things. What we pick for you is worked out in this browser, and stays in it.`)),
      h("div", { class: "hero-art", "aria-hidden": "true" }, ...baskets))],
    below: [asked("trending", "Selling more this week"), list("On everybody’s list", catalogue.all, to.home, actions)],
  };
}

function aisleView(aisle: Aisle, shelfSlug: string | undefined, catalogue: Catalogue, actions: Actions): View {
  const shelves = catalogue.shelves(aisle);
  const shelf = shelves.find(({ slug }) => slug === shelfSlug);
  const products = shelf?.products ?? catalogue.inAisle(aisle);
  const name = shelf?.name ?? aisle.name;
  return {
    title: name,
    above: [
      crumbs(["All products", to.home], ...(shelf === undefined ? [] : [[aisle.name, to.aisle(aisle.slug)] as const])),
      heading(name),
      shelfChips(aisle, shelves, shelf),
    ],
    below: [list(plural(products.length, "product"), products, to.aisle(aisle.slug, shelf?.slug), actions)],
  };
}

/** Links to the shelves of an aisle; the emptier ones wait behind a button. */
function shelfChips(aisle: Aisle, shelves: Shelf[], current: Shelf | undefined): HTMLElement {
  const chip = (text: string, shelf: Shelf | undefined, hidden: boolean) =>
    h("li", { hidden }, h("a", { class: "chip", href: to.aisle(aisle.slug, shelf?.slug), "aria-current": shelf === current ? "page" : undefined }, text));
  const chips = shelves.map((shelf, i) => chip(shelf.name, shelf, i >= CHIPS && shelf !== current));
  const late = chips.filter(({ hidden }) => hidden);
  const more = h("button", { type: "button", class: "chip" }, `${late.length} more shelves`);
  const moreItem = h("li", { hidden: late.length === 0 }, more);
  more.addEventListener("click", () => {
    for (const item of late) item.hidden = false;
    moreItem.remove();
    late[0]?.querySelector("a")?.focus();
  });
  return h("nav", { "aria-label": `Shelves of ${aisle.name}` }, h("ul", { class: "chips" }, chip(`All ${aisle.name.toLowerCase()}`, undefined, false), ...chips, moreItem));
}

function searchView(query: string, catalogue: Catalogue, actions: Actions): View {
  const found = catalogue.search(query);
  const title = query.trim() === "" ? "Search" : `“${query.trim()}”`;
  const hint = query.trim() === "" ? "Type the name of a product or a shelf." : `Nothing in the shop is called that. Try one word, like “milk”.`;
  return {
    title,
    // Whoever searches wants what was found before anything that was picked.
    above: [
      crumbs(["All products", to.home]), heading(title),
      found.length > 0 ? list(`${plural(found.length, "product")} found`, found, to.search(query), actions) : h("p", { class: "empty" }, hint),
    ],
    below: [],
  };
}

/** What the engine is asked for, with the places of its answer. */
function asked(what: Asked, title: string): HTMLElement {
  return h("section", { class: "shelf-list asked", id: what }, h("h2", {}, title), h("ul", { class: "grid" }, ...Array.from({ length: ASKED }, blank)));
}

function productView(product: Product, catalogue: Catalogue, actions: Actions): View {
  const { aisle, card } = product;
  const shelf = catalogue.shelves(aisle).find(({ name }) => name === product.shelf);
  const neighbours = (shelf?.products ?? []).filter((other) => other !== product).slice(0, 12);
  const fact = (name: string, value: string) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return {
    title: product.name,
    above: [
      crumbs(["All products", to.home], [aisle.name, to.aisle(aisle.slug)], ...(shelf === undefined ? [] : [[shelf.name, to.aisle(aisle.slug, shelf.slug)] as const])),
      h("article", { class: "product" },
        picture(product),
        h("div", { class: "facts" },
          heading(product.name),
          h("dl", {},
            ...(product.size === "" ? [] : [fact("Size", product.size)]),
            fact("Shelf", product.shelf),
            fact("Bought by", plural(card.popularity, "household")),
            fact("Product number", product.id)),
          h("div", { class: "buy" }, priceTag(product), addButton(product, actions, "Add to basket")))),
      asked("similar", "Bought by the same households"),
    ],
    below: neighbours.length === 0 ? [] : [h("section", { class: "shelf-list" }, h("h2", {}, "From the same shelf"), h("ul", { class: "grid" }, ...neighbours.map((other) => tile(other, actions))))],
  };
}

function basketView(actions: Actions): View {
  const { basket } = actions;
  const lines = basket.lines().map(({ product, count }) => {
    const step = (by: number, sign: string, what: string) =>
      h("button", { type: "button", class: "step", "aria-label": `${what} ${product.name}`, "data-step": `${product.id}${sign}`, onclick: () => basket.change(product, by) }, sign);
    return h("li", { class: "line" },
      picture(product),
      h("a", { class: "name", href: to.item(product.id) }, product.name, h("span", { class: "size" }, product.size === "" ? "" : ` ${product.size}`)),
      h("div", { class: "count" }, step(-1, "−", "One less of"), h("span", {}, String(count)), step(1, "+", "One more of")),
      h("span", { class: "price" }, product.card.price === undefined ? "at the till" : price(product.card.price * count)));
  });
  const empty = h("p", { class: "empty" }, "Nothing in it yet. ", h("a", { href: to.home }, "Go and fill it."));
  const order = h("div", { class: "order" }, h("p", {}, "Total ", h("strong", { class: "price" }, price(basket.total))),
    h("button", { type: "button", class: "add", id: "order" }, "Place the order"), h("p", { class: "note" }, "This shop is a demonstration: nothing is charged or sent."));
  return { title: "Basket", above: [crumbs(["All products", to.home]), heading("Your basket"), ...(lines.length === 0 ? [empty] : [h("ul", { class: "lines" }, ...lines), order, asked("together", "Goes with your basket")])], below: [] };
}

function missing(text: string): View {
  return { title: text, above: [heading(text), h("p", { class: "empty" }, h("a", { href: to.home }, "Back to all products"))], below: [] };
}

function crumbs(...path: (readonly [string, string])[]): HTMLElement {
  return h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("ol", {}, ...path.map(([text, href]) => h("li", {}, h("a", { href }, text)))));
}

/** A grid that grows by a page at a time. */
function list(title: string, products: readonly Product[], address: string, actions: Actions): HTMLElement {
  const grid = h("ul", { class: "grid" });
  const more = h("button", { type: "button", class: "more" });
  const show = (count: number) => {
    const from = grid.children.length;
    grid.append(...products.slice(from, count).map((product) => tile(product, actions)));
    shown.set(address, count);
    const left = products.length - grid.children.length;
    more.hidden = left <= 0;
    more.textContent = `Load ${Math.min(PAGE, left)} more of ${left.toLocaleString("en-US")}`;
    return grid.children[from]?.querySelector("a");
  };
  more.addEventListener("click", () => show(grid.children.length + PAGE)?.focus());
  show(shown.get(address) ?? PAGE);
  return h("section", { class: "shelf-list" }, h("h2", {}, title), grid, more);
}
