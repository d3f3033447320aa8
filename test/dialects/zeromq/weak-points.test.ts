/** The weak points of the existing programs (their numbers in SEEDS.md 2.5), each shown not to be ours. */
import assert from 'node:assert/strict'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import {
  acquireLock,
  Bus,
  dbproxy,
  endpointsForPath,
  newKeys,
  portsForPath,
  serveWrites,
  type BusNotice,
  type Client,
} from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { decodeLockInfo, encodeLockInfo } from '../../../src/dialects/zeromq/lock-info.ts'
import { PYTHON, requirePythonZmq } from '../../support/python-zmq.ts'
import { defer, runtimeDirectory, spawnProgram, temporaryDirectory, until } from '../../support/index.ts'
import type { Program, Scope } from '../../support/index.ts'
import {
  dialRaw,
  dialZmtp,
  frameOf,
  GREETING,
  newClient,
  PROGRAMS,
  rawServer,
  readyOf,
  socketIn,
  startBus,
  startTcpBus,
} from './support.ts'

/** A process that locks as the existing program does, one step at a time. */
async function existingLocker(t: Scope, path: string): Promise<(step: string, text?: string) => Promise<unknown>> {
  const program: Program = spawnProgram(t, join(PROGRAMS, 'existing_lock.py'), [path], { node: PYTHON, sources: false })
  await program.ready()
  return async (step, text) => {
    program.send({ do: step, text })
    return program.next((message) => message['did'] === step)
  }
}

describe('1 the lock file is not deleted by who holds it, and a deleted one makes no second primary', () => {
  test('an existing program deletes its file while a starter of ours has it open: the lock is tried anew', async (t) => {
    if (!requirePythonZmq(t)) return
    const folder = temporaryDirectory(t)
    const first = await acquireLock(folder, 'A', 1, 2)
    first.lock?.close()
    const path = join(folder, '.pando', 'ipc.lock')
    const existing = await existingLocker(t, path)
    await existing('lock')
    await existing('write', encodeLockInfo(first.info))
    const waiting = acquireLock(folder, 'B', 1, 2)
    assert.equal((await waiting).isPrimary, false)
    await existing('release')
    const [b, c] = [await acquireLock(folder, 'B', 1, 2), await acquireLock(folder, 'C', 1, 2)]
    assert.deepEqual([b.isPrimary, c.isPrimary, c.info.instanceId], [true, false, 'B'])
    assert.equal(b.lock?.stillOurs(), true)
    b.lock?.close()
  })

  test('an existing program is kept out by ours, before and after it is released', async (t) => {
    if (!requirePythonZmq(t)) return
    const folder = temporaryDirectory(t)
    const { lock } = await acquireLock(folder, 'A', 1, 2)
    assert.ok(lock)
    const existing = await existingLocker(t, lock.path)
    const seen = (await existing('lock')) as { readonly locked: boolean; readonly text: string }
    assert.equal(seen.locked, false)
    assert.equal(decodeLockInfo(seen.text)?.instanceId, 'A')
    const { ino } = statSync(lock.path)
    lock.close()
    assert.equal(statSync(lock.path).ino, ino) // not deleted
  })

  test('a bus whose lock file was deleted ends, so that whoever locks the next one is alone', async (t) => {
    runtimeDirectory(t)
    const folder = temporaryDirectory(t)
    const { lock } = await acquireLock(folder, 'A', 1, 2)
    assert.ok(lock)
    defer(t, () => lock.close())
    const notices: BusNotice[] = []
    const bus = await startBus(t, { workdir: folder, lock, onNotice: (notice) => notices.push(notice) })
    rmSync(lock.path)
    assert.equal((await bus.closed)?.code, 'LOCK_LOST')
    assert.equal(notices[0]?.type, 'lock-lost')
    assert.throws(() => bus.publish('a', 1), { code: 'CLOSED' })
    await assert.rejects(new Bus({ lock }).start(), { code: 'LOCK_LOST' })
  })
})

