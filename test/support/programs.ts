import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of an installed program, as execvp(3) would find it. */
export function findProgram(name: string): string | undefined {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(directory === '' ? '.' : directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

export function haveProgram(name: string): boolean {
  return findProgram(name) !== undefined
}

/**
 * `if (!requireProgram(t, 'nc')) return`: skips the test where the program is missing, or fails it when
 * CONCLAVE_TEST_REQUIRE is `all` or names the program.
 */
export function requireProgram(t: { skip(message?: string): void }, ...names: readonly string[]): boolean {
  const missing = names.filter((name) => !haveProgram(name))
  if (missing.length === 0) return true
  const required = (process.env['CONCLAVE_TEST_REQUIRE'] ?? '').split(',')
  if (required.includes('all') || missing.some((name) => required.includes(name))) {
    throw new Error(`${missing.join(', ')} not installed, and CONCLAVE_TEST_REQUIRE asks for it`)
  }
  t.skip(`needs ${missing.join(', ')}`)
  return false
}
