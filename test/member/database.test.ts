import assert from 'node:assert/strict'
import { existsSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test, type TestContext } from 'node:test'
import { ConclaveError, defineContract, join, type Contract, type Member, type Status } from 'conclave'
import { z } from 'zod'
import type { SqlValue, Tx } from '../../src/member/database.ts'
import { defer, LIMIT_MS, temporaryDirectory, until, within, workspace } from '../support/index.ts'
import { code, gate, joined, memory } from './support.ts'

const NOTE = 'create table note(id integer primary key, text text unique)'
const INSERT = 'insert into note(text) values (?)'

const writes = {
  add: (tx: Tx, { text }: { text: string }) => Number(tx.prepare(INSERT).run(text).lastInsertRowid),
  twice: (tx: Tx, { text }: { text: string }) => {
    for (const each of [text, text]) tx.prepare(INSERT).run(each)
  },
  clear: (tx: Tx) => tx.exec('delete from note'),
  echo: (_tx: Tx, value: { a: unknown[] }) => value,
}
const database = { migrations: [NOTE], writes }

/** The first is the primary. */
async function pair(t: TestContext, folder: string = workspace(t)) {
  const primary = await joined(t, folder, { name: 'primary', database })
  const secondary = await joined(t, folder, { name: 'secondary', database })
  assert.deepEqual([primary.role, secondary.role], ['primary', 'secondary'])
  return { folder, primary, secondary }
}

interface Reads {
  readonly db: Pick<Member['db'], 'read'>
}

function texts({ db }: Reads): string[] {
  const rows = db.read.prepare<{ text: string }>('select text from note order by id').all()
  return rows.map(({ text }) => text)
}

function count({ db }: Reads): number {
  return Number(db.read.prepare<{ n: number }>('select count(*) as n from note').get()?.n)
}

/** A connection of another program: what it does passes by the workspace. */
function foreign(t: TestContext, file: string): DatabaseSync {
  const connection = new DatabaseSync(file)
  defer(t, () => connection.close())
  return connection
}

async function fileOf(member: Member): Promise<string> {
  return (await member.inspect()).database!.file
}

/** What a member says of itself, until the test is over. */
function statuses(member: { status(): AsyncIterable<Status> }): Status[] {
  const seen: Status[] = []
  void (async () => {
    for await (const status of member.status()) seen.push(status)
  })()
  return seen
}

function warnings(seen: readonly Status[]): string[] {
  return seen.flatMap((status) => (status.type === 'warning' ? [status.error.code] : []))
}

describe('writes', () => {
  test('a result; and whoever was told of a write reads it at once, primary or not', async (t) => {
    const { primary, secondary } = await pair(t)
    const both = [secondary, primary]
    for (const [at, member] of both.entries()) {
      const { changes, lastInsertRowid, rows } = await member.db.run(INSERT, [`by ${member.name}`])
      assert.deepEqual([changes, lastInsertRowid, rows], [1, at + 1, []])
      assert.equal(count(member), at + 1)
    }
    for (let i = 0; i < 50; i++) {
      await secondary.db.run(INSERT, [`n${i}`])
      assert.equal(count(secondary), i + 3)
    }
    const returned = await secondary.db.run<{ id: number }>('delete from note where id > 2 returning id')
    assert.deepEqual([returned.changes, returned.rows.length], [50, 50])
    assert.deepEqual(texts(primary), ['by secondary', 'by primary'])
  })

  test('bigint, bytes, null and text come back as they went; what no column keeps is refused', async (t) => {
    const { secondary } = await pair(t)
    await secondary.db.run('create table kept(id integer primary key, value) strict').catch(() => {})
    await secondary.db.run('create table if not exists kept(id integer primary key, value)')
    const values: SqlValue[] = [2n ** 62n, -5, 0.5, null, 'ä\n"', new Uint8Array([0, 255, 10]), '']
    for (const value of values) {
      const { rows } = await secondary.db.run<{ value: SqlValue }>(
        'insert into kept(value) values (?) returning value',
        [value],
      )
      assert.deepEqual(rows[0]?.value, value)
    }
    const read = secondary.db.read.prepare<{ value: SqlValue }>('select value from kept order by id').all()
    assert.deepEqual(
      read.map(({ value }) => value),
      values,
    )
    for (const value of [Infinity, NaN, true, undefined, {}, new Date(), 2n ** 63n] as never[]) {
      const refused = code('INVALID_PARAMS', { outcome: 'not-committed', message: /Parameter 1/ })
      await assert.rejects(secondary.db.run('insert into kept(value) values (?)', [value]), refused)
      assert.throws(() => secondary.db.read.prepare('select ?').get(value), code('INVALID_PARAMS'))
    }
  })

  test('values of some megabytes travel; a result that is too long is rolled back and says what to do', async (t) => {
    const { primary, secondary } = await pair(t)
    await primary.db.run('create table blob(id integer primary key, bytes)')
    for (const member of [secondary, primary]) {
      for (const bytes of [70_000, 5_000_000]) {
        const { rows } = await member.db.run<{ n: number }>(
          'insert into blob(bytes) values (?) returning length(bytes) as n',
          [new Uint8Array(bytes).fill(7)],
        )
        assert.equal(rows[0]?.n, bytes)
      }
      const { rows } = await member.db.run<{ bytes: Uint8Array }>('select bytes from blob where length(bytes) = 70000')
      assert.equal(rows[0]?.bytes.length, 70_000)
      const tooLong = code('TOO_LARGE', { outcome: 'not-committed', message: /db\.read/ })
      await assert.rejects(member.db.run('update blob set id = id + 10 returning bytes'), tooLong)
      assert.equal(
        member.db.read.prepare<{ n: number }>('select max(id) as n from blob').get()?.n,
        member === secondary ? 2 : 4,
      )
      const neverLeft = code('TOO_LARGE', { outcome: 'not-committed', message: /limit/ })
      await assert.rejects(member.db.run('insert into blob(bytes) values (?)', [new Uint8Array(13_000_000)]), neverLeft)
    }
  })

  test('a batch is one transaction, and a violated constraint a CONFLICT with SQLite’s extended code', async (t) => {
    const { secondary } = await pair(t)
    const results = await secondary.db.batch([[INSERT, ['a']], [INSERT, ['b']], ['select count(*) as n from note']])
    assert.deepEqual(
      results.map(({ changes }) => changes),
      [1, 1, 0],
    )
    assert.deepEqual({ ...(results[2]?.rows[0] as object) }, { n: 2 })
    const twice = secondary.db.batch([
      [INSERT, ['c']],
      [INSERT, ['a']],
    ])
    const data = { sqlite: 'SQLITE_CONSTRAINT_UNIQUE', extendedCode: 2067 }
    await assert.rejects(twice, code('CONFLICT', { outcome: 'not-committed', data }))
    await assert.rejects(secondary.db.run('insert into nowhere values (1)'), code('FAILED', { reason: 'SQLITE_ERROR' }))
    assert.deepEqual(texts(secondary), ['a', 'b'])
    assert.deepEqual(await secondary.db.batch([]), [])
  })

  test('A3: what ends a transaction is refused by every way to the writer, with what to use instead', async (t) => {
    const { primary, secondary } = await pair(t)
    const ways: Record<string, (sql: string) => Promise<unknown>> = {
      run: (sql) => secondary.db.run(sql),
      batch: (sql) => primary.db.batch([[INSERT, ['gone']], [sql]]),
      transaction: (sql) => secondary.db.transaction(async (tx) => tx.run(sql)),
    }
    for (const [way, write] of Object.entries(ways)) {
      for (const sql of [
        'BEGIN',
        '/* */ commit',
        'Rollback',
        'attach "x" as x',
        'vacuum',
        'pragma synchronous = off',
      ]) {
        const refused = code('INVALID_PARAMS', {
          outcome: 'not-committed',
          message: /use|commits|throw|join|close|refused/,
        })
        await assert.rejects(write(sql), refused, `${way}: ${sql}`)
      }
      await assert.rejects(
        write('select 1; select 2'),
        code('INVALID_PARAMS', { message: /after the first statement/ }),
      )
    }
    assert.throws(() => secondary.db.read.prepare('delete from note'), code('INVALID_PARAMS', { message: /db\.run/ }))
    assert.equal(count(secondary), 0)
  })

  test('writes of one member take effect in the order of the calls, awaited or not', async (t) => {
    const { secondary } = await pair(t)
    const written = Array.from({ length: 600 }, (_, i) =>
      i % 3 === 0 ? secondary.db.writes.add({ text: `${i}` }) : secondary.db.run(INSERT, [`${i}`]),
    )
    await Promise.all(written)
    assert.deepEqual(
      texts(secondary),
      written.map((_, i) => `${i}`),
    )
  })

  test('an iterator keeps its snapshot, while what is read beside it sees one’s own writes', async (t) => {
    const { secondary } = await pair(t)
    await secondary.db.batch([
      [INSERT, ['a']],
      [INSERT, ['b']],
    ])
    const seen: string[] = []
    for (const { text } of secondary.db.read.prepare<{ text: string }>('select text from note').iterate()) {
      await secondary.db.run(INSERT, [`while ${text}`])
      assert.equal(count(secondary), 3 + seen.length)
      seen.push(text)
    }
    assert.deepEqual(seen, ['a', 'b'])
    const abandoned = secondary.db.read.prepare('select text from note')
    for (let i = 0; i < 10; i++) {
      for (const row of abandoned.iterate()) {
        assert.ok(row)
        break
      }
    }
  })
})

