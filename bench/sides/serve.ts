// Whoever only has to be there: a server, a hub, a called member.
import { type PeerOptions, fanoutOf, relayOf, rpcOf, streamingOf } from './peer-side.ts'
import type { Commands } from '../support/side.ts'

export interface ServeOptions extends PeerOptions {
  readonly role: 'rpc' | 'streaming' | 'relay-hub' | 'relay-server' | 'fanout-hub'
}

export async function start({ file, place, role }: ServeOptions): Promise<Commands> {
  if (role === 'rpc') await (await rpcOf(file)).serve(place)
  else if (role === 'streaming') await (await streamingOf(file)).serve(place)
  else if (role === 'relay-hub') await (await relayOf(file)).hub(place)
  else if (role === 'relay-server') await (await relayOf(file)).serve(place)
  else await (await fanoutOf(file)).hub(place)
  return {
    /** Microseconds of processor so far. */
    cpu() {
      const { user, system } = process.cpuUsage()
      return user + system
    },
  }
}
