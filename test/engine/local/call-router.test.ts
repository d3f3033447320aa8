import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CallRouter, type RouterLimits } from '../../../src/engine/local/call-router.ts'
import type { Directory } from '../../../src/engine/local/routes.ts'
import { LONG_FACTOR } from '../../../src/engine/local/limits.ts'
import { FAILED_BY } from '../../../src/rpc/caller.ts'
import { MAX_CALLS_IN_FLIGHT } from '../../../src/rpc/limits.ts'
import { FLAG, Frame, KIND, TARGET } from '../../../src/wire/frame.ts'
import { MAX_FRAGMENT_BYTES } from '../../../src/wire/limits.ts'
import { FakePort } from './fakes.ts'

function bench(count: number, limits: RouterLimits = {}) {
  const ports = Array.from({ length: count }, (_, i) => new FakePort(i + 1))
  const state = { now: 1000, settling: false }
  const here = (port: FakePort): boolean => !port.closed
  const directory: Directory = {
    primary: () => ports[0]!,
    bySlot: (slot) => ports.find((port) => here(port) && port.slot === slot),
    byId: (id) => ports.find((port) => here(port) && port.ref.id === id),
    byName: (name) => ports.filter((port) => here(port) && port.ref.name === name),
    members: () => ports.filter(here),
    now: () => state.now,
    settling: () => state.settling,
  }
  return { ports, state, calls: new CallRouter(directory, limits) }
}

function request(number: number, to: { slot?: number; any?: true; name?: string }, flags = 0, body = '1'): Frame {
  const mode = to.any === true ? TARGET.ANY : to.name === undefined ? TARGET.SLOT : TARGET.NAME
  const name = to.name === undefined ? 'work' : `work\0${to.name}`
  return new Frame()
    .set(KIND.REQUEST, flags, to.slot ?? 0, 1, mode, number, 2000)
    .withName(name)
    .withBody(body)
}

function answer(kind: number, to: FakePort, number: number, body: string | Uint8Array = '1'): Frame {
  return new Frame().set(kind, 0, to.slot, 0, 0, number, 0).withBody(body)
}

const failures = (port: FakePort): string[] =>
  port
    .take()
    .filter(({ kind }) => kind === KIND.FAILURE)
    .map((frame) => (JSON.parse(frame.text) as { data: { code: string } }).data.code)

const offer = (concurrency = Infinity, to: 'any' | 'primary' = 'any') => ({
  method: 'work',
  to,
  concurrency,
  running: 0,
})

test('A14 what is past its deadline, or has none that is a number, is not passed on', () => {
  const { ports, state, calls } = bench(2)
  state.now = 2000
  calls.request(ports[0]!, request(1, { slot: 2 }))
  const odd = request(2, { slot: 2 })
  odd.time = NaN
  calls.request(ports[0]!, odd)
  assert.deepEqual(failures(ports[0]!), ['TIMEOUT', 'TIMEOUT'])
  assert.deepEqual(ports[1]!.take(), [])
  assert.equal(calls.counters.expired, 2)
})

test('an offer that is withdrawn and made again keeps count of what runs', () => {
  const { ports, calls } = bench(2)
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.offer(callee, offer(2))
  for (let i = 1; i <= 5; i++) calls.request(caller, request(i, { any: true }))
  assert.equal(callee.take().length, 2)
  calls.offer(callee, offer(3))
  assert.equal(callee.take().length, 1)
  calls.withdraw(callee, 'work')
  assert.deepEqual(
    failures(caller),
    ['METHOD_NOT_FOUND', 'METHOD_NOT_FOUND'],
    'those that wait learn that nobody is left',
  )
  calls.offer(callee, offer(3))
  calls.request(caller, request(6, { any: true }))
  assert.equal(callee.take().length, 0)
  assert.equal(callee.offers.get('work')?.running, 3)
  for (const number of [1, 2, 3]) calls.reply(callee, answer(KIND.RESPONSE, caller, number))
  assert.equal(callee.take().length, 1)
  calls.reply(callee, answer(KIND.RESPONSE, caller, 6))
  assert.equal(callee.offers.get('work')?.running, 0)
  assert.equal(caller.calls.size + callee.serving.size + caller.waitingCalls, 0)
  assert.equal(calls.waitingBytes, 0)
})

