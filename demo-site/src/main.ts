import { createRecommender, init, NearshelfError, type Recommendation, type Recommender } from "nearshelf";
import { sprite } from "./art.js";
import { Basket } from "./basket.js";
import { Catalogue, type Product } from "./catalogue.js";
import { h, part, price, symbols } from "./dom.js";
import { Panel } from "./panel.js";
import { parseRoute, to } from "./routes.js";
import { calm, ROW, Row } from "./row.js";
import { type Actions, tile } from "./tile.js";
import { ASKED, type Asked, view } from "./views.js";

/** What the release is signed under, from the build; `null` where it is not. */
declare const PUBLIC_KEY: string | null;

/** The open shop: it turns addresses into pages, and what the shopper does into the next row. */
class Shop implements Actions {
  readonly basket = new Basket();
  readonly #recommender: Recommender;
  readonly #catalogue: Catalogue;
  readonly #row = new Row();
  readonly #panel: Panel;
  readonly #scroll = new Map<string, number>();
  #address = "";
  #followed = false;

  constructor(recommender: Recommender, catalogue: Catalogue) {
    this.#recommender = recommender;
    this.#catalogue = catalogue;
    this.#panel = new Panel(recommender, catalogue, () => void this.#forget());
    this.basket.addEventListener("change", () => this.#basketChanged());
    addEventListener("hashchange", () => this.#navigate());
    addEventListener("click", (event) => {
      if ((event.target as Element | null)?.closest("a") != null) this.#followed = true;
    });
    history.scrollRestoration = "manual";
    this.#searchBox();
    this.#aisles();
    this.#navigate(true);
  }

  add(product: Product): void {
    this.#recommender.track("cart", product.id);
    this.basket.change(product, 1);
    say(`${product.name} is in your basket`);
  }

  #navigate(first = false): void {
    this.#scroll.set(this.#address, scrollY);
    this.#address = location.hash;
    const route = parseRoute(location.hash);
    if (route.view === "item" && this.#catalogue.get(route.id) !== undefined) this.#recommender.track("view", route.id);
    this.#render();
    document.querySelectorAll("#aisles a").forEach((link) => {
      const current = route.view === "aisle" && link.getAttribute("href") === to.aisle(route.aisle);
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    if (route.view !== "search") (part("search") as HTMLInputElement).value = "";
    if (first) return void this.#pick();
    if (route.view !== "search") part("above").querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, this.#followed ? 0 : this.#scroll.get(this.#address) ?? 0);
    this.#followed = false;
    void this.#pick();
  }

  #render(): void {
    const { title, above, below } = view(parseRoute(location.hash), this.#catalogue, this);
    document.title = title === "Larder Lane" ? title : `${title} · Larder Lane`;
    part("above").replaceChildren(...above);
    part("below").replaceChildren(...below);
    document.getElementById("order")?.addEventListener("click", () => this.#order());
    const route = parseRoute(location.hash);
    const some = { limit: ASKED };
    if (route.view === "item") void this.#fill("similar", this.#recommender.lookingSimilar(route.id, some));
    if (route.view === "basket") void this.#fill("together", this.#recommender.frequentlyBoughtTogether(this.basket.ids(), some));
    if (route.view === "home") void this.#fill("trending", this.#recommender.trendingItems(some));
  }

  /** Fills a section of the page; without an answer it goes. */
  async #fill(what: Asked, asked: Promise<Recommendation>): Promise<void> {
    const section = document.getElementById(what);
    const row = await asked.catch(() => undefined);
    const products = (row?.items ?? []).flatMap((item) => this.#catalogue.get(item.id) ?? []);
    // Meanwhile another page may have been opened: then this section is no part of it.
    if (section?.isConnected !== true) return;
    section.querySelector("ul")?.replaceChildren(...products.map((product) => tile(product, this)));
    section.hidden = products.length === 0;
  }

  /** The row leaves out what the shopper has seen or taken: they know the way to it. */
  async #pick(): Promise<void> {
    const seen = this.#recommender.history().map(({ id }) => id);
    let row: Recommendation;
    try {
      row = await this.#recommender.recommendedForYou({ limit: ROW, exclude: [...seen, ...this.basket.ids()] });
    } catch (cause) {
      return this.#row.fail(`This row could not be picked anew (${cause instanceof NearshelfError ? cause.code : String(cause)}). The shop goes on without it.`);
    }
    this.#row.show(row, this.#catalogue, this);
    this.#panel.show(row);
    part("picked").dataset["row"] = row.items.map(({ id }) => id).join(" ");
    part("picked").dataset["history"] = String(this.#recommender.history().length);
  }

  #basketChanged(): void {
    const { count, total } = this.basket;
    part("basket-count").textContent = String(count);
    part("basket-total").textContent = price(total);
    part("basket-pieces").textContent = count === 1 ? " piece" : " pieces";
    if (parseRoute(location.hash).view === "basket") {
      const step = (document.activeElement as HTMLElement | null)?.dataset["step"];
      this.#render();
      const again = [...document.querySelectorAll<HTMLElement>("[data-step]")].find((button) => button.dataset["step"] === step);
      (again ?? part("above").querySelector("h1"))?.focus();
    }
    void this.#pick();
  }

  #order(): void {
    for (const id of this.basket.ids()) this.#recommender.track("purchase", id);
    this.basket.clear();
    say("Thank you. The order was placed, in this browser only.");
  }

  async #forget(): Promise<void> {
    await this.#recommender.erase();
    await this.#pick();
    part("panel-title").focus();
    say("Your history is forgotten.");
  }

  #searchBox(): void {
    const box = part("search") as HTMLInputElement;
    const route = parseRoute(location.hash);
    if (route.view === "search") box.value = route.query;
    const go = () => {
      const address = box.value === "" ? to.home : to.search(box.value);
      if (parseRoute(location.hash).view !== "search") location.hash = address;
      else {
        history.replaceState(null, "", address);
        this.#address = address;
        this.#render();
      }
    };
    box.addEventListener("input", go);
    part("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      part("below").querySelector<HTMLAnchorElement>("a.name")?.focus();
    });
  }

