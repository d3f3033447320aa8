import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defer, type Scope } from './scope.ts'

/** Short, so that socket paths stay within 103 bytes; on macOS the usual temporary directory is not. */
const TEMPORARY = process.platform === 'win32' ? tmpdir() : '/tmp'

/** Where tests put files: a directory of this run, removed and looked through for litter by scripts/test.mjs. */
export function baseDirectory(): string {
  return process.env['CONCLAVE_TEST_BASE'] ?? realpathSync(TEMPORARY)
}

/** A fresh directory, 0700, by its real path; removed when the test ends. */
export function temporaryDirectory(t: Scope, prefix = 't'): string {
  const path = mkdtempSync(join(baseDirectory(), prefix))
  defer(t, () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
  return path
}

const runtimes = new WeakMap<Scope, string>()

/**
 * A runtime root of the test's own, in force for this process and the programs it starts until the test ends. Tests of
 * one file run one after the other; a file that runs them side by side passes `env` to its programs itself.
 */
export function runtimeDirectory(t: Scope): string {
  const known = runtimes.get(t)
  if (known !== undefined) return known
  const path = temporaryDirectory(t, 'r')
  const before = process.env['XDG_RUNTIME_DIR']
  process.env['XDG_RUNTIME_DIR'] = path
  runtimes.set(t, path)
  defer(t, () => {
    if (before === undefined) delete process.env['XDG_RUNTIME_DIR']
    else process.env['XDG_RUNTIME_DIR'] = before
  })
  return path
}

/** A fresh folder to join, and a private place for its sockets. */
export function workspace(t: Scope): string {
  runtimeDirectory(t)
  return temporaryDirectory(t, 'w')
}