describe('procedures', () => {
  test('inferred: they run in the primary, each in a transaction of its own', async (t) => {
    const { primary, secondary } = await pair(t)
    assert.equal(await secondary.db.writes.add({ text: 'a' }), 1)
    assert.equal(await primary.db.writes.add({ text: 'b' }), 2)
    const unique = code('CONFLICT', { outcome: 'not-committed' })
    await assert.rejects(secondary.db.writes.twice({ text: 'c' }), unique)
    assert.deepEqual(texts(secondary), ['a', 'b'])
    assert.equal(await secondary.db.writes.clear(), undefined)
    assert.equal(count(secondary), 0)
  })

  test('one that the primary does not have is METHOD_NOT_FOUND and names those it has', async (t) => {
    const { secondary } = await pair(t)
    const { writes } = secondary.with<Contract>().db as unknown as { writes: Record<string, () => Promise<unknown>> }
    for (const name of ['remove', 'constructor', '__proto__', 'toString']) {
      const missing = code('METHOD_NOT_FOUND', { outcome: 'not-committed', message: /add, twice, clear/ })
      await assert.rejects(Reflect.get(writes, name)!(), missing, name)
    }
  })

  test('`writes` is no promise and answers no symbol', async (t) => {
    const { secondary } = await pair(t)
    const { writes } = secondary.db
    assert.equal(await Promise.resolve(writes), writes)
    for (const key of ['then', Symbol.iterator, Symbol.toPrimitive, Symbol.asyncDispose]) {
      assert.equal(Reflect.get(writes, key), undefined, String(key))
    }
    assert.equal(writes.add, writes.add)
    assert.throws(() => Object.assign(writes, { add: 1 }), TypeError)
    assert.deepEqual(Object.keys(writes), [])
    assert.equal(secondary.db, secondary.db)
  })

  test('with a contract: params are checked where they arrive, results before they are committed', async (t) => {
    const contract = defineContract({
      writes: {
        add: { params: z.object({ text: z.string().default('none') }), result: z.number() },
        silent: { params: z.string() },
      },
    })
    const given = {
      contract,
      database: {
        migrations: [NOTE],
        writes: {
          add: (tx: Tx, { text }: { text: string }) => {
            const { lastInsertRowid } = tx.prepare(INSERT).run(text)
            return text === 'wrong' ? (text as unknown as number) : Number(lastInsertRowid)
          },
          silent: (tx: Tx, text: string) => void tx.prepare(INSERT).run(text),
        },
      },
    }
    const folder = workspace(t)
    await joined(t, folder, given)
    const { db } = await joined(t, folder, given)
    assert.equal(await db.writes.add({}), 1)
    assert.equal(await db.writes.silent('quiet'), undefined)
    const wrong = db.writes as unknown as Record<'add' | 'silent', (params: unknown) => Promise<unknown>>
    for (const params of [{ text: 7 }, undefined, null]) {
      await assert.rejects(
        wrong.add(params),
        code('INVALID_PARAMS', { outcome: 'not-committed', message: /write "add"/ }),
      )
    }
    await assert.rejects(wrong.silent({}), code('INVALID_PARAMS'))
    const invalid = code('INVALID_RESULT', { outcome: 'not-committed', message: /write "add"/ })
    await assert.rejects(db.writes.add({ text: 'wrong' }), invalid)
    assert.deepEqual(texts({ db }), ['none', 'quiet'])
  })

  test('A4: one that returns a promise, or whose schema is asynchronous, leaves nothing behind', async (t) => {
    const folder = workspace(t)
    const contract = defineContract({ writes: { late: { params: z.string().refine(async () => true) } } })
    const add = (tx: Tx, text: string): void => void tx.prepare(INSERT).run(text)
    const options = {
      contract: contract as Contract,
      database: { migrations: [NOTE], writes: { late: add } as never },
    }
    const { db } = await joined(t, folder, options)
    const { late } = db.writes as unknown as { late(text: string): Promise<unknown> }
    await assert.rejects(late('x'), code('INVALID_OPTION', { outcome: 'not-committed', message: /asynchronous/ }))
    const other = workspace(t)
    let kept: Tx | undefined
    const slow = async (tx: Tx, text: string): Promise<void> => {
      kept = tx
      tx.prepare(INSERT).run(text)
      await Promise.resolve()
      tx.prepare(INSERT).run(`${text} later`)
    }
    const without = await joined(t, other, { database: { migrations: [NOTE], writes: { slow } as never } })
    const { writes } = without.db as unknown as { writes: { slow(text: string): Promise<unknown> } }
    await assert.rejects(writes.slow('y'), code('ASYNC_PROCEDURE', { outcome: 'not-committed' }))
    assert.throws(() => kept?.prepare('select 1'), code('CLOSED'))
    assert.deepEqual([count({ db }), count(without)], [0, 0])
  })

  test('a write that the contract lacks, and one that is no function, are mistakes of join()', async (t) => {
    const folder = workspace(t)
    const contract = defineContract({ writes: { add: {} } })
    const mistakes: [unknown, RegExp][] = [
      [{ contract, database: { writes: { other() {} } } }, /no write other/],
      [{ database: { writes: { add: 7 } } }, /add must be a function/],
      [{ database: { writes: 7 } }, /database\.writes/],
      [{ database: { fiel: 'x' } }, /no option "fiel"/],
      [{ database: null }, /database must be an object/],
    ]
    for (const [options, message] of mistakes) {
      await assert.rejects(join(folder, options as never), code('INVALID_OPTION', { message }))
    }
  })

  test('a result that JSON does not hold is rolled back', async (t) => {
    const { secondary } = await pair(t)
    assert.deepEqual(await secondary.db.writes.echo({ a: [1, null] }), { a: [1, null] })
    const folder = workspace(t)
    const returning = (value: unknown) => (tx: Tx) => {
      tx.exec("insert into note(text) values ('x')")
      return value as null
    }
    const loop: Record<string, unknown> = {}
    loop['loop'] = loop
    const writes = {
      bytes: returning(new Uint8Array(3)),
      big: returning(5n),
      loop: returning(loop),
      fn: returning(() => 1),
    }
    const member = await joined(t, folder, { database: { migrations: [NOTE], writes } })
    for (const name of Object.keys(writes) as (keyof typeof writes)[]) {
      await assert.rejects(member.db.writes[name](), code('INVALID_RESULT', { outcome: 'not-committed' }), name)
    }
    assert.equal(count(member), 0)
  })
})

