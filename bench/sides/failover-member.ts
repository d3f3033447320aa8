import { defineContract, join } from 'conclave'
import type { Commands } from '../support/side.ts'

export const contract = defineContract({ methods: { echo: { idempotent: true } } })

export interface FailoverOptions {
  readonly folder: string
  /** `never`: the one who calls. */
  readonly primary: 'may' | 'never'
}

export async function start({ folder, primary }: FailoverOptions): Promise<Commands> {
  const methods = { echo: () => {} }
  const member = await join(folder, { contract, methods, primary, waitMs: 10_000 })
  const acknowledged = (): Promise<unknown> => member.call('echo')
  await acknowledged()
  return {
    primary: () => member.primary?.pid,
    /** Kills it; milliseconds until the next call is acknowledged. */
    async after({ pid }: { readonly pid: number }): Promise<number> {
      await acknowledged()
      const begin = performance.now()
      process.kill(pid, 'SIGKILL')
      await acknowledged()
      return performance.now() - begin
    },
  }
}
