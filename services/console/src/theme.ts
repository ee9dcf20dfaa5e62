import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core'

const margay: MantineColorsTuple = [
  '#e6fcf7',
  '#d3f5ec',
  '#a7ead9',
  '#76dec4',
  '#50d5b3',
  '#38cfa8',
  '#0f9f80',
  '#0f766e',
  '#0b5f59',
  '#064a45',
]

/** Tokens of the console; light and dark follow from them. */
export const theme = createTheme({
  colors: { margay },
  primaryColor: 'margay',
  primaryShade: 7,
  defaultRadius: 'md',
  fontFamily: 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", monospace',
  autoContrast: true,
  respectReducedMotion: true,
})

/** Quiet text that still has a contrast of 4.5 to 1 on every ground of the page, in both schemes. */
export const variables: CSSVariablesResolver = (tokens) => ({
  variables: {},
  light: { '--mantine-color-dimmed': tokens.colors.gray[7], '--mantine-color-placeholder': tokens.colors.gray[7] },
  dark: { '--mantine-color-dimmed': tokens.colors.dark[1], '--mantine-color-placeholder': tokens.colors.dark[1] },
})