describe('transactions', () => {
  test('commit what their callback did; what it throws rolls back; their tx is over with it', async (t) => {
    const { primary, secondary } = await pair(t)
    for (const member of [secondary, primary]) {
      let kept: { run(sql: string): Promise<unknown> } | undefined
      const n = await member.db.transaction(async (tx) => {
        kept = tx
        await tx.run(INSERT, [`a ${member.name}`])
        const { rows } = await tx.run<{ n: number }>('select count(*) as n from note')
        return rows[0]?.n
      })
      assert.equal(n, count(member))
      await assert.rejects(kept!.run('select 1'), code('CLOSED'))
      const mine = new Error('mine')
      await assert.rejects(
        member.db.transaction(async (tx) => {
          await tx.run(INSERT, ['never'])
          throw mine
        }),
        mine,
      )
      // One bad statement is undone alone.
      await member.db.transaction(async (tx) => {
        await assert.rejects(tx.run(INSERT, [`a ${member.name}`]), code('CONFLICT'))
        await tx.run(INSERT, [`b ${member.name}`])
      })
    }
    assert.deepEqual(texts(primary), ['a secondary', 'b secondary', 'a primary', 'b primary'])
  })

  test('B11: one at a time, others wait; at its deadline it is rolled back, and run again only if asked to', async (t) => {
    const { primary, secondary } = await pair(t)
    const { opened, open } = gate()
    const held = gate()
    const lost = secondary.db.transaction(
      async (tx) => {
        await tx.run(INSERT, ['held'])
        held.open()
        await opened
        await tx.run('select 1')
      },
      { timeoutMs: 1200 },
    )
    await held.opened
    await primary.db.run(INSERT, ['after'])
    assert.deepEqual(texts(primary), ['after'])
    open()
    await assert.rejects(lost, code('TRANSACTION_LOST', { outcome: 'not-committed', message: /deadline of 1200 ms/ }))
    let runs = 0
    const again = secondary.db.transaction(
      async (tx) => {
        await tx.run(INSERT, [`run ${++runs}`])
        if (runs === 1) await until(async () => (await primary.db.run('select 1')) !== undefined, 'it to be over')
      },
      { timeoutMs: 300, retry: true },
    )
    await again
    assert.deepEqual(texts(primary), ['after', `run ${runs}`])
    assert.ok(runs >= 2)
  })

  test('an aborted one is rolled back at once and holds nobody up', async (t) => {
    const { primary, secondary } = await pair(t)
    const stop = new AbortController()
    const held = gate()
    const lost = secondary.db.transaction(
      async (tx) => {
        await tx.run(INSERT, ['held'])
        held.open()
        await new Promise(() => {})
      },
      { timeoutMs: 30_000, signal: stop.signal },
    )
    await held.opened
    const waiting = primary.db.run(INSERT, ['other'])
    stop.abort(new Error('enough'))
    await assert.rejects(lost, code('ABORTED', { cause: stop.signal.reason }))
    await waiting
    assert.deepEqual(texts(primary), ['other'])
  })

  test('B11: one whose member leaves is rolled back at once, whatever time it had', async (t) => {
    const { primary, secondary } = await pair(t)
    const held = gate()
    const lost = secondary.db.transaction(
      async (tx) => {
        await tx.run(INSERT, ['held'])
        held.open()
        await new Promise(() => {})
      },
      { timeoutMs: 30_000 },
    )
    lost.catch(() => {})
    await held.opened
    const waiting = primary.db.run(INSERT, ['other'])
    secondary.abort(new Error('gone'))
    await waiting
    assert.deepEqual(texts(primary), ['other'])
  })
})

