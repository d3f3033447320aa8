import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Dealer } from 'zeromq'
import { Bilateral, newKeypair, type PeerChange } from '../../../src/dialects/bilateral/index.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { defer, until } from '../../support/index.ts'
import { Arith, encrypted, ipc, keypairs, listening, LOCAL, NETWORK, pair, plain, QUICK, RawPeer } from './support.ts'

const later = (): { promise: Promise<void>; go: () => void } => {
  let go = (): void => {}
  const promise = new Promise<void>((resolve) => (go = resolve))
  return { promise, go }
}

describe('calls', () => {
  test('in both directions, to one, to several, to all; failures are told beside answers', async (t) => {
    const hub = await plain(t, 'hub')
    const address = await listening(hub)
    const nodes = await Promise.all(['x', 'y', 'z'].map((name) => plain(t, name)))
    for (const node of nodes) {
      node.register(new Arith())
      node.connectTo('hub', address)
    }
    hub.register(new Arith())
    await hub.connected(3)
    const all = await hub.call([], 'Arith.SumDiff', { A: 5, B: 3 })
    assert.deepEqual(all.map(({ from }) => from).toSorted(), ['x', 'y', 'z'])
    assert.ok(all.every(({ reply, err }) => err === undefined && (reply as { S: number }).S === 8))
    assert.deepEqual(all.missing, [])
    const some = await hub.call(['x', 'nobody'], 'Arith.Whoami', { Bilateral_SENDER: 'claimed' })
    assert.deepEqual(
      some.map(({ from, reply }) => [from, reply]),
      [['x', { Text: 'hub' }]],
    )
    assert.deepEqual(
      some.missing.map(({ name, err }) => [name, err.code, err.outcome]),
      [['nobody', 'DISCONNECTED', 'not-committed']],
    )
    const [failed] = await hub.call(['y'], 'Arith.Fail')
    assert.deepEqual([failed?.err?.code, failed?.err?.message], ['FAILED', 'arith failed on purpose'])
    assert.deepEqual(await nodes[0]?.callOne('hub', 'Arith.SumDiff', { A: 1 }), { S: 1, D: 1 })
    const alone = await plain(t, 'alone')
    const none = await alone.call([], 'Arith.SumDiff')
    assert.deepEqual([none.length, none.missing.length], [0, 0])
  })

  test('partial answers are a success, and who owes one is named', async (t) => {
    const hub = await plain(t, 'hub')
    const address = await listening(hub)
    const quick = await plain(t, 'quick')
    let ran = 0
    quick.register({ 'Count.up': () => ++ran })
    quick.connectTo('hub', address)
    const mute = new RawPeer(t, { name: 'mute' }).connect(address)
    await mute.join('hub')
    await hub.connected(['quick', 'mute'])
    const replies = await hub.call([], 'Count.up', {}, { timeoutMs: 400, idempotent: true, attempts: 50 })
    assert.deepEqual(
      replies.map(({ from }) => from),
      ['quick'],
    )
    assert.deepEqual(
      replies.missing.map(({ name, err }) => [name, err.code, err.outcome]),
      [['mute', 'TIMEOUT', 'unknown']],
    )
    // Nobody is asked again once somebody has answered, who on a slow machine may have been late himself.
    await hub.cast(['mute'], 'Log.add')
    const came = (what: string): number => mute.received.filter(([, command]) => command === what).length
    await until(() => came('CAST') === 1, 'all that came before it to be read')
    await until(() => came('CALL') === ran, 'both to be asked as often', { seen: () => [came('CALL'), ran] })
  })

  test('cast: it runs there and nothing comes back; who is not there is told', async (t) => {
    const [a, b] = await pair(t)
    const seen: unknown[] = []
    a.register({ 'Log.add': (args: unknown, { sender, cast }) => seen.push([args, sender, cast]) })
    assert.deepEqual(await b.cast([], 'Log.add', { n: 1 }), [])
    const missing = await b.cast(['a', 'nobody'], 'Log.add', { n: 2 })
    assert.deepEqual(
      missing.map(({ name, err }) => [name, err.code]),
      [['nobody', 'DISCONNECTED']],
    )
    await until(() => seen.length === 2, 'the casts')
    assert.deepEqual(seen, [
      [{ n: 1 }, 'b', true],
      [{ n: 2 }, 'b', true],
    ])
  })

  test('abort, close at either end, and a peer that goes away settle a call', async (t) => {
    const [a, b] = await pair(t, { drainMs: 0 })
    a.register({
      'Slow.wait': (_args: unknown, { signal }) => new Promise((end) => signal.addEventListener('abort', end)),
    })
    const stop = new AbortController()
    const aborted = assert.rejects(b.callOne('a', 'Slow.wait', {}, { signal: stop.signal }), { code: 'ABORTED' })
    stop.abort()
    await aborted
    await assert.rejects(b.callOne('a', 'Slow.wait', {}, { signal: stop.signal }), { code: 'ABORTED' })
    const closed = assert.rejects(b.callOne('a', 'Slow.wait', {}, 60_000), { code: 'CLOSED', outcome: 'unknown' })
    await b.close()
    await closed
    await assert.rejects(b.callOne('a', 'Slow.wait'), { code: 'CLOSED' })
    await assert.rejects(b.call([], 'Slow.wait'), { code: 'CLOSED' })
    await assert.rejects(b.cast([], 'Slow.wait'), { code: 'CLOSED' })
    await assert.rejects(b.listenOn(LOCAL), { code: 'CLOSED' })
    assert.throws(() => b.connectTo('a', 'tcp://127.0.0.1:1'), { code: 'CLOSED' })
    await b.close()
  })

  test('close lets requests that run finish, and refuses new ones', async (t) => {
    const [a, b] = await pair(t, { drainMs: 30_000 })
    const gate = later()
    a.register({ 'Slow.wait': () => gate.promise.then(() => 'done'), 'Quick.now': () => 1 })
    const running = b.callOne('a', 'Slow.wait', {}, 60_000)
    assert.equal(await b.callOne('a', 'Quick.now'), 1)
    const closing = a.close()
    await assert.rejects(b.callOne('a', 'Quick.now', {}, 60_000), { code: 'CLOSED', outcome: 'not-committed' })
    gate.go()
    assert.equal(await running, 'done')
    await closing
  })

  test('JSON that cannot be written, names that are no methods', async (t) => {
    const [, b] = await pair(t)
    await assert.rejects(b.callOne('a', 'Arith.SumDiff', 1n), { code: 'INVALID_REQUEST' })
    await assert.rejects(b.cast([], 'Arith.SumDiff', 1n), { code: 'INVALID_REQUEST' })
    for (const method of ['Arith', '.x', 'x.', '']) {
      await assert.rejects(b.callOne('a', method), { code: 'INVALID_OPTION' })
      await assert.rejects(b.call(['a'], method), { code: 'INVALID_OPTION' })
    }
  })
})

