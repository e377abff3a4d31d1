import { defineConfig } from 'vite';

export default defineConfig({
  base: '/',
  build: {
    target: 'es2022',
    assetsDir: 'assets',
    chunkSizeWarningLimit: 1200,
    // The origin serves the first, the control plane the second.
    rollupOptions: { input: { index: 'index.html', operations: 'operations.html' } },
  },
});