describe('what became of a write', () => {
  test('C4: an abort is unknown, and its key tells; one’s own key tells too', async (t) => {
    const { primary, secondary } = await pair(t)
    await secondary.db.run(INSERT, ['mine'], { key: 'request 7' })
    assert.equal(await primary.db.outcome('request 7'), 'committed')
    assert.equal(await secondary.db.outcome('request 8'), 'not-committed')
    const before = new AbortController()
    before.abort()
    const never = secondary.db.run(INSERT, ['never'], { signal: before.signal })
    await assert.rejects(never, code('ABORTED', { outcome: 'not-committed' }))
    const stop = new AbortController()
    const sent = secondary.db.run(INSERT, ['perhaps'], { signal: stop.signal })
    stop.abort()
    const error = await sent.then(
      () => assert.fail('it was aborted'),
      (error: ConclaveError) => error,
    )
    code('ABORTED', { outcome: 'unknown' })(error)
    const outcome = await secondary.db.outcome(error.key!)
    assert.equal(outcome, texts(secondary).includes('perhaps') ? 'committed' : 'not-committed')
    assert.ok(!texts(secondary).includes('never'))
  })

  test('A6: a key holds across a restart of its caller and of the primary: once, and with the first answer', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const first = await secondary.db.run(INSERT, ['once'], { key: 'k' })
    const added = await secondary.db.writes.add({ text: 'proc' }, { key: 'p' })
    const conflict = secondary.db.run(INSERT, ['once'], { key: 'failed' })
    await assert.rejects(conflict, code('CONFLICT'))
    await secondary.close()
    await primary.close()
    const { secondary: again } = await pair(t, folder)
    assert.deepEqual(await again.db.run(INSERT, ['once'], { key: 'k' }), first)
    assert.equal(await again.db.writes.add({ text: 'proc' }, { key: 'p' }), added)
    await assert.rejects(again.db.run(INSERT, ['other'], { key: 'k' }), code('CONFLICT', { key: 'k' }))
    await again.db.run(INSERT, ['failed'], { key: 'failed' })
    assert.deepEqual(texts(again), ['once', 'proc', 'failed'])
    await assert.rejects(again.db.run(INSERT, ['x'], { key: '' }), code('INVALID_OPTION'))
  })

  test('what was written before close() is done, also the first write of a member', async (t) => {
    const { primary, secondary } = await pair(t)
    for (const member of [secondary, primary]) {
      const written = [member.db.run(INSERT, [`${member.name} 1`]), member.db.writes.add({ text: `${member.name} 2` })]
      await member.close()
      await Promise.all(written)
    }
    const { folder, primary: first, secondary: second } = await pair(t)
    for (const member of [second, first]) {
      await member.db.run(INSERT, [`${member.name} 1`])
      const last = member.db.run(INSERT, [`${member.name} 2`])
      const closing = member.close()
      await last
      await closing
    }
    const reader = await joined(t, folder, { database })
    assert.deepEqual(texts(reader), ['secondary 1', 'secondary 2', 'primary 1', 'primary 2'])
  })

  test('A6: the next primary knows who is there, also of those that do not write', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const idle = await joined(t, folder, { name: 'idle', primary: 'never', database })
    for (const [n, member] of [secondary, idle].entries()) await member.db.run(INSERT, [`n${n}`])
    await primary.close()
    await until(() => secondary.role === 'primary', 'the successor')
    const here = idle.db.read.prepare<{ n: number }>('select count(*) as n from _conclave_writers where closed is null')
    await until(() => here.get()?.n === 2, 'both to be known as there')
  })

  test('close() does not wait for a transaction that another member holds', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const holder = await joined(t, folder, { name: 'holder', database })
    for (const member of [primary, secondary]) await member.db.run('select 1')
    const held = gate()
    const goOn = gate()
    const wentOn = gate()
    const release = gate()
    const holding = holder.db.transaction(
      async (tx) => {
        await tx.run(INSERT, ['held'])
        held.open()
        await goOn.opened
        await tx.run('select 1')
        wentOn.open()
        await release.opened
      },
      { timeoutMs: 30_000 },
    )
    await held.opened
    await secondary.close({ timeoutMs: 60_000 })
    goOn.open()
    await Promise.race([wentOn.opened, holding])
    let lost = false
    void holder.closed.then(() => (lost = true))
    await primary.close({ timeoutMs: 60_000 })
    release.open()
    await assert.rejects(holding, code('TRANSACTION_LOST', { outcome: 'not-committed' }))
    assert.equal(lost, false)
    await holder.db.run(INSERT, ['goes on'])
    assert.deepEqual(texts(holder), ['goes on'])
  })

  test('a write that is made in the turn of close() is done, or refused: never unknown', async (t) => {
    const { primary, secondary } = await pair(t)
    await secondary.db.run(INSERT, ['before'])
    const closing = secondary.close()
    const last = await secondary.db.run(INSERT, ['last']).then(
      () => 'committed',
      (error: ConclaveError) => error.outcome,
    )
    await closing
    assert.equal(last, texts(primary).includes('last') ? 'committed' : 'not-committed')
    const after = code('CLOSED', { outcome: 'not-committed' })
    await assert.rejects(secondary.db.run(INSERT, ['after']), after)
    await assert.rejects(
      secondary.db.transaction(async () => {}),
      after,
    )
    assert.equal(count(primary), last === 'committed' ? 2 : 1)
  })
})

describe('who has a database', () => {
  test('a member without the option has none; one whose primary brings none is told so', async (t) => {
    const folder = workspace(t)
    const plain = await joined(t, folder, { name: 'plain' })
    assert.throws(() => plain.db, code('NO_DATABASE', { message: /database/ }))
    const helper = await joined(t, folder, { primary: 'never', database })
    const none = code('NO_DATABASE', { outcome: 'not-committed', message: /plain \(pid \d+\), which is primary/ })
    await assert.rejects(helper.db.run(INSERT, ['x']), none)
    await assert.rejects(helper.db.writes.add({ text: 'x' }), none)
    await assert.rejects(
      helper.db.transaction(async () => {}),
      none,
    )
    await assert.rejects(helper.db.outcome('k'), none)
    assert.equal((await helper.inspect()).database, undefined)
    assert.equal(plain.role, 'primary')
  })

  test('A7: a primary without a database hands over to a member that brings one', async (t) => {
    const folder = workspace(t)
    const plain = await joined(t, folder, { name: 'plain' })
    const other = await joined(t, folder, { name: 'other' })
    const bringer = await joined(t, folder, { name: 'bringer', database: { migrations: [], writes } })
    await bringer.db.run(NOTE)
    await bringer.db.run(INSERT, ['x'])
    await until(() => bringer.role === 'primary', 'the hand-over')
    assert.deepEqual(texts(bringer), ['x'])
    await until(() => plain.primary?.id === bringer.id && other.primary?.id === bringer.id, 'all to be with it')
    await bringer.close()
    // They have no database and the workspace has one: they wait for a capable one.
    const back = await joined(t, folder, { name: 'back', database: { migrations: [], writes } })
    assert.equal(back.role, 'primary')
    assert.deepEqual(texts(back), ['x'])
  })

  test('A7: a helper without a database, and a command line, join beside a versioned primary', async (t) => {
    const { folder, primary } = await pair(t)
    for (const options of [{}, { primary: 'never' }] as const) {
      const helper = await joined(t, folder, options)
      assert.equal(helper.primary?.id, primary.id)
      assert.ok((await helper.inspect()).database)
    }
  })

  test('db works in the first whilePrimary, before the member serves, and in each later one', async (t) => {
    const folder = workspace(t)
    const whilePrimary = async ({ member, term }: { member: Pick<Member, 'db' | 'role'>; term: number }) => {
      assert.equal(member.role, 'primary')
      await member.db.run(INSERT, [`term ${term}`])
      await member.db.transaction(async (tx) => tx.run(INSERT, [`again ${term}`]))
      assert.equal(count(member), 2 * term)
    }
    const options = { database, whilePrimary }
    const first = await joined(t, folder, options)
    assert.deepEqual(texts(first), ['term 1', 'again 1'])
    const second = await joined(t, folder, options)
    await first.close()
    await until(() => second.role === 'primary' && count(second) === 4, 'the second to have begun')
    await second.db.run(INSERT, ['goes on'])
  })

  test('ctx.member.db inherits deadline and abort of the call that is served', async (t) => {
    const { folder, primary } = await pair(t)
    const held = gate()
    const release = gate()
    const blocking = primary.db.transaction(
      async () => {
        held.open()
        await release.opened
      },
      { timeoutMs: 30_000 },
    )
    await held.opened
    const ends: unknown[] = []
    let begun = 0
    const write = async (_: unknown, { member }: { readonly member: Member }): Promise<void> => {
      begun++
      const settled = await Promise.allSettled([
        member.db.run(INSERT, ['run']),
        member.db.run(INSERT, ['patient'], { timeoutMs: 60_000 }),
        member.db.transaction(async (tx) => tx.run(INSERT, ['transaction'])),
      ])
      ends.push(...settled.map((end) => (end.status === 'rejected' ? (end.reason as ConclaveError).code : 'done')))
    }
    const server = await joined(t, folder, { database, methods: { write } })
    const caller = await joined(t, folder, {})
    const to = { id: server.id }
    // On a busy machine it may not be asked in time: then with more time.
    for (let timeoutMs = 100; begun === 0 && timeoutMs < LIMIT_MS; timeoutMs *= 4) {
      await assert.rejects(caller.call('write', undefined, { to, timeoutMs }), code('TIMEOUT'))
    }
    await until(() => ends.length === 3, 'its writes to end with it')
    for (const end of ends) assert.match(String(end), /TIMEOUT|ABORTED/)
    const stop = new AbortController()
    const aborted = caller.call('write', undefined, { to, signal: stop.signal })
    const running = async () => (await server.inspect()).counters['own.running'] === 1
    await until(running, 'the handler to run')
    stop.abort()
    await assert.rejects(aborted, code('ABORTED'))
    await until(() => ends.length === 6, 'its writes to end with it')
    assert.deepEqual(ends.slice(3), ['ABORTED', 'ABORTED', 'ABORTED'])
    release.open()
    await blocking
    await primary.db.run('select 1')
    assert.deepEqual(texts(primary), [])
  })

  test('a memory workspace has none, and SQLite’s own failure to open is an error of ours', async (t) => {
    await assert.rejects(joined(t, memory(t), { database }), code('UNSUPPORTED', { message: /join a folder/ }))
    const folder = workspace(t)
    writeFileSync(path(folder, 'damaged.db'), 'this is no database, and long enough to be looked at as one'.repeat(99))
    const damaged = { database: { ...database, file: 'damaged.db' } }
    await assert.rejects(joined(t, folder, damaged), code('FAILED', { reason: 'SQLITE_NOTADB' }))
    assert.equal((await joined(t, folder, { database })).role, 'primary')
  })

  test('whilePrimary that throws gives the seat and the file back', async (t) => {
    const folder = workspace(t)
    const mine = new Error('mine')
    const failing = {
      database,
      whilePrimary: async ({ member }: { readonly member: Pick<Member, 'db'> }) => {
        await member.db.run(INSERT, ['kept'])
        throw mine
      },
    }
    await assert.rejects(joined(t, folder, failing), mine)
    const next = await joined(t, folder, { database })
    assert.deepEqual([next.role, texts(next)], ['primary', ['kept']])
  })
})

