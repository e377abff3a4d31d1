// Bundles the tests of pure functions for node's own runner.
import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    ssr: 'test/pure.test.js',
    outDir: '../../target/web-tests',
    emptyOutDir: true,
    target: 'node18',
    rollupOptions: { output: { entryFileNames: '[name].mjs' } },
  },
});
