import { ConclaveError } from '../../errors/index.ts'
import type { Frame } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { LinkSnapshot, MemberSnapshot } from '../engine.ts'
import type { CallRouter } from './call-router.ts'
import type { EventRouter } from './event-router.ts'
import type { Directory } from './routes.ts'
import type { Port } from './port.ts'

/** What a QUERY of `peers` asks: who would be addressed. */
export interface PeersQuery {
  readonly method: string
  /** Default: all that offer the method. */
  readonly to?: 'all' | 'others' | { readonly name: string } | { readonly ids: readonly string[] } | undefined
}

export interface PeersAnswer {
  readonly peers: readonly (MemberRef & { readonly slot: number })[]
  /** Ids that were asked for and are not here. */
  readonly absent: readonly string[]
}

export function peersOf(directory: Directory, calls: CallRouter, asker: Port, frame: Frame): PeersAnswer {
  const { method, to } = readQuery(frame)
  const members = [...directory.members()]
  const absent: string[] = []
  let ports: readonly Port[]
  if (to === undefined) ports = calls.offering(method)
  else if (to === 'all') ports = members
  else if (to === 'others') ports = members.filter((port) => port !== asker)
  else if ('name' in to) ports = members.filter((port) => port.ref.name === to.name)
  else {
    ports = to.ids.flatMap((id) => {
      const port = directory.byId(id)
      if (port === undefined) absent.push(id)
      return port ?? []
    })
  }
  return { peers: ports.map((port) => ({ ...port.ref, slot: port.slot })), absent }
}

/** @throws `INVALID_PARAMS` */
function readQuery(frame: Frame): PeersQuery {
  let query: unknown
  try {
    query = JSON.parse(frame.text)
  } catch (cause) {
    throw new ConclaveError('INVALID_PARAMS', 'The body of a QUERY is not JSON.', { cause })
  }
  const { method, to } = (query ?? {}) as Record<string, unknown>
  const { name, ids } = (to ?? {}) as Record<string, unknown>
  const named = to === undefined || to === 'all' || to === 'others' || typeof name === 'string' || isTexts(ids)
  if (typeof method === 'string' && named) return query as PeersQuery
  throw new ConclaveError('INVALID_PARAMS', 'The body of a QUERY does not say whom it is about.')
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

/** Links and members for a snapshot, and the events that wait for them. */
export function portsOf(
  ports: Iterable<Port>,
  primary: Port | undefined,
  router: EventRouter,
): { members: MemberSnapshot[]; links: LinkSnapshot[]; events: number } {
  const members: MemberSnapshot[] = []
  const links: LinkSnapshot[] = []
  let events = 0
  for (const port of ports) {
    const backlog = router.backlogOf(port)
    const member = port.kind === 'member'
    events += backlog.events
    links.push({
      member: member ? port.ref.id : undefined,
      form: member ? 'frames' : 'lines',
      pid: port.ref.pid,
      outgoingBytes: port.queuedBytes,
      queuedEvents: backlog.events,
      queuedBytes: backlog.bytes,
      pendingCalls: port.calls.size,
      servingCalls: port.serving.size,
      subscriptions: port.subscriptions.size,
      dropped: backlog.dropped,
    })
    if (!member) continue
    const role = port === primary ? 'primary' : 'secondary'
    members.push({ ...port.ref, role, joined: port.joined, methods: [...port.offers.keys()].sort() })
  }
  return { members, links, events }
}

/** Counters under a name of their own. */
export function prefixed(prefix: string, counters: object): Record<string, number> {
  return Object.fromEntries(Object.entries(counters as Record<string, number>).map(([k, v]) => [`${prefix}.${k}`, v]))
}
