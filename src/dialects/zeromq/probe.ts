import { ConclaveError } from '../../errors/index.ts'

export const HEARTBEAT = 'instance.heartbeat'
export const SHUTDOWN = 'instance.shutdown'

/**
 * How our subscriber learns that its subscription is in force: it asks, over the RPC side, for a heartbeat that carries a
 * word of its own, until it hears it. For all others that is a heartbeat like any. Existing buses have no such method.
 */
export const PROBE = 'conclave.probe'

interface Probed {
  registerMethod(name: string, handler: (params: unknown) => unknown): Disposable
  heartbeat(more: Readonly<Record<string, unknown>>): void
  readonly instanceId: string
}

export function answerProbes(bus: Probed): void {
  bus.registerMethod(PROBE, (params) => {
    const probe = (params as { readonly probe?: unknown } | null | undefined)?.probe
    if (probe !== undefined && (typeof probe !== 'string' || probe.length > 64)) {
      throw new ConclaveError('INVALID_PARAMS', 'probe must be a text of at most 64 characters.')
    }
    if (probe !== undefined) bus.heartbeat({ probe })
    return { instance_id: bus.instanceId }
  })
}
