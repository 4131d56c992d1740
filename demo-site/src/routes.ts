/** The shop's addresses live in the fragment, so any static server will do. */
export type Route =
  | { view: "home" }
  | { view: "aisle"; aisle: string; shelf?: string }
  | { view: "search"; query: string }
  | { view: "item"; id: string }
  | { view: "basket" };

/** Reads an address; what it does not know is the front page. */
export function parseRoute(hash: string): Route {
  const [view, first, second] = hash.replace(/^#\/?/, "").split("/").map(decode);
  if (view === "aisle" && first) return { view, aisle: first, ...(second ? { shelf: second } : {}) };
  if (view === "search") return { view, query: first ?? "" };
  if (view === "item" && first) return { view, id: first };
  return view === "basket" ? { view } : { view: "home" };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const path = (...parts: string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;

/** The addresses themselves. */
export const to = {
  home: path(),
  basket: path("basket"),
  aisle: (aisle: string, shelf?: string): string => (shelf === undefined ? path("aisle", aisle) : path("aisle", aisle, shelf)),
  search: (query: string): string => path("search", query),
  item: (id: string): string => path("item", id),
};
