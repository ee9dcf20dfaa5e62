import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** Builds the console into dist, which the API serves; in development it is served by Vite and asks the API on its default port. */
export default defineConfig({
  plugins: [react()],
  resolve: { conditions: ['source', 'module', 'browser', 'development|production'] },
  // Browsers of 2024 and later: they know light-dark(), which follows the colour scheme without further rules.
  build: { target: ['chrome123', 'firefox120', 'safari17.5'], chunkSizeWarningLimit: 700 },
  server: { proxy: { '/v1': { target: 'http://127.0.0.1:8080', changeOrigin: true } } },
})
