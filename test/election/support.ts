import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { newInstance, openWorkspace, takeSeat, type Seat, type Workspace } from '../../src/election/index.ts'
import { ConclaveError, type Code } from '../../src/errors/index.ts'
import { memoryPlatform, posixPlatform, type MemoryMachine, type Platform } from '../../src/platform/index.ts'

export const isRoot: boolean = process.geteuid?.() === 0

/** A folder of the test's own, removed at its end. */
export function folder(t: TestContext): string {
  const at = mkdtempSync(join(tmpdir(), 'conclave-election-'))
  t.after(() => rmSync(at, { recursive: true, force: true }))
  return at
}

/** The real platform, with a runtime directory of the test's own. */
export function posix(t: TestContext): Platform {
  const before = process.env['XDG_RUNTIME_DIR']
  process.env['XDG_RUNTIME_DIR'] = folder(t)
  t.after(() => {
    if (before === undefined) delete process.env['XDG_RUNTIME_DIR']
    else process.env['XDG_RUNTIME_DIR'] = before
  })
  return posixPlatform()
}

/** A platform with some members replaced. */
export function withFaults<P extends Platform>(platform: P, faults: Partial<Platform>): P {
  return new Proxy(platform, {
    get(target, key) {
      if (Object.hasOwn(faults, key)) return Reflect.get(faults, key) as unknown
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value
    },
  })
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by a test`), { code })
}

/** A machine in memory with the folder /project. */
export function machine(): MemoryMachine {
  const made = memoryPlatform()
  made.process({ uid: 1000 }).makeDirectory('/project', 0o755)
  return made
}

export function memoryWorkspace(platform: Platform = machine().process(), create = true): Workspace {
  return openWorkspace(platform, '/project', { create })
}

/** Takes the lock and the seat: what a winner does first. */
export function sit(
  workspace: Workspace,
  options: { name?: string; instance?: string; records?: number[] } = {},
): Seat {
  const lock = workspace.platform.tryLock(workspace.lockPath)
  assert(lock !== undefined, 'the lock is busy')
  return takeSeat(workspace, lock, {
    instance: options.instance ?? newInstance(),
    name: options.name ?? 'test',
    protocol: [1, 1],
    records: options.records,
  })
}

/** Stands for an error of ours with this code, and with these words in its message. */
export function code(expected: Code, ...words: readonly RegExp[]): (error: unknown) => boolean {
  return (error) => {
    assert(ConclaveError.is(error), `not an error of ours: ${String(error)}`)
    assert.equal(error.code, expected, error.message)
    for (const word of words) assert.match(error.message, word)
    return true
  }
}

/** As a failed connect looks like. */
export function refused(errno: string): ConclaveError {
  return new ConclaveError('DISCONNECTED', `connect: ${errno}`, { data: { errno } })
}

/** A clock that a search advances by sleeping; what is planned `at` a time happens on the way. */
export class VirtualTime {
  nowMs = 1_000_000
  readonly #plan: { readonly ms: number; readonly act: () => void }[] = []

  /** `ms` from now. */
  at(ms: number, act: () => void): void {
    this.#plan.push({ ms: this.nowMs + ms, act })
    this.#plan.sort((a, b) => a.ms - b.ms)
  }

  readonly sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    const end = this.nowMs + ms
    for (;;) {
      // Whoever can end the sleep without time passing goes first.
      for (let i = 0; i < 3; i++) await turn()
      if (signal?.aborted === true) return
      const next = this.#plan[0]
      if (next === undefined || next.ms > end) break
      this.#plan.shift()
      this.nowMs = Math.max(this.nowMs, next.ms)
      next.act()
    }
    if (end < Infinity) this.nowMs = Math.max(this.nowMs, end)
    else await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
  }

  on<P extends Platform>(platform: P): P {
    return withFaults(platform, { now: () => this.nowMs })
  }
}
