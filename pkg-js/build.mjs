// TypeScript -> dist/index.js and dist/onnx.js (ES modules that share one) and their types. Prints what a shop's visitor downloads.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
/** Bytes after brotli. */
export const LIMITS = { "JavaScript": 15_000, "WASM": 120_000, "ONNX WASM": 2_000_000 };

const runTsc = (...args) => execFileSync(process.execPath, [tsc, ...args], { cwd: here, stdio: "inherit" });

const ENGINES = { "nearshelf-engine": "../wasm/nearshelf.js", "nearshelf-engine-onnx": "../wasm-onnx/nearshelf_onnx.js" };

/** The engines' files stay beside `dist/`, so that a bundler or a server finds them where they are. */
const engineBesideDist = {
  name: "engine-beside-dist",
  setup: ({ onResolve }) => onResolve({ filter: /^nearshelf-engine(-onnx)?$/ }, ({ path }) => ({ path: ENGINES[path], external: true })),
};

/** What is fetched only for a release that needs it. */
const lazy = {
  name: "lazy",
  setup: ({ onResolve }) => onResolve({ filter: /^\.\/onnx\.js$/ }, ({ path }) => ({ path, external: true })),
};

/** wasm-bindgen's types must fit what this package declares of the engine. */
function compareEngineTypes() {
  const check = join(here, "wasm/check.ts");
  writeFileSync(check, [
    `import start, { Engine } from "./nearshelf.js";`,
    `import type declared from "nearshelf-engine";`,
    `import type { Engine as Declared } from "nearshelf-engine";`,
    `export const engine: Declared = new Engine();`,
    `export const load: typeof declared = start as (source?: any) => Promise<unknown>;`,
  ].join("\n"));
  try {
    runTsc("--noEmit", "--strict", "--skipLibCheck", "--types", "", "--target", "es2022", "--module", "esnext",
      "--moduleResolution", "bundler", "--ignoreConfig", "wasm/check.ts", "src/engine.d.ts");
  } finally {
    rmSync(check);
  }
}

/** What the browser downloads for most releases: the package and the engine's glue as one minified module, and the WASM. */
export async function sizes() {
  const glue = join(here, "wasm/nearshelf.js");
  const bundle = await build({
    entryPoints: [join(here, "dist/index.js")],
    bundle: true, minify: true, format: "esm", write: false, logLevel: "silent",
    external: existsSync(glue) ? [] : ["../wasm/nearshelf.js"],
    plugins: [lazy],
  });
  const wasm = join(here, "wasm/nearshelf_bg.wasm");
  return {
    "JavaScript": brotliCompressSync(bundle.outputFiles[0].contents).length,
    ...(existsSync(wasm) ? { "WASM": brotliCompressSync(readFileSync(wasm)).length } : {}),
  };
}

async function main() {
  rmSync(join(here, "dist"), { recursive: true, force: true });
  runTsc("-p", ".");
  await build({
    absWorkingDir: here,
    entryPoints: ["src/index.ts", "src/onnx.ts"],
    outdir: "dist",
    bundle: true, splitting: true, format: "esm", target: "es2022", plugins: [engineBesideDist], logLevel: "warning",
  });
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(join(here, "..", licence), join(here, licence));
  if (existsSync(join(here, "wasm/nearshelf.d.ts"))) compareEngineTypes();
  for (const [what, bytes] of Object.entries(await sizes())) {
    console.log(`${what}: ${bytes} bytes brotli, limit ${LIMITS[what]}`);
    if (bytes > LIMITS[what]) process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
