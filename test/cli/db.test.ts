// limit: 300 s
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { withOutcome } from '../../src/cli/db.ts'
import { ConclaveError } from '../../src/errors/index.ts'
import {
  conclave,
  ROOT,
  spawnProgram,
  until,
  workspace,
  type Executed,
  type Program,
  type Scope,
} from '../support/index.ts'
import { linesOf, onlyJson, startConclave } from './support.ts'

async function startKeeper(t: Scope, folder: string, which = ''): Promise<Program> {
  const program = spawnProgram(t, join(ROOT, 'test', 'cli', 'programs', 'db-member.ts'), [folder, which])
  await program.ready()
  return program
}

async function db(t: Scope, folder: string, ...args: string[]): Promise<Executed> {
  return conclave(t, ['db', '--dir', folder, ...args])
}

const INSERT = 'insert into note(text, data) values (?, ?)'

test('db writes through the primary and reads what it wrote, for people and for machines', async (t) => {
  const folder = workspace(t)
  await startKeeper(t, folder)
  const written = await db(t, folder, INSERT, '"milk"', '1.5')
  assert.deepEqual({ ...written }, { code: 0, signal: null, stdout: '1 row changed\n', stderr: '' })
  const returned = await db(t, folder, `${INSERT} returning id, text`, '"oil"', '{"base64":"AP8="}')
  assert.equal(returned.stdout, 'id  text\n 2  oil\n')
  // A write under a key happens once, however often it is run.
  for (let n = 0; n < 2; n++) {
    const keyed = await db(t, folder, '--json', '--key', 'order 1', INSERT, '"bread"', '--', '-12345678901234567')
    assert.deepEqual(onlyJson(keyed.stdout), { changes: 1, lastInsertRowid: 3, rows: [] })
  }
  const people = await db(t, folder, 'select * from note order by id')
  assert.deepEqual(linesOf(people.stdout), [
    'id  text   data',
    ' 1  milk   1.5',
    " 2  oil    x'00ff'",
    ' 3  bread  -12345678901234567',
  ])
  const input = 'select data from note order by id'
  const machines = await conclave(t, ['db', '-', '--json', '--dir', folder], { input })
  assert.equal(machines.stdout, '[{"data":1.5},{"data":{"base64":"AP8="}},{"data":-12345678901234567}]\n')
})

test('db says what is wrong in one sentence, and by its exit code', async (t) => {
  const folder = workspace(t)
  const nobody = await db(t, folder, 'select 1')
  assert.deepEqual([nobody.code, nobody.stdout], [3, ''])
  assert.match(nobody.stderr, /^conclave: NO_PRIMARY: /)
  const keeper = await startKeeper(t, folder)
  keeper.send({ sql: "insert into note(text) values ('milk')" })
  await keeper.next(({ changes }) => changes === 1)
  const failures: [args: string[], code: number, says: RegExp][] = [
    [['select * from nowhere'], 1, /FAILED: .*nowhere/],
    [[INSERT, '"milk"', '1'], 1, /CONFLICT: .*note\.text/],
    [['delete from note; select 1'], 1, /INVALID_PARAMS: .*first statement/],
    [['delete from note', '--watch'], 1, /INVALID_PARAMS: .*only reads/],
    [['select ?', 'milk'], 2, /'"milk"'/],
  ]
  for (const [args, code, says] of failures) {
    const ended = await db(t, folder, ...args)
    assert.deepEqual([ended.code, ended.stdout], [code, ''], args.join(' '))
    assert.match(ended.stderr, says)
    assert.equal(linesOf(ended.stderr).length, 1)
  }
  assert.equal((await db(t, folder, 'select text from note where id > 1')).stdout, 'no rows\n', 'milk is all there is')
})

test('db says so when nobody knows whether a write happened', () => {
  const unknown = withOutcome(new ConclaveError('TIMEOUT', 'No answer in time.', { outcome: 'unknown', key: 'k' }))
  assert.ok(ConclaveError.is(unknown, 'TIMEOUT'))
  assert.match(unknown.message, /^No answer in time\. Whether it was written is unknown: .*--key/)
  assert.deepEqual([unknown.outcome, unknown.key], ['unknown', 'k'])
  const known = new ConclaveError('TIMEOUT', 'No answer in time.', { outcome: 'not-committed' })
  assert.equal(withOutcome(known), known)
})

test('db where the primary has no database', async (t) => {
  const folder = workspace(t)
  await startKeeper(t, folder, 'none')
  const { code, stderr } = await db(t, folder, 'select 1')
  assert.equal(code, 1)
  assert.match(stderr, /NO_DATABASE/)
})

test('db --watch prints the rows whenever they change, over a change of primary, until Ctrl-C', async (t) => {
  const folder = workspace(t)
  const first = await startKeeper(t, folder)
  const second = await startKeeper(t, folder)
  const watch = startConclave(t, ['db', 'select text from note order by id', '--watch', '--json', '--dir', folder])
  const seen = (line: string): Promise<unknown> =>
    until(() => linesOf(watch.stdout()).at(-1) === line, `the watch to print ${line}`, { seen: watch.stdout })
  await seen('[]')
  first.send({ sql: "insert into note(text) values ('milk')" })
  await seen('[{"text":"milk"}]')
  await first.kill('SIGKILL')
  second.send({ sql: "insert into note(text) values ('bread')" })
  await seen('[{"text":"milk"},{"text":"bread"}]')
  assert.deepEqual(await watch.kill('SIGINT'), { code: 130, signal: null })
  assert.equal(watch.stderr(), '')
})

test('a signal ends a read that would last for ever', async (t) => {
  const folder = workspace(t)
  await startKeeper(t, folder)
  const endless = 'with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c'
  const read = startConclave(t, ['db', endless, '--dir', folder])
  let ended = false
  void read.exit.then(() => (ended = true))
  const members = async (): Promise<number> => {
    const { members: all } = onlyJson((await conclave(t, ['status', folder, '--json'])).stdout)
    return (all as unknown[]).length
  }
  await until(async () => (await members()) === 3, 'the member that reads')
  await until(() => !read.process.kill('SIGINT') || ended, 'the read to end')
  const { code, signal } = await read.exit
  assert.ok(signal === 'SIGINT' || code === 130, `${code} ${signal}`)
})
