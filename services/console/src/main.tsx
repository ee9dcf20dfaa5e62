import '@mantine/core/styles.css'
import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Overview } from './Overview.tsx'
import { theme, variables } from './theme.ts'

const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } })

const root = document.getElementById('root')
if (root === null) throw new Error('the page has no element #root')
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
      <QueryClientProvider client={queries}>
        <Overview />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