test('waiting calls go in their order, one for each place', () => {
  const { ports, calls } = bench(3)
  const [one, two, callee] = ports as [FakePort, FakePort, FakePort]
  calls.offer(callee, offer(1))
  for (let i = 1; i <= 3; i++) {
    calls.request(one, request(i, { any: true }))
    calls.request(two, request(i, { any: true }))
  }
  const order: string[] = []
  for (;;) {
    const [next] = callee.take()
    if (next === undefined) break
    order.push(`${next.a}:${next.number}`)
    calls.reply(callee, answer(KIND.RESPONSE, next.a === 1 ? one : two, next.number))
  }
  assert.deepEqual(order, ['1:1', '2:1', '1:2', '2:2', '1:3', '2:3'])
})

test(`C5 ${MAX_CALLS_IN_FLIGHT} calls of one link, those that wait among them`, () => {
  const { ports, calls } = bench(2)
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.offer(callee, offer(1000))
  for (let i = 1; i <= MAX_CALLS_IN_FLIGHT; i++) calls.request(caller, request(i, { any: true }))
  assert.deepEqual(failures(caller), [])
  calls.request(caller, request(MAX_CALLS_IN_FLIGHT + 1, { any: true }))
  assert.deepEqual(failures(caller), ['OVERLOADED'])
  calls.cancel(caller, answer(KIND.CANCEL, caller, MAX_CALLS_IN_FLIGHT))
  calls.request(caller, request(MAX_CALLS_IN_FLIGHT + 2, { any: true }))
  assert.deepEqual(failures(caller), [])
})

test('C4 late, invented and foreign answers are counted and dropped', () => {
  const { ports, calls } = bench(3)
  const [caller, callee, other] = ports as [FakePort, FakePort, FakePort]
  calls.request(caller, request(1, { slot: 2 }))
  calls.reply(other, answer(KIND.RESPONSE, caller, 1))
  calls.reply(callee, answer(KIND.RESPONSE, caller, 2))
  assert.deepEqual(caller.take(), [])
  calls.reply(callee, answer(KIND.RESPONSE, caller, 1))
  calls.reply(callee, answer(KIND.RESPONSE, caller, 1))
  assert.equal(caller.take().length, 1)
  assert.equal(calls.counters.unknownReplies, 3)
})

test('what follows a long item waits until it is out, the end of the call too', () => {
  const { ports, calls } = bench(2)
  const [caller, callee] = ports as [FakePort, FakePort]
  caller.longFrom = 100
  calls.request(caller, request(1, { slot: 2 }, FLAG.STREAM))
  const long = new Uint8Array(500)
  calls.reply(callee, answer(KIND.ITEM, caller, 1, long))
  calls.reply(callee, answer(KIND.ITEM, caller, 1, '2'))
  calls.reply(callee, answer(KIND.ITEM, caller, 1, long))
  calls.reply(callee, answer(KIND.ITEM, caller, 1, '4'))
  calls.reply(callee, answer(KIND.RESPONSE, caller, 1, '5'))
  assert.equal(caller.transfers.length, 1)
  assert.deepEqual(caller.frames, [])
  caller.finish()
  assert.deepEqual(
    caller.take().map((frame) => frame.bodyBytes()),
    [500, 1],
  )
  caller.finish()
  assert.deepEqual(
    caller.take().map((frame) => [frame.kind, frame.bodyBytes()]),
    [
      [KIND.ITEM, 500],
      [KIND.ITEM, 1],
      [KIND.RESPONSE, 1],
    ],
  )
})

