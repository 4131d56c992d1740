// TypeScript -> dist/*.js (ES modules that share parts) and their types. Prints what a shop's visitor downloads.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
/** Bytes after brotli. */
export const LIMITS = { "default entry": 10_000, "JavaScript": 17_000, "WASM": 119_500, "ONNX WASM": 2_000_000 };

const runTsc = (...args) => execFileSync(process.execPath, [tsc, ...args], { cwd: here, stdio: "inherit" });

const ENGINES = { "nearshelf-engine": "../wasm/nearshelf.js", "nearshelf-engine-onnx": "../wasm-onnx/nearshelf_onnx.js" };

/** The engines' files stay beside `dist/`, so that a bundler or a server finds them where they are. */
const engineBesideDist = {
  name: "engine-beside-dist",
  setup: ({ onResolve }) => onResolve({ filter: /^nearshelf-engine(-onnx)?$/ }, ({ path }) => ({ path: ENGINES[path], external: true })),
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

/** The engine's WASM as a text. */
const inlineWasm = {
  name: "inline-wasm",
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^nearshelf-inline-wasm$/ }, ({ path }) => ({ path, namespace: "inline" }));
    onLoad({ filter: /.*/, namespace: "inline" }, () => {
      const wasm = join(here, "wasm/nearshelf_bg.wasm");
      const bytes = existsSync(wasm) ? gzipSync(readFileSync(wasm), { level: 9 }) : Buffer.alloc(0);
      return { contents: `export const WASM = "${bytes.toString("base64")}";` };
    });
  },
};

/** What a page downloads, minified, each script by itself: the default entry, and with its worker's script and the engine's glue. */
export async function sizes() {
  const scripts = async (...entries) => {
    const bundle = await build({
      entryPoints: entries.map((name) => join(here, "src", name)), outdir: "out",
      bundle: true, splitting: true, minify: true, format: "esm", target: "es2022", write: false, logLevel: "silent",
      plugins: [existsSync(join(here, "wasm/nearshelf.js")) ? glueOf(["nearshelf-engine"]) : engineBesideDist],
      metafile: true,
    });
    const first = new Set(entries.map((name) => name.replace(/\.ts$/, ".js")));
    // What an entry imports statically comes with it; what it imports when it is needed does not.
    const wanted = new Set();
    const follow = (path) => {
      if (wanted.has(path)) return;
      wanted.add(path);
      for (const { path: next, kind, external } of bundle.metafile.outputs[path].imports) if (kind === "import-statement" && !external) follow(next);
    };
    Object.keys(bundle.metafile.outputs).filter((path) => first.has(basename(path))).forEach(follow);
    const files = bundle.outputFiles.filter(({ path }) => [...wanted].some((name) => basename(name) === basename(path)));
    return files.reduce((sum, { contents }) => sum + brotliCompressSync(contents).length, 0);
  };
  const wasm = join(here, "wasm/nearshelf_bg.wasm");
  return {
    "default entry": await scripts("index.ts"),
    "JavaScript": await scripts("index.ts", "worker.ts"),
    ...(existsSync(wasm) ? { "WASM": brotliCompressSync(readFileSync(wasm)).length } : {}),
  };
}

/** Some engines' glue in the bundle, the others left out. */
const glueOf = (names) => ({
  name: "glue",
  setup: ({ onResolve }) => onResolve({ filter: /^nearshelf-engine(-onnx)?$/ }, ({ path }) =>
    names.includes(path) ? { path: join(here, "dist", ENGINES[path]) } : { path: ENGINES[path], external: true }),
});

/** Bytes of a module that does nothing; a real one has thousands. */
const EMPTY_MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** Whether the engine for ONNX graphs is there; it takes minutes to build. */
const hasOnnx = () => {
  const wasm = join(here, "wasm-onnx/nearshelf_onnx_bg.wasm");
  return existsSync(wasm) && statSync(wasm).size > EMPTY_MODULE.length;
};

/** Builds of shops look for its files whether a release needs them or not: where it was not built, something that says so. */
function standInForOnnx() {
  if (hasOnnx()) return;
  mkdirSync(join(here, "wasm-onnx"), { recursive: true });
  const why = "this copy of nearshelf was built without the engine for ONNX graphs; build it with: cargo xtask wasm --onnx";
  writeFileSync(join(here, "wasm-onnx/nearshelf_onnx.js"), `export class Engine {}\nexport default function start() {\n  return Promise.reject(new Error("${why}"));\n}\n`);
  writeFileSync(join(here, "wasm-onnx/nearshelf_onnx.d.ts"), "export {};\n");
  writeFileSync(join(here, "wasm-onnx/nearshelf_onnx_bg.wasm"), EMPTY_MODULE);
  console.log("ONNX engine: not built, so a stand-in says so");
}

async function main() {
  rmSync(join(here, "dist"), { recursive: true, force: true });
  runTsc("-p", ".");
  await build({
    absWorkingDir: here,
    entryPoints: ["src/index.ts", "src/onnx.ts", "src/worker.ts"],
    outdir: "dist",
    bundle: true, splitting: true, format: "esm", target: "es2022", plugins: [engineBesideDist], logLevel: "warning",
  });
  await build({
    absWorkingDir: here,
    entryPoints: ["slim", "inline", "workerd", "edge-light", "service-worker", "row", "react"].map((name) => `src/${name}.ts`),
    outdir: "dist",
    bundle: true, format: "esm", target: "es2022", external: ["*.wasm", "*.wasm?module", "react"], logLevel: "warning",
    plugins: [engineBesideDist, inlineWasm],
  });
  // Apart from the pages' entries, whose parts it would cut into more files. The engine for ONNX graphs stays a part that is loaded when it is needed.
  await build({
    absWorkingDir: here,
    entryPoints: ["src/node.ts"],
    outdir: "dist",
    bundle: true, splitting: true, format: "esm", target: "es2022", plugins: [engineBesideDist, inlineWasm], logLevel: "warning",
  });
  // esbuild keeps the order in which parts are loaded by bare imports, at which it warns again in a shop's own build; no part has effects.
  for (const file of readdirSync(join(here, "dist")).filter((name) => name.endsWith(".js"))) {
    const path = join(here, "dist", file);
    writeFileSync(path, readFileSync(path, "utf8").replaceAll(/^import "\.\/chunk-\w+\.js";\n/gm, ""));
  }
  writeFileSync(join(here, "dist/wasm-module.d.ts"), "/** What hosts make of the WASM file when it is imported. */\ndeclare const module: WebAssembly.Module;\nexport default module;\n");
  standInForOnnx();
  if (process.argv.includes("--publish") && !hasOnnx()) throw new Error("the engine for ONNX graphs is missing; build it with: cargo xtask wasm --onnx");
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(join(here, "..", licence), join(here, licence));
  if (existsSync(join(here, "wasm/nearshelf.d.ts"))) compareEngineTypes();
  for (const [what, bytes] of Object.entries(await sizes())) {
    console.log(`${what}: ${bytes} bytes brotli, limit ${LIMITS[what]}`);
    if (bytes > LIMITS[what]) process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
