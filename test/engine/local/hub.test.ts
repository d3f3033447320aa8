import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { FlushScheduler } from '../../../src/engine/local/flush.ts'
import { Hub } from '../../../src/engine/local/hub.ts'
import {
  MAX_LINKS,
  MAX_LINK_SUBSCRIPTIONS,
  MAX_LOST_LINKS,
  MAX_OFFERS,
  MAX_WAITING_BYTES,
  SESSION_MS,
} from '../../../src/engine/local/limits.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { FLAG, Frame, KIND, TARGET } from '../../../src/wire/frame.ts'
import { PROTOCOL, type Hello } from '../../../src/wire/handshake.ts'
import { FakePort } from './fakes.ts'

const idOf = (n: number): string => `m${n}`.padEnd(22, '_')

function hello(n: number): Hello {
  const [id, name] = [idOf(n), `m${n}`]
  return { protocol: PROTOCOL, workspace: '1:2', id, name, pid: n, term: 0, version: 0, minVersion: 0, stands: false }
}

function scene(
  limits: Readonly<Record<string, number>> = {},
  succeeds = false,
): {
  hub: Hub
  join: (n: number) => FakePort
  clock: { now: number }
} {
  const clock = { now: 1000 }
  const hub = new Hub({
    ...{ term: 1, previousTerm: 0, identity: '1:2', version: 0, minVersion: 0, expected: undefined, succeeds },
    ...{ primary: { id: idOf(0), name: 'primary', pid: 1 }, holdsSeat: () => true, now: () => clock.now, limits },
    ...{ flush: new FlushScheduler(), onNewer: () => {}, onExhausted: () => {} },
  })
  hub.attachLocal(() => {})
  const join = (n: number): FakePort => {
    const told = hello(n)
    const protocol = hub.judge(told)
    return hub.admit(told, protocol, (slot, ref, session) => new FakePort(slot, ref.name, session)) as FakePort
  }
  return { hub, join, clock }
}

const subscribe = (id: number): Frame =>
  new Frame().set(KIND.SUBSCRIBE, 0, 0, id, 0, 0, 0).withName('a.b').withBody('{}')
const overloaded = (error: unknown): boolean => ConclaveError.is(error, 'OVERLOADED')

/** Time that passes as it does for a process that runs. */
function pass(clock: { now: number }, ms: number): void {
  for (let left = ms; left > 0; left -= 1000) {
    const step = Math.min(left, 1000)
    clock.now += step
    mock.timers.tick(step)
  }
}

test('SESSION_MS: the subscriptions of a lost link count on for that long, and are forgotten then', () => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  try {
    const { hub, join, clock } = scene()
    const port = join(1)
    hub.receive(port, subscribe(1))
    hub.remove(port, 'died')
    pass(clock, SESSION_MS - 1)
    assert.equal(hub.events.subscriptions, 1)
    pass(clock, 1)
    assert.equal(hub.events.subscriptions, 0)
    hub.close()
  } finally {
    mock.timers.reset()
  }
})

test('B1: a primary that was stopped for longer forgets nobody for it', () => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  try {
    const { hub, join, clock } = scene()
    const port = join(1)
    hub.receive(port, subscribe(1))
    hub.remove(port, 'died')
    clock.now += 10 * SESSION_MS
    mock.timers.tick(SESSION_MS / 4)
    assert.equal(hub.events.subscriptions, 1)
    pass(clock, SESSION_MS)
    assert.equal(hub.events.subscriptions, 0)
    hub.close()
  } finally {
    mock.timers.reset()
  }
})

test('MAX_OFFERS: a member that offers more is at fault', () => {
  const { hub, join } = scene()
  const port = join(1)
  const offer = (n: number): void => hub.receive(port, new Frame().set(KIND.OFFER, 0, 0, 0, 0, 0, 0).withName(`m${n}`))
  for (let n = 0; n < MAX_OFFERS; n++) offer(n)
  assert.throws(() => offer(MAX_OFFERS), overloaded)
  hub.close()
})

test('MAX_LINK_SUBSCRIPTIONS: one more is refused, the others stay', () => {
  const { hub, join } = scene()
  const port = join(1)
  for (let id = 1; id <= MAX_LINK_SUBSCRIPTIONS + 1; id++) hub.receive(port, subscribe(id))
  const answers = port.take().filter(({ kind }) => kind === KIND.SUBSCRIBED)
  assert.match(answers.at(-1)?.text ?? '', /OVERLOADED/)
  assert.equal(hub.events.subscriptions, MAX_LINK_SUBSCRIPTIONS)
  hub.close()
})

test('MAX_LINKS: one more is refused', () => {
  const { hub, join } = scene({ maxLinks: 3 })
  join(1)
  join(2)
  assert.throws(() => join(3), overloaded)
  assert.ok(MAX_LINKS >= 1000)
  hub.close()
})

const kinds = (port: FakePort): number[] => port.take().map(({ kind }) => kind)

