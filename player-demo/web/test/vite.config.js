// Bundles the tests of pure functions for node's own runner.
import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    ssr: true,
    outDir: '../../target/web-tests',
    emptyOutDir: true,
    target: 'node18',
    rollupOptions: {
      input: Object.fromEntries(['pure', 'apps', 'line', 'outbox', 'pages'].map((name) => [`${name}.test`, `test/${name}.test.js`])),
      output: { entryFileNames: '[name].mjs' },
    },
  },
});
