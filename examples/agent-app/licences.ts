/** Puts the licences of what is bundled beside it: who passes the built page on has to pass them on too. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const FILE_NAME = "licences.txt";
const LEGAL = /^(licen[cs]e|copying|notice)/i;

export function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
      const folders = new Set(modules.map(packageFolder).filter((folder) => folder !== null));
      // Packages of one text are named above it together.
      const holders = new Map<string, string[]>();
      for (const folder of folders) {
        const text = legalText(folder);
        holders.set(text, [...(holders.get(text) ?? []), named(folder)].sort());
      }
      const parts = [...holders].map(([text, names]) => `${names.join("\n")}\n\n${text}`).sort();
      this.emitFile({ type: "asset", fileName: FILE_NAME, source: parts.join(`\n\n${"-".repeat(80)}\n\n`) + "\n" });
    },
  };
}

function packageFolder(module: string): string | null {
  const inside = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(module.replaceAll("\\", "/"));
  return inside?.[1] ?? null;
}

function named(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${name} ${version} (${license})`;
}

function legalText(folder: string): string {
  const names = readdirSync(folder).filter((name) => LEGAL.test(name)).sort();
  if (names.length === 0) {
    throw new Error(`${folder} is bundled and has no licence text; find it, or do without the package`);
  }
  return names.map((name) => readFileSync(join(folder, name), "utf8").trim()).join("\n\n");
}