test('a member that said goodbye is heard no more, in parts neither, and its link ends', () => {
  const { hub, join } = scene()
  const [callee, leaver, other] = [join(1), join(2), join(3)]
  hub.receive(callee, new Frame().set(KIND.OFFER, 0, 0, 1, 1, 0, 0).withName('work'))
  const request = (): Frame => new Frame().set(KIND.REQUEST, 0, 0, 1, TARGET.ANY, 1, Infinity).withName('work')
  let ended = false
  leaver.end = () => (ended = true)
  hub.receive(leaver, new Frame().set(KIND.GOODBYE, 0, 0, 0, 0, 0, 0))
  assert.ok(ended)
  let granted = 0
  const sink = hub.receivePart(leaver, request(), (bytes) => (granted += bytes))
  sink?.fragment(new Uint8Array(10), 0, 10, true, false, 0)
  assert.equal(granted, 10)
  assert.deepEqual(callee.transfers, [])
  callee.take()
  hub.receive(other, request())
  assert.deepEqual(kinds(callee), [KIND.REQUEST], 'the only place is free')
  hub.close()
})

test('a long request that is given up while it is joined is not run', () => {
  const { hub, join } = scene()
  const [callee, caller] = [join(1), join(2)]
  const request = (): Frame => {
    return new Frame().set(KIND.REQUEST, FLAG.NOTIFY, callee.slot, 1, TARGET.SLOT, 1, Infinity).withName('work')
  }
  callee.take()
  assert.equal(
    hub.receivePart(caller, request(), () => {}),
    undefined,
  )
  assert.equal(hub.drained, false)
  hub.receive(caller, new Frame().set(KIND.CANCEL, 0, 0, 0, 0, 1, 0))
  assert.ok(hub.drained, 'nobody waits for it')
  hub.receive(caller, request())
  assert.deepEqual(kinds(callee), [])
  hub.close()
})

test('B17 a member that does not read is cut off by refusals and by news of others, too', () => {
  const { hub, join } = scene({ maxLinkBytes: 100 })
  const acts: Record<string, (port: FakePort) => unknown> = {
    subscribe: (port) => hub.receive(port, subscribe(1).withName('a..b')),
    publish: (port) => hub.receive(port, new Frame().set(KIND.PUBLISH, 0, 0, 0, 0, 1, 0).withName('a..b')),
    roster: () => join(99),
  }
  for (const [n, [what, act]] of Object.entries(acts).entries()) {
    const port = join(n + 1)
    act(port)
    assert.equal(port.closedWith, undefined, what)
    port.take()
    port.queuedBytes = 101
    act(port)
    assert.ok(overloaded(port.closedWith), what)
    hub.remove(port, 'died')
  }
  hub.close()
})

test('C2 what a member that came back did not take up again is forgotten, in time and by count', () => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  try {
    const { hub, join, clock } = scene()
    for (let round = 0; round < 3; round++) {
      const port = join(1)
      for (let id = 1; id <= MAX_LINK_SUBSCRIPTIONS; id++) hub.receive(port, subscribe(round * 1000 + id))
      hub.remove(port, 'died')
    }
    assert.equal(hub.events.subscriptions, MAX_LINK_SUBSCRIPTIONS)
    const back = join(1)
    hub.receive(back, subscribe(2001))
    pass(clock, SESSION_MS)
    assert.equal(hub.events.subscriptions, 1)
    hub.receive(back, new Frame().set(KIND.PUBLISH, 0, 0, 0, 0, 5, 0).withName('x'))
    hub.remove(back, 'died')
    const session = join(1).session
    assert.equal(session.lastPublish, 5, 'its numbers are known')
    hub.close()
  } finally {
    mock.timers.reset()
  }
})

test('MAX_LOST_LINKS: of more the one that was lost first is forgotten', () => {
  const { hub, join } = scene()
  for (let n = 1; n <= MAX_LOST_LINKS + 1; n++) {
    const port = join(n)
    hub.receive(port, subscribe(1))
    port.session.lastPublish = n
    hub.remove(port, 'died')
  }
  assert.equal(hub.events.subscriptions, MAX_LOST_LINKS)
  assert.deepEqual([join(1).session.lastPublish, join(2).session.lastPublish], [0, 2])
  hub.close()
})

test('MAX_WAITING_BYTES: queries that wait for the members of the last term', () => {
  const { hub, join } = scene({ graceMs: 60_000 }, true)
  const port = join(1)
  port.take()
  const ids = 'x'.repeat(MAX_WAITING_BYTES / 4)
  const query = (number: number): Frame => {
    const body = JSON.stringify({ method: 'x', to: { ids: [ids] } })
    return new Frame().set(KIND.QUERY, 0, 0, 0, 0, number, Infinity).withName('peers').withBody(body)
  }
  for (let n = 1; n <= 5; n++) hub.receive(port, query(n))
  assert.deepEqual(
    port.take().map(({ kind, number }) => [kind, number]),
    [
      [KIND.RESPONSE, 4],
      [KIND.RESPONSE, 5],
    ],
  )
  hub.close()
})
