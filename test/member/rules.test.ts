import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError, join } from 'conclave'
import { memoryWorkspace } from 'conclave/testing'

test('B13 a subscriber that never reads holds no publisher up, and learns what it lost', async () => {
  await using place = memoryWorkspace()
  const publisher = await join(place)
  const reader = await join(place)
  const stuck = reader.subscribe('tick', { maxQueued: 10 })
  const witness = reader.subscribe('tick')
  await Promise.all([stuck.ready, witness.ready])
  for (let i = 1; i <= 100; i++) await publisher.publish('tick', i)
  // A publisher that awaits inside its own subscription's loop settles as well.
  const own = publisher.subscribe('own', { maxQueued: 1 })
  await publisher.publish('own', 0)
  for await (const { data } of own) {
    if (data === 3) break
    await publisher.publish('own', Number(data) + 1)
  }
  for await (const { data } of witness) if (data === 100) break
  const { value } = await stuck.next()
  assert.equal(Number(value?.missed) + 1, value?.data)
  assert.ok(Number(value?.missed) > 0)
})

test('C8 a name held twice is AMBIGUOUS_TARGET, an id never is', async () => {
  await using place = memoryWorkspace()
  const methods = { who: (_: undefined, ctx: { readonly member: { readonly id: string } }) => ctx.member.id }
  const first = await join(place, { name: 'editor', methods })
  const second = await join(place, { name: 'editor', methods })
  const caller = await join(place, { name: 'caller' })
  await assert.rejects(caller.call('who', undefined, { to: { name: 'editor' } }), (error) =>
    ConclaveError.is(error, 'AMBIGUOUS_TARGET'),
  )
  for (const { id } of [first, second]) assert.equal(await caller.call('who', undefined, { to: { id } }), id)
})
