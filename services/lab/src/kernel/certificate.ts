import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'

/**
 * A self-signed certificate, made for this process and written nowhere: clients that do not check who they talk to (`curl -k`) can speak
 * TLS to any port of the lab. X.509 version 3 (RFC 5280) on P-256 with SHA-256; the encoding is DER.
 */
export function selfSigned(commonName: string, now: Date): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(ecdsaWithSha256)
  const name = sequence(der(0x31, sequence(oidCommonName, der(0x0c, Buffer.from(commonName)))))
  const year = now.getUTCFullYear()
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])), // a leading 1 keeps the serial number positive
    algorithm,
    name,
    sequence(der(0x18, Buffer.from(`${year}0101000000Z`)), der(0x18, Buffer.from(`${year + 10}0101000000Z`))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = createSign('sha256').update(body).sign(privateKey)
  const certificate = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  }
}

/** A secure context with a certificate of its own, made when it is first asked for. */
export function lazySecureContext(now: () => Date): () => SecureContext {
  let context: SecureContext | undefined
  return () => {
    context ??= createSecureContext(selfSigned('margay lab', now()))
    return context
  }
}

/** Tag, length, content. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}
const sequence = (...parts: Buffer[]) => der(0x30, Buffer.concat(parts))
/** 1.2.840.10045.4.3.2 */
const ecdsaWithSha256 = der(0x06, Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]))
/** 2.5.4.3 */
const oidCommonName = der(0x06, Buffer.from([0x55, 0x04, 0x03]))
