/** Calls: what a bus answers, and what a client makes of it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { Bus, type BusNotice } from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { loadZeromq } from '../../../src/dialects/zmq-library.ts'
import { defer, until } from '../../support/index.ts'
import { dialZmtp, frameOf, newClient, rawServer, readyOf, GREETING, startBus, startTcpBus } from './support.ts'

describe('JSON-RPC 2.0, whatever comes', () => {
  const request = (id: unknown, method = 'echo', params: unknown = [1]): object => ({
    jsonrpc: '2.0',
    id,
    method,
    params,
  })
  const error = (id: unknown, code: number): object => ({ id, code })
  const CASES: readonly (readonly [name: string, sent: unknown, answer: unknown])[] = [
    ['a text id', request('a'), { jsonrpc: '2.0', id: 'a', result: [1] }],
    ['a numeric id', request(1.5), { jsonrpc: '2.0', id: 1.5, result: [1] }],
    ['a null id', request(null), { jsonrpc: '2.0', id: null, result: [1] }],
    ['an id that is an object', request({}), error(null, -32600)],
    ['an id that is a list', request([1]), error(null, -32600)],
    ['an id that is a boolean', request(true), error(null, -32600)],
    ['an id that no number keeps', request(2 ** 60), error(null, -32600)],
    ['no version', { id: 1, method: 'echo' }, error(1, -32600)],
    ['another version', { jsonrpc: '1.0', id: 1, method: 'echo' }, error(1, -32600)],
    ['no method', { jsonrpc: '2.0', id: 1 }, error(1, -32600)],
    ['a method that is no text', { jsonrpc: '2.0', id: 1, method: 7 }, error(1, -32600)],
    ['a text', 'hello', error(null, -32600)],
    ['null', null, error(null, -32600)],
    ['an unknown method', request(1, 'nosuch'), error(1, -32601)],
    ['a name of a prototype', request(1, 'constructor'), error(1, -32601)],
    ['params that do not fit', request(1, 'typed', { n: 'x' }), error(1, -32602)],
    ['an empty batch', [], error(null, -32600)],
    [
      'a batch',
      [request(1), { jsonrpc: '2.0', method: 'note' }, 1],
      [{ jsonrpc: '2.0', id: 1, result: [1] }, error(null, -32600)],
    ],
    ['no result', request(1, 'nothing'), { jsonrpc: '2.0', id: 1, result: null }],
    ['a result that is no JSON', request(1, 'bigint'), error(1, -32016)],
  ]
  const short = (answer: unknown): unknown => {
    if (Array.isArray(answer)) return answer.map(short)
    const { id, error: fault } = answer as { id: unknown; error?: { code: number } }
    return fault === undefined ? answer : error(id, fault.code)
  }

  for (const [name, sent, due] of CASES) {
    test(name, async (t) => {
      const bus = await startTcpBus(t)
      bus.registerMethod('echo', (params) => params)
      bus.registerMethod('nothing', async () => {})
      bus.registerMethod('bigint', () => 1n)
      bus.registerMethod('typed', (params) => params, { params: z.object({ n: z.number() }) })
      const peer = await dialZmtp(t, bus.rpcAddr, 'DEALER')
      peer.write(frameOf('', 1), frameOf(JSON.stringify(sent)))
      const [empty, text = ''] = await peer.message()
      assert.equal(empty, '')
      assert.deepEqual(short(JSON.parse(text)), due)
    })
  }

  test('notifications and answers are not answered, and the process lives', async (t) => {
    const notices: BusNotice[] = []
    const bus = await startTcpBus(t, { onNotice: (notice) => notices.push(notice) })
    const seen: unknown[] = []
    bus.registerMethod('note', (params) => void seen.push(params))
    bus.registerMethod('bad', async () => Promise.reject(new Error('on purpose')))
    const peer = await dialZmtp(t, bus.rpcAddr, 'DEALER')
    for (const silent of [
      { jsonrpc: '2.0', method: 'note', params: 1 },
      { jsonrpc: '2.0', method: 'bad' },
      { jsonrpc: '2.0', method: 'nosuch' },
      { jsonrpc: '2.0', id: 5, result: 1 },
      [{ jsonrpc: '2.0', method: 'note', params: 2 }],
    ]) {
      peer.write(frameOf('', 1), frameOf(JSON.stringify(silent)))
    }
    peer.write(frameOf('{"jsonrpc":"2.0","id":"last","method":"x"}'))
    assert.equal((JSON.parse((await peer.message())[1] ?? '') as { id: string }).id, 'last')
    assert.deepEqual(seen, [1, 2])
    await until(() => notices.some(({ type }) => type === 'notification-error'), 'the notice of the error')
  })

  test('missing and further frames: the last one counts', async (t) => {
    const bus = await startTcpBus(t)
    bus.registerMethod('echo', (params) => params)
    const peer = await dialZmtp(t, bus.rpcAddr, 'DEALER')
    const good = frameOf('{"jsonrpc":"2.0","id":"1","method":"echo"}')
    const bad = /"id":null,"error":\{"code":-32700/
    for (const [frames, due] of [
      [[good], /"id":"1","result":null/],
      [[frameOf('a', 1), frameOf('b', 1), good], /"id":"1","result":null/],
      [[frameOf('')], bad],
      [[frameOf('', 1), frameOf('')], bad],
      [[frameOf('', 1), frameOf(Buffer.from([0x22, 0xff, 0x22]))], bad],
    ] as const) {
      peer.write(...frames)
      const [empty, text = ''] = await peer.message()
      assert.equal(empty, '')
      assert.match(text, due)
    }
    assert.equal(bus.counters.refused, 3)
  })
})

test('what a handler throws reaches its caller: a text, or a code of ours with its data', async (t) => {
  const notices: BusNotice[] = []
  const bus = await startBus(t, { onNotice: (notice) => notices.push(notice) })
  const client = newClient(t)
  bus.registerMethod('plain', () => {
    throw new Error('on purpose')
  })
  bus.registerMethod('coded', () => {
    throw new ConclaveError('CONFLICT', 'taken', { data: { by: 7 }, outcome: 'not-committed' })
  })
  bus.registerMethod('own', () => {
    throw Object.assign(new TypeError('own'), { code: 'E_OWN' })
  })
  await assert.rejects(client.call(bus.address, 'plain'), { code: 'FAILED', message: 'on purpose', reason: undefined })
  await assert.rejects(client.call(bus.address, 'coded'), {
    code: 'CONFLICT',
    message: 'taken',
    data: { by: 7 },
    outcome: 'not-committed',
  })
  await assert.rejects(client.call(bus.address, 'own'), { code: 'FAILED', message: 'own', reason: 'E_OWN' })
  assert.deepEqual(
    notices.map((notice) => notice.type === 'handler-error' && notice.method),
    ['plain', 'own'],
  )
})

test('methods are registered once, and can be taken back', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t)
  const method = bus.registerMethod('a', () => 1)
  assert.throws(
    () => bus.registerMethod('a', () => 2),
    (error) => ConclaveError.is(error, 'CONFLICT'),
  )
  assert.equal(await client.call(bus.address, 'a'), 1)
  method[Symbol.dispose]()
  await assert.rejects(client.call(bus.address, 'a'), { code: 'METHOD_NOT_FOUND' })
})

test('a call ends by its deadline or signal, its late answer is counted, and the next one is answered', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t)
  let answer: (value: string) => void = () => {}
  bus.registerMethod('slow', () => new Promise((resolve) => (answer = resolve)))
  bus.registerMethod('quick', () => 'quick')
  // Once it is connected a call is on its way at once: its outcome is unknown, however soon its time is over.
  assert.equal(await client.call(bus.address, 'quick'), 'quick')
  await assert.rejects(client.call(bus.address, 'slow', undefined, { timeoutMs: 30 }), {
    code: 'TIMEOUT',
    outcome: 'unknown',
  })
  await until(() => bus.counters.running === 1, 'the call to run')
  answer('late')
  await until(() => client.counters.late === 1, 'the late answer')
  const controller = new AbortController()
  const aborted = client.call(bus.address, 'slow', undefined, { signal: controller.signal })
  await until(() => bus.counters.running === 1, 'the call to run')
  controller.abort()
  await assert.rejects(aborted, { code: 'ABORTED', outcome: 'unknown' })
  await assert.rejects(client.call(bus.address, 'quick', 1, { signal: controller.signal }), { code: 'ABORTED' })
  assert.equal(await client.call(bus.address, 'quick'), 'quick')
  answer('late too')
})

test('nobody there: told after a few attempts, and a bus that comes is found by the next call', async (t) => {
  const client = newClient(t)
  const bus = await startBus(t)
  const { address } = bus
  bus.registerMethod('a', () => 1)
  assert.equal(await client.call(address, 'a'), 1)
  await bus.shutdown()
  await assert.rejects(client.call(address, 'a'), (error) => ConclaveError.is(error, 'DISCONNECTED'))
  await assert.rejects(client.call(address, 'a'), { code: 'DISCONNECTED', outcome: 'not-committed' })
})

test('calls on a connection that is lost end as unknown', async (t) => {
  const { endpoint, peers } = await rawServer(t, async (peer) => {
    peer.write(GREETING, readyOf('ROUTER'))
    await peer.greeting()
    await peer.frame()
    await peer.message()
    peer.socket.destroy()
  })
  const client = newClient(t, { insecure: true })
  await assert.rejects(client.call(endpoint, 'a'), { code: 'DISCONNECTED', outcome: 'unknown' })
  assert.ok(peers.length >= 1)
})

test('a listener of notices that throws ends neither the bus nor a call', async (t) => {
  const heard: string[] = []
  const onNotice = ({ type }: { readonly type: string }): void => {
    heard.push(type)
    throw new Error('the log is full')
  }
  const bus = await startBus(t, { onNotice })
  bus.registerMethod('bad', () => {
    throw new Error('on purpose')
  })
  bus.registerMethod('later', () => Promise.reject(new Error('on purpose')))
  const client = newClient(t)
  for (const method of ['bad', 'later', 'bad']) {
    await assert.rejects(client.call(bus.address, method), { code: 'FAILED', message: 'on purpose' })
  }
  assert.deepEqual(heard, ['handler-error', 'handler-error', 'handler-error'])
})

test('a first call that is aborted in the turn in which it was made', async (t) => {
  const bus = await startBus(t)
  bus.registerMethod('never', () => new Promise(() => {}))
  const client = newClient(t)
  const controller = new AbortController()
  const call = client.call(bus.address, 'never', 1, { signal: controller.signal })
  controller.abort()
  await assert.rejects(call, { code: 'ABORTED' })
})

describe('what breaks the protocol is let go, and asked again', () => {
  const curve = Buffer.from(GREETING)
  curve.write('CURVE', 12, 'latin1')
  const BREACHES: readonly (readonly [string, readonly Buffer[]])[] = [
    ['bytes that are no ZMTP', [Buffer.alloc(100, 0xff)]],
    ['a bus with keys', [curve]],
    ['a socket of another kind', [GREETING, readyOf('PUB')]],
    ['a handshake that is none', [GREETING, frameOf('xxx', 4)]],
  ]
  for (const [what, bytes] of BREACHES) {
    test(`${what}: DISCONNECTED, and the bus that is there afterwards answers`, async (t) => {
      const { endpoint, server, peers } = await rawServer(t, (peer) => peer.write(...bytes))
      const client = newClient(t, { insecure: true })
      await assert.rejects(client.call(endpoint, 'echo', 1), { code: 'DISCONNECTED', outcome: 'not-committed' })
      server.close()
      for (const { socket } of peers) socket.destroy()
      const bus = new Bus({ insecure: true })
      defer(t, () => bus.shutdown())
      bus.registerMethod('echo', (params) => params)
      await bus.start(0, Number(endpoint.split(':').at(-1)))
      assert.equal(await client.call(endpoint, 'echo', 2), 2)
    })
  }

  test('an answer that is too long ends its call and the connection; later calls are answered', async (t) => {
    const bus = await startBus(t)
    const client = newClient(t, { maxMessageBytes: 4000 })
    bus.registerMethod('echo', (params) => params)
    bus.registerMethod('long', () => 'x'.repeat(5000))
    await assert.rejects(client.call(bus.address, 'long'), { code: 'DISCONNECTED', outcome: 'unknown' })
    assert.equal(await client.call(bus.address, 'echo', 'x'), 'x')
    await assert.rejects(client.call(bus.address, 'long'), { code: 'DISCONNECTED', outcome: 'unknown' })
    assert.equal(await client.call(bus.address, 'echo', 'y'), 'y')
  })
})

describe('bounds', () => {
  test('maxRequests, maxRequestsAPeer and maxRequestBytes: OVERLOADED', async (t) => {
    for (const bound of [{ maxRequests: 2 }, { maxRequestsAPeer: 2 }, { maxRequestBytes: 300 }]) {
      const bus = await startBus(t, bound)
      const client = newClient(t)
      const answers: ((value: unknown) => void)[] = []
      bus.registerMethod('slow', () => new Promise((resolve) => answers.push(resolve)))
      const text = 'x'.repeat(60)
      const two = [client.call(bus.address, 'slow', text), client.call(bus.address, 'slow', text)]
      await until(() => answers.length === 2, 'two of them to run')
      await assert.rejects(client.call(bus.address, 'slow', text), { code: 'OVERLOADED' })
      for (const answer of answers) answer(1)
      assert.deepEqual(await Promise.all(two), [1, 1])
    }
  })

  test('maxMessageBytes: to send and to answer, and a peer that sends more is let go', async (t) => {
    const bus = await startBus(t, { maxMessageBytes: 2000 })
    const client = newClient(t, { maxMessageBytes: 4000 })
    bus.registerMethod('echo', (params) => params)
    bus.registerMethod('long', () => 'x'.repeat(2000))
    await assert.rejects(client.call(bus.address, 'echo', 'x'.repeat(4000)), { code: 'TOO_LARGE' })
    await assert.rejects(client.call(bus.address, 'long'), { code: 'TOO_LARGE' })
    await assert.rejects(client.call(bus.address, 'echo', 'x'.repeat(3000)), { code: 'DISCONNECTED' })
    assert.equal(await client.call(bus.address, 'echo', 'x'), 'x')
    assert.throws(() => bus.publish('a', 'x'.repeat(2000)), { code: 'TOO_LARGE' })
  })

  test('answerHighWaterBytes: a caller that does not read loses answers, others do not', async (t) => {
    const bus = await startTcpBus(t, { answerHighWaterBytes: 1 << 20 })
    const client = newClient(t, { insecure: true })
    bus.registerMethod('long', () => 'x'.repeat(100_000))
    const stuck = await dialZmtp(t, bus.rpcAddr, 'DEALER', 'stuck')
    stuck.stop()
    for (let n = 0; n < 500; n++) stuck.write(frameOf(`{"jsonrpc":"2.0","id":${n},"method":"long"}`))
    await until(() => bus.counters.undeliverable > 0, 'answers to be given up')
    assert.equal(((await client.call(bus.address, 'long')) as string).length, 100_000)
  })

  test('calls that wait: OVERLOADED past 16,384, and past 64 MiB', async (t) => {
    const client = newClient(t, { timeoutMs: 60_000 })
    const nobody = 'ipc:///nowhere/at/all.rpc'
    const calls: Promise<unknown>[] = [client.call(nobody, 'first')]
    await loadZeromq() // then there is its link, and it has not heard yet that nobody is there
    for (let count = 0; count < 16_384; count++) calls.push(client.call(nobody, 'x'))
    const ended = await Promise.race([Promise.allSettled(calls.slice(-1)), client.close().then(() => [])])
    assert.equal(ended.length, 1)
    const settled = await Promise.allSettled(calls)
    const codes = new Set(settled.map((one) => (one.status === 'rejected' ? (one.reason as ConclaveError).code : '')))
    assert.ok(codes.has('OVERLOADED'))

    const large = newClient(t, { timeoutMs: 60_000 })
    const body = 'x'.repeat(15 << 20)
    const five = [1, 2, 3, 4, 5].map(() => large.call(nobody, 'x', body))
    await assert.rejects(five.at(-1) ?? Promise.resolve(), { code: 'OVERLOADED' })
    await large.close()
    await Promise.allSettled(five)
  })
})

test('shutdown answers what runs, refuses what comes, and aborts what takes too long', async (t) => {
  const bus = await startBus(t, { drainMs: 60_000 })
  const client = newClient(t)
  let answer: (value: number) => void = () => {}
  bus.registerMethod('slow', () => new Promise((resolve) => (answer = resolve)))
  const slow = client.call(bus.address, 'slow')
  await until(() => bus.counters.running === 1, 'the call to run')
  const { address } = bus
  const down = bus.shutdown()
  await assert.rejects(client.call(address, 'slow'), { code: 'OVERLOADED' })
  answer(7)
  assert.equal(await slow, 7)
  await down

  const hasty = await startBus(t, { drainMs: 10 })
  let aborted = false
  hasty.registerMethod(
    'hang',
    (_, { signal }) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))),
  )
  void client.call(hasty.address, 'hang').catch(() => {})
  await until(() => hasty.counters.running === 1, 'the call to run')
  await hasty.shutdown()
  assert.ok(aborted)
})