test('B16 a request that is given up in the middle of its body leaves nothing behind', () => {
  const { ports, calls } = bench(2)
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.offer(callee, offer(1))
  const sink = calls.relay(caller, request(1, { any: true }), () => {})!
  sink.fragment(new Uint8Array(10), 0, 10, false, false)
  calls.cancel(caller, answer(KIND.CANCEL, caller, 1))
  sink.fragment(new Uint8Array(0), 0, 0, true, true)
  assert.equal(caller.calls.size + callee.serving.size, 0)
  assert.equal(callee.offers.get('work')?.running, 0)
  // A repeat of the same number is another call: the end of the first must not take it away.
  const first = calls.relay(caller, request(2, { any: true }), () => {})!
  calls.forget(Object.assign(callee, { closed: true }))
  assert.deepEqual(failures(caller), ['CALLEE_LOST'])
  calls.request(caller, request(2, { slot: 1 }))
  first.fragment(new Uint8Array(0), 0, 0, true, true)
  assert.equal(caller.calls.size, 1)
})

test('a port that goes: its callers learn it from the switchboard, what it called is aborted, what it offered is gone', () => {
  const { ports, calls } = bench(3)
  const [one, going, two] = ports as [FakePort, FakePort, FakePort]
  calls.offer(going, offer(1))
  calls.request(one, request(1, { any: true }))
  calls.request(two, request(1, { any: true }))
  calls.request(going, request(9, { slot: 3 }))
  two.take()
  going.closed = true
  calls.forget(going)
  const [lost] = one.take()
  assert.equal(lost?.c, FAILED_BY.SWITCHBOARD)
  assert.equal((JSON.parse(lost!.text) as { data: { code: string } }).data.code, 'CALLEE_LOST')
  const [cancel, ...rest] = two.take()
  assert.deepEqual([cancel?.kind, cancel?.a, cancel?.number], [KIND.CANCEL, 2, 9])
  assert.equal(rest.length, 1, 'what waited for it learns that nobody is left')
  assert.equal(one.calls.size + two.calls.size + two.serving.size + calls.waitingCount, 0)
})

test('A13 what waits at the goodbye is given back as not committed', () => {
  const { ports, calls } = bench(2)
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.offer(callee, offer(1))
  for (let i = 1; i <= 3; i++) calls.request(caller, request(i, { any: true }))
  calls.refuseAllWaiting()
  const given = caller.take()
  assert.deepEqual(
    given.map(({ number, c }) => [number, c]),
    [
      [2, FAILED_BY.SWITCHBOARD],
      [3, FAILED_BY.SWITCHBOARD],
    ],
  )
  for (const frame of given) {
    const { data } = JSON.parse(frame.text) as { data: object }
    assert.deepEqual(data, { code: 'PRIMARY_LOST', outcome: 'not-committed' })
  }
})

test('B14 an unknown name waits while members are on their way', () => {
  const { ports, state, calls } = bench(2)
  const [caller, late] = ports as [FakePort, FakePort]
  late.closed = true
  state.settling = true
  calls.request(caller, request(1, { name: 'm2' }))
  calls.request(caller, request(2, { name: 'nobody' }))
  assert.deepEqual(caller.frames, [])
  late.closed = false
  calls.offer(late, offer())
  assert.equal(late.take().length, 1)
  state.settling = false
  calls.retryWaiting()
  assert.deepEqual(failures(caller), ['MEMBER_NOT_FOUND'])
})

test('B17 a link that lets answers wait is cut off, one that lets requests wait gets none', () => {
  const { ports, calls } = bench(2, { maxLinkBytes: 100 })
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.request(caller, request(1, { slot: 2 }))
  callee.queuedBytes = 101
  calls.request(caller, request(2, { slot: 2 }))
  assert.deepEqual(failures(caller), ['OVERLOADED'])
  caller.queuedBytes = 101
  calls.reply(callee, answer(KIND.RESPONSE, caller, 1))
  assert.deepEqual(caller.take(), [])
  assert.equal((caller.closedWith as { code: string }).code, 'OVERLOADED')
})

test('what the callee says of itself is not taken for the word of the switchboard', () => {
  const { ports, calls } = bench(2)
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.request(caller, request(1, { slot: 2 }))
  const forged = answer(KIND.FAILURE, caller, 1)
  forged.c = FAILED_BY.SWITCHBOARD
  calls.reply(callee, forged)
  assert.equal(caller.take()[0]?.c, FAILED_BY.CALLEE)
})

