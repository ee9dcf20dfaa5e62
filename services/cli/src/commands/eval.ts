import { once } from 'node:events'
import { answerLine, type Conformance, conformances } from '@margay/schemas'
import type { Command } from 'commander'
import { linesOf } from '../lines.ts'

/** Longest line, in characters: a whole cluster fits, a stream without newlines does not fill the memory. */
const longestLine = 64 * 1024 * 1024
/** Answers are written when there are this many characters of them. */
const writeSize = 64 * 1024

const asks: Readonly<Record<Conformance, string>> = {
  selector: 'whether a selector is valid, its canonical form, whether it selects labels',
  resource: 'whether a resource is valid, and its form with defaults',
  policy: 'verdict and trace of a connection, by the resources given and nothing else',
  kubernetes: 'the Calico policy that a policy of Kubernetes becomes',
  query: 'whether a query over events is valid, its canonical form, its SQL',
}

/** Adds `eval selector|resource|policy|kubernetes|query`. */
export function addEvalCommands(program: Command): void {
  const group = program
    .command('eval')
    .description('the conformance interface: vectors in, answers out, one JSON object a line (schemas/CONFORMANCE.md)')
  for (const conformance of conformances)
    group
      .command(conformance)
      .description(asks[conformance])
      .action(() => answerAll(conformance, process.stdin, process.stdout))
}

/** Answers every line of the input in its order, no faster than the output takes it. */
async function answerAll(
  conformance: Conformance,
  input: AsyncIterable<Buffer>,
  output: NodeJS.WritableStream,
): Promise<void> {
  for await (const { lines, first } of linesOf(input, longestLine)) {
    let answers = ''
    for (const [index, line] of lines.entries()) {
      const number = first + index
      const answer =
        line === null
          ? JSON.stringify({ id: null, valid: false, error: `line ${number} has more than ${longestLine} characters` })
          : answerLine(conformance, line, number)
      if (answer === null) continue
      answers += `${answer}\n`
      if (answers.length < writeSize) continue
      if (!output.write(answers)) await once(output, 'drain')
      answers = ''
    }
    if (answers !== '' && !output.write(answers)) await once(output, 'drain')
  }
}