describe('admission', () => {
  test('each connects to the other: one connection stays, and both can call', async (t) => {
    for (const encrypt of [false, true]) {
      const keys = await keypairs(2)
      const make = (at: 0 | 1): Promise<Bilateral> =>
        encrypt ? encrypted(t, keys[at]!) : plain(t, at === 0 ? 'left' : 'right')
      const [left, right] = [await make(0), await make(1)]
      left.register(new Arith())
      right.register(new Arith())
      const [atLeft, atRight] = [await listening(left), await listening(right)]
      left.connectTo(right.name, atRight)
      right.connectTo(left.name, atLeft)
      await Promise.all([left.connected(right.name), right.connected(left.name)])
      const there = await left.callOne(right.name, 'Arith.SumDiff', { A: 3, B: 1 }, { idempotent: true })
      const back = await right.callOne(left.name, 'Arith.SumDiff', { A: 3, B: 1 }, { idempotent: true })
      assert.deepEqual(
        [there, back],
        [
          { S: 4, D: 2 },
          { S: 4, D: 2 },
        ],
      )
      assert.deepEqual([left.connectionCount, right.connectionCount], [1, 1])
    }
  })

  test('a name that served us takes over again when the other side ends', async (t) => {
    const left = await plain(t, 'left', { times: { ...QUICK, serveMs: 300 } })
    const right = await plain(t, 'right')
    right.register(new Arith())
    const [atLeft, atRight] = [await listening(left), await listening(right)]
    right.connectTo('left', atLeft)
    await left.connected('right')
    left.connectTo('right', atRight)
    assert.equal(left.peers()[0]?.state, 'serving')
    right.disconnectFrom('left')
    await until(() => left.peers()[0]?.state === 'connected', 'the other connection')
    assert.deepEqual(await left.callOne('right', 'Arith.SumDiff', { A: 1 }), { S: 1, D: 1 })
  })

  test('serving ends after a time without a word; TICK and calls renew it', async (t) => {
    const changes: PeerChange[] = []
    const serveMs = 500
    /** When the last word that was heard was sent, or before. */
    let saidAt = 0
    let silentMs = 0
    const onPeer = (change: PeerChange): void => {
      changes.push(change)
      silentMs = performance.now() - saidAt
    }
    const node = await plain(t, 'a', { times: { ...QUICK, serveMs }, onPeer })
    const raw = new RawPeer(t, { name: 'raw' }).connect(await listening(node))
    const came = (what: string): number => raw.received.filter(([, command]) => command === what).length
    await raw.send('a', 'TICK', '12345678')
    await until(() => node.counters.strangers === 1, 'the stranger to be counted')
    saidAt = performance.now()
    await raw.join('a')
    // Where the machine holds this process up, serving may end in between: never sooner than it should.
    for (let count = 0; count < 8 && node.connectionCount === 1; count++) {
      const now = performance.now()
      await raw.send('a', 'TICK', `1234567${count}`)
      await until(() => came('TOCK') > count || node.connectionCount === 0, 'an answer')
      if (came('TOCK') === count) break
      assert.deepEqual(await raw.next(), ['a', 'TOCK', `1234567${count}`])
      if (node.connectionCount === 1) saidAt = now
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await until(() => node.connectionCount === 0, 'the end of serving')
    assert.ok(silentMs >= serveMs, `served for ${silentMs} ms of silence`)
    assert.deepEqual(changes, [
      { type: 'up', name: 'raw', upstream: false },
      { type: 'down', name: 'raw', upstream: false },
    ])
    const { strangers } = node.counters
    await raw.send('a', 'CALL', '[1,"Arith.SumDiff",{}]')
    await until(() => node.counters.strangers > strangers, 'the stranger to be counted')
    await raw.send('a', 'JOIN', NETWORK)
    await until(() => came('STAY') === 2, 'to be served again')
  })

  test('a silent binder gets a TICK, and another one when it has answered', async (t) => {
    const node = await plain(t, 'a', { times: { ...QUICK, idleMs: 100, silenceMs: 60_000 } })
    const raw = new RawPeer(t, { name: 'raw' })
    node.connectTo('raw', raw.listen())
    assert.deepEqual(await raw.next(), ['a', 'JOIN', NETWORK])
    await raw.send('a', 'STAY', '')
    assert.deepEqual(await raw.next(), ['a', 'TICK', '\0\0\0\0\0\0\0\x01'])
    await raw.send('a', 'TOCK', '\0\0\0\0\0\0\0\x01')
    assert.deepEqual(await raw.next(), ['a', 'TICK', '\0\0\0\0\0\0\0\x02'])
    assert.equal(node.connectionCount, 1)
  })

  test('a binder that does not answer a TICK is left and tried again', async (t) => {
    const node = await plain(t, 'a', { times: { ...QUICK, idleMs: 100, silenceMs: 200, backoffMs: 50 } })
    const raw = new RawPeer(t, { name: 'raw' })
    let gone = 0
    raw.socket.events.on('disconnect', () => gone++)
    node.connectTo('raw', raw.listen())
    let ticks = 0
    // A node whose process is held up for longer than both times asks anew, on the same connection: let it in again.
    for (let left = false; !left;) {
      const [, command] = await raw.next()
      if (command === 'TICK') ticks++
      else {
        assert.equal(command, 'JOIN')
        left = ticks > 0 && gone > 0
        if (!left) await raw.send('a', 'STAY', '')
      }
    }
  })

  test('JOIN again and again, then a retreat, then from the start', async (t) => {
    const times = { ...QUICK, joinEveryMs: 60, maxJoins: 3, backoffMs: 30 }
    const node = await plain(t, 'a', { times })
    const raw = new RawPeer(t, { name: 'raw' })
    let gone = 0
    raw.socket.events.on('disconnect', () => gone++)
    node.connectTo('raw', raw.listen())
    for (let count = 0; count < 7; count++) assert.deepEqual(await raw.next(), ['a', 'JOIN', NETWORK])
    assert.ok(gone >= 1)
    await raw.send('a', 'PART', '')
    assert.deepEqual(await raw.next(), ['a', 'JOIN', NETWORK])
  })

  test('connected() waits, with a time and a signal', async (t) => {
    const node = await plain(t, 'a')
    await assert.rejects(node.connected('b', { timeoutMs: 1 }), { code: 'TIMEOUT' })
    await assert.rejects(node.connected(2, { timeoutMs: 1 }), { code: 'TIMEOUT' })
    await assert.rejects(node.connected(['b', 'c'], { signal: AbortSignal.abort() }), { code: 'ABORTED' })
    const stop = new AbortController()
    const aborted = assert.rejects(node.connected('b', { signal: stop.signal }), { code: 'ABORTED' })
    stop.abort()
    await aborted
    await node.connected(0)
    const closed = assert.rejects(node.connected('b'), { code: 'CLOSED' })
    await node.close()
    await closed
  })
})

describe('what is refused', () => {
  test('names, keys, networks, addresses, numbers that are none', async (t) => {
    const keys = await newKeypair()
    const plaintext = (network: string, name: string, options = {}): Promise<Bilateral> =>
      Bilateral.plaintext(network, name, options)
    const invalid = { code: 'INVALID_OPTION' }
    for (const name of ['', '\0x', '\ud800', 'x'.repeat(256), 'ü'.repeat(128)]) {
      await assert.rejects(plaintext(NETWORK, name), invalid)
      await assert.rejects(plaintext(name, 'a'), invalid)
    }
    await assert.rejects(plaintext(NETWORK, 'a', { allow: [] }), invalid)
    await assert.rejects(plaintext(NETWORK, 'a', { maxPeers: 0 }), invalid)
    await assert.rejects(plaintext(NETWORK, 'a', { lingerMs: -1 }), invalid)
    await assert.rejects(plaintext(NETWORK, 'a', { times: { idleMs: Infinity } }), invalid)
    await assert.rejects(Bilateral.encrypted(NETWORK, 'a', keys.secretKey), invalid)
    await assert.rejects(Bilateral.encrypted(NETWORK, keys.publicKey, 'a'), invalid)
    await assert.rejects(Bilateral.encrypted(NETWORK, keys.publicKey, keys.secretKey, { allow: ['x'] }), invalid)
    const node = await plain(t, 'a')
    assert.throws(() => node.connectTo('a', 'tcp://127.0.0.1:1'), invalid)
    assert.throws(() => node.connectTo('b', 'http://x'), invalid)
    assert.throws(() => node.connectTo('', 'tcp://127.0.0.1:1'), invalid)
    node.connectTo('b', 'tcp://127.0.0.1:1')
    node.connectTo('b', 'tcp://127.0.0.1:1')
    assert.throws(() => node.connectTo('b', 'tcp://127.0.0.1:2'), invalid)
    await assert.rejects(node.listenOn('tcp://300.0.0.1:1'), invalid)
    const address = await listening(node)
    await assert.rejects((await plain(t, 'b')).listenOn(address), { code: 'SOCKET_IN_USE' })
    const cipher = await encrypted(t, keys)
    assert.throws(() => cipher.connectTo('plain name', 'tcp://127.0.0.1:1'), invalid)
  })

  test('methods: a class, a map, a Map; all or nothing; taken names', async (t) => {
    const [a, b] = await pair(t)
    class Base {
      greet(): string {
        return 'hello'
      }
    }
    class Derived extends Base {
      #secret = 42
      own(): number {
        return this.#secret
      }
      _private(): void {}
    }
    assert.deepEqual(a.register(new Derived()).toSorted(), ['Derived.greet', 'Derived.own'])
    assert.deepEqual(a.register(new Derived(), { name: 'Other' }).toSorted(), ['Other.greet', 'Other.own'])
    assert.deepEqual(a.register(new Map([['Map.fn', () => 'm']])), ['Map.fn'])
    assert.deepEqual(a.register({ 'a.b.c': () => 'dots' }), ['a.b.c'])
    for (const wrong of [
      {},
      { nodot: () => 1 },
      { 'x.\ud800': () => 1 },
      { 'x.y': 1 },
      { 'New.fn': () => 1, 'Map.fn': () => 1 },
    ]) {
      assert.throws(() => a.register(wrong), { code: 'INVALID_OPTION' })
    }
    for (const [method, reply] of [
      ['Derived.greet', 'hello'],
      ['Derived.own', 42],
      ['Map.fn', 'm'],
      ['a.b.c', 'dots'],
    ] as const) {
      assert.equal(await b.callOne('a', method), reply)
    }
    for (const method of ['New.fn', 'Derived.constructor', 'Derived._private', 'Derived.toString', 'a.__proto__']) {
      await assert.rejects(b.callOne('a', method), { code: 'METHOD_NOT_FOUND' }, method)
    }
  })

  test('commands of the wrong side, unknown ones, messages of one part', async (t) => {
    const node = await plain(t, 'a')
    const raw = new RawPeer(t, { name: 'raw' }).connect(await listening(node))
    await raw.send('a', 'STAY', '')
    await raw.send('a', 'PART', '')
    await raw.send('a', 'TOCK', '')
    await raw.send('a', 'BLAH', 'x')
    await raw.send('a', '')
    await raw.send('a', 'JOINT', NETWORK)
    await until(() => node.counters.unknownCommands === 6, 'all of them to be counted')
    await raw.send('a', 'JOIN')
    assert.deepEqual(await raw.next(), ['a', 'PART', ''])
    assert.equal(await raw.join('a'), 'STAY')
    const binder = new RawPeer(t, { name: 'binder' })
    node.connectTo('binder', binder.listen())
    await binder.next()
    await binder.send('a', 'JOIN', NETWORK)
    await binder.send('a', 'TICK', '12345678')
    await binder.send('a', 'CALL', '[1,"x.y",{}]')
    await until(() => node.counters.unknownCommands === 8 && node.counters.strangers === 1, 'them to be counted')
  })
})

describe('strangers', () => {
  test('a peer without a name', async (t) => {
    const node = await plain(t, 'a')
    const dealer = new Dealer({ linger: 0 })
    defer(t, () => dealer.close())
    dealer.connect(await listening(node))
    await dealer.send(['JOIN', NETWORK])
    assert.deepEqual((await dealer.receive()).map(String), ['PART', ''])
    assert.equal(node.counters.refusedNames, 1)
  })

  for (const codec of ['json', 'gob'] as const) {
    test(`whatever an admitted peer sends, the node goes on (${codec})`, async (t) => {
      const node = await plain(t, 'a', { codec })
      const other = await plain(t, 'b', { codec })
      node.register({ 'Echo.echo': (args: unknown) => args })
      const address = await listening(node)
      const raw = new RawPeer(t, { name: 'raw' }).connect(address)
      const command = fc.constantFrom('JOIN', 'STAY', 'PART', 'TICK', 'TOCK', 'CALL', 'CAST', 'BACK', 'NONE', '')
      const message = fc.tuple(command, fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 3 }))
      await raw.join('a')
      for (const [name, parts] of fc.sample(message, { numRuns: 300, seed: 7 })) await raw.send('a', name, ...parts)
      other.connectTo('a', address)
      await other.connected('a')
      const echoed = await other.callOne<{ n: number }>('a', 'Echo.echo', { n: 1 }, 30_000)
      assert.equal(echoed.n, 1)
      // They came over another connection: nothing says that it was read before this one.
      await until(() => {
        const { extraParts, malformed, unknownCommands } = node.counters
        return extraParts > 0 && malformed > 0 && unknownCommands > 0
      }, 'all kinds of faults to be counted')
    })
  }
})

