// limit: 300 s
import assert from 'node:assert/strict'
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { nodeSqlite } from '../../src/sqlite/index.ts'
import { raiseTerm, readTerm } from '../../src/sqlite/schema.ts'
import {
  History,
  spawnProgram,
  until,
  within,
  workspace,
  type Message,
  type Program,
  type Scope,
  type SpawnOptions,
} from '../support/index.ts'
import { ask, inspect, record, status, type Joined } from './support.ts'

const INSERT = 'insert into note(text) values (?)'

/** A `test/programs/database.ts` that has joined. */
async function member(t: Scope, folder: string, options: object = {}, how: SpawnOptions = {}): Promise<Joined> {
  const program = spawnProgram(t, 'database', [folder, JSON.stringify(options)], how)
  const { id, role, term } = await program.ready<{ id: string; role: string; term: number }>()
  return Object.assign(program, { id, role, term })
}

/** The first is the primary. */
async function several(t: Scope, folder: string, count: number): Promise<Joined[]> {
  const first = await member(t, folder, { name: 'm0' })
  assert.equal(first.role, 'primary')
  const others = Array.from({ length: count - 1 }, (_, at) => member(t, folder, { name: `m${at + 1}` }))
  return [first, ...(await Promise.all(others))]
}

const fileOf = (folder: string): string => path(folder, '.conclave', 'data.db')

/** What is in the file, as another program reads it. */
function texts(folder: string): string[] {
  const connection = new DatabaseSync(fileOf(folder), { readOnly: true })
  try {
    const rows = connection.prepare('select text from note order by id').all()
    return rows.map(({ text }) => String(text))
  } finally {
    connection.close()
  }
}

async function write(program: Program, text: string, options: object = {}): Promise<Message> {
  const answer = await ask(program, { run: INSERT, params: [text], options })
  return answer
}

async function written(program: Program, text: string): Promise<void> {
  const answer = await write(program, text)
  assert.ok(answer['result'], JSON.stringify(answer))
}

/** What it wrote before is unknown to a new file, and the first write learns it. */
async function recovered(program: Program): Promise<void> {
  const answer = await ask(program, { run: 'select 1' })
  if (answer['result'] !== undefined) return
  assert.deepEqual([answer['code'], answer['outcome']], ['SESSION_EXPIRED', 'unknown'])
}

function acknowledged(programs: readonly Program[]): number {
  return programs.flatMap(({ messages }) => messages.filter(({ did }) => did === 'acknowledged')).length
}

async function some(programs: readonly Program[], more = 60): Promise<void> {
  const least = acknowledged(programs) + more
  await until(() => acknowledged(programs) >= least, `${more} more writes to be acknowledged`)
}

async function stopLoad(programs: readonly Program[], loops: number): Promise<void> {
  for (const program of programs) program.send({ stop: true })
  for (const program of programs) {
    for (let by = 0; by < loops; by++) await program.next((message) => message['loaded'] === by)
  }
}

function primaryOf(programs: readonly Joined[]): Joined | undefined {
  return programs.find(({ messages, role, running }) => {
    const last = messages.findLast((message) => message['status'] === 'role')
    return running && !messages.some(status('closed')) && ((last?.['role'] ?? role) as string) === 'primary'
  })
}

/** Everything acknowledged is there once, nothing that was refused, and each loop's writes in its order. */
function verify(folder: string, programs: readonly Program[]): History {
  const history = new History()
  record(history, programs)
  const present = texts(folder).filter((text) => text.includes(':'))
  history.present(present)
  history.verify()
  for (const by of new Set(present.map((text) => text.split(':')[0]!))) {
    const numbers = present.filter((text) => text.startsWith(`${by}:`)).map((text) => Number(text.split(':')[1]))
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
      `the order of ${by}`,
    )
  }
  return history
}

