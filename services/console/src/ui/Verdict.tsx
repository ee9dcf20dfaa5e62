import { Text } from '@mantine/core'
import classes from './Verdict.module.css'

/** A verdict by sign, word and colour: never by colour alone. */
export function Verdict({ action }: { readonly action: 'allow' | 'deny' | 'pass' }) {
  const sign = { allow: '✓', deny: '⊘', pass: '›' }[action]
  const word = { allow: 'Allowed', deny: 'Denied', pass: 'Passed' }[action]
  return (
    <Text component="span" size="sm" className={classes[action] ?? ''}>
      <span aria-hidden>{sign}</span> {word}
    </Text>
  )
}
