import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { FlushScheduler } from '../../../src/engine/local/flush.ts'
import { REMEMBERED_ACKS } from '../../../src/engine/local/limits.ts'
import type { Link } from '../../../src/engine/local/link.ts'
import { Liveness } from '../../../src/engine/local/liveness.ts'
import { LocalPort } from '../../../src/engine/local/local-port.ts'
import { Session } from '../../../src/engine/local/session.ts'
import { REQUESTS_A_TURN } from '../../../src/rpc/limits.ts'
import { Frame, KIND } from '../../../src/wire/frame.ts'

test('one flush a turn and channel, after the microtasks that are due', async () => {
  const scheduler = new FlushScheduler()
  const log: string[] = []
  scheduler.add({ flush: () => log.push('a') })
  scheduler.afterFlush(() => log.push('after'))
  scheduler.add({ flush: () => log.push('b') })
  void Promise.resolve()
    .then(() => {})
    .then(() => log.push('microtask'))
  assert.deepEqual(log, [])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(log, ['microtask', 'a', 'b', 'after'])
})

test('B12 what a flush makes dirty is flushed before anybody is told; flush() is at once', () => {
  const scheduler = new FlushScheduler()
  const log: string[] = []
  scheduler.add({
    flush: () => {
      log.push('a')
      scheduler.add({ flush: () => log.push('b') })
    },
  })
  scheduler.afterFlush(() => {
    log.push('after')
    scheduler.afterFlush(() => log.push('later'))
  })
  scheduler.flush()
  assert.deepEqual(log, ['a', 'b', 'after'])
  scheduler.flush()
  assert.deepEqual(log.slice(3), ['later'])
})

test('A12 acknowledgements are remembered for so many publishes', () => {
  const session = new Session('id')
  assert.equal(session.eventOf(1), undefined)
  for (let i = 1; i <= REMEMBERED_ACKS + 5; i++) session.acknowledged(i, i * 2)
  assert.equal(session.lastPublish, REMEMBERED_ACKS + 5)
  assert.equal(session.eventOf(5), undefined)
  assert.equal(session.eventOf(6), 12)
  assert.equal(session.eventOf(REMEMBERED_ACKS + 5), (REMEMBERED_ACKS + 5) * 2)
  assert.equal(session.eventOf(REMEMBERED_ACKS + 6), undefined)
})

function liveness(unresponsiveMs: number) {
  const link = {
    activity: 0,
    bufferedBytes: 0,
    pings: 0,
    onSend: () => {},
    send: () => {
      link.onSend()
      link.pings++
    },
  }
  const state = { outstanding: true }
  const changes: boolean[] = []
  const made = new Liveness({
    link: link as unknown as Link,
    outstanding: () => state.outstanding,
    onChange: (responsive) => changes.push(responsive),
    unresponsiveMs,
  })
  return { link, state, changes, made }
}

test('B1 B2 silence is counted in ticks that ran while something is due; any byte ends it', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    const { link, state, changes, made } = liveness(5000)
    mock.timers.tick(4000)
    assert.deepEqual([changes, link.pings], [[], 3])
    link.activity++
    mock.timers.tick(5000)
    assert.deepEqual(changes, [], 'one tick heard it, four were silent')
    mock.timers.tick(1000)
    assert.deepEqual([changes, made.silent], [[false], true])
    state.outstanding = false
    mock.timers.tick(10_000)
    assert.equal(made.silent, true, 'that nothing is due says nothing of the primary')
    link.activity++
    assert.deepEqual([changes, made.silent], [[false, true], false])
    mock.timers.tick(60_000)
    assert.equal(made.silent, false, 'it owes nothing')
    made.close()
  } finally {
    mock.timers.reset()
  }
})

test('B2 an idle member is not woken; what it sends is watched from then on', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    const { link, state, changes, made } = liveness(5000)
    let asked = 0
    const get = (): boolean => {
      asked++
      return false
    }
    Object.defineProperty(state, 'outstanding', { get, configurable: true })
    mock.timers.tick(60_000)
    assert.equal(asked, 1, 'one look, and no other until something is sent')
    Object.defineProperty(state, 'outstanding', { value: true })
    link.activity++
    link.onSend()
    mock.timers.tick(4000)
    assert.deepEqual(changes, [])
    mock.timers.tick(1000)
    assert.deepEqual([changes, made.silent], [[false], true], 'what came before it was asked does not count')
    made.close()
    link.onSend()
    mock.timers.tick(60_000)
    assert.deepEqual(changes, [false])
  } finally {
    mock.timers.reset()
  }
})

test('B2 callers that give up before each look find a stopped primary too', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    const { link, state, changes, made } = liveness(5000)
    for (let call = 0; call < 10 && changes.length === 0; call++) {
      state.outstanding = true
      link.onSend()
      mock.timers.tick(900)
      state.outstanding = false
      mock.timers.tick(200)
    }
    assert.deepEqual([changes, made.silent], [[false], true])
    link.activity++
    mock.timers.tick(2000)
    const { pings } = link
    mock.timers.tick(60_000)
    assert.deepEqual([changes, link.pings], [[false, true], pings], 'and then they are not woken')
    made.close()
  } finally {
    mock.timers.reset()
  }
})

test('B2 nobody is called silent without having been asked', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    for (const ms of [0, 1, 1000, 2000]) {
      const { link, changes, made } = liveness(ms)
      mock.timers.tick(1000)
      assert.deepEqual([changes, link.pings], [[], 1])
      mock.timers.tick(1000)
      assert.deepEqual(changes, [false])
      made.close()
    }
  } finally {
    mock.timers.reset()
  }
})

test('F3 of the answers to the primary itself so many go in one turn, the rest in order in later ones, none is lost', async () => {
  const got: number[] = []
  const port = new LocalPort(1, { id: 'p', name: 'p', pid: 1 }, new Session('p'), ({ number }) => got.push(number), {
    flush: { afterFlush: (then) => then() },
    links: () => [],
  })
  const all = Array.from({ length: 3 * REQUESTS_A_TURN }, (_, i) => i)
  const frame = new Frame()
  for (const number of all) port.send(frame.set(KIND.RESPONSE, 0, 0, 0, 0, number, 0))
  assert.equal(got.length, REQUESTS_A_TURN)
  port.send(frame.set(KIND.EVENT, 0, 0, 0, 0, -1, 0))
  assert.equal(got.pop(), -1, 'what is no answer does not wait')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(got.length, 2 * REQUESTS_A_TURN)
  port.end()
  assert.deepEqual(got, all)
  port.send(frame.set(KIND.RESPONSE, 0, 0, 0, 0, 1, 0))
  assert.equal(got.length, all.length)
})
