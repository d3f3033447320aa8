import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { join as joinFolder } from 'conclave'
import {
  conclave,
  defer,
  runtimeDirectory,
  spawnProgram,
  workspace,
  type Program,
  type Scope,
} from '../support/index.ts'

const PROGRAM = path(import.meta.dirname, 'programs', 'secrets.ts')

/** Below a directory, but for the database its user writes to, and sockets. */
function filesWith(secret: string, directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true }).flatMap((entry) => {
    const file = path(entry.parentPath, entry.name)
    const searched = entry.isFile() && !entry.name.startsWith('data.db')
    return searched && readFileSync(file).includes(secret) ? [file] : []
  })
}

function saysNothing(secret: string, what: string, text: string): void {
  const at = text.indexOf(secret)
  assert.equal(at, -1, `${what} tells the secret: ${text.slice(Math.max(0, at - 200), at + 200)}`)
}

async function tell(program: Program, secret: string): Promise<void> {
  program.send({ secret })
  const { same } = await program.next(({ done }) => done === true)
  assert.equal(same, true, 'handlers and callers get the value itself')
}

/** Everything that shows something of a workspace. */
async function looked(t: Scope, folder: string, secret: string, events: number): Promise<void> {
  for (const args of [
    ['status', folder],
    ['status', folder, '--json'],
    ['tail', '>', folder, '--from', 'earliest', '-n', String(events)],
    ['tail', '>', folder, '--from', 'earliest', '-n', String(events), '--json'],
    ['tail', '$db.changed', folder, '--from', 'earliest', '-n', '1'],
  ]) {
    const { code, stdout, stderr } = await conclave(t, args, { env: { NODE_DEBUG: 'conclave' } })
    assert.equal(code, 0, stderr)
    saysNothing(secret, args.join(' '), stdout + stderr)
  }
}

test('what is marked sensitive is in no log, tail, status, error or file', async (t) => {
  const folder = workspace(t)
  const secret = `hunter2-${randomUUID()}`
  const env = { NODE_DEBUG: 'conclave' }
  const first = spawnProgram(t, PROGRAM, [folder], { env })
  await first.ready()
  const second = spawnProgram(t, PROGRAM, [folder], { env })
  await second.ready()
  await tell(first, secret)
  await tell(second, secret)
  await looked(t, folder, secret, 4)

  const shown = await conclave(t, ['tail', '>', folder, '--from', 'last=1', '-n', '1', '--show-sensitive'])
  assert.ok(shown.stdout.includes(secret), 'what was looked for is there to be found')
  for (const [words, input] of [[[`{${secret}`], ''] as const, [['-'], `{${secret}`] as const]) {
    const { code, stdout, stderr } = await conclave(t, ['publish', 'token', ...words, '--sensitive', '--dir', folder], {
      input,
    })
    assert.equal(code, 2)
    saysNothing(secret, 'publish', stdout + stderr)
  }

  await first.kill('SIGKILL')
  await second.next(({ role }) => role === 'primary')
  await tell(second, secret)
  const piped = ['publish', 'from.shell', '-', '--sensitive', '--dir', folder]
  const published = await conclave(t, piped, { input: JSON.stringify(secret) })
  assert.deepEqual({ ...published }, { code: 0, signal: null, stdout: '', stderr: '' })
  await looked(t, folder, secret, 3)

  await second.kill('SIGTERM')
  for (const program of [first, second]) {
    saysNothing(secret, 'a member', program.stderr + JSON.stringify(program.messages))
  }
  assert.deepEqual(filesWith(secret, folder), [])
  assert.deepEqual(filesWith(secret, runtimeDirectory(t)), [])
})

test('tail says that there is something it does not show', async (t) => {
  const folder = workspace(t)
  const member = await joinFolder(folder)
  defer(t, () => member.abort())
  await member.publish('open', 1)
  await member.publish('token', 'hunter2', { sensitive: true })
  const tail = async (...options: string[]): Promise<string[]> => {
    const { stdout } = await conclave(t, ['tail', '>', folder, '--from', 'last=2', '-n', '2', ...options])
    return stdout.trim().split('\n')
  }
  const json = async (...options: string[]): Promise<unknown[]> =>
    (await tail('--json', ...options)).map((line) => {
      const { data, sensitive } = JSON.parse(line) as { data: unknown; sensitive: boolean }
      return [data, sensitive]
    })
  assert.match((await tail())[0]!, /  open  1  /)
  assert.match((await tail())[1]!, /  token  \[sensitive\]  /)
  assert.match((await tail('--show-sensitive'))[1]!, /  token  "hunter2"  /)
  assert.deepEqual(await json(), [
    [1, false],
    [null, true],
  ])
  assert.deepEqual(await json('--show-sensitive'), [
    [1, false],
    ['hunter2', true],
  ])
})
