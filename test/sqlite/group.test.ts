import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Entry } from '../../src/sqlite/entry.ts'
import { Group } from '../../src/sqlite/group.ts'
import { GROUP_TURN_WRITES } from '../../src/sqlite/limits.ts'
import { FairQueue } from '../../src/sqlite/queue.ts'

function entry(line: string, from: number, count: number): Entry {
  const jobs = Array.from({ length: count }, (_, at) => ({
    ...{ writer: line, number: from + at, watermark: 0, deadline: Infinity, key: undefined },
    work: { type: 'statement', sql: 'x', params: [] } as const,
  }))
  return new Entry({ line, bytes: 1, deadline: Infinity, id: `${line} ${from}`, jobs, list: true })
}

const namesOf = ({ jobs }: Group): string[] => jobs.map(({ writer, number }) => `${writer}${number}`)

test('GROUP_TURN_WRITES: members take turns within a group, each in its order', () => {
  const queue = new FairQueue<Entry>()
  for (const one of [entry('a', 1, 5), entry('b', 1, 1), entry('a', 6, 20), entry('c', 1, 9)]) queue.add(one)
  const names = namesOf(new Group(queue))
  assert.equal(names.length, 35)
  assert.equal(queue.count, 0)
  const turn = (line: string, from: number, count: number) =>
    Array.from({ length: count }, (_, at) => `${line}${from + at}`)
  const [first, rest] = [names.slice(0, 2 * GROUP_TURN_WRITES + 1), names.slice(2 * GROUP_TURN_WRITES + 1)]
  assert.deepEqual(first, [...turn('a', 1, GROUP_TURN_WRITES), 'b1', ...turn('c', 1, GROUP_TURN_WRITES)])
  assert.deepEqual(
    rest.filter((name) => name.startsWith('a')),
    turn('a', GROUP_TURN_WRITES + 1, 25 - GROUP_TURN_WRITES),
  )
})

test('a group that was cut short goes on where it ended, and an entry is done with its last answer', async () => {
  const queue = new FairQueue<Entry>()
  const [a, b] = [entry('a', 1, 20), entry('b', 1, 2)]
  queue.add(a)
  queue.add(b)
  const group = new Group(queue)
  const done = GROUP_TURN_WRITES + 2
  const left = group.answered(Array.from({ length: done }, (_, at) => ({ ok: at })))
  assert.deepEqual(left, [a])
  assert.deepEqual([a.count, b.done], [20 - GROUP_TURN_WRITES, true])
  b.finish()
  assert.deepEqual(await b.answer, { ok: [{ ok: done - 2 }, { ok: done - 1 }] })
  queue.putBack(left)
  assert.equal(queue.count, 20 - GROUP_TURN_WRITES)
  const rest = new Group(queue)
  assert.equal(namesOf(rest)[0], `a${GROUP_TURN_WRITES + 1}`)
  assert.deepEqual(rest.answered(rest.jobs.map(() => ({ ok: 'later' }))), [])
  a.finish()
  assert.equal(((await a.answer) as { ok: unknown[] }).ok.length, 20)
})
