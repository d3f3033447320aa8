import assert from 'node:assert/strict'
import { mock, test, type TestContext } from 'node:test'
import { join } from 'conclave'
import { BURST_FACTOR, MAX_LINK_BYTES, STALL_MS } from '../../../src/engine/local/limits.ts'
import { StallWatch } from '../../../src/engine/local/stall-watch.ts'
import { MAX_CALLS_IN_FLIGHT } from '../../../src/rpc/limits.ts'
import { MAX_FRAGMENT_BYTES } from '../../../src/wire/limits.ts'
import { defer, workspace } from '../../support/index.ts'
import { endpointOf, RawPeer } from './lines.ts'

test('STALL_MS: a link over its bound has to take something in that time, until no more waits than may', async () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const link = { taken: 0, waiting: 101 }
    let stalled = 0
    const watch = new StallWatch({
      taken: () => link.taken,
      waiting: () => link.waiting,
      onStalled: () => stalled++,
    })
    const pass = async (): Promise<void> => {
      mock.timers.tick(STALL_MS)
      await new Promise((resolve) => setImmediate(resolve))
    }
    watch.begin(100)
    link.taken = 1
    await pass()
    assert.equal(stalled, 0, 'it reads')
    await pass()
    assert.equal(stalled, 1, 'it stopped')
    watch.begin(100)
    link.waiting = 100
    await pass()
    watch.begin(100)
    link.waiting = 101
    watch.end()
    await pass()
    assert.equal(stalled, 1)
  } finally {
    mock.timers.reset()
  }
})

test('BURST_FACTOR: the answers to all calls that a link may make fit under it, when they fit a frame each', () => {
  assert.ok(MAX_LINK_BYTES * BURST_FACTOR > MAX_CALLS_IN_FLIGHT * MAX_FRAGMENT_BYTES)
})

async function primary(t: TestContext): Promise<string> {
  const folder = workspace(t)
  const member = await join(folder, { methods: { get: (n: number) => 'x'.repeat(n) } })
  defer(t, () => member.abort())
  return folder
}

test('B17 a member that reads gets the answers to a thousand calls that it made at once', async (t) => {
  const folder = await primary(t)
  const member = await join(folder)
  defer(t, () => member.abort())
  for (const bytes of [20_000, 60_000]) {
    const calls = Array.from({ length: 1000 }, () => member.call('get' as never, bytes as never) as Promise<string>)
    assert.equal((await Promise.all(calls)).filter(({ length }) => length === bytes).length, 1000)
  }
})

test('B17 so does a line peer', async (t) => {
  const one = new RawPeer(t, endpointOf(await primary(t)))
  for (let id = 0; id < 500; id++) one.request(id, 'get', 60_000)
  for (let id = 0; id < 500; id++) assert.equal(((await one.next()).result as string).length, 60_000)
})