describe('2 whoever sees the lock held sees whole content, and never that of somebody who is gone', () => {
  test('a reader beside a process that takes and releases the lock all the time never sees a part', async (t) => {
    const folder = temporaryDirectory(t)
    const churn = spawnProgram(t, join(PROGRAMS, 'locker.ts'), [folder, 'instance-name-', 'churn'])
    await churn.ready()
    const path = join(folder, '.pando', 'ipc.lock')
    await churn.next((message) => 'round' in message)
    let reads = 0
    const names = new Set<string>()
    while (names.size < 5 || reads < 3000) {
      const text = readFileSync(path, 'utf8')
      const info = decodeLockInfo(text)
      assert.ok(info, JSON.stringify(text))
      names.add(info.instanceId)
      reads++
      if (reads % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await churn.kill('SIGKILL')
  })

  test('held, and the words are still those of a dead one: waited for, and told', async (t) => {
    if (!requirePythonZmq(t)) return
    const folder = temporaryDirectory(t)
    const dead = spawnProgram(t, join(PROGRAMS, 'locker.ts'), [folder, 'dead'])
    await dead.ready()
    dead.send({ do: 'acquire' })
    await dead.next((message) => 'isPrimary' in message)
    await dead.kill('SIGKILL')
    const existing = await existingLocker(t, join(folder, '.pando', 'ipc.lock'))
    await existing('lock')
    await assert.rejects(acquireLock(folder, 'B', 1, 2, { settleMs: 50 }), { code: 'PRIMARY_STARTING' })
    const found = acquireLock(folder, 'B', 1, 2, { settleMs: 30_000 })
    const info = { instanceId: 'X', pid: process.pid, pubPort: 1, rpcPort: 2, startedAt: '2026-11-21T03:00:00Z' }
    await existing('write', encodeLockInfo(info))
    assert.deepEqual(await found, { isPrimary: false, info, lock: undefined })
  })
})

test('3 the notice of the end arrives, also when the process ends at once', async (t) => {
  const client = newClient(t)
  for (let run = 0; run < 20; run++) {
    const pub = socketIn(t, 'n.pub')
    const rpc = pub.replace('.pub', '.rpc')
    // Processes are slow to start: a few of them, and the rest here.
    const program = run % 5 === 0 ? spawnProgram(t, join(PROGRAMS, 'notice.ts'), [pub, rpc]) : undefined
    await program?.ready()
    const bus = program === undefined ? new Bus({ instanceId: 'leaver' }) : undefined
    await bus?.start({ pub, rpc })
    const events = await client.subscribeTo({ pub, rpc }, 'instance.shutdown')
    if (bus === undefined) program?.send({ do: 'leave' })
    else void bus.shutdown()
    const { value } = await events.next()
    assert.deepEqual([value?.topic, value?.payload], ['instance.shutdown', { instance_id: 'leaver' }])
    events.close()
    if (program !== undefined) assert.equal((await program.exit).code, 0)
  }
})

test('4 a subscriber that does not read costs the others nothing, and the bus a bounded amount of memory', async (t) => {
  const bus = await startTcpBus(t)
  const client = newClient(t, { insecure: true })
  const stuck = await dialZmtp(t, bus.pubAddr, 'SUB')
  stuck.write(frameOf('\x01'))
  stuck.stop()
  const events = await client.subscribeTo(bus.address, 'big')
  const payload = 'x'.repeat(20_000)
  const before = process.memoryUsage().rss
  const COUNT = 20_000
  let got = 0
  void (async () => {
    for await (const { missed } of events) {
      assert.equal(missed, 0)
      got++
    }
  })()
  for (let n = 0; n < COUNT; n++) {
    await bus.publish('big', payload)
    if (n % 100 === 99) await until(() => got >= n - 100, 'the subscriber that reads')
  }
  await until(() => got === COUNT, 'all events at the subscriber that reads')
  const grown = (process.memoryUsage().rss - before) / 2 ** 20
  assert.ok(stuck.stopped && !stuck.closed)
  // Half of what was sent: the collector may leave a good part of it lying about.
  assert.ok(grown < 250, `400 MB of events cost ${grown.toFixed(0)} MiB`)
})

test('5 what is published right after subscribing is not lost', async (t) => {
  const client = newClient(t, { insecure: true })
  for (const bus of [await startBus(t), await startTcpBus(t)]) {
    for (let run = 0; run < 25; run++) {
      const events = await client.subscribeTo(bus.address, 'a.')
      void bus.publish('a.first', run)
      const { value } = await events.next()
      assert.deepEqual([value?.topic, value?.payload], ['a.first', run])
      events.close()
    }
  }
})

test('6 connections that say nothing hold up nobody', async (t) => {
  const bus = await startTcpBus(t)
  bus.registerMethod('echo', (params) => params)
  for (let count = 0; count < 20; count++) {
    await dialRaw(t, bus.rpcAddr)
    await dialRaw(t, bus.pubAddr)
  }
  const client = newClient(t, { insecure: true })
  assert.equal(await client.call(bus.address, 'echo', 7), 7)
  const events = await client.subscribeTo(bus.address, 'a')
  void bus.publish('a', 1)
  assert.equal((await events.next()).value?.payload, 1)
})

test('7 malformed handshakes and absurd lengths cost only the connection they came on', async (t) => {
  const bus = await startTcpBus(t)
  bus.registerMethod('echo', (params) => params)
  const long = (bytes: bigint): Buffer => {
    const head = Buffer.alloc(9)
    head[0] = 2
    head.writeBigUInt64BE(bytes, 1)
    return head
  }
  for (const endpoint of [bus.rpcAddr, bus.pubAddr]) {
    const type = endpoint === bus.rpcAddr ? 'DEALER' : 'SUB'
    const name = Buffer.from('\x05READY\x0bSocket-Type\xff\xff\xff\xff', 'latin1')
    for (const wrong of [
      frameOf('\x05READY\x20x', 4),
      frameOf(name, 4),
      frameOf('', 4),
      frameOf('\xffREADY', 4),
      frameOf('x'),
    ]) {
      const peer = await dialRaw(t, endpoint)
      peer.write(GREETING)
      await peer.greeting()
      peer.write(wrong) // closed at once, or when the handshake is not over in time
    }
    for (const bytes of [2n ** 36n, 2n ** 62n, 2n ** 64n - 1n, BigInt((16 << 20) + 1)]) {
      const peer = await dialZmtp(t, endpoint, type)
      peer.write(long(bytes))
      await until(() => peer.closed, 'the end of the connection')
    }
  }
  const client = newClient(t, { insecure: true })
  assert.equal(await client.call(bus.address, 'echo', 7), 7)
})

describe('8 other users of the machine get nothing', () => {
  test('by default the sockets lie in a folder that only we can enter', async (t) => {
    const bus = await startBus(t)
    for (const endpoint of [bus.pubAddr, bus.rpcAddr]) {
      assert.ok(endpoint.startsWith('ipc://'))
      assert.equal(statSync(dirname(endpoint.slice('ipc://'.length))).mode & 0o777, 0o700)
    }
  })

  test('TCP takes keys, or the word insecure, on either side', async (t) => {
    await assert.rejects(new Bus().start(0, 0), { code: 'INVALID_OPTION' })
    const client = newClient(t)
    await assert.rejects(client.call('tcp://127.0.0.1:1', 'a'), { code: 'INVALID_OPTION' })
    await assert.rejects(client.subscribeTo('tcp://127.0.0.1:1'), { code: 'INVALID_OPTION' })
  })

  test('with keys, only who knows the key of the bus gets in; with a list of clients, only they', async (t) => {
    const [keys, member, stranger] = [await newKeys(), await newKeys(), await newKeys()]
    const bus = await startTcpBus(t, { insecure: false, keys: { ...keys, clients: [member.publicKey] } })
    bus.registerMethod('echo', (params) => params)
    const known = newClient(t, { keys: member })
    assert.equal(await known.call(bus.address, 'echo', 'secret'), 'secret')
    const events = await known.subscribeTo(bus.address, 'a')
    void bus.publish('a', 1)
    assert.equal((await events.next()).value?.payload, 1)

    await assert.rejects(newClient(t, { keys: stranger, timeoutMs: 500 }).call(bus.address, 'echo'), (error) =>
      ConclaveError.is(error, 'DISCONNECTED', 'TIMEOUT'),
    )
    await until(() => bus.counters.strangers > 0, 'the stranger to be refused')
    const plain = newClient(t, { insecure: true, timeoutMs: 500 })
    await assert.rejects(plain.call(bus.rpcAddr, 'echo'), (error) => ConclaveError.is(error, 'DISCONNECTED', 'TIMEOUT'))

    const open = await startTcpBus(t, { insecure: false, keys })
    open.registerMethod('echo', (params) => params)
    assert.equal(await newClient(t).call(open.address, 'echo', 1), 1)
    const guessed = newClient(t, { keys: { serverKey: stranger.publicKey }, timeoutMs: 500 })
    await assert.rejects(guessed.call(open.rpcAddr, 'echo'), (error) =>
      ConclaveError.is(error, 'DISCONNECTED', 'TIMEOUT'),
    )
    assert.equal(open.counters.requests, 1)
    for (const wrong of [
      { ...keys, secretKey: 'short' },
      { ...keys, publicKey: ' '.repeat(40) },
      { ...keys, publicKey: ','.repeat(40) },
      { ...keys, publicKey: '#'.repeat(40) },
      { ...keys, clients: ['short'] },
      { ...keys, clients: ['#'.repeat(40)] },
      { ...keys, clients: ['"'.repeat(40)] },
    ]) {
      await assert.rejects(new Bus({ keys: wrong }).start(0, 0), { code: 'INVALID_OPTION' })
    }
  })
})

test('9 calls go side by side; waiting for a turn counts; one that expires hurts no other', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t)
  const waiting: (() => void)[] = []
  bus.registerMethod('meet', async () => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
      if (waiting.length === 50) for (const go of waiting) go()
    })
    return 'met'
  })
  const met = await Promise.all(Array.from({ length: 50 }, () => client.call(bus.address, 'meet')))
  assert.deepEqual(new Set(met), new Set(['met']))

  const narrow = newClient(t, { maxInFlight: 1 })
  let answer: (value: string) => void = () => {}
  bus.registerMethod('slow', () => new Promise((resolve) => (answer = resolve)))
  const slow = narrow.call(bus.address, 'slow')
  await until(() => bus.counters.running === 1, 'the slow call to run')
  await assert.rejects(narrow.call(bus.address, 'slow', 1, { timeoutMs: 30 }), {
    code: 'TIMEOUT',
    outcome: 'not-committed',
  })
  bus.registerMethod('quick', () => 'quick')
  const behind = narrow.call(bus.address, 'quick')
  assert.equal(bus.counters.running, 1)
  answer('done')
  assert.equal(await slow, 'done')
  assert.equal(await behind, 'quick')
})

