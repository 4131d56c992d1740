// The code of the pages in docs/frameworks/ about builds, run as the pages say; frameworks-hosts.test.mjs has the pages about hosts, next.test.mjs that about Next.js.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build as vite, createServer } from "vite";
import webpack from "webpack";
import { borrow, prepared, project, root, withRelease } from "./helpers.mjs";
import { filesOf, served, shop } from "./pages.mjs";

const run = promisify(execFile);
let browser;
let tarball;
let release;
before(async (t) => {
  ({ browser, tarball, release } = await prepared(t));
});

/** A page's shop in a new project. */
const shopOf = (t, name) => project(t, tarball, filesOf(name));

test("vite.md, built and in its development server", async (t) => {
  const folder = shopOf(t, "vite");
  await vite({ root: folder, logLevel: "error" });
  const { started } = await shop(t, browser, (await served(t, join(folder, "dist"), release)).address);
  assert.equal(started.length, 1);

  withRelease(join(folder, "public"), release);
  const server = await createServer({ root: folder, logLevel: "error", server: { host: "127.0.0.1", port: 0 } });
  t.after(() => server.close());
  await server.listen();
  assert.equal((await shop(t, browser, server.resolvedUrls.local[0])).started.length, 1);
});

test("webpack.md", async (t) => {
  const folder = shopOf(t, "webpack");
  const { default: config } = await import(pathToFileURL(join(folder, "webpack.config.js")).href);
  const stats = await new Promise((resolve, reject) => webpack(config, (error, result) => (error ? reject(error) : resolve(result))));
  const { errors, warnings } = stats.toJson({ errors: true, warnings: true });
  assert.deepEqual([...errors, ...warnings].map(({ message }) => message), []);
  assert.equal((await shop(t, browser, (await served(t, join(folder, "dist"), release)).address)).started.length, 1);
});

test("esbuild.md", async (t) => {
  const folder = shopOf(t, "esbuild");
  borrow(folder, "esbuild");
  const { stderr } = await run(process.execPath, ["build.mjs"], { cwd: folder });
  assert.equal(stderr, "");
  assert.equal((await shop(t, browser, (await served(t, join(folder, "dist"), release)).address)).started.length, 1);
});

test("rollup.md", async (t) => {
  const folder = shopOf(t, "rollup");
  borrow(folder, "rollup", "@rollup/plugin-node-resolve");
  await run(process.execPath, [join(root, "node_modules/rollup/dist/bin/rollup"), "-c", "--failAfterWarnings", "--silent"], { cwd: folder });
  assert.equal((await shop(t, browser, (await served(t, join(folder, "dist"), release)).address)).started.length, 0);
});

test("react.md", async (t) => {
  const folder = shopOf(t, "react");
  borrow(folder, "react", "react-dom", "scheduler");
  await vite({ root: folder, logLevel: "error" });
  assert.equal((await shop(t, browser, (await served(t, join(folder, "dist"), release)).address)).started.length, 1);
});
