import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readPrimary, openWorkspace } from '../../src/election/index.ts'
import { posixPlatform } from '../../src/platform/index.ts'
import { Programs, type Line, type Program } from './processes.ts'
import { folder } from './support.ts'

const WATCHDOG = { timeout: 120_000 }

/** Waits until all agree on a primary of a term higher than `above`. */
async function agree(programs: readonly Program[], above: number): Promise<{ primary: Program; line: Line }> {
  const isNews = (line: Line): boolean => line.event === 'error' || (line.term ?? 0) > above
  const lines = await Promise.all(programs.map((program) => program.next(isNews)))
  assert(
    lines.every((line) => line.event !== 'error'),
    JSON.stringify(lines),
  )
  // Who linked to a primary that died meanwhile says so, and then whom it found next: none of these tests does that.
  const winners = programs.filter((_, i) => lines[i]?.event === 'primary')
  assert.equal(winners.length, 1, JSON.stringify(lines))
  const line = lines[programs.indexOf(winners[0]!)]!
  for (const other of lines) assert.deepEqual([other.instance, other.term], [line.instance, line.term])
  return { primary: winners[0]!, line }
}

describe('processes that stand in one folder', () => {
  it('P1 A9 elect exactly one, again and again as it is killed; terms only rise', WATCHDOG, async (t) => {
    const processes = new Programs(t)
    const [at, runtime] = [folder(t), folder(t)]
    let programs = Array.from({ length: 8 }, () => processes.start(runtime, at))
    let term = 0
    while (programs.length > 1) {
      const { primary, line } = await agree(programs, term)
      assert.equal(line.term, term + 1, 'one candidate took each term')
      term = line.term!
      programs = programs.filter((program) => program !== primary)
      await primary.kill()
    }
    const last = await agree(programs, term)
    assert.equal(last.line.term, 8)
    const workspace = openWorkspace(posixPlatform(), at, { create: false })
    assert.equal(readPrimary(workspace).state, 'serving')
    await last.primary.kill('SIGTERM')
    assert.equal(last.primary.child.exitCode, 0)
    assert.deepEqual(readPrimary(workspace), { state: 'absent', reason: 'none' })
  })

  it('A13 hand over in order: the next one has the next term', WATCHDOG, async (t) => {
    const processes = new Programs(t)
    const [at, runtime] = [folder(t), folder(t)]
    let programs = Array.from({ length: 3 }, () => processes.start(runtime, at))
    for (const term of [0, 1]) {
      const { primary, line } = await agree(programs, term)
      assert.equal(line.term, term + 1)
      programs = programs.filter((program) => program !== primary)
      await primary.kill('SIGTERM')
      assert.equal(primary.child.exitCode, 0)
    }
    assert.equal((await agree(programs, 2)).line.term, 3)
  })

  it('B2 leave the seat to a stopped primary, and go on when it continues', WATCHDOG, async (t) => {
    const processes = new Programs(t)
    const [at, runtime] = [folder(t), folder(t)]
    const primary = processes.start(runtime, at)
    const { instance } = await primary.next()
    primary.signal('SIGSTOP')
    for (const mode of ['may', 'never']) {
      const impatient = processes.start(runtime, at, '300', mode)
      assert.deepEqual(await impatient.next(), { event: 'error', code: 'PRIMARY_UNRESPONSIVE' }, mode)
    }
    const patient = processes.start(runtime, at)
    primary.signal('SIGCONT')
    const line = await patient.next()
    assert.deepEqual([line.event, line.instance], ['secondary', instance])
  })

  it('A1 B3 end when their .conclave is deleted under them', WATCHDOG, async (t) => {
    const processes = new Programs(t)
    const [at, runtime] = [folder(t), folder(t)]
    const primary = processes.start(runtime, at)
    await primary.next()
    const secondary = processes.start(runtime, at)
    await secondary.next()
    rmSync(join(at, '.conclave'), { recursive: true })
    assert.deepEqual(await primary.next(), { event: 'lost', code: 'LOCK_LOST' })
    assert.deepEqual(await secondary.next(), { event: 'error', code: 'WORKSPACE_MOVED' })
    const fresh = processes.start(runtime, at)
    assert.equal((await fresh.next()).event, 'primary')
  })

  it('B6 say PRIMARY_UNREACHABLE when the directory of sockets is gone', WATCHDOG, async (t) => {
    const processes = new Programs(t)
    const [at, runtime] = [folder(t), folder(t)]
    await processes.start(runtime, at).next()
    rmSync(join(runtime, 'conclave'), { recursive: true })
    assert.deepEqual(await processes.start(folder(t), at).next(), { event: 'error', code: 'PRIMARY_UNREACHABLE' })
    assert.deepEqual(await processes.start(folder(t), at, '9999', 'never').next(), {
      event: 'error',
      code: 'NO_PRIMARY',
    })
  })

  it(
    'B6 meet although their runtime directories differ, as long as the announced path is reachable',
    WATCHDOG,
    async (t) => {
      const processes = new Programs(t)
      const at = folder(t)
      const { instance } = await processes.start(folder(t), at).next()
      const line = await processes.start(folder(t), at).next()
      assert.deepEqual([line.event, line.instance], ['secondary', instance])
    },
  )
})
