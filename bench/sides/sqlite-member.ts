// A member of a workspace with a database: the primary writes, whoever asks.
import { join } from 'conclave'
import type { Commands } from '../support/side.ts'
import { quantile } from '../support/statistics.ts'
import { INSERT, TABLE, TEXT, type Durability, type Writing } from './sqlite.ts'

export interface MemberOptions {
  readonly folder: string
  readonly durability: Durability
}

interface Database {
  run(sql: string, params: readonly string[]): Promise<unknown>
}

export async function start({ folder, durability }: MemberOptions): Promise<Commands> {
  const methods = { echo: (text: string) => text }
  const member = await join(folder, { methods, database: { file: 'data.db', migrations: [TABLE], durability } })
  const { db } = member as unknown as { readonly db?: Database }
  if (db === undefined) throw new Error('member.db is not there yet')
  const many = async (forMs: number, inFlight: number): Promise<Writing & { readonly perSecond: number }> => {
    let [writes, worstMs, busy] = [0, 0, 0]
    const begin = performance.now()
    const worker = async (): Promise<void> => {
      for (let last = performance.now(); last - begin < forMs;) {
        try {
          await db.run(INSERT, [TEXT])
          writes++
        } catch (error) {
          if (!String(error).includes('BUSY')) throw error
          busy++
        }
        const now = performance.now()
        worstMs = Math.max(worstMs, now - last)
        last = now
      }
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
    return { writes, worstMs, busy, perSecond: writes / ((performance.now() - begin) / 1000) }
  }
  return {
    write: ({ forMs, inFlight }: { readonly forMs: number; readonly inFlight: number }) => many(forMs, inFlight),
    pipelined: async ({ forMs, inFlight }: { readonly forMs: number; readonly inFlight: number }) =>
      (await many(forMs, inFlight)).perSecond,
    /** The 99th percentile of calls to the primary that write nothing, in microseconds. */
    async calls({ count }: { readonly count: number }): Promise<number> {
      const times = new Float64Array(count)
      for (let n = 0; n < count; n++) {
        const begin = performance.now()
        await member.call('echo', TEXT)
        times[n] = (performance.now() - begin) * 1000
      }
      return quantile(times, 0.99)
    },
  }
}
