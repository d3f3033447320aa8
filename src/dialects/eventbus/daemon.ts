/*
 * The bus as a process of its own: started by a consumer when nobody answers (start.ts). One argument, in JSON.
 */
import { ConclaveError } from '../../errors/index.ts'
import { posixPlatform } from '../../platform/index.ts'
import { listenBus } from './bus.ts'
import { openLog } from './log.ts'
import { busFiles } from './paths.ts'
import type { SourceRunner } from './source.ts'

interface Order {
  readonly socket: string
  readonly sources: readonly string[]
  readonly exclusive: readonly string[]
  readonly idleExitMs?: number
}

const order = JSON.parse(process.argv[2] ?? '{}') as Order
const log = openLog(posixPlatform(), busFiles(order.socket).log)
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())

process.exitCode = await run().catch((error: unknown) => {
  // Several may be started at once: one stays, and that is what was asked for.
  if (ConclaveError.is(error, 'SOCKET_IN_USE')) return 0
  log(`failed: ${String(error)}`)
  return 1
})

async function run(): Promise<number> {
  const { socket, exclusive, idleExitMs } = order
  const { signal } = stop
  const onNotice = (notice: object): void => log(JSON.stringify(notice))
  const bus = await listenBus({ socket, exclusive, idleExitMs, signal, onNotice })
  log(`pid ${process.pid} listens at ${socket}`)
  for (const module of order.sources) {
    const { source } = (await import(module)) as { readonly source: SourceRunner }
    bus.attach(module, source)
  }
  const end = await bus.closed
  log(`ended: ${end.type === 'failed' ? String(end.error) : end.type}`)
  return end.type === 'failed' ? 1 : 0
}