test('10 a write whose answer was lost is done once, and at an existing primary never repeated', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t)
  let rows = 0
  const service = serveWrites(bus, { writes: { add: async () => ++rows } })
  /** The connection is lost between the write and its answer, once. */
  const losing = (): { calls: number; client: Pick<Client, 'call'> } => {
    const seen = { calls: 0, client: { call } }
    async function call(...args: Parameters<Client['call']>): Promise<unknown> {
      const result = await client.call(...args)
      if (args[1] === 'db.write' && ++seen.calls === 1) {
        throw new ConclaveError('DISCONNECTED', 'lost', { outcome: 'unknown' })
      }
      return result
    }
    return seen
  }
  const lost = losing()
  const proxy = dbproxy({ client: lost.client, primary: bus.address, read: undefined })
  assert.equal(await proxy.write('add', {}), 1)
  assert.deepEqual([rows, lost.calls], [1, 2])

  service[Symbol.dispose]()
  bus.registerMethod('db.write', () => ++rows)
  const existing = losing()
  const careful = dbproxy({ client: existing.client, primary: bus.address, read: undefined })
  await assert.rejects(careful.write('add', {}), { reason: 'UNREACHABLE', outcome: 'unknown' })
  assert.deepEqual([rows, existing.calls], [2, 1])
})

