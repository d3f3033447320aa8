import { posix as path } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import type { Platform } from '../platform/platform.ts'
import { randomBytes } from '../platform/random.ts'
import { ENDPOINT_BYTES } from './limits.ts'

const NAME = /^[A-Za-z0-9_-]{16}\.sock$/
const FORM = /^(unix|memory):(\/[^\u0000-\u001f\u007f-\u009f]*)$/ // oxlint-disable-line no-control-regex

/** Whether a file name is one we give to sockets. */
export function isEndpointName(name: string): boolean {
  return NAME.test(name)
}

/** Whether a value is `unix:` or `memory:` with a plain absolute path that ends in a name of ours. Pure. */
export function isEndpoint(value: unknown): value is string {
  if (typeof value !== 'string') return false
  const at = FORM.exec(value)?.[2]
  return at !== undefined && !at.endsWith('/') && at === path.normalize(at) && isEndpointName(path.basename(at))
}

/** The path to connect to, of an endpoint of our form. */
export function endpointPath(endpoint: string): string {
  return endpoint.slice(endpoint.indexOf(':') + 1)
}

export function formatEndpoint(platform: Platform, at: string): string {
  return `${platform.name === 'memory' ? 'memory' : 'unix'}:${at}`
}

/**
 * A socket path nobody used before: 96 random bits in the runtime directory (rule B5).
 * @throws `PATH_TOO_LONG`, and what `platform.runtimeDirectory()` throws
 */
export function newEndpointPath(platform: Platform): string {
  const name = `${randomBytes(ENDPOINT_BYTES).toString('base64url')}.sock`
  const at = path.join(platform.runtimeDirectory(), name)
  const bytes = Buffer.byteLength(at)
  if (bytes <= platform.maxSocketPathBytes) return at
  const text = `The socket path ${at} has ${bytes} bytes; ${platform.maxSocketPathBytes} are possible here. Set XDG_RUNTIME_DIR to a shorter directory.`
  throw new ConclaveError('PATH_TOO_LONG', text)
}

/**
 * How an announced endpoint stands. It is used only if its directory is a real one, ours and closed to others (rule B4):
 * otherwise anybody could make us talk to another socket of ours.
 */
export function inspectEndpoint(platform: Platform, endpoint: string): 'present' | 'absent' | 'untrusted' {
  if (!isEndpoint(endpoint) || formatEndpoint(platform, endpointPath(endpoint)) !== endpoint) return 'untrusted'
  const at = endpointPath(endpoint)
  if (Buffer.byteLength(at) > platform.maxSocketPathBytes) return 'untrusted'
  try {
    const directory = platform.stat(path.dirname(at))
    if (directory === undefined) return 'absent'
    const real = directory.kind === 'directory' && (directory.mode & 0o077) === 0
    if (!real || !platform.isOurUid(directory.uid)) return 'untrusted'
    const socket = platform.stat(at)
    if (socket === undefined) return 'absent'
    return socket.kind === 'socket' && platform.isOurUid(socket.uid) ? 'present' : 'untrusted'
  } catch {
    return 'untrusted' // It lies where we may not look: then it is not ours.
  }
}
