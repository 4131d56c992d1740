import type { Recommendation, Recommender, TrustStatus } from "nearshelf";
import { art } from "./art.js";
import type { Catalogue } from "./catalogue.js";
import { h, part, plural, size } from "./dom.js";
import { to } from "./routes.js";

const STAGES = [["tower", "Query tower", "reads your history"], ["search", "Search", "scans the nearest cells"], ["rank", "Ranking", "orders what was found"]] as const;

/** The panel "What your browser did": facts that the page measured itself, none of them made up. */
export class Panel {
  readonly #recommender: Recommender;
  readonly #catalogue: Catalogue;
  readonly #forget: () => void;
  /** Of the page itself; its worker's are none of a page's entries. */
  #ofPage = 0;
  /** Files that the worker had fetched when the panel began. */
  readonly #before: number;
  #rows = 0;

  constructor(recommender: Recommender, catalogue: Catalogue, forget: () => void) {
    this.#recommender = recommender;
    this.#catalogue = catalogue;
    this.#forget = forget;
    this.#before = recommender.status().downloaded.files;
    const toggle = part("panel-toggle");
    toggle.addEventListener("click", () => toggle.setAttribute("aria-expanded", String(toggle.getAttribute("aria-expanded") !== "true")));
    new PerformanceObserver((list) => {
      this.#ofPage += list.getEntries().length;
      this.#count();
    }).observe({ type: "resource" });
  }

  get #requests(): number {
    const { downloaded, mode } = this.#recommender.status();
    return this.#ofPage + (mode === "worker" ? downloaded.files - this.#before : 0);
  }

  show(row: Recommendation): void {
    this.#rows += 1;
    const total = STAGES.reduce((sum, [stage]) => sum + row.timings[stage], 0);
    part("panel-summary").textContent = `${milliseconds(total)}, ${plural(this.#requests, "request")} since loading`;
    part("panel-body").replaceChildren(this.#times(row, total), this.#history(row), this.#download());
    this.#count();
  }

  #times(row: Recommendation, total: number): HTMLElement {
    const longest = Math.max(...STAGES.map(([stage]) => row.timings[stage]), Number.MIN_VALUE);
    const stages = STAGES.map(([stage, name, what]) => {
      const bar = h("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", String(row.timings[stage] / longest));
      return h("div", {}, h("dt", {}, name, h("small", {}, what)), h("dd", {}, milliseconds(row.timings[stage]), bar));
    });
    return h("section", {},
      h("p", { class: "total" }, h("strong", {}, milliseconds(total)), ` for row ${this.#rows}, picked from ${this.#recommender.status().release.items.toLocaleString("en-US")} products`),
      h("dl", { class: "stages" }, ...stages));
  }

  #history(row: Recommendation): HTMLElement {
    const used = row.history.toReversed().map((id) => {
      const product = this.#catalogue.get(id);
      return product === undefined ? h("li", {}, id) : h("li", {}, art(product), h("a", { href: to.item(id) }, product.name));
    });
    return h("section", {}, h("h3", {}, "The history it used"),
      row.source === "default"
        ? h("p", { class: "note" }, "None: without history the tower answers with its trained default.")
        : h("ol", { class: "used", reversed: true }, ...used),
      h("button", { type: "button", class: "forget", id: "forget", hidden: this.#recommender.history().length === 0, onclick: () => this.#forget() }, "Forget my history"));
  }

  #download(): HTMLElement {
    const { release, downloaded } = this.#recommender.status();
    const entries = (performance.getEntriesByType("resource") as PerformanceResourceTiming[])
      .filter(({ name }) => /\/release\/|\.wasm$/.test(name));
    const wasm = entries.find(({ name }) => name.endsWith(".wasm"));
    const compressed = entries.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
    const fact = (name: string, value: string, id?: string) => h("div", {}, h("dt", {}, name), h("dd", { id }, value));
    return h("section", {}, h("h3", {}, "What it fetched for that"),
      h("dl", { class: "facts" },
        fact("Model, index, cards", `${plural(downloaded.files, "file")}, ${size(downloaded.bytes)}`),
        ...(wasm === undefined ? [] : [fact("Engine (WASM)", `1 file, ${size(wasm.decodedBodySize)}`)]),
        ...(compressed > 0 ? [fact("Over the wire", size(compressed))] : []),
        fact("Requests since", "0", "panel-requests"),
        fact("Release", `${release.name}, version ${release.version}`),
        fact("Signature", signature(release.trust)),
        fact("Index", `${plural(release.shards, "shard")}, ${release.dim} dimensions`)),
      h("p", { class: "note" }, "What you look at is never sent: there is no server that recommends."));
  }

  #count(): void {
    const count = document.getElementById("panel-requests");
    if (count !== null) count.textContent = String(this.#requests);
  }
}

/** Whose release it is, and how long that holds. */
function signature({ freshness, ends }: TrustStatus): string {
  if (freshness === "unsigned" || ends === undefined) return "not checked";
  const until = new Date(ends * 1000).toLocaleDateString("en-US", { month: "short", day: "numeric" });
  return freshness === "fresh" ? `checked, good until ${until}` : `checked, ended ${until}`;
}

/** Browsers blur their clocks: what reads as nothing took less than they tell. */
function milliseconds(ms: number): string {
  return ms < 0.005 ? "< 0.01 ms" : `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
}
