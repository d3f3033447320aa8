import { ConclaveError } from '../errors/index.ts'
import type { WriterIdentity } from './identity.ts'
import { MAX_TRANSACTION_MS, TRANSACTION_MS, WRITE_TIMEOUT_MS } from './limits.ts'
import { METHOD } from './protocol.ts'
import { resultFromWire, type WireResult } from './result.ts'
import type { AsyncTx, SqlValue, WaitOptions } from './types.ts'
import { statementToWire } from './values.ts'
import { until, type Until } from './wait.ts'

export interface TransactionOptions extends WaitOptions {
  /** How long it may hold the writer, in milliseconds: 2,000 by default, 30,000 at most. */
  readonly timeoutMs?: number | undefined
  /** Runs the callback again when the transaction was rolled back under it: its deadline, a lost primary. Default false. */
  readonly retry?: boolean | undefined
}

/** What a transaction needs of its client. */
export interface TransactionHost {
  opened(what: string, over: Until): Promise<WriterIdentity>
  ask(identity: WriterIdentity, method: string, params: unknown, over: Until): Promise<unknown>
  settle(identity: WriterIdentity, number: number, write: Promise<unknown>): Promise<unknown>
  now(): number
}

/** How often a callback is run at most with `retry`. */
const MAX_ATTEMPTS = 5

/** @throws what the callback throws, `TRANSACTION_LOST`, `TIMEOUT`, `ABORTED`, `CONFLICT` (at the commit) */
export async function transact<T>(
  host: TransactionHost,
  work: (tx: AsyncTx) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(host, work, options)
    } catch (error) {
      if (options.retry !== true || attempt >= MAX_ATTEMPTS || !ConclaveError.is(error, 'TRANSACTION_LOST')) throw error
    }
  }
}

async function once<T>(
  host: TransactionHost,
  work: (tx: AsyncTx) => Promise<T>,
  { signal, timeoutMs = TRANSACTION_MS }: TransactionOptions,
): Promise<T> {
  const ms = Math.ceil(Math.min(timeoutMs, MAX_TRANSACTION_MS))
  if (!(ms >= 1)) {
    throw new ConclaveError('INVALID_OPTION', 'timeoutMs of a transaction is at least 1.', { outcome: 'not-committed' })
  }
  const what = 'The transaction'
  const over = (): Until => ({ deadline: host.now() + WRITE_TIMEOUT_MS, signal })
  const identity = await host.opened(what, over())
  const w = identity.id
  const x = identity.nextTransaction()
  let ended = false
  const tx: AsyncTx = {
    async run(sql: string, params: readonly SqlValue[] = []) {
      if (ended) throw new ConclaveError('CLOSED', 'The transaction is over: use its tx inside the callback only.')
      const [text, values] = statementToWire(sql, params)
      const result = await host.ask(identity, METHOD.STEP, { w, x, sql: text, params: values }, over())
      return resultFromWire(result as WireResult)
    },
  }
  let result: T
  try {
    await host.ask(identity, METHOD.BEGIN, { w, x, ms }, over())
    // Longer than it can hold the writer: the primary ends it, and the next step says why.
    result = await until(work(tx), what, { deadline: Infinity, signal }, host.now())
  } catch (error) {
    ended = true
    host.ask(identity, METHOD.ROLLBACK, { w, x }, { deadline: host.now() + WRITE_TIMEOUT_MS }).catch(() => {})
    throw error
  }
  ended = true
  const n = identity.nextNumber()
  const commit = host.ask(identity, METHOD.COMMIT, { w, x, n, a: identity.watermark }, over())
  await host.settle(identity, n, commit)
  return result
}
