import { Buffer } from 'node:buffer'
import { ConclaveError } from '../../errors/index.ts'
import { bytesOfKey } from '../shared/z85.ts'
import { loadZeromq } from '../zmq-library.ts'
import { MAX_NAME_BYTES } from './limits.ts'

/** A pair of CURVE keys, each 40 characters of Z85. The public one is the name of its node. */
export interface Keypair {
  readonly publicKey: string
  readonly secretKey: string
}

/** A fresh pair. @throws `UNSUPPORTED` without the package zeromq */
export async function newKeypair(): Promise<Keypair> {
  return (await loadZeromq()).curveKeyPair()
}

export function isKey(text: string): boolean {
  return bytesOfKey(text) !== undefined
}

/** @throws `INVALID_OPTION` */
export function checkKey(text: string, what: string): string {
  if (isKey(text)) return text
  throw new ConclaveError(
    'INVALID_OPTION',
    `${what} is no CURVE key: it has 40 characters of Z85, as newKeypair() makes them.`,
  )
}

/** Such a text is another one after its way through UTF-8. */
export function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text)
}

/** Of a plaintext node or a network. A zero byte at the front marks the names that libzmq gives to those without one. */
export function isName(text: string): boolean {
  return text !== '' && !text.startsWith('\0') && !hasLoneSurrogate(text) && Buffer.byteLength(text) <= MAX_NAME_BYTES
}

/** @throws `INVALID_OPTION` */
export function checkName(text: string, what: string): string {
  if (isName(text)) return text
  throw new ConclaveError(
    'INVALID_OPTION',
    `${JSON.stringify(text)} is no ${what}: it has 1 to ${MAX_NAME_BYTES} bytes.`,
  )
}