test('a call that its caller gives up while its long request is under way never reaches the callee, and frees its place', () => {
  const { ports, calls } = bench(3)
  const [caller, callee, other] = ports as [FakePort, FakePort, FakePort]
  calls.offer(callee, offer(1))
  const relay = (from: FakePort, number: number): void => {
    const sink = calls.relay(from, request(number, { any: true }, FLAG.MORE, 'xx'), () => {})
    sink?.fragment(Buffer.from('xx'), 0, 2, true, false, 0)
  }
  relay(caller, 1)
  const [transfer] = callee.transfers.splice(0)
  calls.cancel(caller, new Frame().set(KIND.CANCEL, 0, 0, 0, 0, 1, 0))
  assert.ok(transfer!.ready && !transfer!.next(new Frame()) && transfer!.spent, 'nothing of it is sent')
  relay(other, 2)
  assert.equal(callee.transfers.length, 1, 'the place is free')
  callee.transfers[0]!.next(new Frame())
  calls.forget(other)
  assert.deepEqual(callee.take(), [], 'no CANCEL goes ahead of it')
  callee.transfers[0]!.close()
  calls.request(caller, request(3, { any: true }))
  calls.cancel(caller, new Frame().set(KIND.CANCEL, 0, 0, 0, 0, 3, 0))
  calls.cancel(caller, new Frame().set(KIND.CANCEL, 0, 0, 0, 0, 3, 0))
  const kinds = callee.take().map(({ kind }) => kind)
  assert.deepEqual(kinds, [KIND.REQUEST, KIND.CANCEL], 'what it has is aborted, once')
})

test('LONG_FACTOR: long requests, whole or relayed, are refused when too much of them waits for a link', () => {
  const { ports, calls } = bench(2, { maxLinkBytes: 1000 })
  const [caller, callee] = ports as [FakePort, FakePort]
  const long = 'x'.repeat(MAX_FRAGMENT_BYTES + 1)
  callee.long = 1000 * LONG_FACTOR
  assert.ok(calls.relay(caller, request(1, { slot: 2 }, FLAG.MORE), () => {}))
  callee.long++
  assert.equal(
    calls.relay(caller, request(2, { slot: 2 }, FLAG.MORE), () => {}),
    undefined,
  )
  calls.request(caller, request(3, { slot: 2 }, 0, long))
  calls.request(caller, request(4, { slot: 2 }, FLAG.NOTIFY, long))
  assert.deepEqual(failures(caller), ['OVERLOADED', 'OVERLOADED'])
  calls.request(caller, request(5, { slot: 2 }))
  assert.deepEqual(failures(caller), [], 'short ones have a bound of their own')
})

test('B17 what a callee sends behind a long item, and credit for one that does not read, count as what waits', () => {
  const { ports, calls } = bench(2, { maxLinkBytes: 100 })
  const [caller, callee] = ports as [FakePort, FakePort]
  calls.request(caller, request(1, { slot: 2 }, FLAG.STREAM))
  caller.longFrom = 50
  calls.reply(callee, answer(KIND.ITEM, caller, 1, 'x'.repeat(50)))
  for (let i = 0; i < 3; i++) calls.reply(callee, answer(KIND.ITEM, caller, 1, 'y'.repeat(40)))
  assert.equal(caller.laterBytes, 120)
  assert.equal(caller.closedWith, undefined)
  calls.reply(callee, answer(KIND.ITEM, caller, 1, 'y'.repeat(40)))
  assert.equal((caller.closedWith as { code: string } | undefined)?.code, 'OVERLOADED')
  caller.finish()
  assert.equal(caller.laterBytes, 0)
  callee.queuedBytes = 101
  calls.credit(caller, new Frame().set(KIND.CREDIT, 0, 0, 1, 0, 1, 0))
  assert.equal((callee.closedWith as { code: string } | undefined)?.code, 'OVERLOADED')
})
