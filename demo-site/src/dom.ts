type Attributes = Record<string, string | number | boolean | ((event: never) => void) | undefined>;
type Child = Node | string | undefined;

/** An element with attributes, listeners (`onclick` and the like) and children. Text stays text: nothing is parsed as HTML. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A decorative SVG made of the page's symbols. */
export function symbols(className: string, ...ids: string[]): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  for (const id of ids) {
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `#${id}`);
    svg.append(use);
  }
  return svg;
}

/** The element of `index.html` with this id. */
export function part(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no element #${id}`);
  return element;
}

const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

/** Cents as a price. */
export const price = (cents: number): string => money.format(cents / 100);

/** `one thing`, `2 things`. */
export const plural = (n: number, thing: string): string => `${n.toLocaleString("en-US")} ${thing}${n === 1 ? "" : "s"}`;

/** Bytes as people read them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