test('11 a second peer of the same Identity gets none of the answers of the first; lost answers are counted', async (t) => {
  const notices: BusNotice[] = []
  const bus = await startTcpBus(t, { onNotice: (notice) => notices.push(notice) })
  bus.registerMethod('echo', (params) => params)
  const answers: ((value: unknown) => void)[] = []
  bus.registerMethod('slow', () => new Promise((resolve) => answers.push(resolve)))
  const first = await dialZmtp(t, bus.rpcAddr, 'DEALER', 'same')
  const ask = (id: string, method: string): Buffer[] => [
    frameOf('', 1),
    frameOf(JSON.stringify({ jsonrpc: '2.0', id, method, params: id })),
  ]
  first.write(...ask('1', 'echo'))
  assert.match((await first.message())[1] ?? '', /"result":"1"/)
  const second = await dialZmtp(t, bus.rpcAddr, 'DEALER', 'same')
  let heard = false
  void second.message().then(
    () => (heard = true),
    () => {},
  )
  for (let n = 0; n < 20; n++) {
    first.write(...ask(String(n), 'echo'))
    assert.match((await first.message())[1] ?? '', new RegExp(`"result":"${n}"`))
  }
  assert.equal(heard, false)

  const leaver = await dialZmtp(t, bus.rpcAddr, 'DEALER', 'leaver')
  // libzmq notices by itself that it has left: what is answered before that goes to nobody, unseen.
  for (let n = 0; n < 1000; n++) leaver.write(...ask(String(n), 'slow'))
  await until(() => answers.length === 1000, 'the calls to run')
  leaver.socket.destroy()
  await until(() => {
    answers.shift()?.(1)
    return bus.counters.undeliverable > 0
  }, 'an answer to be given up')
  for (const answer of answers) answer(1)
  const given = notices.map((notice) => notice.type === 'undeliverable' && notice.peer)
  assert.deepEqual(new Set(given), new Set(['leaver']))
})

