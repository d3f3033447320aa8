import { setTimeout as sleep } from 'node:timers/promises'

/** How long the harness waits for anything before it calls it missing. Generous: a test asserts no upper time. */
export const LIMIT_MS = 60_000
const EVERY_MS = 5

export interface UntilOptions {
  readonly limitMs?: number
  readonly everyMs?: number
  /** Added to the error: what was seen instead. */
  readonly seen?: () => unknown
}

/**
 * Polls until `condition` gives something truthy, and gives that. What it throws is thrown at once.
 * @param what completes "waited for …": `the second member to be primary`
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  { limitMs = LIMIT_MS, everyMs = EVERY_MS, seen }: UntilOptions = {},
): Promise<Exclude<T, false | undefined | null | 0 | ''>> {
  const end = performance.now() + limitMs
  for (;;) {
    // Before it looks: who was held up for all that time looks once more.
    const over = performance.now() > end
    const value = await condition()
    if (value) return value as Exclude<T, false | undefined | null | 0 | ''>
    if (over) {
      const instead = seen === undefined ? '' : `; seen instead: ${JSON.stringify(seen())}`
      throw new Error(`Waited ${limitMs / 1000} s for ${what}${instead}`)
    }
    await sleep(everyMs)
  }
}

/** `promise`, or an error that says what was awaited. The promise goes on. */
export async function within<T>(promise: Promise<T>, what: string, limitMs: number = LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${limitMs / 1000} s for ${what}`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
