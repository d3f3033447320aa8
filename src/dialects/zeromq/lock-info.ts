import { goEscaped } from '../shared/go-json.ts'
import type { BusAddress } from './ports.ts'
import { timestampOf } from './envelope.ts'

/** What a lock file says of the primary. */
export interface LockInfo {
  readonly instanceId: string
  readonly pid: number
  /** TCP ports on 127.0.0.1; 0 where the bus is not on TCP. */
  readonly pubPort: number
  readonly rpcPort: number
  /** RFC 3339. */
  readonly startedAt: string
  /** Where the bus is, when not at these ports. Existing programs neither write nor read it. */
  readonly address?: BusAddress | undefined
}

/** The text of the file as existing programs write it: two spaces of indent, a line end. */
export function encodeLockInfo(info: LockInfo): string {
  const { instanceId, pid, pubPort, rpcPort, startedAt, address } = info
  const fields = {
    instance_id: instanceId,
    pid,
    pub_port: pubPort,
    rpc_port: rpcPort,
    started_at: startedAt,
    pub_endpoint: address?.pub,
    rpc_endpoint: address?.rpc,
    server_key: address?.serverKey,
  }
  return `${goEscaped(JSON.stringify(fields, undefined, 2))}\n`
}

/** `undefined` for a text that names no primary, a half-written one for instance. */
export function decodeLockInfo(text: string): LockInfo | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const fields = value as Record<string, unknown>
  const { instance_id: instanceId, pid, pub_port: pubPort, rpc_port: rpcPort, started_at: startedAt } = fields
  if (typeof instanceId !== 'string' || !isNumber(pid, 2 ** 31) || !isNumber(pubPort, 65_535)) return undefined
  if (!isNumber(rpcPort, 65_535)) return undefined
  const { pub_endpoint: pub, rpc_endpoint: rpc, server_key: serverKey } = fields
  const address: BusAddress | undefined =
    typeof pub !== 'string'
      ? undefined
      : {
          pub,
          ...(typeof rpc === 'string' ? { rpc } : {}),
          ...(typeof serverKey === 'string' ? { serverKey } : {}),
        }
  const start = typeof startedAt === 'string' ? startedAt : timestampOf(0)
  return { instanceId, pid, pubPort, rpcPort, startedAt: start, ...(address === undefined ? {} : { address }) }
}

function isNumber(value: unknown, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
}

/** Where the bus of a lock file can be reached. */
export function addressOf(info: LockInfo): BusAddress {
  return info.address ?? { pub: `tcp://127.0.0.1:${info.pubPort}`, rpc: `tcp://127.0.0.1:${info.rpcPort}` }
}
