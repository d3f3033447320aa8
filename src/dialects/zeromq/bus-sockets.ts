import type { Context, Publisher, Router } from 'zeromq'
import { posixPlatform } from '../../platform/index.ts'
import { loadZeromq } from '../zmq-library.ts'
import { Binding } from './binding.ts'
import { DIAL_TIMEOUT_MS } from './limits.ts'
import type { BusLimits } from './options.ts'
import type { Endpoints } from './ports.ts'
import { serverOptions, type BusKeys } from './security.ts'
import { Gatekeeper } from './zap.ts'

/** The two sockets of a bus, bound. */
export interface BusSockets {
  readonly publisher: Publisher
  readonly router: Router
  readonly pub: Binding
  readonly rpc: Binding
  readonly gatekeeper: Gatekeeper | undefined
}

export interface SocketsOptions extends BusLimits {
  readonly keys: BusKeys | undefined
  /** Identity of the socket that answers calls, as existing buses have it. */
  readonly routingId: string
  /** Others may want these names too. */
  readonly exclusive: boolean
}

/** @throws `UNSUPPORTED`, `SOCKET_IN_USE`, `INVALID_OPTION`, `PATH_TOO_LONG` */
export async function openSockets({ pub, rpc }: Endpoints, options: SocketsOptions): Promise<BusSockets> {
  const { keys, routingId, exclusive, receiveHighWaterMark, sendHighWaterMark, maxMessageBytes, lingerMs } = options
  const curve = serverOptions(keys)
  const library = await loadZeromq()
  // A gatekeeper answers for all sockets of its context: other parts of the process must not meet it, nor we theirs.
  const context: Context | undefined = keys === undefined ? undefined : new library.Context()
  const common = {
    ...(context === undefined ? {} : { context }),
    ...curve,
    sendTimeout: 0,
    linger: lingerMs,
    maxMessageSize: maxMessageBytes,
    handshakeInterval: DIAL_TIMEOUT_MS,
    // Without a domain nobody is asked.
    ...(keys?.clients === undefined ? {} : { zapDomain: 'conclave', zapEnforceDomain: true }),
    sendHighWaterMark,
  }
  // A copy: the constructor takes the context out of its options.
  const publisher = new library.Publisher({ ...common })
  const router = new library.Router({ ...common, receiveHighWaterMark, mandatory: true, routingId })
  const bound: Binding[] = []
  let gatekeeper: Gatekeeper | undefined
  try {
    if (context !== undefined && keys?.clients !== undefined) {
      gatekeeper = await Gatekeeper.start(library, context, keys.clients)
    }
    const platform = posixPlatform()
    const first = await Binding.bind(publisher, pub, platform, exclusive)
    bound.push(first)
    const second = await Binding.bind(router, rpc, platform, exclusive)
    return { publisher, router, pub: first, rpc: second, gatekeeper }
  } catch (error) {
    publisher.close()
    router.close()
    gatekeeper?.close()
    for (const binding of bound) binding.release()
    throw error
  }
}

export function closeSockets({ publisher, router, gatekeeper, pub, rpc }: BusSockets): void {
  publisher.close()
  router.close()
  gatekeeper?.close()
  pub.release()
  rpc.release()
}