test('12 two directories never share a socket; a port in use is told', async (t) => {
  runtimeDirectory(t)
  const one = temporaryDirectory(t)
  const two = temporaryDirectory(t)
  const [a, b] = [endpointsForPath(one), endpointsForPath(two)]
  assert.equal(new Set([a.pub, a.rpc, b.pub, b.rpc]).size, 4)
  assert.equal(portsForPath('/b').rpcPort, portsForPath('/b').pubPort + 1)
  const bus = await startBus(t, { workdir: one })
  assert.deepEqual(bus.address, a)
  await assert.rejects(new Bus({ workdir: one }).start(), { code: 'SOCKET_IN_USE' })
  const tcp = await startTcpBus(t)
  const port = Number(new URL(tcp.pubAddr).port)
  await assert.rejects(new Bus({ insecure: true }).start(port, 0), { code: 'SOCKET_IN_USE' })
  // Given up, it is free.
  await bus.shutdown()
  const next = await startBus(t, { workdir: one })
  assert.deepEqual(next.address, a)
  await tcp.shutdown()
  const again = new Bus({ insecure: true })
  await again.start(port, 0)
  await again.shutdown()
})

test('13 an answer is taken by its id only', async (t) => {
  const { endpoint } = await rawServer(t, async (peer) => {
    peer.write(GREETING, readyOf('ROUTER', 'x'))
    await peer.greeting()
    await peer.frame()
    const ids: string[] = []
    for (let n = 0; n < 2; n++) ids.push((JSON.parse((await peer.message())[1] ?? '') as { id: string }).id)
    const answer = (id: unknown, result: unknown): void =>
      peer.write(frameOf('', 1), frameOf(JSON.stringify({ jsonrpc: '2.0', id, result })))
    answer('req-unknown', 'wrong')
    answer(7, 'wrong')
    peer.write(frameOf('no json'))
    answer(ids[1], 'second')
    answer(ids[0], 'first')
    answer(ids[0], 'again')
  })
  const client = newClient(t, { insecure: true })
  const results = await Promise.all([client.call(endpoint, 'a'), client.call(endpoint, 'b')])
  assert.deepEqual(results, ['first', 'second'])
  await until(() => client.counters.late === 2 && client.counters.stray === 2, 'the others to be counted', {
    seen: () => client.counters,
  })
})
