import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ConnectorMachine, judge, type Applicant, type Order } from '../../../src/dialects/bilateral/admission.ts'
import { DEFAULT_TIMES, timesOf } from '../../../src/dialects/bilateral/times.ts'

const { startDelayMs, joinFirstMs, joinEveryMs, maxJoins, idleMs, silenceMs, backoffMs, maxBackoff } = DEFAULT_TIMES

function machine(random = 0): ConnectorMachine {
  const made = new ConnectorMachine(DEFAULT_TIMES, () => random)
  made.start(0)
  return made
}

/** Lets the clock run to where the machine wants to be woken. */
function wake(connector: ConnectorMachine): readonly Order[] {
  return connector.due(connector.wakeAt)
}

function connected(): ConnectorMachine {
  const connector = machine()
  wake(connector)
  connector.linkUp(300)
  assert.deepEqual(connector.stay(310), ['up'])
  return connector
}

describe('a connector', () => {
  test('waits, connects, joins, and is connected on STAY, with the times of existing nodes', () => {
    const connector = machine()
    assert.deepEqual([connector.state, connector.wakeAt], ['waiting', 200])
    assert.deepEqual(connector.due(199), [])
    assert.deepEqual(connector.due(200), ['open'])
    assert.deepEqual([connector.state, connector.wakeAt], ['handshake', startDelayMs + joinFirstMs])
    assert.deepEqual(connector.linkUp(390), ['join'])
    assert.equal(connector.wakeAt, 390 + joinEveryMs)
    assert.deepEqual(connector.stay(410), ['up'])
    assert.deepEqual([connector.state, connector.wakeAt], ['connected', 410 + idleMs])
  })

  test('its clock counts a JOIN without a connection, and sends none: the one of the connection is the only one', () => {
    const connector = machine()
    wake(connector)
    assert.deepEqual(wake(connector), [])
    assert.equal(connector.wakeAt, startDelayMs + joinFirstMs + joinEveryMs)
    assert.deepEqual(connector.linkUp(401), ['join'])
    assert.deepEqual(wake(connector), ['join'])
    connector.linkDown(connector.wakeAt)
    assert.deepEqual(wake(connector), [])
  })

  test('joins as soon as its connection is up, then every 5 s', () => {
    const connector = machine()
    wake(connector)
    assert.deepEqual(connector.linkUp(230), ['join'])
    assert.equal(connector.wakeAt, 230 + joinEveryMs)
  })

  test('ten JOINs without an answer: it retreats for 60 s, then twice as long each time, up to 128 times', () => {
    const connector = machine()
    let pause = backoffMs
    for (let round = 0; round < maxBackoff + 3; round++) {
      assert.deepEqual(wake(connector), ['open'])
      assert.deepEqual(connector.linkUp(connector.wakeAt), ['join'])
      for (let join = 1; join < maxJoins; join++) assert.deepEqual(wake(connector), ['join'])
      const at = connector.wakeAt
      assert.deepEqual(wake(connector), ['close'])
      assert.deepEqual([connector.state, connector.wakeAt], ['waiting', at + pause])
      pause = Math.min(pause * 2, backoffMs * 2 ** maxBackoff)
    }
    assert.equal(pause, 7_680_000)
  })

  test('30 s of silence: TICK, counted from 1; 30 s more: it retreats', () => {
    const connector = connected()
    assert.deepEqual(wake(connector), ['tick'])
    assert.equal(connector.ticks, 1)
    assert.equal(connector.wakeAt, 310 + idleMs + silenceMs)
    assert.deepEqual(wake(connector), ['close', 'down'])
    assert.deepEqual([connector.state, connector.wakeAt], ['waiting', 310 + idleMs + silenceMs + backoffMs])
  })

  test('any message puts TICK off, answers one, and resets the back-off', () => {
    const connector = connected()
    connector.heard(20_000)
    assert.deepEqual(wake(connector), [])
    assert.equal(connector.wakeAt, 20_000 + idleMs)
    assert.deepEqual(wake(connector), ['tick'])
    connector.heard(50_100)
    assert.equal(connector.wakeAt, 50_100 + idleMs)
    assert.deepEqual(wake(connector), ['tick'])
    assert.equal(connector.ticks, 2)
    wake(connector)
    assert.equal(connector.backoff, 1)
    wake(connector)
    connector.linkUp(connector.wakeAt)
    connector.stay(connector.wakeAt)
    connector.heard(connector.wakeAt)
    assert.equal(connector.backoff, 0)
  })

  test('PART: it comes back after 5 s and up to 255 steps of 20 ms', () => {
    for (const [random, pause] of [
      [0, 5_000],
      [0.999, 5_000 + 255 * 20],
    ] as const) {
      const connector = machine(random)
      wake(connector)
      assert.deepEqual(connector.part(1_000), ['close'])
      assert.deepEqual([connector.state, connector.wakeAt], ['waiting', 1_000 + pause])
    }
    const thrown = connected()
    assert.deepEqual(thrown.part(2_000), ['close', 'down'])
  })

  test('a broken connection is joined again as soon as it is back', () => {
    const connector = connected()
    assert.deepEqual(connector.linkDown(1_000), ['down'])
    assert.equal(connector.state, 'handshake')
    assert.deepEqual(connector.linkUp(1_100), ['join'])
    assert.deepEqual(connector.stay(1_110), ['up'])
  })

  test('after a sleep of its process it joins again instead of calling into nothing', () => {
    const connector = connected()
    assert.deepEqual(connector.due(310 + idleMs + silenceMs + 1), ['down', 'join'])
    assert.equal(connector.state, 'handshake')
    const asking = connected()
    assert.deepEqual(wake(asking), ['tick'])
    assert.deepEqual(asking.due(asking.wakeAt + silenceMs + 1), ['down', 'join'])
  })

  test('every event in every state', () => {
    const to: Readonly<Record<string, () => ConnectorMachine>> = {
      waiting: machine,
      handshake: () => {
        const connector = machine()
        wake(connector)
        return connector
      },
      connected,
      yielded: () => {
        const connector = connected()
        connector.yield()
        return connector
      },
      stopped: () => {
        const connector = connected()
        connector.stop()
        return connector
      },
    }
    const events: Readonly<Record<string, (connector: ConnectorMachine) => readonly Order[] | void>> = {
      stay: (connector) => connector.stay(500),
      part: (connector) => connector.part(500),
      linkUp: (connector) => connector.linkUp(500),
      linkDown: (connector) => connector.linkDown(500),
      yield: (connector) => connector.yield(),
      resume: (connector) => connector.resume(500),
      stop: (connector) => connector.stop(),
    }
    const matrix = Object.fromEntries(
      Object.entries(to).map(([state, make]) => [
        state,
        Object.entries(events).map(([event, happen]) => {
          const connector = make()
          const orders = happen(connector) ?? []
          return `${event}: ${[connector.state, ...orders].join(' ')}`
        }),
      ]),
    )
    assert.deepEqual(matrix, {
      waiting: [
        'stay: waiting',
        'part: waiting',
        'linkUp: waiting',
        'linkDown: waiting',
        'yield: yielded',
        'resume: waiting',
        'stop: stopped',
      ],
      handshake: [
        'stay: connected up',
        'part: waiting close',
        'linkUp: handshake join',
        'linkDown: handshake',
        'yield: yielded close',
        'resume: handshake',
        'stop: stopped close',
      ],
      connected: [
        'stay: connected',
        'part: waiting close down',
        'linkUp: connected',
        'linkDown: handshake down',
        'yield: yielded close down',
        'resume: connected',
        'stop: stopped close down',
      ],
      yielded: [
        'stay: yielded',
        'part: yielded',
        'linkUp: yielded',
        'linkDown: yielded',
        'yield: yielded',
        'resume: waiting',
        'stop: stopped',
      ],
      stopped: [
        'stay: stopped',
        'part: stopped',
        'linkUp: stopped',
        'linkDown: stopped',
        'yield: stopped',
        'resume: stopped',
        'stop: stopped',
      ],
    })
  })

  test('whatever happens: open and close alternate, as do up and down, and it always wakes again', () => {
    const step = fc.tuple(
      fc.constantFrom('due', 'stay', 'part', 'linkUp', 'linkDown', 'heard', 'yield', 'resume'),
      fc.integer({ min: 0, max: 100_000 }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const connector = machine()
        let now = 0
        let [open, up] = [false, false]
        for (const [event, ms] of steps) {
          now += ms
          const orders = event === 'yield' ? connector.yield() : connector[event](now)
          for (const order of Array.isArray(orders) ? (orders as readonly Order[]) : []) {
            if (order === 'open' || order === 'close') {
              assert.equal(open, order === 'close')
              open = order === 'open'
            } else if (order === 'up' || order === 'down') {
              assert.equal(up, order === 'down')
              up = order === 'up'
            } else assert.ok(open, `${order} without a connection`)
          }
          assert.equal(up, connector.state === 'connected')
          assert.equal(open, connector.state === 'handshake' || connector.state === 'connected')
          assert.equal(connector.wakeAt === Infinity, connector.state === 'yielded')
        }
      }),
    )
  })
})

