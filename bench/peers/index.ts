import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from '../support/processes.ts'

interface Entry {
  /** A file of this folder. */
  readonly file: string
  /** What has to be installed: an npm package, a program. */
  readonly package?: string
  readonly program?: string
}

/** Everybody who takes part, by the name in the rows. */
export const PEERS: Readonly<Record<string, Entry>> = {
  conclave: { file: 'conclave' },
  'node:net': { file: 'net' },
  'node:net, bytes': { file: 'net-bytes' },
  zeromq: { file: 'zeromq', package: 'zeromq' },
  'vscode-jsonrpc': { file: 'vscode-jsonrpc', package: 'vscode-jsonrpc' },
  'grpc-js': { file: 'grpc', package: '@grpc/grpc-js' },
  nats: { file: 'nats', package: '@nats-io/transport-node', program: 'nats-server' },
  'process.send': { file: 'process-send' },
  birpc: { file: 'birpc', package: 'birpc' },
  ws: { file: 'ws', package: 'ws' },
}

/** The file of a peer. @throws why it cannot take part */
export function peerFile(name: string): string {
  const entry = PEERS[name]
  if (entry === undefined) throw new Error(`there is no peer ${name}`)
  requirePackage(entry.package)
  requireProgram(entry.program)
  return entry.file
}

function requirePackage(name: string | undefined): void {
  const folder = join(import.meta.dirname, '..', '..', 'node_modules', name ?? '')
  if (name !== undefined && !existsSync(folder)) throw new Error(`the package ${name} is not installed`)
}

/** Its path. @throws when it is not installed */
export function requireProgram(name: string | undefined): string {
  if (name === undefined) return ''
  const path = findProgram(name)
  if (path === undefined) throw new Error(`the program ${name} is not installed`)
  return path
}