describe('members that bring different things', () => {
  const v2 = { migrations: [NOTE, 'alter table note add column tag text'], writes }

  test('A7: fewer migrations: it joins as a secondary, and never stands', async (t) => {
    const folder = workspace(t)
    const newer = await joined(t, folder, { name: 'v2', minVersion: 1, database: v2 })
    const older = await joined(t, folder, { name: 'v1', database })
    await older.db.run(INSERT, ['by v1'])
    await newer.close()
    const waiting = older.db.run(INSERT, ['waits'])
    const lone = joined(t, folder, { name: 'alone', database })
    await assert.rejects(lone, code('PROFILE_MISMATCH', { message: /Nobody serves/ }))
    assert.deepEqual([older.role, older.primary], ['secondary', undefined])
    assert.deepEqual(texts(older), ['by v1'])
    const next = await joined(t, folder, { minVersion: 1, database: v2 })
    assert.equal(next.role, 'primary')
    await waiting
    assert.deepEqual(texts(next), ['by v1', 'waits'])
  })

  test('A7: another text, another file, another durability are mistakes, and named', async (t) => {
    const { folder, primary } = await pair(t)
    const mistakes: [object, RegExp][] = [
      [{ ...database, migrations: [`${NOTE} strict`] }, /migration 1 was applied with another text/],
      [{ ...database, file: 'other.db' }, /its database is .*data\.db, this member asks for .*other\.db/],
      [{ ...database, durability: 'full' }, /its durability is "normal", this member asks for "full"/],
    ]
    for (const [given, message] of mistakes) {
      for (const stands of ['may', 'never'] as const) {
        const wrong = join(folder, { primary: stands, database: given } as never)
        await assert.rejects(wrong, code('PROFILE_MISMATCH', { message }))
      }
    }
    assert.ok(!existsSync(path(folder, 'other.db')))
    await primary.close()
    for (const [given, message] of mistakes) {
      await assert.rejects(join(folder, { database: given } as never), code('PROFILE_MISMATCH', { message }))
    }
  })

  test('A7: a later version takes the seat from an older one that writes, and both go on', async (t) => {
    const folder = workspace(t)
    const older = await joined(t, folder, { name: 'v1', database })
    const other = await joined(t, folder, { name: 'v1 too', database })
    const stop = gate()
    let over = false
    void stop.opened.then(() => (over = true))
    const written: string[] = []
    const load = async (member: typeof older): Promise<void> => {
      for (let i = 0; !over; i++) {
        await member.db.run(INSERT, [`${member.name} ${i}`])
        written.push(`${member.name} ${i}`)
      }
    }
    const loads = Promise.all([load(older), load(other)])
    const newer = await joined(t, folder, { name: 'v2', minVersion: 1, database: v2 })
    await until(() => newer.role === 'primary', 'v2 to be primary')
    await newer.db.run('insert into note(text, tag) values (?, ?)', ['new', 'tag'])
    const least = written.length + 20
    await until(() => written.length > least, 'the older ones to go on')
    stop.open()
    await loads
    assert.deepEqual(
      texts(newer)
        .filter((text) => text !== 'new')
        .sort(),
      written.sort(),
    )
    assert.deepEqual([older.role, other.role], ['secondary', 'secondary'])
    assert.equal(older.db.read.prepare<{ tag: string }>("select tag from note where text = 'new'").get()?.tag, 'tag')
    await older.db.writes.add({ text: 'by an old build' })
  })

  test('C9: a migration that fails rejects join with its number, leaves nothing, and the seat free', async (t) => {
    const folder = workspace(t)
    const broken = { migrations: [NOTE, 'create table half(x); insert into nowhere values (1)'] }
    const failed = code('MIGRATION_FAILED', {
      message: /Migration 2 of 2/,
      data: { migration: 2, sqlite: 'SQLITE_ERROR' },
    })
    for (let i = 0; i < 3; i++) await assert.rejects(joined(t, folder, { database: broken }), failed)
    const throwing = { migrations: [NOTE, () => assert.fail('mine')] }
    await assert.rejects(joined(t, folder, { database: throwing }), code('MIGRATION_FAILED', { message: /mine/ }))
    const able = await joined(t, folder, { database })
    assert.equal(able.role, 'primary')
    assert.equal(able.term, 5, 'one term for each that had the seat')
    assert.deepEqual(
      able.db.read
        .prepare<{ name: string }>(
          "select name from sqlite_master where type = 'table' and name not like '!_%' escape '!'",
        )
        .all()
        .map(({ name }) => name),
      ['note'],
    )
  })

  test('A7: a later version whose migration fails takes the seat once, then leaves it to whoever can serve', async (t) => {
    const folder = workspace(t)
    const able = await joined(t, folder, { name: 'v1', database })
    const broken = { migrations: [NOTE, 'insert into nowhere values (1)'] }
    const failing = await joined(t, folder, { name: 'v2', minVersion: 1, database: broken })
    const seen = statuses(failing)
    await until(() => warnings(seen).includes('MIGRATION_FAILED'), 'it to have failed')
    await able.db.run(INSERT, ['served again'])
    await until(() => failing.primary?.id === able.id, 'it to be a secondary')
    const { term } = able
    await failing.db.run(INSERT, ['by the one that failed'])
    for (let i = 0; i < 100; i++) await able.db.run('select 1')
    await failing.inspect()
    assert.deepEqual([able.role, able.term, failing.role], ['primary', term, 'secondary'])
    // It serves when its time comes: nobody else is there, and the reason has gone.
    const file = await fileOf(able)
    await able.close()
    foreign(t, file).exec('create table nowhere(x)')
    await until(() => failing.role === 'primary', 'it to serve after all')
    assert.equal(count(failing), 2)
  })

  test('A2: two workspaces cannot write one file; the second may when the first has closed', async (t) => {
    const shared = path(temporaryDirectory(t, 'shared'), 'app.db')
    const given = { database: { ...database, file: shared } }
    const folder = workspace(t)
    const first = await joined(t, folder, given)
    await first.db.run(INSERT, ['first'])
    const elsewhere = temporaryDirectory(t, 'w')
    const inUse = code('DATABASE_IN_USE', { message: new RegExp(folder) })
    await assert.rejects(joined(t, elsewhere, given), inUse)
    await first.close()
    const second = await joined(t, elsewhere, given)
    await second.db.run(INSERT, ['second'])
    assert.deepEqual(texts(second), ['first', 'second'])
    await second.close()
    const back = await joined(t, folder, given)
    assert.equal(count(back), 2)
  })
})

