// Bundle styles, scripts, fonts and icons into hub/web/static under hashed names, and write which is which.
// Needs nothing but node_modules; an output that nobody names any more is swept away.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "hub", "web", "static");
const manifest = {};

async function bundle(entryPoints, options) {
  const { metafile } = await esbuild.build({
    absWorkingDir: here,
    entryPoints,
    outdir: out,
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    metafile: true,
    legalComments: "none",
    logLevel: "warning",
    ...options,
  });
  for (const [file, { entryPoint, inputs }] of Object.entries(metafile.outputs)) {
    const source = entryPoint ?? Object.keys(inputs)[0];
    if (source) manifest[basename(source)] = basename(file);
  }
}

async function sprite() {
  const names = (await readFile(join(here, "icons.txt"), "utf8")).split(/\s+/).filter(Boolean);
  const symbols = await Promise.all(
    names.map(async (name) => {
      const svg = await readFile(join(here, "node_modules", "lucide-static", "icons", `${name}.svg`), "utf8");
      const drawing = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
      return `<symbol id="${name}" viewBox="0 0 24 24">${drawing.replace(/\s+/g, " ").trim()}</symbol>`;
    }),
  );
  symbols.push(await readFile(join(here, "hub-mark.svg"), "utf8"));
  await add("sprite.svg", `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`);
}

async function add(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
  const [, stem, extension] = name.match(/^(.*)(\.[^.]+)$/);
  manifest[name] = `${stem}-${hash}${extension}`;
  await writeFile(join(out, manifest[name]), content);
}

await mkdir(out, { recursive: true });
await Promise.all([
  bundle(["js/app.js", "js/boot.js", "js/live-worker.js", "js/composer.js"], { format: "iife", target: "es2022" }),
  bundle(["css/app.css"], { loader: { ".woff2": "file" }, target: ["chrome123", "firefox121", "safari17.5"] }),
  sprite(),
]);
await add("favicon.svg", await readFile(join(here, "favicon.svg"), "utf8"));
// Packed once here as tightly as it goes, so that the server packs no file. Fonts are packed already.
const packed = Object.values(manifest).filter((name) => /\.(css|js|svg)$/.test(name));
await Promise.all(
  packed.map(async (name) => {
    const content = await readFile(join(out, name));
    const hints = { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } };
    await writeFile(join(out, `${name}.br`), await promisify(brotliCompress)(content, hints));
    await writeFile(join(out, `${name}.gz`), await promisify(gzip)(content, { level: 9 }));
  }),
);
const kept = new Set([...Object.values(manifest), ...packed.flatMap((name) => [`${name}.br`, `${name}.gz`]), "manifest.json"]);
for (const file of await readdir(out)) if (!kept.has(file)) await rm(join(out, file), { recursive: true });
const sorted = Object.fromEntries(Object.entries(manifest).sort());
await writeFile(join(out, "manifest.json"), JSON.stringify(sorted, null, 2) + "\n");
console.log(`${Object.keys(manifest).length} files in hub/web/static`);
