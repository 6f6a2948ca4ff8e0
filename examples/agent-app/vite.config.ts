import { defineConfig } from "vite";
import { licences } from "./licences.ts";

export default defineConfig({
  // The page may lie under any path.
  base: "./",
  plugins: [licences()],
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1024,
    rollupOptions: {
      // Names without hashes: dist is committed.
      output: { entryFileNames: "agent.js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" },
    },
  },
});