describe('limits', () => {
  test('maxPendingCalls, maxPendingBytes, maxMessageBytes: of what we ask', async (t) => {
    const [a, b] = await pair(t, { maxPendingCalls: 3, maxPendingBytes: 2000, maxMessageBytes: 1500, drainMs: 0 })
    const gate = later()
    a.register({ 'Slow.wait': () => gate.promise, 'Big.reply': () => 'x'.repeat(2000) })
    const text = 'x'.repeat(1400)
    const first = b.callOne('a', 'Slow.wait', { text }, 60_000)
    await assert.rejects(b.callOne('a', 'Slow.wait', { text }), { code: 'OVERLOADED' })
    const more = [1, 2].map(() => b.callOne('a', 'Slow.wait', {}, 60_000))
    await assert.rejects(b.call(['a'], 'Slow.wait'), { code: 'OVERLOADED' })
    await assert.rejects(b.callOne('a', 'Slow.wait', { text: text + text }), { code: 'TOO_LARGE' })
    await assert.rejects(b.cast(['a'], 'Slow.wait', { text: text + text }), { code: 'TOO_LARGE' })
    gate.go()
    await Promise.all([first, ...more])
    await assert.rejects(b.callOne('a', 'Big.reply'), { code: 'TOO_LARGE' })
  })

  test('maxMessageBytes: a peer that sends more is disconnected', async (t) => {
    const node = await plain(t, 'a', { maxMessageBytes: 1000 })
    const raw = new RawPeer(t, { name: 'raw' }).connect(await listening(node))
    await raw.join('a')
    let gone = 0
    raw.socket.events.on('disconnect', () => gone++)
    await raw.send('a', 'CALL', 'x'.repeat(1001))
    await until(() => gone > 0, 'the end of the connection')
  })

  test('maxMessageBytes: a peer that we connect to is disconnected, and connected to again', async (t) => {
    const raw = new RawPeer(t, { name: 'raw' })
    const times = { ...QUICK, joinEveryMs: 60_000 }
    const node = await plain(t, 'a', { maxMessageBytes: 1000, times })
    node.connectTo('raw', raw.listen())
    assert.deepEqual(await raw.next(), ['a', 'JOIN', NETWORK])
    await raw.send('a', 'STAY', '')
    await node.connected('raw')
    await raw.send('a', 'CALL', 'x'.repeat(1001))
    await until(() => node.connectionCount === 0, 'the end of the connection')
    assert.deepEqual(await raw.next(), ['a', 'JOIN', NETWORK])
    await raw.send('a', 'STAY', '')
    await node.connected('raw')
  })

  test('maxRequests, maxRequestsAPeer: of what we are asked', async (t) => {
    const node = await plain(t, 'a', { maxRequests: 3, maxRequestsAPeer: 2 })
    const gate = later()
    let running = 0
    node.register({ 'Slow.wait': () => (running++, gate.promise) })
    const address = await listening(node)
    const [b, c] = [await plain(t, 'b'), await plain(t, 'c')]
    for (const peer of [b, c]) peer.connectTo('a', address)
    await Promise.all([b, c].map((peer) => peer.connected('a')))
    const calls = [1, 2].map(() => b.callOne('a', 'Slow.wait', {}, 60_000))
    await until(() => running === 2, 'both to run')
    await assert.rejects(b.callOne('a', 'Slow.wait'), { code: 'OVERLOADED', outcome: 'not-committed' })
    calls.push(c.callOne('a', 'Slow.wait', {}, 60_000))
    await until(() => running === 3, 'all to run')
    await assert.rejects(c.callOne('a', 'Slow.wait'), { code: 'OVERLOADED', outcome: 'not-committed' })
    assert.equal(node.counters.overloaded, 2)
    gate.go()
    await Promise.all(calls)
  })

  test('maxPeers', async (t) => {
    const node = await plain(t, 'a', { maxPeers: 1 })
    const address = await listening(node)
    const first = new RawPeer(t, { name: 'first' }).connect(address)
    assert.equal(await first.join('a'), 'STAY')
    assert.equal(await new RawPeer(t, { name: 'second' }).connect(address).join('a'), 'PART')
    assert.equal(await first.join('a'), 'STAY')
  })

  test('maxUnheardBytes: bytes for a peer that says nothing; a connector asks before it comes to that', async (t) => {
    const node = await plain(t, 'a', { maxUnheardBytes: 1000 })
    const raw = new RawPeer(t, { name: 'raw' })
    node.connectTo('raw', raw.listen())
    await raw.next()
    await raw.send('a', 'STAY', '')
    await node.connected('raw')
    const text = 'x'.repeat(250)
    for (let count = 0; count < 3; count++) assert.deepEqual(await node.cast([], 'Log.add', { text }), [])
    const [missing] = await node.cast([], 'Log.add', { text })
    assert.equal(missing?.err.code, 'OVERLOADED')
    assert.equal(node.counters.lost, 1)
    await until(() => raw.received.some(([, command]) => command === 'TICK'), 'to be asked')
    await raw.send('a', 'TOCK', '12345678')
    await until(async () => (await node.cast([], 'Log.add', { text })).length === 0, 'it to be taken again')
  })

  test('more than maxUnheardBytes in casts: nothing is lost between nodes of ours', async (t) => {
    const [a, b] = await pair(t, { maxUnheardBytes: 4 * 2 ** 20 })
    let bytes = 0
    const add = { 'Log.add': ({ text }: { text: string }) => void (bytes += text.length) }
    a.register(add)
    b.register(add)
    const text = 'x'.repeat(2 ** 18)
    for (const [from, to] of [
      [b, 'a'],
      [a, 'b'],
    ] as const) {
      bytes = 0
      for (let count = 0; count < 40; count++) {
        await until(async () => (await from.cast([to], 'Log.add', { text })).length === 0, 'room')
      }
      await until(() => bytes === 40 * text.length, 'all of it')
    }
  })

  test('drainMs: close does not wait longer for handlers', async (t) => {
    const [a, b] = await pair(t, { drainMs: 1 })
    let told = false
    a.register({
      'Slow.wait': (_args: unknown, { signal }) =>
        new Promise(() => signal.addEventListener('abort', () => (told = ConclaveError.is(signal.reason, 'CLOSED')))),
    })
    void b.callOne('a', 'Slow.wait', {}, 60_000).catch(() => {})
    await until(() => a.counters.requests === 1, 'it to run')
    await a.close()
    assert.equal(told, true)
  })
})

test('several addresses, of both kinds', async (t) => {
  const node = await plain(t, 'a')
  node.register(new Arith())
  const addresses = await node.listenOn(LOCAL, ipc(t), LOCAL)
  assert.equal(addresses.length, 3)
  for (const [at, address] of addresses.entries()) {
    const other = await plain(t, `b${at}`)
    other.connectTo('a', address)
    await other.connected('a')
    assert.deepEqual(await other.callOne('a', 'Arith.SumDiff', { A: 1, B: 1 }), { S: 2, D: 0 })
  }
  assert.equal(node.connectionCount, 3)
})