  #aisles(): void {
    const link = (name: string, icon: string, hue: number, href: string, count: number) => {
      const picture = symbols("art", `art-${icon}`);
      picture.style.setProperty("--hue", String(hue));
      return h("li", {}, h("a", { href }, picture, h("span", {}, name), h("small", {}, count.toLocaleString("en-US"))));
    };
    part("aisles").replaceChildren(...this.#catalogue.aisles().map((aisle) =>
      link(aisle.name, aisle.icon, aisle.hue, to.aisle(aisle.slug), this.#catalogue.inAisle(aisle).length)));
  }
}

let saying: ReturnType<typeof setTimeout> | undefined;

/** Says something in the corner, and to a screen reader. */
function say(text: string): void {
  const toast = part("toast");
  toast.textContent = text;
  toast.classList.add("visible");
  clearTimeout(saying);
  saying = setTimeout(() => toast.classList.remove("visible"), calm() ? 6000 : 3500);
}

/** What each kind of failure means for a shopper. */
function explain(code: string): string {
  if (/^download\/network/.test(code)) return "The shop’s shelves could not be reached. Check the connection and try again.";
  if (/^download\/|^release\/address$/.test(code)) return "This site has no release to show: its files are not where they should be.";
  if (/^init\//.test(code)) return "The engine did not start. This browser may be too old, or a setting forbids WebAssembly.";
  return "A file of this shop arrived damaged, so it was not used. Trying again often helps; else the release has to be published again.";
}

async function open(): Promise<void> {
  const state = document.body.dataset;
  state["state"] = "loading";
  let recommender: Recommender | undefined;
  try {
    await init("nearshelf_bg.wasm");
    recommender = await createRecommender({ release: "release/", ...(PUBLIC_KEY === null ? {} : { publicKey: PUBLIC_KEY }), scenario: "storefront", cards: true });
    const catalogue = new Catalogue(await recommender.cards());
    // The file of that list belongs to opening the shop; without it the shop opens all the same.
    await recommender.trendingItems({ limit: 1 }).catch(() => undefined);
    state["state"] = "open";
    new Shop(recommender, catalogue);
  } catch (cause) {
    recommender?.close();
    const error = cause instanceof NearshelfError ? cause : new NearshelfError("shop/failed", String(cause), { cause });
    state["state"] = "closed";
    part("failure-text").textContent = explain(error.code);
    part("failure-code").textContent = `${error.code}: ${error.message}`;
    part("failure").focus();
  }
}

document.body.prepend(sprite());
part("retry").addEventListener("click", () => void open());
part("skip").addEventListener("click", (event) => {
  event.preventDefault();
  part("main").focus();
});
void open();
