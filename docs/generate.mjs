// node docs/generate.mjs [--out DIR]
// The doc comments of the package's public entries -> docs/api/*.md. A test of pkg-js compares the two, so what is committed is what the code says.
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Application } from "typedoc";
import { MarkdownPageEvent } from "typedoc-plugin-markdown";

const here = dirname(fileURLToPath(import.meta.url));
const source = (name) => join(here, "../pkg-js/src", name);

const INDEX = `# The package, call by call

Written by \`npm run docs -w pkg-js\` from the doc comments in [pkg-js/src](../../pkg-js/src), and compared with them by a test. How it all goes together says
[pkg-js/README.md](../../pkg-js/README.md); how it goes into a shop's build, [docs/frameworks](../frameworks/README.md).

| import | what it is |
|---|---|
| [\`nearshelf\`](nearshelf.md) | the recommender: \`createRecommender\`, \`init\`, \`memoryStorage\`, \`NearshelfError\` and their types. Node, bundled servers (\`node\`), Cloudflare Workers (\`workerd\`) and edge runtimes (\`edge-light\`) each find their own build of it by these conditions |
| \`nearshelf/onnx\` | the same calls; begins with the engine that also runs query towers which are ONNX graphs |
| \`nearshelf/slim\` | the same calls in one script that names no other file; \`init\` must be called with the WASM |
| \`nearshelf/inline\` | the same calls in one script with the WASM inside |
| [\`nearshelf/row\`](nearshelf/row.md) | the element \`<nearshelf-row>\` and its markup from a server |
| [\`nearshelf/react\`](nearshelf/react.md) | rows as hooks and as a component |
| [\`nearshelf/service-worker\`](nearshelf/service-worker.md) | the page's own files without the network |
| \`nearshelf/worker\` | the script of the module worker that holds the engine; it exports nothing |
| \`nearshelf/nearshelf_bg.wasm\`, \`nearshelf/nearshelf_onnx_bg.wasm\` | the engines, for builds that copy them |

What is thrown is a [\`NearshelfError\`](nearshelf.md#nearshelferror); its codes are listed in [pkg-js/README.md](../../pkg-js/README.md#errors).
`;

/** Without sections that only say again what the signature above them says: parameters and results of which there is no comment. */
function terse(markdown) {
  return markdown
    .replace(/^#+ Parameters\n\n\| Parameter \| Type \|\n(?:\|.*\n)+\n?/gm, "")
    .replace(/^#+ Returns\n\n.+\n(?:\n(?=#|\*\*\*)|(?![\s\S]))/gm, "")
    .replace(/^#+ Throws\n\n/gm, "Throws ")
    .replace(/^#+ Properties\n\n|^\*\*\*\n\n/gm, "")
    .replace(/^#+ (?:Overrides|Extends)\n\n.+\n\n?/gm, "");
}

/** Writes the reference into a folder, which it empties first. It throws, and leaves the folder, where a comment links to nothing or a public name has none. */
export async function generate(out) {
  const app = await Application.bootstrapWithPlugins({
    // The other entries have the calls of the first; `docs/api/README.md` says which is which.
    entryPoints: ["index.ts", "row.ts", "react.ts", "service-worker.ts"].map(source),
    tsconfig: join(here, "../pkg-js/tsconfig.json"),
    name: "nearshelf",
    readme: "none",
    plugin: ["typedoc-plugin-markdown"],
    out,
    // What an element inherits from the browser's is documented there.
    excludeExternals: true,
    excludeInternal: true,
    excludePrivate: true,
    // Neither the commit nor the place of a line is in the pages: they would be stale after every edit.
    disableSources: true,
    treatWarningsAsErrors: true,
    treatValidationWarningsAsErrors: true,
    validation: { notExported: true, invalidLink: true, notDocumented: true },
    requiredToBeDocumented: ["Function", "Class", "Interface", "TypeAlias", "Variable", "Method", "Property", "Accessor"],
    sort: ["kind", "source-order"],
    logLevel: "Warn",
    outputFileStrategy: "modules",
    entryFileName: "README.md",
    hidePageHeader: true,
    hideBreadcrumbs: true,
    useCodeBlocks: false,
    expandObjects: true,
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    typeAliasPropertiesFormat: "table",
    enumMembersFormat: "table",
    propertyMembersFormat: "table",
    tableColumnSettings: { hideDefaults: true, hideInherited: true, hideModifiers: true, hideOverrides: true, hideSources: true, leftAlignHeaders: true },
  });
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    page.contents = page.url === "README.md" ? INDEX : terse(page.contents);
  });
  const project = await app.convert();
  if (project === undefined || app.logger.hasErrors()) throw new Error("the doc comments have errors; what they are is printed above");
  app.validate(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error("the doc comments are incomplete; what is missing is printed above");
  rmSync(out, { recursive: true, force: true });
  await app.generateOutputs(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error("the reference was not written; why is printed above");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { out: { type: "string", default: join(here, "api") } } });
  await generate(values.out);
}
