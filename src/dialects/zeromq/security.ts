import { ConclaveError } from '../../errors/index.ts'
import { bytesOfKey } from '../shared/z85.ts'
import { loadZeromq, type Zeromq } from '../zmq-library.ts'
import { checkEndpoint } from './ports.ts'

/** A pair of CURVE keys, each 40 characters of Z85. */
export interface KeyPair {
  readonly publicKey: string
  readonly secretKey: string
}

export interface BusKeys extends KeyPair {
  /** Public keys of those who may connect. Default: whoever knows this bus's public key, so keep it where only they can read it. */
  readonly clients?: readonly string[] | undefined
}

export interface ClientKeys extends Partial<KeyPair> {
  /** The public key of the bus, for endpoints given as text. */
  readonly serverKey?: string | undefined
}

/** Over TCP every user of the machine can connect: it takes keys, or the word that this is meant. */
export interface TcpOptions {
  /** Speak TCP without keys, as existing programs do: every local user can read all events and make all calls. Default false. */
  readonly insecure?: boolean | undefined
}

/** A fresh pair. @throws `UNSUPPORTED` without the package zeromq */
export async function newKeys(): Promise<KeyPair> {
  return (await loadZeromq()).curveKeyPair()
}

/** @throws `INVALID_OPTION` */
export function checkKey(key: string, what: string): string {
  if (bytesOfKey(key) !== undefined) return key
  throw new ConclaveError(
    'INVALID_OPTION',
    `${what} is no CURVE key: a key has 40 characters of Z85, as newKeys() makes them.`,
  )
}

/** @throws `INVALID_OPTION` for TCP with neither keys nor `insecure` */
export function checkTransport(endpoint: string, keyed: boolean, insecure: boolean | undefined): void {
  if (checkEndpoint(endpoint) === 'ipc' || keyed || insecure === true) return
  throw new ConclaveError(
    'INVALID_OPTION',
    `${endpoint} is open to every user of this machine: give keys (CURVE), or say \`insecure: true\`, or use ipc.`,
  )
}

interface CurveServerOptions {
  readonly curveServer?: true
  readonly curveSecretKey?: string
  readonly curvePublicKey?: string
}

export function serverOptions(keys: BusKeys | undefined): CurveServerOptions {
  if (keys === undefined) return {}
  for (const key of keys.clients ?? []) checkKey(key, `${JSON.stringify(key)} in keys.clients`)
  return {
    curveServer: true,
    curveSecretKey: checkKey(keys.secretKey, 'keys.secretKey'),
    curvePublicKey: checkKey(keys.publicKey, 'keys.publicKey'),
  }
}

interface CurveClientOptions {
  readonly curveServerKey?: string
  readonly curveSecretKey?: string
  readonly curvePublicKey?: string
}

/** A client without a pair of its own gets a fresh one. */
export function clientOptions(
  library: Zeromq,
  serverKey: string | undefined,
  keys: ClientKeys | undefined,
): CurveClientOptions {
  if (serverKey === undefined) return {}
  const own =
    keys?.publicKey === undefined || keys.secretKey === undefined
      ? library.curveKeyPair()
      : { publicKey: keys.publicKey, secretKey: keys.secretKey }
  return {
    curveServerKey: checkKey(serverKey, 'The key of the bus'),
    curveSecretKey: checkKey(own.secretKey, 'keys.secretKey'),
    curvePublicKey: checkKey(own.publicKey, 'keys.publicKey'),
  }
}
