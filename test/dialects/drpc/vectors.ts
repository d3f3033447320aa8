import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HEADER_BYTES } from '../../../src/dialects/drpc/limits.ts'

interface RecordedPacket {
  readonly connection: number
  readonly direction: 'client->server' | 'server->client'
  readonly length: number
  readonly hex?: string
  readonly header_hex?: string
  readonly data_first_64_hex?: string
  readonly data_sha256?: string
}

export interface RecordedCase {
  readonly description: string
  readonly peers: 'go-client-go-server' | 'c-client-go-server' | 'go-client-c-server'
  readonly packets: readonly RecordedPacket[]
}

export interface MalformedCase {
  readonly name: string
  readonly description: string
  readonly sent: readonly string[]
  readonly go_server: readonly string[]
  readonly c_server: readonly string[]
}

function read<T>(name: string): readonly T[] {
  const path = join(import.meta.dirname, '..', '..', 'vectors', `${name}.json`)
  return (JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: readonly T[] }).cases
}

export const RECORDED: readonly RecordedCase[] = read('drpc-packets')
export const MALFORMED: readonly MalformedCase[] = read('drpc-malformed')

/** Its bytes. Long ones are recorded by their head and a hash: their bodies count up or down. */
export function bytesOfPacket(packet: RecordedPacket): Buffer {
  if (packet.hex !== undefined) return Buffer.from(packet.hex, 'hex')
  const bytes = Buffer.alloc(packet.length)
  bytes.write(packet.header_hex ?? '', 0, 'hex')
  const known = bytes.write(packet.data_first_64_hex ?? '', HEADER_BYTES, 'hex')
  const end = HEADER_BYTES + known
  const step = (bytes[end - 1] as number) - (bytes[end - 2] as number)
  for (let at = end; at < bytes.length; at++) bytes[at] = (bytes[at - 1] as number) + step
  assert.equal(createHash('sha256').update(bytes.subarray(HEADER_BYTES)).digest('hex'), packet.data_sha256)
  return bytes
}
