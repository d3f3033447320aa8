import { peerFile } from '../peers/index.ts'
import type { Place } from '../peers/peer.ts'
import type { RpcClientOptions } from '../sides/rpc-client.ts'
import type { ServeOptions } from '../sides/serve.ts'
import type { Processes, Side } from '../support/processes.ts'
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

/** A server and a client of one peer, each in its own process. */
export async function rpcPair(processes: Processes, peer: string): Promise<Pair> {
  const file = peerFile(peer)
  const place = await placeFor(processes, peer)
  const server = await serve(processes, peer, file, place, 'rpc')
  const side = await client(processes, peer, file, place, 'rpc')
  return { client: side, pids: [server.pid, side.pid, ...(place.pid === undefined ? [] : [place.pid])] }
}

/** A hub, a server and a client: calls go through the hub. */
export async function relayTrio(processes: Processes, peer: string): Promise<Side> {
  const file = peerFile(peer)
  const place = await placeFor(processes, peer)
  // The server first where the hub connects to it, otherwise the hub.
  const roles =
    peer === 'node:net' ? (['relay-server', 'relay-hub'] as const) : (['relay-hub', 'relay-server'] as const)
  for (const role of roles) await serve(processes, peer, file, place, role)
  return client(processes, peer, file, place, 'relay')
}

export async function serve(
  processes: Processes,
  peer: string,
  file: string,
  place: Place,
  role: ServeOptions['role'],
  suffix = '',
): Promise<Side> {
  const options = { file, place, role } satisfies ServeOptions
  return processes.side('serve', options, { label: `${file}-${role}${suffix}`, profiled: peer === 'conclave' })
}

function client(
  processes: Processes,
  peer: string,
  file: string,
  place: Place,
  role: RpcClientOptions['role'],
): Promise<Side> {
  const options = { file, place, role } satisfies RpcClientOptions
  return processes.side('rpc-client', options, { label: `${file}-${role}-client`, profiled: peer === 'conclave' })
}
