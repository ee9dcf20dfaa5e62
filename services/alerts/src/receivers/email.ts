import { readSecret } from '@margay/kit/config'
import { MargayError } from '@margay/kit/errors'
import { createTransport } from 'nodemailer'
import { DeliveryError, type FailureKind, type Receiver } from '../delivery.ts'
import { type Message, severityName } from '../message.ts'
import { htmlBody, textBody } from './mail-body.ts'

/** Settings of a mailbox list: one entry of `alerts.receivers` of type email. */
export interface EmailConfig {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly from: string
  readonly to: readonly string[]
  readonly username?: string
  readonly passwordFile?: string
  readonly tls: 'none' | 'starttls' | 'tls'
  readonly minSeverity: number
}

/** Makes a receiver that sends mail by SMTP. The password is read for each mail, so it may be changed at any time. */
export function createEmailReceiver(config: EmailConfig, deps: { readonly cluster: string }): Receiver {
  return {
    name: config.name,
    channel: 'email',
    minSeverity: config.minSeverity,
    async send(message, attempt) {
      const recipients = attempt.recipients ?? config.to
      let transport: ReturnType<typeof connect> | undefined
      try {
        transport = connect(config)
        const answer = await transport.sendMail({
          ...mailOf(message, config, deps.cluster),
          envelope: { from: config.from, to: [...recipients] },
        })
        const refused = (answer.rejectedErrors ?? []) as SmtpError[]
        const remaining = refused.filter((error) => !isPermanent(error)).map((error) => error.recipient ?? '')
        if (remaining.length > 0)
          throw new DeliveryError('transient', `some addresses were not served yet: ${remaining.join(', ')}`, {
            remaining,
          })
        return {
          messageId: answer.messageId,
          accepted: answer.accepted,
          rejected: answer.rejected,
          response: answer.response,
        }
      } catch (error) {
        throw error instanceof DeliveryError ? error : failureOf(error as SmtpError, config)
      } finally {
        transport?.close()
      }
    },
  }
}

/** A connection for one mail; nothing is sent unencrypted that was to be encrypted, and no wait is open-ended. */
function connect(config: EmailConfig) {
  return createTransport({
    host: config.host,
    port: config.port,
    secure: config.tls === 'tls',
    requireTLS: config.tls === 'starttls',
    ignoreTLS: config.tls === 'none',
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
    dnsTimeout: 5_000,
    disableFileAccess: true,
    disableUrlAccess: true,
    tls: { minVersion: 'TLSv1.2' },
    ...(config.username === undefined ? {} : { auth: { user: config.username, pass: passwordOf(config) } }),
  })
}

/** The mail of a message. Message-ID and subject are the same in every try. */
function mailOf(message: Message, config: Pick<EmailConfig, 'from' | 'to' | 'name'>, cluster: string) {
  return {
    from: config.from,
    to: [...config.to],
    subject: `[Margay]${message.subject}`,
    messageId: `<${message.key}.${config.name.replace(/[^A-Za-z0-9-]/g, '-')}@margay.invalid>`,
    date: new Date(message.time),
    text: textBody(message, cluster),
    html: htmlBody(message, cluster),
    headers: {
      'Auto-Submitted': 'auto-generated',
      'X-Auto-Response-Suppress': 'All',
      'X-Margay-Severity': severityName(message.severity),
    },
  }
}

interface SmtpError extends Error {
  readonly code?: string
  readonly syscall?: string
  readonly responseCode?: number
  readonly recipient?: string
}

const isPermanent = ({ responseCode }: SmtpError) => responseCode !== undefined && responseCode >= 500

/** True when the dialogue never began. nodemailer calls a connection lost at any later point by the same name. */
function isBeforeSending(error: SmtpError): boolean {
  const isUnreachable = error.syscall === 'connect' || error.syscall === 'getaddrinfo' || error.code === 'EDNS'
  return isUnreachable || error.code === 'ETLS' || /^(greeting never received|connection timeout)/i.test(error.message)
}

/** Sorts an error of nodemailer: by the server's answer if there was one, else by how far the dialogue had come. */
function failureOf(error: SmtpError, { host, port }: EmailConfig): DeliveryError {
  const hasAnswer = error.responseCode !== undefined && error.responseCode >= 400
  let kind: FailureKind = 'transient'
  if (isPermanent(error) || error.code === 'EAUTH' || error.name === 'CONFIG_INVALID') kind = 'permanent'
  else if (!hasAnswer && !isBeforeSending(error)) kind = 'ambiguous'
  return new DeliveryError(kind, `the mail server ${host}:${port} did not take the mail: ${error.message}`, {
    cause: error,
  })
}

function passwordOf(config: EmailConfig): string {
  if (config.passwordFile === undefined)
    throw new MargayError('CONFIG_INVALID', `receiver ${config.name} has a username but no passwordFile`)
  return readSecret(config.passwordFile)
}
