// A Worker that answers requests from the release that came with them.
import { Engine, initSync } from "../../pkg-js/wasm/nearshelf.js";
import module from "../../pkg-js/wasm/nearshelf_bg.wasm";

initSync({ module });

export default {
  async fetch(asked) {
    const { files, requests } = await asked.json();
    const bytes = (path) => Uint8Array.from(atob(files[path]), (character) => character.charCodeAt(0));
    const engine = new Engine();
    let missing = JSON.parse(engine.setHead(bytes("head.json")));
    while (missing.length > 0) {
      const [{ digest, path }] = missing;
      missing = JSON.parse(engine.accept(digest, bytes(path)));
    }
    return Response.json(requests.map((request) => engine.recommend(request)));
  },
};
