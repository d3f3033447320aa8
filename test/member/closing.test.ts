import assert from 'node:assert/strict'
import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Context, Event, Member } from 'conclave'
import { until, workspace } from '../support/index.ts'
import { code, joined, memory, onBoth } from './support.ts'

const TABLE = { migrations: ['create table note(text text not null) strict'] }

/** Opens once. */
class Gate {
  open!: () => void
  readonly passed: Promise<void> = new Promise((resolve) => {
    this.open = resolve
  })
}

/** Work of a primary that ends when the gate opens, and says what it does. */
function gatedDuty() {
  const [log, gate, told]: [string[], Gate, Gate] = [[], new Gate(), new Gate()]
  const duty = (name: string) => ({
    whilePrimary: () => {
      log.push(`${name} begins`)
      return async () => {
        told.open()
        await gate.passed
        log.push(`${name} ended`)
      }
    },
  })
  return { log, gate, told, duty }
}

describe('A13: what was taken is finished', () => {
  onBoth('a handler that runs while its member closes still calls and publishes', async (t, place) => {
    for (const role of ['primary', 'secondary'] as const) {
      const gate = new Gate()
      let running = false
      const relay = async (_: unknown, ctx: Context): Promise<unknown> => {
        running = true
        await gate.passed
        await ctx.member.publish('said', role)
        return ctx.member.call('answer', undefined, { to: { name: 'other' } })
      }
      const first = await joined(t, place, role === 'primary' ? { name: 'it', methods: { relay } } : {})
      const other = await joined(t, place, { name: 'other', methods: { answer: () => 42 } })
      const it = role === 'primary' ? first : await joined(t, place, { name: 'it', methods: { relay } })
      assert.equal(it.role, role)
      const said = other.subscribe('said')
      await said.ready
      const call = other.with().call('relay', undefined, { to: { name: 'it' } })
      await until(() => running, 'the handler to run')
      const closing = it.close({ timeoutMs: 20_000 })
      await assert.rejects(it.call('answer'), code('CLOSED'), 'what is not part of it is refused')
      gate.open()
      assert.equal(await call, 42)
      await closing
      assert.equal(((await said.next()).value as Event).data, role)
      for (const one of [other, first]) await one.close()
    }
  })

  onBoth('who closes in a handler, or after it, waits for all handlers that go on', async (t, place) => {
    const ways: Record<string, (member: Member) => Promise<unknown>[]> = {
      twice: (member) => [member.call('close', 'twice'), member.call('close', 'twice')],
      'after it': (member) => [member.call('close', 'later'), member.call('close', 'later')],
      'when another has asked and gone': (member) => [member.call('close', 'gone'), member.call('close', 'once')],
    }
    for (const [way, begin] of Object.entries(ways)) {
      const gate = new Gate()
      const end = new Gate()
      let worked = false
      let asked = 0
      const closings: Promise<boolean>[] = []
      const closing = (member: Member): void => {
        closings.push(member.close({ timeoutMs: 2 ** 30 }).then(() => worked))
        asked++
      }
      const methods = {
        work: () => gate.passed.then(() => (worked = true)),
        close: async (how: string, { member }: Context): Promise<void> => {
          if (how === 'later') void end.passed.then(() => closing(member))
          else closing(member)
          if (how === 'twice') closing(member)
          if (how === 'twice' || how === 'once') await Promise.all(closings)
        },
      }
      const member = await joined(t, place, { methods })
      const calls = [member.call('work'), ...begin(member)]
      const settled = Promise.allSettled(calls)
      if (way === 'after it') await Promise.all(calls.slice(1))
      end.open()
      await until(() => asked >= 2, 'all to ask')
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      gate.open()
      await settled
      assert.ok((await Promise.all(closings)).every(Boolean), way)
      await member.closed
    }
  })

  onBoth('a handler that closes its own member is not waited for by itself', async (t, place) => {
    let gate = new Gate()
    let ended: string[] = []
    const methods = {
      stop: async (_: unknown, { member }: Context): Promise<void> => {
        await member.close({ timeoutMs: 2 ** 30 })
        ended.push('stop')
      },
      work: async (): Promise<void> => {
        await gate.passed
        ended.push('work')
      },
    }
    const first = await joined(t, place, { name: 'first', methods })
    const second = await joined(t, place, { name: 'second', methods })
    const third = await joined(t, place, {})
    for (const [name, member] of Object.entries({ second, first })) {
      const calls = ['work', 'stop', 'stop'].map((method) => third.call(method, undefined, { to: { name } }))
      const refused = (): Promise<boolean> =>
        member.publish('probe', 1).then(
          () => false,
          () => true,
        )
      await until(refused, 'the close to begin')
      assert.deepEqual(ended, [], 'it waits for the others')
      gate.open()
      await Promise.all(calls)
      assert.deepEqual(await member.closed, { type: 'closed' })
      assert.deepEqual(ended, ['work', 'stop', 'stop'])
      gate = new Gate()
      ended = []
    }
  })

  test('and writes to the database', async (t) => {
    const folder = workspace(t)
    const gate = new Gate()
    let running = false
    const save = async (text: string, ctx: Context): Promise<number> => {
      running = true
      await gate.passed
      return ctx.member.db.transaction(async (tx) => (await tx.run('insert into note values (?)', [text])).changes)
    }
    const first = await joined(t, folder, { database: TABLE, methods: { save } })
    const other = await joined(t, folder, { database: TABLE })
    const call = other.with().call('save', 'late')
    await until(() => running, 'the handler to run')
    const closing = first.close({ timeoutMs: 20_000 })
    await assert.rejects(first.db.run('delete from note'), code('CLOSED', { outcome: 'not-committed' }))
    gate.open()
    assert.equal(await call, 1)
    await closing
    assert.deepEqual(
      other.db.read
        .prepare<{ text: string }>('select text from note')
        .all()
        .map(({ text }) => text),
      ['late'],
    )
  })

  test('what runs only while primary ends before the next begins, and may write as it does', async (t) => {
    const folder = workspace(t)
    const log: string[] = []
    const duty = (name: string) => ({
      name,
      database: TABLE,
      whilePrimary: ({ member }: { member: Context['member'] }) => {
        log.push(`${name} begins`)
        return async () => {
          await member.db.run('insert into note values (?)', [`${name} ended`])
          await member.publish('ended', name)
          log.push(`${name} ended`)
        }
      },
    })
    const first = await joined(t, folder, duty('a'))
    const second = await joined(t, folder, duty('b'))
    const ended = second.subscribe('ended')
    await ended.ready
    await first.close({ timeoutMs: 20_000 })
    await until(() => second.role === 'primary', 'the successor')
    assert.deepEqual(log, ['a begins', 'a ended', 'b begins'])
    assert.equal(((await ended.next()).value as Event).data, 'a')
    const rows = second.db.read.prepare<{ text: string }>('select text from note').all()
    assert.deepEqual(
      rows.map(({ text }) => text),
      ['a ended'],
    )
  })

  test('A7: an aborted primary’s work ends before the next begins, too', async (t) => {
    const place = memory(t)
    const { log, gate, duty } = gatedDuty()
    const first = await joined(t, place, duty('a'))
    const second = await joined(t, place, duty('b'))
    first.abort()
    await until(() => second.primary === undefined, 'the loss')
    assert.deepEqual(log, ['a begins'])
    gate.open()
    await until(() => second.role === 'primary', 'the successor')
    assert.deepEqual(log.slice(0, 3), ['a begins', 'a ended', 'b begins'])
  })

  test('A7: so does that of one who is aborted while it closes; the announcement says that it serves no more', async (t) => {
    const folder = workspace(t)
    const { log, gate, told, duty } = gatedDuty()
    const first = await joined(t, folder, duty('a'))
    const second = await joined(t, folder, duty('b'))
    void first.close({ timeoutMs: 2 ** 30 })
    await told.passed
    first.abort()
    await until(() => second.primary === undefined, 'the loss')
    const announced = (): string => readFileSync(join(folder, '.conclave', 'primary.json'), 'utf8')
    await until(() => /"state": ?"closing"/.test(announced()), 'who comes to be told to wait')
    assert.deepEqual(log, ['a begins'])
    gate.open()
    await until(() => second.role === 'primary', 'the successor')
    assert.deepEqual(log.slice(0, 3), ['a begins', 'a ended', 'b begins'])
  })

  test('A7: so does that of one whose database is lost while it hands over', async (t) => {
    const folder = workspace(t)
    const { log, gate, told, duty } = gatedDuty()
    const database = { ...TABLE, file: 'x.db' }
    const first = await joined(t, folder, { database, ...duty('a') })
    const second = await joined(t, folder, { database, ...duty('b') })
    void first.close({ timeoutMs: 2 ** 30 })
    await told.passed
    for (const end of ['', '-wal', '-shm']) renameSync(join(folder, `x.db${end}`), join(folder, `y.db${end}`))
    await until(() => second.primary === undefined, 'the loss')
    // Time for what must not happen.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.deepEqual(log, ['a begins'])
    gate.open()
    await until(() => log.includes('b begins'), 'the successor')
    assert.deepEqual(log.slice(0, 3), ['a begins', 'a ended', 'b begins'])
  })
})
