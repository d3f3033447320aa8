// The numbers are those of the weak points of existing nodes (docs/dialects.md). Each test fails where ours has it too.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError } from '../../../src/errors/index.ts'
import { until, within } from '../../support/index.ts'
import { Arith, encrypted, ipc, keypairs, listening, pair, plain, RawPeer } from './support.ts'

const call = (id: number, method: string, args: unknown = {}): string => JSON.stringify([id, method, args])

test('1: after calls without any result the node goes on: peers come, calls are answered', async (t) => {
  const node = await plain(t, 'a')
  const address = await listening(node)
  const mute = new RawPeer(t, { name: 'mute' }).connect(address)
  assert.equal(await mute.join('a'), 'STAY')
  for (let count = 0; count < 2; count++) {
    const replies = await node.call([], 'Arith.SumDiff', {}, { timeoutMs: 1, idempotent: true, attempts: 4 })
    assert.deepEqual(
      [replies.length, replies.missing.map(({ name, err }) => [name, err.code])],
      [0, [['mute', 'TIMEOUT']]],
    )
  }
  const asked = (): number => mute.received.filter(([, command]) => command === 'CALL').length
  await until(() => asked() >= 8, 'all of them to be read')
  const other = await plain(t, 'b')
  other.register(new Arith())
  other.connectTo('a', address)
  await node.connected('b')
  assert.deepEqual(await node.callOne('b', 'Arith.SumDiff', { A: 1, B: 2 }), { S: 3, D: -1 })
  assert.equal(asked(), 8)
})

test('2: a slow handler runs once for one call', async (t) => {
  const [a, b] = await pair(t)
  let ran = 0
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => (go = resolve))
  a.register({
    'Slow.wait': async () => {
      ran++
      await gate
    },
  })
  await assert.rejects(b.callOne('a', 'Slow.wait', {}, 1), { code: 'TIMEOUT', outcome: 'unknown' })
  await until(() => ran > 0, 'it to run')
  assert.equal(ran, 1)
  // Marked as harmless to repeat, it is repeated, and a late answer to any of its sendings is the answer.
  const repeated = b.callOne('a', 'Slow.wait', {}, { timeoutMs: 1, idempotent: true, attempts: 50 })
  await until(() => ran >= 3, 'the call to be sent again')
  go()
  await repeated
})

test('3: an unknown method, arguments that cannot be read and an answer without a result are errors', async (t) => {
  const [a, b] = await pair(t)
  a.register(new Arith())
  await assert.rejects(b.callOne('a', 'Arith.Nope'), { code: 'METHOD_NOT_FOUND' })
  const [reply] = await b.call(['a'], 'Arith.Nope')
  assert.equal(reply?.err?.code, 'METHOD_NOT_FOUND')
  const raw = new RawPeer(t, { name: 'raw' })
  b.connectTo('raw', raw.listen())
  await raw.next()
  await raw.send('b', 'STAY', '')
  await b.connected('raw')
  const asked = b.callOne('raw', 'Arith.SumDiff', {}, 60_000)
  const [, , data = ''] = await raw.next()
  const [id] = JSON.parse(data) as [number]
  await raw.send('b', 'BACK', JSON.stringify([id, 'Arith.SumDiff']))
  await assert.rejects(asked, { code: 'METHOD_NOT_FOUND' })
})

test('4: a restarted peer is served at once', async (t) => {
  const node = await plain(t, 'a')
  node.register(new Arith())
  const address = await listening(node)
  const first = new RawPeer(t, { name: 'peer' }).connect(address)
  assert.equal(await first.join('a'), 'STAY')
  const owed = node.callOne('peer', 'Arith.SumDiff', {}, 60_000)
  const lost = assert.rejects(owed, { code: 'DISCONNECTED', outcome: 'unknown' })
  first.socket.close()
  const second = new RawPeer(t, { name: 'peer' }).connect(address)
  assert.equal(await second.join('a'), 'STAY')
  await second.send('a', 'CALL', call(5, 'Arith.SumDiff', { A: 1, B: 1 }))
  assert.deepEqual(await second.next(), ['a', 'BACK', JSON.stringify([5, 'Arith.SumDiff', null, { S: 2, D: 0 }])])
  await lost
  assert.equal(node.connectionCount, 1)
})

