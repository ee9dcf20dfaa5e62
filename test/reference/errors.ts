import { errors as agent } from '@margay/agent/errors'
import { errors as alerts } from '@margay/alerts/errors'
import { errors as api } from '@margay/api/errors'
import { errors as cli } from '@margay/cli/errors'
import { errors as compliance } from '@margay/compliance/errors'
import { errors as engine } from '@margay/engine/errors'
import { errors as kit } from '@margay/kit/errors'
import { errors as lab } from '@margay/lab/errors'
import { errors as store } from '@margay/store/errors'

/** The catalogue of every service: code and when it is raised. */
export const catalogues: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  kit,
  agent,
  alerts,
  api,
  cli,
  compliance,
  engine,
  lab,
  store,
}

/** The reference of errors, from the catalogues. */
export function errorReference(): string {
  const sections = Object.entries(catalogues).map(
    ([service, codes]) =>
      `## ${service}\n\n| Code | Raised when |\n|---|---|\n${Object.entries(codes)
        .map(([code, when]) => `| \`${code}\` | ${when} |`)
        .join('\n')}\n`,
  )
  return `# Errors\n\nEvery error that Margay names has a stable code: in messages, in log lines, and as \`code\` of an HTTP problem document (RFC 9457).\n\n${sections.join('\n')}`
}