describe('the primary goes while all write', () => {
  test('A6: by SIGKILL, again and again: each acknowledged write is there once, in its writer’s order', async (t) => {
    const folder = workspace(t)
    const programs = await several(t, folder, 4)
    for (const program of programs) program.send({ load: 3 })
    for (let round = 0; round < 2; round++) {
      await some(programs.filter(({ running }) => running))
      const primary = await until(() => primaryOf(programs), 'a primary')
      await primary.kill('SIGKILL')
    }
    const alive = programs.filter(({ running }) => running)
    await some(alive)
    await stopLoad(alive, 3)
    const history = verify(folder, programs)
    // Who lives on never hears of it: every write of theirs was acknowledged.
    const refused = alive.flatMap(({ messages }) => messages.filter(({ did }) => did === 'refused'))
    assert.deepEqual(refused, [])
    assert.ok(history.counts.acknowledged >= 120)
  })

  test('A13: by SIGTERM, and by close(): nobody’s write fails, and none is there twice', async (t) => {
    const folder = workspace(t)
    const programs = await several(t, folder, 4)
    for (const program of programs.slice(1)) program.send({ load: 3 })
    for (const how of ['SIGTERM', 'close()']) {
      await some(programs)
      const primary = await until(() => primaryOf(programs), 'a primary')
      // The one that closes has no write under way; the others have.
      if (primary !== programs[0]) await stopLoad([primary], 3)
      if (how === 'SIGTERM') await primary.kill('SIGTERM')
      else primary.send({ close: true })
      assert.deepEqual(await within(primary.exit, 'it to end'), { code: 0, signal: null })
    }
    const alive = programs.filter(({ running }) => running)
    assert.equal(alive.length, 2)
    await some(alive)
    await stopLoad(alive, 3)
    verify(folder, programs)
    const refused = programs.flatMap(({ messages }) => messages.filter(({ did }) => did === 'refused'))
    assert.deepEqual(refused, [])
  })

  test('by process.exit(), right after its last write was acknowledged: all of it is there', async (t) => {
    const folder = workspace(t)
    const [primary, second] = await several(t, folder, 2)
    // What it says of more would not fit into the pipe that ends with it.
    primary!.send({ last: 100 })
    assert.deepEqual(await within(primary!.exit, 'it to exit'), { code: 0, signal: null })
    await written(second!, 'after')
    const history = verify(folder, [primary!, second!])
    assert.equal(history.counts.acknowledged, 100)
    assert.equal(texts(folder).length, 101)
  })

  test('B20: by SIGKILL: a watch goes on with the next, and misses nothing', async (t) => {
    const folder = workspace(t)
    const [primary, second, third] = await several(t, folder, 3)
    third!.send({ watch: 'select count(*) as n from note' })
    const counted = (n: number) =>
      third!.next(({ rows }) => ((rows as { n: number }[] | undefined)?.[0]?.n ?? -1) === n)
    await counted(0)
    await written(primary!, 'a')
    await counted(1)
    await primary!.kill('SIGKILL')
    await written(second!, 'b')
    await counted(2)
    await written(third!, 'c')
    await counted(3)
  })
})

describe('a member in the middle of a transaction', () => {
  test('B11: is killed: it is rolled back at once, and the others go on', async (t) => {
    const folder = workspace(t)
    const [primary, victim, other] = await several(t, folder, 3)
    victim!.send({ hold: 'held', options: { timeoutMs: 30_000 } })
    await victim!.next(({ held }) => held === 'held')
    const waiting = [written(other!, 'other'), written(primary!, 'primary')]
    await victim!.kill('SIGKILL')
    await Promise.all(waiting)
    assert.deepEqual(texts(folder).sort(), ['other', 'primary'])
  })

  test('B11: is stopped: it holds the others up until its deadline, no longer, and learns it when it goes on', async (t) => {
    const folder = workspace(t)
    const [, victim, other] = await several(t, folder, 3)
    const end = ask(victim!, { hold: 'held', options: { timeoutMs: 2000 } })
    await victim!.next(({ held }) => held === 'held')
    await victim!.stop()
    await written(other!, 'other')
    await written(other!, 'again')
    victim!.cont()
    victim!.send({ release: true })
    const { code, outcome } = await end
    assert.deepEqual([code, outcome], ['TRANSACTION_LOST', 'not-committed'])
    await written(victim!, 'victim')
    assert.deepEqual(texts(folder), ['other', 'again', 'victim'])
  })

  test('B11: loses its primary: it is lost, or run again if it asked for that', async (t) => {
    const folder = workspace(t)
    const [primary, one, two] = await several(t, folder, 3)
    const lost = ask(one!, { hold: 'one', options: { timeoutMs: 30_000 } })
    await one!.next(({ held }) => held === 'one')
    const retried = ask(two!, { hold: 'two', options: { timeoutMs: 30_000, retry: true } })
    await primary!.kill('SIGKILL')
    one!.send({ release: true })
    const { code, outcome } = await lost
    assert.deepEqual([code, outcome], ['TRANSACTION_LOST', 'not-committed'])
    await two!.next(({ held }) => held === 'two')
    const again = two!.next(({ held }) => held === 'two')
    const next = await until(() => primaryOf([one!, two!]), 'a primary')
    if (next === one) {
      await one!.kill('SIGKILL')
      two!.send({ release: true })
      await again
    }
    two!.send({ release: true })
    assert.equal((await retried)['committed'], 'two')
    again.catch(() => {})
    assert.deepEqual(texts(folder), ['two'])
  })
})