test('5: a restarted binder is joined again at once, with the times of existing nodes', async (t) => {
  const address = ipc(t)
  const options = { times: {} }
  const before = await plain(t, 'a', options)
  await before.listenOn(address)
  const node = await plain(t, 'b', options)
  node.connectTo('a', address)
  await node.connected('a')
  await before.close()
  await until(() => node.connectionCount === 0, 'the loss to be seen')
  await assert.rejects(node.callOne('a', 'Arith.SumDiff'), { code: 'DISCONNECTED', outcome: 'not-committed' })
  const after = await plain(t, 'a', options)
  after.register(new Arith())
  await after.listenOn(address)
  await node.connected('a')
  assert.deepEqual(await node.callOne('a', 'Arith.SumDiff', { A: 2, B: 1 }), { S: 3, D: 1 })
})

test('6: a message with a part too many is counted, and the node goes on', async (t) => {
  const node = await plain(t, 'a')
  node.register(new Arith())
  const raw = new RawPeer(t, { name: 'raw' }).connect(await listening(node))
  assert.equal(await raw.join('a'), 'STAY')
  await raw.send('a', 'CALL', call(1, 'Arith.SumDiff'), 'more')
  await raw.send('a', 'CALL', call(2, 'Arith.SumDiff'))
  assert.deepEqual(await raw.next(), ['a', 'BACK', JSON.stringify([2, 'Arith.SumDiff', null, { S: 0, D: 0 }])])
  assert.equal(node.counters.extraParts, 1)
  // The same on the side that connects.
  const binder = new RawPeer(t, { name: 'binder' })
  node.connectTo('binder', binder.listen())
  await binder.next()
  await binder.send('a', 'STAY', '')
  await node.connected('binder')
  await binder.send('a', 'CALL', call(3, 'Arith.SumDiff'), 'more')
  await until(() => node.counters.extraParts === 2, 'the message to be counted')
})

test('7: its own name, a handler that throws and arguments that are no struct do not end the node', async (t) => {
  const errors: Error[] = []
  const [a, b] = await pair(t, { onError: (error) => errors.push(error) })
  const twin = new RawPeer(t, { name: 'a' }).connect(await listening(a))
  assert.equal(await twin.join('a'), 'PART')
  assert.equal(a.counters.refusedNames, 1)
  a.register({
    'Bad.sync': () => {
      throw new TypeError('on purpose')
    },
    'Bad.async': () => Promise.reject(new Error('on purpose')),
    'Bad.nothing': () => {
      throw undefined as unknown as Error
    },
    'Bad.proxy': () =>
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('on purpose')
          },
        },
      ),
    'Bad.reply': () => 1n,
    'Good.any': (args: unknown) => args,
  })
  await assert.rejects(b.callOne('a', 'Bad.sync'), { code: 'FAILED', reason: 'TypeError', message: 'on purpose' })
  await assert.rejects(b.callOne('a', 'Bad.async'), { code: 'FAILED', message: 'on purpose' })
  await assert.rejects(b.callOne('a', 'Bad.nothing'), { code: 'FAILED' })
  await assert.rejects(b.callOne('a', 'Bad.proxy'), { code: 'FAILED' })
  await assert.rejects(b.callOne('a', 'Bad.reply'), { code: 'INVALID_RESULT' })
  for (const args of [1, 'text', null, [1]]) assert.deepEqual(await b.callOne('a', 'Good.any', args), args)
  await b.cast([], 'Bad.sync')
  await until(() => errors.length === 1, 'the failed cast to be told')
  assert.match(String(errors[0]), /Bad\.sync failed: on purpose/)
})

