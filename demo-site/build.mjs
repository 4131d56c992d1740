// node demo-site/build.mjs --release DIR [--public-key KEY] [--out DIR] [--engine DIR]
// Bundles the storefront and puts the engine and a release beside it: the result is a folder for any static server.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const packageFolder = join(here, "../pkg-js");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

/** Builds the site. `publicKey` is what the release is signed under, if it is; `engine` is the folder of the WASM and its glue; tests put a fake one there. */
export async function buildSite({ release, publicKey, out = join(here, "dist"), engine = join(packageFolder, "wasm") }) {
  requireFile(join(release, "head.json"), "publish a release there: nearshelf build");
  requireFile(join(engine, "nearshelf.js"), "build the engine: cargo xtask wasm");
  execFileSync(process.execPath, [join(packageFolder, "build.mjs")], { stdio: ["ignore", "ignore", "inherit"] });
  execFileSync(process.execPath, [tsc, "-p", here], { stdio: "inherit" });
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await build({
    // The worker's script lies beside the page's, where the package looks for it.
    entryPoints: [[here, "src/main.ts"], [here, "src/style.css"], [packageFolder, "dist/worker.js"]].map(([folder, path]) =>
      ({ in: join(folder, path), out: basename(path, extname(path)) })),
    outdir: out,
    define: { PUBLIC_KEY: JSON.stringify(publicKey ?? null) },
    bundle: true, minify: true, sourcemap: true, format: "esm", target: "es2022", logLevel: "warning",
    plugins: [{
      name: "engine",
      setup: ({ onResolve }) => {
        onResolve({ filter: /\/wasm\/nearshelf\.js$/ }, () => ({ path: resolve(engine, "nearshelf.js") }));
        // Towers that nearshelf trained are programs: the engine for ONNX graphs stays out of this storefront.
        onResolve({ filter: /\/onnx-loader/ }, ({ path }) => ({ path, external: true }));
      },
    }],
  });
  cpSync(join(here, "src/index.html"), join(out, "index.html"));
  cpSync(join(engine, "nearshelf_bg.wasm"), join(out, "nearshelf_bg.wasm"));
  cpSync(release, join(out, "release"), { recursive: true, dereference: true });
}

function requireFile(path, remedy) {
  if (!existsSync(path)) throw new Error(`${path}: not found; ${remedy}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { release: { type: "string" }, "public-key": { type: "string" }, out: { type: "string" }, engine: { type: "string" } } });
  if (values.release === undefined) {
    console.error("--release is missing; usage: node demo-site/build.mjs --release DIR [--public-key KEY] [--out DIR] [--engine DIR]");
    process.exit(2);
  }
  try {
    await buildSite({ ...values, publicKey: values["public-key"] });
    console.log(resolve(values.out ?? join(here, "dist")));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