describe('hand-over', () => {
  test('A13: while all write, not one write fails, is lost or is there twice', async (t) => {
    const folder = workspace(t)
    const members = [
      await joined(t, folder, { name: 'a', database }),
      await joined(t, folder, { name: 'b', database }),
      await joined(t, folder, { name: 'c', database }),
    ]
    const written: string[] = []
    let over = false
    const load = async (member: (typeof members)[0], from: string, apart: number): Promise<void> => {
      for (let i = 0; !over; i++) {
        const text = `${from} ${i}`
        if (apart === 0) await member.db.run(INSERT, [text])
        else if (apart === 1) await member.db.writes.add({ text })
        else await member.db.batch([[INSERT, [text]]])
        written.push(text)
      }
    }
    const loads = Promise.all(
      members.slice(1).flatMap((member) => [0, 1, 2].map((how) => load(member, `${member.name}${how}`, how))),
    )
    for (const [at, member] of members.slice(0, 2).entries()) {
      const least = written.length + 60
      await until(() => written.length > least, 'some writes')
      const successor = await joined(t, folder, { name: `next ${at}`, database })
      // The second to go is one of those that write: its last writes may be refused, and say so.
      if (at === 1) over = true
      if (at === 1) await loads
      await member.close()
      await until(() => successor.primary !== undefined || successor.role === 'primary', 'a successor')
    }
    const reader = await joined(t, folder, { database })
    assert.deepEqual(texts(reader).sort(), written.sort())
    for (const from of ['b0', 'c1']) {
      const mine = texts(reader).filter((text) => text.startsWith(from))
      assert.deepEqual(
        mine,
        mine.map((_, i) => `${from} ${i}`),
      )
    }
  })

  test('A13, B11: the open transaction is lost, or run again if asked to; those that wait begin at the successor', async (t) => {
    const folder = workspace(t)
    const primary = await joined(t, folder, { name: 'old', database })
    const [one, two, three] = [
      await joined(t, folder, { database }),
      await joined(t, folder, { database }),
      await joined(t, folder, { database }),
    ]
    const held = gate()
    const release = gate()
    const open = one.db.transaction(
      async (tx) => {
        await tx.run(INSERT, ['open'])
        held.open()
        await release.opened
        await tx.run(INSERT, ['never'])
      },
      { timeoutMs: 30_000 },
    )
    await held.opened
    const waiting = two.db.transaction(async (tx) => {
      await tx.run(INSERT, ['waiting'])
      return tx.run('select 1')
    })
    const write = three.db.run(INSERT, ['write'])
    const queued = async () => (await three.inspect()).database!.queue.count >= 2
    await until(queued, 'both to wait')
    await primary.close()
    release.open()
    await assert.rejects(open, code('TRANSACTION_LOST', { outcome: 'not-committed' }))
    await Promise.all([waiting, write])
    assert.deepEqual(texts(one).sort(), ['waiting', 'write'])

    const [next, rest] = [one, two, three].sort((a, b) => Number(b.role === 'primary') - Number(a.role === 'primary'))
    const again = gate()
    let runs = 0
    const retried = rest!.db.transaction(
      async (tx) => {
        await tx.run(INSERT, ['retried'])
        if (++runs > 1) return
        again.open()
        await until(() => next!.role !== 'primary' || rest!.primary?.id !== next!.id, 'the hand-over')
      },
      { timeoutMs: 30_000, retry: true },
    )
    await again.opened
    await next!.close()
    await retried
    assert.deepEqual([runs, texts(rest!).filter((text) => text === 'retried').length], [2, 1])
  })

  for (const where of ['primary', 'secondary']) {
    test(`A13: a handler of the ${where} that runs while its member closes still reads, writes and calls`, async (t) => {
      const folder = workspace(t)
      const { opened, open } = gate()
      const running = gate()
      const methods = {
        save: async (text: string, { member }: { readonly member: Member }) => {
          running.open()
          await opened
          await member.db.run(INSERT, [text])
          await member.db.transaction(async (tx) => tx.run(INSERT, [`${text} in a transaction`]))
          await member.call('echo', text)
          return count(member)
        },
      }
      const echo = { echo: (text: string) => text }
      const first = await joined(t, folder, { database, ...(where === 'primary' ? { methods } : {}) })
      const second = await joined(t, folder, { database, ...(where === 'primary' ? {} : { methods }) })
      const [caller, server] = where === 'primary' ? [second, first] : [first, second]
      const helper = await joined(t, folder, { primary: 'never', database })
      helper.offer(echo, { to: 'any' })
      await caller.db.run(INSERT, ['before'])
      const answer = (caller as unknown as Member).call('save', 'x', { to: { id: server.id } })
      await running.opened
      const closing = server.close({ timeoutMs: 60_000 })
      const late = server.db.run(INSERT, ['late'])
      await assert.rejects(late, code('CLOSED', { outcome: 'not-committed' }))
      open()
      assert.equal(await within(answer, 'the handler to end'), 3)
      await within(closing, 'the member to close')
      assert.deepEqual(texts(caller), ['before', 'x', 'x in a transaction'])
    })
  }

  test('A13: what ends whilePrimary may write, when its member closes and when it hands over', async (t) => {
    const folder = workspace(t)
    const whilePrimary =
      ({ member, term }: { readonly member: Pick<Member, 'db'>; readonly term: number }) =>
      async () => {
        await member.db.run(INSERT, [`term ${term} ended`])
      }
    const first = await joined(t, folder, { name: 'v0', database: { ...database, migrations: [] }, whilePrimary })
    await first.db.run(NOTE)
    const migrations = ['create table more(x)']
    const second = await joined(t, folder, {
      name: 'v1',
      minVersion: 0,
      database: { ...database, migrations },
      whilePrimary,
    })
    await within(
      until(() => second.role === 'primary', 'the hand-over'),
      'it',
    )
    assert.deepEqual(texts(second), ['term 1 ended'])
    await within(second.close({ timeoutMs: 60_000 }), 'close()')
    const third = await joined(t, folder, { name: 'v1', minVersion: 0, database: { ...database, migrations } })
    assert.deepEqual(texts(third), ['term 1 ended', `term ${second.term} ended`])
  })

  test('abort(): the successor serves, and what was not acknowledged is repeated there, once', async (t) => {
    const { primary, secondary } = await pair(t)
    const written = Array.from({ length: 300 }, (_, i) => secondary.db.run(INSERT, [`${i}`]))
    await written[10]
    primary.abort(new Error('now'))
    await Promise.all(written)
    assert.deepEqual(
      texts(secondary),
      written.map((_, i) => `${i}`),
    )
  })

  test('close() of a primary whose file is locked: in its time, and the successor commits what waits', async (t) => {
    const { primary, secondary } = await pair(t)
    await secondary.db.run(INSERT, ['before'])
    const other = foreign(t, await fileOf(primary))
    other.exec('begin immediate')
    const waiting = secondary.db.run(INSERT, ['waits'])
    const own = primary.db.run(INSERT, ['own'])
    const ended = assert.rejects(own, (error: ConclaveError) => error.outcome !== 'committed')
    await until(async () => (await secondary.inspect()).database!.queue.count > 0, 'it to wait')
    await primary.close({ timeoutMs: 300 })
    await ended
    other.exec('commit')
    await waiting
    assert.deepEqual(texts(secondary), ['before', 'waits'])
  })
})