test('8: a name is that of its key: who claims another takes over nothing', async (t) => {
  const [own, honest, thief] = await keypairs(3)
  assert.ok(own && honest && thief)
  const node = await encrypted(t, own)
  const asked: string[] = []
  node.register({ 'Who.ami': (_args: unknown, { sender }) => (asked.push(sender), sender) })
  const address = await listening(node)
  const friend = await encrypted(t, honest)
  friend.register({ 'Who.areyou': () => 'the honest one' })
  friend.connectTo(own.publicKey, address)
  await friend.connected(own.publicKey)
  const raw = new RawPeer(t, { name: honest.publicKey, keys: { ...thief, server: own.publicKey } }).connect(address)
  assert.equal(await raw.join(own.publicKey), 'STAY')
  // Known by its key, whatever it claims.
  assert.deepEqual(node.activeConnections().toSorted(), [honest.publicKey, thief.publicKey].toSorted())
  await raw.send(own.publicKey, 'CALL', call(1, 'Who.ami'))
  assert.deepEqual(JSON.parse((await raw.next())[2] ?? ''), [1, 'Who.ami', null, thief.publicKey])
  assert.equal(await friend.callOne(own.publicKey, 'Who.ami'), honest.publicKey)
  assert.equal(await node.callOne(honest.publicKey, 'Who.areyou'), 'the honest one')
  assert.deepEqual(asked, [thief.publicKey, honest.publicKey])
  // The same from the other side: a node that we connect to cannot speak for somebody else either.
  const liar = new RawPeer(t, { name: honest.publicKey, keys: thief })
  const caller = await encrypted(t, (await keypairs(1))[0]!)
  caller.connectTo(thief.publicKey, liar.listen())
  await liar.send(caller.name, 'STAY', '')
  await until(() => caller.counters.strangers > 0, 'its message to be counted')
  assert.equal(caller.connectionCount, 0)
})

test('8: it holds when many connect at once', async (t) => {
  const [own, honest, ...thieves] = await keypairs(22)
  assert.ok(own && honest)
  const node = await encrypted(t, own)
  const address = await listening(node)
  const raws = thieves.map((keys) =>
    new RawPeer(t, { name: honest.publicKey, keys: { ...keys, server: own.publicKey } }).connect(address),
  )
  await Promise.all(raws.map(async (raw) => assert.equal(await raw.join(own.publicKey), 'STAY')))
  assert.deepEqual(node.activeConnections().toSorted(), thieves.map((keys) => keys.publicKey).toSorted())
})

test('9: the network is checked at every JOIN, and disconnecting ends the connection', async (t) => {
  const node = await plain(t, 'a')
  const raw = new RawPeer(t, { name: 'raw' }).connect(await listening(node))
  assert.equal(await raw.join('a', 'other'), 'PART')
  assert.equal(await raw.join('a'), 'STAY')
  assert.equal(await raw.join('a', 'other'), 'PART')
  assert.equal(node.counters.refusedNetworks, 2)
  const binder = new RawPeer(t, { name: 'binder' })
  const gone = new Promise((resolve) => binder.socket.events.on('disconnect', resolve))
  node.connectTo('binder', binder.listen())
  await binder.next()
  await binder.send('a', 'STAY', '')
  await node.connected('binder')
  assert.equal(node.disconnectFrom('binder'), true)
  assert.equal(node.disconnectFrom('binder'), false)
  await within(gone, 'the end of the connection')
  assert.deepEqual(node.activeConnections(), ['raw'])
})

test('10: deadlines do not wait for one another, and peers may come and go during a call', async (t) => {
  const [a, b] = await pair(t, { drainMs: 0 })
  const ended: string[] = []
  a.register({
    'Slow.forever': (_args: unknown, { signal }) => new Promise((end) => signal.addEventListener('abort', end)),
  })
  const calls = [600, 200, 400].map((timeoutMs) =>
    b.callOne('a', 'Slow.forever', {}, timeoutMs).catch(() => ended.push(String(timeoutMs))),
  )
  const all = b.call([], 'Slow.forever', {}, 300)
  b.disconnectFrom('a')
  assert.deepEqual(
    (await all).missing.map(({ name, err }) => [name, err.code]),
    [['a', 'DISCONNECTED']],
  )
  await Promise.all(calls)
  const [c, d] = [await plain(t, 'c', { drainMs: 0 }), await plain(t, 'd')]
  c.register({
    'Slow.forever': (_args: unknown, { signal }) => new Promise((end) => signal.addEventListener('abort', end)),
  })
  d.connectTo('c', await listening(c))
  await d.connected('c')
  ended.length = 0
  await Promise.all(
    [1200, 200, 700].map((timeoutMs) =>
      d.callOne('c', 'Slow.forever', {}, timeoutMs).catch(() => ended.push(String(timeoutMs))),
    ),
  )
  assert.deepEqual(ended, ['200', '700', '1200'])
})

