import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { conclave, workspace } from '../support/index.ts'
import { linesOf, onlyJson, startMember } from './support.ts'

interface MemberJson {
  readonly id: string
  readonly name: string
  readonly pid: number
  readonly role: string
  readonly joined: string
}

test('status lists members, term, queues, drops and counters, from a folder below too', async (t) => {
  const folder = workspace(t)
  const editor = await startMember(t, folder, 'editor')
  const helper = await startMember(t, folder, 'helper')
  const below = join(folder, 'src', 'deep')
  mkdirSync(below, { recursive: true })

  for (const args of [
    ['status', folder],
    ['status', '--dir', below],
  ]) {
    const { code, stdout, stderr } = await conclave(t, [...args, '--json'])
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    const said = onlyJson(stdout)
    const members = said['members'] as MemberJson[]
    assert.deepEqual(
      members.map(({ name, pid, role }) => ({ name, pid, role })),
      [
        { name: 'editor', pid: editor.pid, role: 'primary' },
        { name: 'helper', pid: helper.pid, role: 'secondary' },
      ],
    )
    for (const { id, joined } of members) {
      assert.match(id, /^[\w-]{22}$/)
      assert.ok(Date.parse(joined) > 0)
    }
    assert.equal(said['term'], 1)
    assert.equal(said['drops'], 0)
    assert.equal(typeof said['counters'], 'object')
    assert.deepEqual(Object.keys(said['queues'] as object), ['events', 'calls'])
  }

  const { code, stdout } = await conclave(t, ['status', folder])
  assert.equal(code, 0)
  assert.match(stdout, /^primary +editor \(pid \d+\), term 1$/m)
  assert.match(stdout, /^editor +\d+ +primary +/m)
  assert.match(stdout, /^helper +\d+ +secondary +/m)
  assert.ok(!stdout.includes('\u001b'))
})

test('status exits 3 with one sentence where nobody ever was, and where the last one left or was killed', async (t) => {
  const folder = workspace(t)
  const nobody = async (): Promise<void> => {
    for (const args of [[], ['--json']]) {
      const { code, stdout, stderr } = await conclave(t, ['status', folder, ...args])
      assert.deepEqual({ code, stdout }, { code: 3, stdout: '' })
      assert.equal(linesOf(stderr).length, 1)
      assert.match(stderr, /^conclave: NO_PRIMARY: /)
    }
  }
  await nobody()
  const first = await startMember(t, folder)
  first.letGo()
  await first.exit
  await nobody()
  const second = await startMember(t, folder)
  await second.kill('SIGKILL')
  await nobody()
})

test('B7: status never touches the lock', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  await member.kill('SIGKILL')
  const lock = join(folder, '.conclave', 'lock')
  utimesSync(lock, 1, 1)
  const before = statSync(lock, { bigint: true })
  assert.equal((await conclave(t, ['status', folder])).code, 3)
  const after = statSync(lock, { bigint: true })
  assert.deepEqual([after.ino, after.mtimeNs, after.ctimeNs], [before.ino, before.mtimeNs, before.ctimeNs])
})

test('a stopped primary is named, and is not taken for nobody', async (t) => {
  const folder = workspace(t)
  const member = await startMember(t, folder)
  await member.stop()
  const { code, stderr } = await conclave(t, ['status', folder])
  member.cont()
  assert.equal(code, 1)
  assert.equal(linesOf(stderr).length, 1)
  assert.match(stderr, new RegExp(`PRIMARY_UNRESPONSIVE: .*"editor", pid ${member.pid}.*kill -CONT`))
})

test('a workspace that is refused is not taken for nobody', async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  chmodSync(join(folder, '.conclave'), 0o755)
  const { code, stdout, stderr } = await conclave(t, ['status', folder])
  assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
  assert.match(stderr, /^conclave: UNSAFE_WORKSPACE: .* is open to others \(mode 755\)/)
})

test('--app tells products apart', async (t) => {
  const folder = workspace(t)
  await startMember(t, folder)
  const { code, stderr } = await conclave(t, ['status', folder, '--app', 'other'])
  assert.equal(code, 3)
  assert.match(stderr, /of app other/)
})

test('--wait waits for a primary', async (t) => {
  const folder = workspace(t)
  const status = conclave(t, ['status', folder, '--wait', '20000', '--json'])
  await startMember(t, folder)
  const { code, stdout } = await status
  assert.equal(code, 0)
  assert.equal(onlyJson(stdout)['term'], 1)
})
