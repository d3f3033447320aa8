import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from 'conclave'
import { workspace } from '../support/index.ts'
import { member, own } from '../process/support.ts'

const COUNT = 1000

for (const role of ['secondary', 'primary'] as const) {
  test(`exit right after publish in a ${role}: ${COUNT} of ${COUNT} arrive at each of three subscribers`, async (t) => {
    const folder = workspace(t)
    const before = role === 'primary' ? await member(t, folder) : undefined
    const readers = []
    for (let i = 0; i < 3; i++) readers.push(await own(t, folder, { primary: before === undefined ? 'may' : 'never' }))
    const speaker = before ?? (await member(t, folder))
    assert.equal(speaker.role, role)
    const subscriptions = readers.map((reader) => reader.subscribe('last', { maxQueued: COUNT }))
    await Promise.all(subscriptions.map(({ ready }) => ready))
    speaker.send({ last: COUNT })
    assert.deepEqual(await speaker.exit, { code: 0, signal: null })
    for (const events of subscriptions) {
      const got: unknown[] = []
      while (got.length < COUNT) {
        const { data, missed } = (await events.next()).value as Event
        assert.equal(missed, 0)
        got.push(data)
      }
      assert.deepEqual(
        got,
        got.map((_, i) => i),
      )
    }
  })
}