interface Change {
  readonly type: string
  readonly table?: string
  readonly operation?: string
  readonly keys?: readonly unknown[]
  readonly reason?: string
}

async function changes(t: TestContext, member: Member): Promise<Change[]> {
  const seen: Change[] = []
  const subscription = member.on('$db.changed', ({ data }) => seen.push(data as Change))
  defer(t, () => subscription.close())
  await subscription.ready
  return seen
}

describe('the change feed', () => {
  test('C10: every member hears of each commit: table, operation, keys; after a new term, resync', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const plain = await joined(t, folder, { primary: 'never' })
    const all = [primary, secondary, plain] as unknown as Member[]
    const heard = await Promise.all(all.map((member) => changes(t, member)))
    await secondary.db.batch([
      [INSERT, ['a']],
      [INSERT, ['b']],
    ])
    await primary.db.run("update note set text = 'c' where id = 2")
    await secondary.db.run('delete from note where id = 1')
    const brief = (seen: Change[]) =>
      seen.map(({ type, operation, keys, reason }) => [operation ?? type, keys ?? reason])
    const expected = [
      ['insert', [1, 2]],
      ['update', [2]],
      ['delete', [1]],
    ]
    for (const seen of heard) {
      await until(() => seen.length >= 3, 'three changes', { seen: () => seen })
      assert.deepEqual(brief(seen), expected)
    }
    await secondary.db.run('create table other(x)')
    await primary.close()
    const last = heard[1]!
    await until(() => last.some(({ reason }) => reason === 'term'), 'a resync of the new term', { seen: () => last })
    assert.ok(last.some(({ reason }) => reason === 'schema'))
    await secondary.db.run('insert into other values (1)')
    await until(() => last.some(({ table, keys }) => table === 'other' && keys === undefined), 'a table without keys')
  })

  test('B20: a watch shows what is, and what becomes, over hand-overs too', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const watcher = await joined(t, folder, { name: 'watcher', primary: 'never', database })
    let latest: readonly string[] = []
    let runs = 0
    const watching = (async () => {
      for await (const rows of watcher.db.watch<{ text: string }>('select text from note order by id')) {
        latest = rows.map(({ text }) => text)
        runs++
      }
    })()
    await until(() => runs > 0, 'the first rows')
    await secondary.db.run(INSERT, ['a'])
    await until(() => latest.length === 1, 'the next rows')
    await primary.close()
    await secondary.db.run(INSERT, ['b'])
    await until(() => latest.length === 2, 'rows of the next term')
    await secondary.db.run('create table elsewhere(x)')
    // Another program writes: nobody tells, but the file's version does.
    foreign(t, await fileOf(secondary)).exec("insert into note(text) values ('foreign')")
    await until(() => latest.length === 3, 'what another program wrote')
    assert.deepEqual(latest, ['a', 'b', 'foreign'])
    await watcher.close()
    await within(watching, 'the watch to end with its member')
  })

  test('B20: another program’s write is seen by a watch, also beside one of ours to another table', async (t) => {
    const { primary, secondary } = await pair(t)
    await secondary.db.run('create table elsewhere(x)')
    const other = foreign(t, await fileOf(primary))
    let latest: readonly string[] | undefined
    const watching = (async () => {
      for await (const rows of secondary.db.watch<{ text: string }>('select text from note order by id')) {
        latest = rows.map(({ text }) => text)
      }
    })()
    for (const n of [1, 2]) {
      await until(() => latest?.length === n - 1, 'the rows of before')
      // The version of the file tells of both as of one: what the member heard of explains it.
      await secondary.db.run('insert into elsewhere values (1)')
      other.exec(`insert into note(text) values ('foreign ${n}')`)
      await until(() => latest?.length === n, 'what another program wrote')
    }
    await secondary.close()
    await within(watching, 'the watch to end with its member')
  })

  test('a watch ends by its signal, by leaving the loop, and with its member, while others write', async (t) => {
    const { primary, secondary } = await pair(t)
    let over = false
    const load = (async () => {
      for (let i = 0; !over; i++) await primary.db.run(INSERT, [`${i}`])
    })()
    const SQL = 'select count(*) as n from note'
    const stop = new AbortController()
    const signalled = (async () => {
      let n = 0
      for await (const rows of secondary.db.watch(SQL, [], { signal: stop.signal })) {
        assert.equal(rows.length, 1)
        if (++n === 3) stop.abort()
      }
      return n
    })()
    const left = (async () => {
      for await (const _ of secondary.db.watch(SQL)) break
      return 'left'
    })()
    const ended = (async () => {
      for await (const rows of secondary.db.watch<{ n: number }>(SQL)) if (rows[0]!.n > 50) void secondary.close()
      return 'ended'
    })()
    assert.ok((await within(signalled, 'the signal to end it')) >= 3)
    assert.equal(await within(left, 'leaving it'), 'left')
    assert.equal(await within(ended, 'the member to end it'), 'ended')
    over = true
    await load
    const aborted = new AbortController()
    aborted.abort()
    for await (const _ of primary.db.watch(SQL, [], { signal: aborted.signal })) assert.fail('it was over')
    assert.throws(() => void secondary.db.read.prepare(SQL), code('CLOSED'))
    await assert.rejects(secondary.db.watch(SQL).next(), code('CLOSED'))
    await assert.rejects(primary.db.watch('delete from note').next(), code('INVALID_PARAMS'))
  })

  test('watches share one subscription, which goes with the last of them', async (t) => {
    const { secondary } = await pair(t)
    const subscriptions = async () => (await secondary.inspect()).counters['own.subscriptions']
    assert.equal(count(secondary), 0)
    const before = await subscriptions()
    const open = [1, 2, 3].map(() => secondary.db.watch('select * from note'))
    for (const watch of open) await watch.next()
    assert.equal(await subscriptions(), Number(before) + 1)
    for (const watch of open) await watch.return?.()
    assert.equal(await subscriptions(), before)
    const again = secondary.db.watch<{ text: string }>('select * from note')
    assert.deepEqual((await again.next()).value, [])
    const written = secondary.db.run(INSERT, ['x'])
    // It may look once too often.
    for await (const rows of again) if (rows[0]?.text === 'x') break
    await written
  })

  test('a stream of a watch ends when its reader leaves', async (t) => {
    const folder = workspace(t)
    const methods = {
      live: async function* (_: undefined, { member }: { readonly member: Member }) {
        yield* member.db.watch<{ n: number }>('select count(*) as n from note')
      },
    }
    const server = await joined(t, folder, { database, methods })
    const caller = await joined(t, folder, { database })
    const subscriptions = async () => (await server.inspect()).counters['own.subscriptions']
    assert.equal(count(server), 0)
    const before = await subscriptions()
    for await (const rows of (caller as unknown as Member).stream('live')) {
      assert.deepEqual(rows, [{ n: 0 }])
      break
    }
    await until(async () => (await subscriptions()) === before, 'the watch to end')
  })
})

