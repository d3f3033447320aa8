import type { Fanout, Peer, Place, Relay, Rpc, Streaming } from '../peers/peer.ts'

export interface PeerOptions {
  /** A file of bench/peers. */
  readonly file: string
  readonly place: Place
}

async function load(file: string): Promise<Peer> {
  const { peer } = (await import(`../peers/${file}.ts`)) as { readonly peer: Peer }
  return peer
}

function need<T>(part: T | undefined, file: string, name: string): T {
  if (part === undefined) throw new Error(`bench/peers/${file}.ts has no ${name}`)
  return part
}

export const rpcOf = async (file: string): Promise<Rpc> => need((await load(file)).rpc, file, 'rpc')
export const relayOf = async (file: string): Promise<Relay> => need((await load(file)).relay, file, 'relay')
export const fanoutOf = async (file: string): Promise<Fanout> => need((await load(file)).fanout, file, 'fanout')
export const streamingOf = async (file: string): Promise<Streaming> =>
  need((await load(file)).streaming, file, 'streaming')
