import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { ConclaveError, join, type Member, type Status } from 'conclave'
import { formatTerm, parseTerm } from '../../src/election/term.ts'
import { posixPlatform } from '../../src/platform/index.ts'
import { baseDirectory, until, workspace, type Scope } from '../support/index.ts'
import { own } from '../process/support.ts'
import { FaultyPlatform, type Plan } from './faulty-platform.ts'

function faulty(t: Scope): FaultyPlatform {
  const platform = new FaultyPlatform(baseDirectory())
  t.after(() => platform[Symbol.dispose]())
  return platform
}

const TOLD: readonly (readonly [Pick<Plan, 'kinds' | 'fault'>, code: string, cure: RegExp])[] = [
  [{ kinds: ['flock'], fault: 'ENOLCK' }, 'LOCK_UNRELIABLE', /local disk/],
  [{ kinds: ['flock'], fault: 'EPERM' }, 'WORKSPACE_READ_ONLY', /writable/],
  [{ kinds: ['flock'], fault: 'EMFILE' }, 'INTERNAL', /EMFILE.*ulimit -n/],
  [{ kinds: ['flock'], fault: 'EIO' }, 'INTERNAL', /EIO.*log of the system/],
  [{ kinds: ['mkdir'], fault: 'ENOSPC' }, 'WORKSPACE_READ_ONLY', /disk is full/],
  [{ kinds: ['write'], fault: 'ENOSPC' }, 'WORKSPACE_READ_ONLY', /disk is full/],
  [{ kinds: ['write'], fault: 'SHORT' }, 'WORKSPACE_READ_ONLY', /disk is full/],
  [{ kinds: ['lstat'], fault: 'EIO' }, 'INTERNAL', /EIO.*log of the system/],
  [{ kinds: ['listen'], fault: 'EMFILE' }, 'INTERNAL', /EMFILE.*ulimit -n/],
  [{ kinds: ['listen'], fault: 'ENOSPC' }, 'WORKSPACE_READ_ONLY', /disk is full.*XDG_RUNTIME_DIR/],
  [{ kinds: ['listen'], fault: 'EACCES' }, 'WORKSPACE_READ_ONLY', /permission denied/],
  [{ kinds: ['statfs'], fault: 'EIO' }, 'INTERNAL', /EIO/],
]

for (const [{ kinds, fault }, code, cure] of TOLD) {
  test(`a join that meets ${fault} in ${kinds.join()} ends in ${code} with the cure, and the next one is as ever`, async (t) => {
    const folder = workspace(t)
    const platform = faulty(t)
    platform.plan({ kinds, fault, at: 1, forMs: 60_000 })
    await assert.rejects(join(folder), (error) => {
      assert.ok(ConclaveError.is(error), String((error as Error).stack))
      assert.equal(error.code, code, error.message)
      assert.match(error.message, cure)
      return true
    })
    platform.plan(undefined)
    assert.equal((await own(t, folder)).role, 'primary')
  })
}

test('the term is not forgotten because the file that holds it could not be read for a moment', async (t) => {
  const folder = workspace(t)
  await (await join(folder)).close()
  const file = path(folder, '.conclave', 'term')
  posixPlatform().replaceFile(file, formatTerm(50_000, posixPlatform().bootId))
  const platform = faulty(t)
  for (const kind of ['fstat', 'read'] as const) {
    platform.plan({ kinds: [kind], fault: 'EIO', at: 1, forMs: 60_000 })
    await assert.rejects(join(folder), { code: 'INTERNAL' })
    platform.plan(undefined)
    const kept = parseTerm(readFileSync(file, 'utf8'))
    assert.ok(kept.type === 'term' && kept.term === 50_000)
  }
  assert.equal((await own(t, folder)).term, 50_001)
})

async function take(statuses: AsyncIterable<Status>, into: Status[]): Promise<void> {
  for await (const status of statuses) into.push(status)
}

test('a survivor for whom the disk is full says so, and serves as soon as there is room', async (t) => {
  const folder = workspace(t)
  const methods = { who: (_: unknown, { member }: { member: Pick<Member, 'name'> }) => member.name }
  const first = await own(t, folder, { name: 'first', methods })
  const second = await own(t, folder, { name: 'second', methods })
  const statuses: Status[] = []
  void take(second.status(), statuses)
  const platform = faulty(t)
  platform.plan({ kinds: ['write'], fault: 'ENOSPC', at: 1, forMs: 60_000 })
  first.abort(new Error('dies'))
  const call = second.call('who', undefined, { idempotent: true })
  const warned = (): boolean => statuses.some((s) => s.type === 'warning' && s.error.code === 'WORKSPACE_READ_ONLY')
  await until(warned, 'it to say why it does not serve')
  assert.equal(second.role, 'secondary')
  platform.plan(undefined)
  assert.equal(await call, 'second')
  assert.equal(second.role, 'primary')
})

test('a primary whose files cannot be removed leaves all the same: its lock is free, its links end', async (t) => {
  const folder = workspace(t)
  const platform = faulty(t)
  for (const how of ['close', 'abort'] as const) {
    const first = await own(t, folder)
    const second = await own(t, folder)
    platform.plan({ kinds: ['unlink', 'write', 'rename'], fault: 'EIO', at: 1, forMs: 60_000 })
    if (how === 'close') await first.close()
    else first.abort(new Error('dies'))
    await until(() => second.primary === undefined, 'the link to end')
    platform.plan(undefined)
    await until(() => second.role === 'primary', 'the survivor to serve')
    await second.close()
  }
})
