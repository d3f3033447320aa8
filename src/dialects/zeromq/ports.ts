import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { ConclaveError } from '../../errors/index.ts'
import { posixPlatform, type Platform } from '../../platform/index.ts'
import { FIRST_PORT, PORTS } from './limits.ts'

export interface Ports {
  readonly pubPort: number
  readonly rpcPort: number
}

/** Where a bus can be reached. */
export interface BusAddress {
  /** `ipc:///…` or `tcp://…`: what subscribers connect to. */
  readonly pub: string
  /** What callers connect to. Default: beside `pub`, as `rpcBeside` has it. */
  readonly rpc?: string | undefined
  /** The bus's public CURVE key, where it has one. */
  readonly serverKey?: string | undefined
}

/** Both sides of a bus, as `Bus.start` takes them. */
export interface Endpoints {
  readonly pub: string
  readonly rpc: string
}

/**
 * The TCP ports that existing programs use for a directory: 40000 + (FNV-1a 32 of the path as it is written mod 20000)
 * for events, and the next one for calls. Two directories can have the same ones.
 */
export function portsForPath(path: string): Ports {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(path)) hash = Math.imul(hash ^ byte, 0x01000193)
  const pubPort = FIRST_PORT + ((hash >>> 0) % PORTS)
  return { pubPort, rpcPort: pubPort + 1 }
}

/**
 * The sockets of a directory's bus in our private per-user folder, where no other user gets in. Each directory has its own.
 * @throws `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`, `PATH_TOO_LONG`, or the system's error when there is no such directory
 */
export function endpointsForPath(path: string): Endpoints {
  const platform = posixPlatform()
  const name = createHash('sha256')
    .update(platform.realPath(resolve(path)))
    .digest('hex')
    .slice(0, 16)
  return ipcEndpoints(platform, name)
}

/** @internal */
export function ipcEndpoints(platform: Platform, name: string): Endpoints {
  const stem = join(platform.runtimeDirectory(), `zmq-${name}`)
  for (const path of [`${stem}.pub`, `${stem}.rpc`]) checkSocketPath(platform, path)
  return { pub: `ipc://${stem}.pub`, rpc: `ipc://${stem}.rpc` }
}

/** @throws `PATH_TOO_LONG` */
export function checkSocketPath(platform: Platform, path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= platform.maxSocketPathBytes) return
  throw new ConclaveError(
    'PATH_TOO_LONG',
    `The socket path ${path} has ${bytes} bytes and the system takes ${platform.maxSocketPathBytes}: use a shorter directory.`,
    { data: { path } },
  )
}

/** Where a bus of which only the event endpoint is known answers calls: the next port, or `.rpc` for `.pub`. */
export function rpcBeside(pub: string): string | undefined {
  const [, stem, port] = /^(tcp:\/\/.*:)(\d+)$/.exec(pub) ?? []
  if (stem !== undefined) return `${stem}${Number(port) + 1}`
  return pub.startsWith('ipc://') && pub.endsWith('.pub') ? `${pub.slice(0, -'.pub'.length)}.rpc` : undefined
}

/** @throws `INVALID_OPTION` for anything but `ipc:///path` and `tcp://host:port` */
export function checkEndpoint(endpoint: string): 'ipc' | 'tcp' {
  if (/^ipc:\/\/\/[^\0]+$/.test(endpoint)) return 'ipc'
  if (/^tcp:\/\/.+:(?:\d{1,5}|\*)$/.test(endpoint)) return 'tcp'
  throw new ConclaveError(
    'INVALID_OPTION',
    `"${endpoint}" is no endpoint: it is "ipc:///absolute/path" or "tcp://host:port".`,
  )
}