describe('what is taken from under the primary', () => {
  const ways: Record<string, { readonly change: (file: string) => void; readonly keeps: boolean }> = {
    'its database is deleted': {
      change: (file) => {
        for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
      },
      keeps: false,
    },
    'its database is moved away': { change: (file) => renameSync(file, `${file}.old`), keeps: false },
    'the lock of its database is deleted': { change: (file) => rmSync(`${file}-lock`), keeps: true },
    'the lock of its database is replaced': {
      change: (file) => {
        writeFileSync(`${file}-new`, '', { mode: 0o600 })
        renameSync(`${file}-new`, `${file}-lock`)
      },
      keeps: true,
    },
  }
  test('A1: it stops by itself, and the workspace goes on with what is there', async (t) => {
    const folder = workspace(t)
    const members = await several(t, folder, 2)
    let present: string[] = []
    for (const [what, { change, keeps }] of Object.entries(ways)) {
      await t.test(`A1: ${what}`, async () => {
        const primary = await until(() => primaryOf(members), 'a primary')
        const other = members.find((each) => each !== primary)!
        await written(other, 'before')
        const { term } = await inspect(other)
        change(fileOf(folder))
        // Nobody writes: the look once a second finds it.
        const lost = await primary.next((message) => message['code'] === 'LOCK_LOST')
        assert.match(String(lost['message']), /data\.db/)
        present = keeps ? [...present, 'before'] : []
        if (!keeps) {
          // The new file knows nobody, and nobody can say what the old one held.
          for (const each of members) await recovered(each)
        }
        await written(other, 'after')
        await written(primary, 'and on')
        present.push('after', 'and on')
        assert.deepEqual(texts(folder), present)
        for (const each of members) {
          const read = await ask(each, { read: 'select count(*) as n from note' })
          assert.deepEqual(read['rows'], [{ n: present.length }])
        }
        const now = await inspect(other)
        assert.ok(now.term > term)
        assert.equal(now.database?.file, fileOf(folder))
      })
    }
  })

  test('A1: while all write: nothing is acknowledged that is not in the file', async (t) => {
    const folder = workspace(t)
    const programs = await several(t, folder, 3)
    for (const program of programs) program.send({ load: 2 })
    await some(programs)
    rmSync(`${fileOf(folder)}-lock`)
    await programs[0]!.next((message) => message['code'] === 'LOCK_LOST')
    await some(programs)
    await stopLoad(programs, 2)
    verify(folder, programs)
  })

  test('another process has made the database’s term its own: STALE_TERM, and nothing of the deposed one is lost', async (t) => {
    const folder = workspace(t)
    const programs = await several(t, folder, 3)
    for (const program of programs) program.send({ load: 2 })
    await some(programs)
    const { open } = await nodeSqlite()
    const connection = open(fileOf(folder), { readOnly: false })
    connection.exec('pragma busy_timeout = 10000')
    try {
      const { term, lock } = readTerm(connection)!
      raiseTerm(connection, { term: term + 100, lock })
    } finally {
      connection.close()
    }
    const stale = await programs[0]!.next((message) => message['code'] === 'STALE_TERM')
    assert.match(String(stale['message']), /term 101, this primary serves term 1/)
    await some(programs)
    await stopLoad(programs, 2)
    verify(folder, programs)
    assert.ok((await inspect(programs[1]!)).term > 101)
  })
})

describe('a primary that does not answer', () => {
  test('A14: a write whose time is up while it is stopped is unknown, and was never started', async (t) => {
    const folder = workspace(t)
    const [primary, second] = await several(t, folder, 2)
    await written(second!, 'before')
    await primary!.stop()
    const late = await write(second!, 'late', { timeoutMs: 300 })
    assert.equal(late['outcome'], 'unknown')
    const patient = write(second!, 'patient', { key: 'mine' })
    primary!.cont()
    assert.ok((await patient)['result'])
    assert.equal((await ask(second!, { outcome: late['key'] }))['outcome'], 'not-committed')
    assert.equal((await ask(second!, { outcome: 'mine' }))['outcome'], 'committed')
    assert.deepEqual(texts(folder), ['before', 'patient'])
  })
})

describe('the end of a process', () => {
  test('with `ref: false` and a database in use it ends by itself, primary or not, and leaves the file whole', async (t) => {
    const folder = workspace(t)
    const alone = spawnProgram(t, 'database', [folder, JSON.stringify({ ref: false, quiet: true })])
    assert.deepEqual(await within(alone.exit, 'the primary to end by itself'), { code: 0, signal: null })
    const stays = await member(t, folder)
    assert.equal(stays.role, 'primary')
    const second = spawnProgram(t, 'database', [folder, JSON.stringify({ ref: false, quiet: true })])
    const { written: seen } = await second.next((message) => message['written'] !== undefined)
    assert.deepEqual(seen, { n: 2 })
    assert.deepEqual(await within(second.exit, 'the secondary to end by itself'), { code: 0, signal: null })
    await stays.kill('SIGTERM')
    assert.ok(!existsSync(`${fileOf(folder)}-wal`))
    assert.deepEqual(
      readdirSync(path(folder, '.conclave')).filter((name) => name.startsWith('data')),
      ['data.db', 'data.db-lock', 'data.db-lock.json'],
    )
    assert.deepEqual(texts(folder), ['quiet', 'quiet'])
  })
})