describe('what is told', () => {
  test('inspect() shows the database: file, durability, queue, WAL, and what others wrote; status() warns once', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const seen = statuses(primary)
    const shown = (await secondary.inspect()).database!
    assert.equal(shown.file, path(folder, '.conclave', 'data.db'))
    assert.deepEqual([shown.durability, shown.foreignWrites, shown.queue.count], ['normal', 0, 0])
    assert.match(shown.sqlite, /^3\.\d+\.\d+$/)
    await secondary.db.run(INSERT, ['x'.repeat(10_000)])
    await until(async () => (await secondary.inspect()).database!.walBytes > 0, 'the WAL to be seen')
    const other = foreign(t, shown.file)
    for (const text of ['f1', 'f2']) {
      other.prepare(INSERT).run(text)
      await secondary.db.run(INSERT, [`after ${text}`])
    }
    assert.equal((await secondary.inspect()).database!.foreignWrites, 2)
    assert.deepEqual(warnings(seen), ['CONFLICT'])
    assert.equal((await secondary.inspect()).counters['db.transactions'], 0)
    await secondary.db.transaction(async (tx) => tx.run('select 1'))
    const { counters } = await secondary.inspect()
    assert.equal(counters['db.transactions'], 1)
    assert.ok(Number(counters['db.groups']) > 0)
  })

  test('a program that keeps the file locked delays writes, is told of once, and loses nothing', async (t) => {
    const { primary, secondary } = await pair(t)
    const seen = statuses(primary)
    const other = foreign(t, await fileOf(primary))
    other.exec('begin immediate')
    const written = Promise.all(['a', 'b'].map((text) => secondary.db.run(INSERT, [text])))
    await until(() => warnings(seen).length > 0, 'a warning')
    assert.equal((await secondary.inspect()).database!.queue.count > 0, true)
    // The switchboard is not held up by it.
    assert.deepEqual(await secondary.inspect().then(({ term }) => term), 1)
    other.exec('commit')
    await written
    assert.deepEqual(warnings(seen), ['DATABASE_IN_USE'])
    assert.deepEqual(texts(secondary), ['a', 'b'])
  })

  test('nothing that was asked stays pending at the switchboard, however it ended', async (t) => {
    const { primary, secondary } = await pair(t)
    const stop = new AbortController()
    const ends = await Promise.allSettled([
      secondary.db.run(INSERT, ['a']),
      secondary.db.run('no sql'),
      secondary.db.run(INSERT, ['b'], { signal: stop.signal }),
      secondary.db.run(INSERT, ['c'], { timeoutMs: 0 }),
      secondary.db.transaction(async () => Promise.reject(new Error('mine'))),
      (stop.abort(), secondary.db.outcome('x')),
    ])
    assert.equal(ends.length, 6)
    let last: unknown
    const idle = async () => {
      const { links, queues, counters, database } = await primary.inspect()
      last = { links, queues, counters, database }
      const pending = links.reduce((sum, link) => sum + link.pendingCalls + link.servingCalls, 0)
      return pending + queues.calls.count + Number(counters['own.pending']) + database!.queue.count === 0
    }
    await until(idle, 'nothing to be pending', { seen: () => last })
  })
})

describe('the end', () => {
  test('after all have closed the file is whole: no WAL, no lock held, no member remembered', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const watch = secondary.db.watch('select * from note')
    await watch.next()
    for (let i = 0; i < 20; i++)
      await Promise.all([secondary, primary].map(({ db, name }) => db.run(INSERT, [`${name} ${i}`])))
    await secondary.db.transaction(async (tx) => tx.run('select 1'))
    const iterator = secondary.db.read.prepare('select * from note').iterate()
    iterator.next()
    await secondary.close()
    assert.throws(() => iterator.next(), code('READ_EXPIRED'))
    await primary.close()
    const file = path(folder, '.conclave', 'data.db')
    assert.ok(!existsSync(`${file}-wal`), 'the last connection cut the WAL')
    const left = readdirSync(path(folder, '.conclave')).filter((name) => name.startsWith('data'))
    assert.deepEqual(left.sort(), ['data.db', 'data.db-lock', 'data.db-lock.json'])
    const open = readdirSync('/proc/self/fd').map(linkOf)
    assert.deepEqual(
      open.filter((name) => name.startsWith(file)),
      [],
    )
    const other = foreign(t, file)
    assert.equal(other.prepare('select count(*) as n from note').get()?.['n'], 40)
    assert.equal(other.prepare('select count(*) as n from _conclave_writers').get()?.['n'], 0)
    assert.equal(other.prepare('pragma integrity_check').get()?.['integrity_check'], 'ok')
  })

  test('close() while the file that is to be opened is locked by another program', async (t) => {
    const { folder, primary, secondary } = await pair(t)
    const other = foreign(t, await fileOf(primary))
    other.exec('begin immediate')
    await primary.close()
    // It has the lock now, and waits for the file.
    await until(() => secondary.primary === undefined, 'the first to be gone')
    const write = secondary.db.run(INSERT, ['x'])
    const refused = assert.rejects(write, (error: ConclaveError) => /CLOSED|ABORTED/.test(error.code))
    await within(secondary.close(), 'close()', LIMIT_MS)
    await refused
    const stop = new AbortController()
    const joining = join(folder, { database, signal: stop.signal })
    stop.abort(new Error('enough'))
    await assert.rejects(joining, code('ABORTED'))
    other.exec('rollback')
    const next = await joined(t, folder, { database })
    assert.deepEqual([next.role, count(next)], ['primary', 0])
  })
})

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}
