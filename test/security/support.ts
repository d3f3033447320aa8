import { chmodSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defer, spawnProgram, type Program, type Scope } from '../support/index.ts'

/** Other users: `nobody`, which is the overflow uid too, and one that no system knows. */
export const STRANGERS: readonly number[] = [65_534, 54_321]

/** `if (!requireRoot(t)) return`: only root can become somebody else. CONCLAVE_TEST_REQUIRE=root fails instead. */
export function requireRoot(t: { skip(message?: string): void }): boolean {
  if (process.geteuid?.() === 0) return true
  if ((process.env['CONCLAVE_TEST_REQUIRE'] ?? '').split(',').includes('root')) {
    throw new Error('not root, and CONCLAVE_TEST_REQUIRE asks for it')
  }
  t.skip('only root can become another user')
  return false
}

/** Lets everybody pass through the directories that lead to a path (not look into them), until the test ends. */
export function reachable(t: Scope, path: string): void {
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) {
    const mode = statSync(at).mode & 0o7777
    if ((mode & 0o001) !== 0) continue
    chmodSync(at, mode | 0o011)
    defer(t, () => {
      try {
        chmodSync(at, mode)
      } catch {
        // Removed before.
      }
    })
  }
}

/** A process of another user that does one thing: see programs/foreigner.ts. */
export function foreigner(t: Scope, uid: number, verb: string, ...args: readonly string[]): Program {
  return spawnProgram(t, join(import.meta.dirname, 'programs', 'foreigner.ts'), [String(uid), verb, ...args])
}
