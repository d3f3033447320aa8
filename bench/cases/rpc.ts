import { peerFile } from '../peers/index.ts'
import type { Place } from '../peers/peer.ts'
import type { RpcClientOptions } from '../sides/rpc-client.ts'
import type { ServeOptions } from '../sides/serve.ts'
import { CAN_PIN, type Core, type Processes, type Side } from '../support/processes.ts'
import { placeFor } from './places.ts'

export const RPC_PEERS = [
  'node:net',
  'conclave',
  'zeromq',
  'vscode-jsonrpc',
  'grpc-js',
  'nats',
  'process.send',
  'birpc',
  'ws',
] as const

export interface Pair {
  readonly client: Side
  /** Of all that take part: client, server, broker. */
  readonly pids: readonly number[]
}

/** A server and a client of one peer, each in its own process; all of them on one core, if it is given. */
export async function rpcPair(processes: Processes, peer: string, core?: Core): Promise<Pair> {
  const file = peerFile(peer)
  const place = await placeFor(processes, peer, core)
  const server = await serve(processes, peer, file, place, 'rpc', { core })
  const side = await client(processes, peer, file, place, 'rpc', core)
  return { client: side, pids: [server.pid, side.pid, ...(place.pid === undefined ? [] : [place.pid])] }
}

/** A hub, a server and a client: calls go through the hub. */
export async function relayTrio(processes: Processes, peer: string, core?: Core): Promise<Side> {
  const file = peerFile(peer)
  const place = await placeFor(processes, peer, core)
  // The server first where the hub connects to it, otherwise the hub.
  const roles =
    peer === 'node:net' ? (['relay-server', 'relay-hub'] as const) : (['relay-hub', 'relay-server'] as const)
  for (const role of roles) await serve(processes, peer, file, place, role, { core })
  return client(processes, peer, file, place, 'relay', core)
}

export async function serve(
  processes: Processes,
  peer: string,
  file: string,
  place: Place,
  role: ServeOptions['role'],
  { suffix = '', core }: { readonly suffix?: string; readonly core?: Core | undefined } = {},
): Promise<Side> {
  const options = { file, place, role } satisfies ServeOptions
  return processes.side('serve', options, {
    label: `${file}-${role}${suffix}${coreLabel(core)}`,
    profiled: peer === 'conclave',
    core,
  })
}

function client(
  processes: Processes,
  peer: string,
  file: string,
  place: Place,
  role: RpcClientOptions['role'],
  core: Core | undefined,
): Promise<Side> {
  const options = { file, place, role } satisfies RpcClientOptions
  return processes.side('rpc-client', options, {
    label: `${file}-${role}-client${coreLabel(core)}`,
    profiled: peer === 'conclave',
    core,
  })
}

function coreLabel(core: Core | undefined): string {
  return core === undefined ? '' : '-one-core'
}

/**
 * Figures of a pair or trio as the kernel places it, and of another one that is kept on one core, as far as the system can:
 * where the processes are decides more than what they do.
 */
export async function placedBothWays<T>(
  start: (core?: Core) => Promise<T>,
  measure: (started: T) => Promise<Readonly<Record<string, number>>>,
) {
  const free = await start()
  const pinned = CAN_PIN ? await start(0) : undefined
  return async () => {
    const figures: Record<string, number> = { ...(await measure(free)) }
    if (pinned === undefined) return figures
    for (const [metric, value] of Object.entries(await measure(pinned))) figures[`${metric}, one core`] = value
    return figures
  }
}