describe('a binder answers JOIN', () => {
  const applicant: Applicant = {
    name: 'b',
    own: 'a',
    networkFits: true,
    connector: undefined,
    served: false,
    full: false,
  }

  test('by network, name, room, and its own connection to that name', () => {
    assert.equal(judge(applicant), 'stay')
    assert.equal(judge({ ...applicant, networkFits: false }), 'network')
    assert.equal(judge({ ...applicant, networkFits: false, served: true }), 'network')
    assert.equal(judge({ ...applicant, name: 'a' }), 'own-name')
    assert.equal(judge({ ...applicant, full: true }), 'full')
    assert.equal(judge({ ...applicant, full: true, served: true }), 'stay')
    for (const connector of ['waiting', 'yielded', 'stopped'] as const) {
      assert.equal(judge({ ...applicant, connector }), 'stay')
    }
    assert.equal(judge({ ...applicant, connector: 'connected' }), 'crossed')
  })

  test('of two that ask each other exactly one is admitted', () => {
    const here = judge({ ...applicant, connector: 'handshake' })
    const there = judge({ ...applicant, name: 'a', own: 'b', connector: 'handshake' })
    assert.deepEqual([here, there], ['crossed', 'stay'])
  })
})

test('times: the defaults are those of existing nodes, each is an option, nonsense is refused', () => {
  assert.deepEqual(timesOf(), {
    startDelayMs: 200,
    joinFirstMs: 200,
    joinEveryMs: 5_000,
    maxJoins: 10,
    idleMs: 30_000,
    silenceMs: 30_000,
    backoffMs: 60_000,
    maxBackoff: 7,
    partWaitMs: 5_000,
    partStepMs: 20,
    serveMs: 90_000,
  })
  assert.equal(timesOf({ serveMs: 1 }).serveMs, 1)
  assert.throws(() => timesOf({ idleMs: -1 }), { code: 'INVALID_OPTION' })
  assert.throws(() => timesOf({ idleMs: Number.NaN }), { code: 'INVALID_OPTION' })
})