test('11: an answer counts from who was asked, once, and ids cannot be guessed', async (t) => {
  const node = await plain(t, 'a')
  const address = await listening(node)
  const [asked, other] = ['asked', 'other'].map((name) => new RawPeer(t, { name }).connect(address))
  assert.ok(asked && other)
  assert.equal(await asked.join('a'), 'STAY')
  assert.equal(await other.join('a'), 'STAY')
  const result = node.callOne('asked', 'Who.areyou', {}, 60_000)
  const [, , data = ''] = await asked.next()
  const [id] = JSON.parse(data) as [number]
  await other.send('a', 'BACK', JSON.stringify([id, 'Who.areyou', null, 'false']))
  await until(() => node.counters.unexpectedAnswers === 1, 'the wrong answer to be counted')
  await asked.send('a', 'BACK', JSON.stringify([id, 'Who.else', null, 'false']))
  await until(() => node.counters.unexpectedAnswers === 2, 'the wrong method to be counted')
  await asked.send('a', 'BACK', JSON.stringify([id, 'Who.areyou', null, 'true']))
  await asked.send('a', 'BACK', JSON.stringify([id, 'Who.areyou', null, 'twice']))
  assert.equal(await result, 'true')
  await until(() => node.counters.unexpectedAnswers === 3, 'the second answer to be counted')
  const firsts = await Promise.all(
    ['c', 'd'].map(async (name) => {
      const fresh = await plain(t, name)
      const raw = new RawPeer(t, { name: 'raw' }).connect(await listening(fresh))
      await raw.join(name)
      await fresh.cast([], 'Who.areyou')
      return (JSON.parse((await raw.next())[2] ?? '') as [number])[0]
    }),
  )
  assert.notEqual(firsts[0], firsts[1])
  assert.ok(firsts.every((first) => first > 2 ** 20))
})

test('12: a call that cannot be read is counted and not answered; a full queue is told to the caller', async (t) => {
  const node = await plain(t, 'a', { sendHighWaterMark: 4 })
  node.register(new Arith())
  const address = await listening(node)
  const raw = new RawPeer(t, { name: 'raw' }).connect(address)
  assert.equal(await raw.join('a'), 'STAY')
  for (const data of ['', 'no json', '[]', '["1","Arith.SumDiff",{}]', '{}', '\xff']) await raw.send('a', 'CALL', data)
  await raw.send('a', 'CALL', call(9, 'Arith.SumDiff'))
  assert.deepEqual(await raw.next(), ['a', 'BACK', JSON.stringify([9, 'Arith.SumDiff', null, { S: 0, D: 0 }])])
  assert.equal(node.counters.malformed, 6)
  // A peer that reads nothing: its buffers fill up, then the queue, then callers are told.
  const lazy = new RawPeer(t, { name: 'lazy' })
  lazy.socket.receiveHighWaterMark = 1
  node.connectTo('lazy', lazy.listen())
  await lazy.next()
  await lazy.send('a', 'STAY', '')
  await node.connected('lazy')
  const text = 'x'.repeat(2 ** 20)
  const calls = Array.from({ length: 60 }, () => node.callOne('lazy', 'Arith.SumDiff', { text }, 300))
  const codes = (await Promise.allSettled(calls)).map((result) =>
    result.status === 'rejected' && ConclaveError.is(result.reason) ? result.reason.code : 'answered',
  )
  assert.ok(codes.includes('OVERLOADED'), codes.join(' '))
  assert.ok(codes.every((code) => code === 'OVERLOADED' || code === 'TIMEOUT'))
})
