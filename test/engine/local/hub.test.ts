import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { FlushScheduler } from '../../../src/engine/local/flush.ts'
import { Hub } from '../../../src/engine/local/hub.ts'
import { MAX_LINKS, MAX_LINK_SUBSCRIPTIONS, MAX_OFFERS, SESSION_MS } from '../../../src/engine/local/limits.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { Frame, KIND } from '../../../src/wire/frame.ts'
import { PROTOCOL, type Hello } from '../../../src/wire/handshake.ts'
import { FakePort } from './fakes.ts'

const idOf = (n: number): string => `m${n}`.padEnd(22, '_')

function hello(n: number): Hello {
  const [id, name] = [idOf(n), `m${n}`]
  return { protocol: PROTOCOL, workspace: '1:2', id, name, pid: n, term: 0, version: 0, minVersion: 0, stands: false }
}

function scene(limits: Readonly<Record<string, number>> = {}): {
  hub: Hub
  join: (n: number) => FakePort
  clock: { now: number }
} {
  const clock = { now: 1000 }
  const hub = new Hub({
    ...{ term: 1, previousTerm: 0, identity: '1:2', version: 0, minVersion: 0, expected: undefined, succeeds: false },
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

test('SESSION_MS: the subscriptions of a lost link count on for that long, and are forgotten then', () => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  try {
    const { hub, join, clock } = scene()
    const port = join(1)
    hub.receive(port, subscribe(1))
    hub.remove(port, 'died')
    clock.now += SESSION_MS - 1
    mock.timers.tick(SESSION_MS)
    assert.equal(hub.events.subscriptions, 1)
    clock.now += 1
    mock.timers.tick(SESSION_MS)
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
