import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { dial } from '../../src/engine/local/link.ts'
import { FlushScheduler } from '../../src/engine/local/flush.ts'
import { unixTransport } from '../../src/transport/index.ts'
import { PROTOCOL } from '../../src/wire/handshake.ts'
import { BatchPool } from '../../src/wire/writer.ts'
import type { Announcement } from '../../src/election/index.ts'
import { endpointOf } from '../engine/local/lines.ts'
import { workspace } from '../support/index.ts'
import { own } from '../process/support.ts'

test('a primary needs no connection to serve itself', async (t) => {
  const member = await own(t, workspace(t), { name: 'alone', methods: { echo: (x: unknown) => x } })
  for (const to of ['primary', 'any', { id: member.id }, { name: 'alone' }] as const) {
    assert.equal(await member.call('echo', 1, { to }), 1)
  }
  const events = member.subscribe('x')
  await member.publish('x', 1)
  assert.equal((await events.next()).value?.data, 1)
  const { links, counters } = await member.inspect()
  assert.deepEqual([links.filter(({ form }) => form === 'lines').length, counters['door.accepted']], [0, 0])
})

test('who connects under the primary’s own id is refused, and the primary keeps its place', async (t) => {
  const folder = workspace(t)
  const member = await own(t, folder, { methods: { echo: (x: unknown) => x } })
  const { lock } = JSON.parse(readFileSync(path(folder, '.conclave', 'primary.json'), 'utf8')) as Announcement
  const linked = dial(
    endpointOf(folder),
    {
      protocol: PROTOCOL,
      workspace: lock,
      id: member.id,
      name: member.name,
      pid: process.pid,
      term: member.term,
      version: 0,
      minVersion: 0,
      stands: true,
    },
    {
      transport: unixTransport(),
      pool: new BatchPool(),
      flush: new FlushScheduler(),
      maxBodyBytes: undefined,
      onWelcome: () => assert.fail('welcomed'),
      onFrame: () => {},
      onClose: () => {},
    },
    AbortSignal.timeout(20_000),
  )
  await assert.rejects(linked, { code: 'INVALID_REQUEST', message: /itself/ })
  assert.equal(await member.call('echo', 'still here', { to: { id: member.id } }), 'still here')
  assert.equal((await member.inspect()).members.length, 1)
})

test('two members of one process are strangers to each other: one serves, one connects, and they may change places', async (t) => {
  const folder = workspace(t)
  const methods = { who: (_: unknown, { member }: { member: { id: string } }) => member.id }
  let [primary, secondary] = [await own(t, folder, { methods }), await own(t, folder, { methods })]
  for (let round = 0; round < 3; round++) {
    assert.notEqual(primary.id, secondary.id)
    assert.deepEqual([primary.role, secondary.role], ['primary', 'secondary'])
    assert.equal(await secondary.call('who'), primary.id)
    await primary.close()
    assert.equal(await secondary.call('who'), secondary.id)
    primary = secondary
    secondary = await own(t, folder, { methods })
  }
})
