import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { posixPlatform } from '../../src/platform/index.ts'
import { native, type SocketHandle, type TakenLock } from '../../src/platform/native.ts'
import { packetTransport, unixTransport, type Connection } from '../../src/transport/index.ts'
import { needsLinux, temporaryDirectory } from '../platform/support.ts'

async function startWorker(context: TestContext, directory: string, name: string, leave = false): Promise<Worker> {
  const worker = new Worker(new URL('programs/worker.ts', import.meta.url), {
    workerData: { lock: join(directory, `${name}.lock`), socket: join(directory, `${name}.socket`), leave },
  })
  context.after(() => worker.terminate())
  assert.deepEqual((await once(worker, 'message'))[0], { locked: true })
  return worker
}

/** Says something and hears it back. */
function echo(connection: Connection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.handlers = { onData: () => resolve(), onEnd: reject, onDrain() {}, onClose() {} }
    connection.write(Buffer.from('hello'), 0, 5)
  })
}

for (const way of ['terminated', 'ends by process.exit()'] as const) {
  test(`A10 a Worker that holds the lock is ${way}: the lock is free, its sockets are closed`, async (context) => {
    const directory = temporaryDirectory(context)
    const platform = posixPlatform()
    const worker = await startWorker(context, directory, 'it', way !== 'terminated')
    assert.equal(platform.tryLock(join(directory, 'it.lock')), undefined)
    const connection = unixTransport().connect(join(directory, 'it.socket'))
    await echo(connection)
    // The lock is let go before the sockets: whoever sees the end finds it free (rule A9).
    const freeAtTheEnd = new Promise<boolean>((resolve) => {
      const look = (): void => {
        const lock = platform.tryLock(join(directory, 'it.lock'))
        lock?.close()
        resolve(lock !== undefined)
      }
      connection.handlers = { onData() {}, onEnd: look, onDrain() {}, onClose() {} }
    })
    // Before it ends: on a busy machine its exit may be told before the end of its sockets.
    const exited = once(worker, 'exit')
    if (way === 'terminated') void worker.terminate()
    else worker.postMessage('leave')
    assert.equal(await freeAtTheEnd, true)
    connection.close()
    await exited
  })
}

test('Workers load the addon beside each other and beside the main thread', async (context) => {
  const directory = temporaryDirectory(context)
  const names = ['a', 'b', 'c']
  const workers = await Promise.all(names.map((name) => startWorker(context, directory, name)))
  const connections = names.map((name) => unixTransport().connect(join(directory, `${name}.socket`)))
  await Promise.all(connections.map(echo))
  // One ends; the others go on.
  await workers[0]?.terminate()
  await Promise.all(connections.slice(1).map(echo))
  for (const connection of connections) connection.close()
})

test('Workers that end leave no descriptor behind', { skip: needsLinux }, async (context) => {
  const directory = temporaryDirectory(context)
  const descriptors = (): number => readdirSync('/proc/self/fd').length
  await (await startWorker(context, directory, 'first')).terminate()
  const before = descriptors()
  for (let round = 0; round < 5; round++) {
    await (await startWorker(context, directory, `round-${round}`)).terminate()
  }
  assert.equal(descriptors(), before)
})

test('what is not ours is refused with a TypeError, never a crash', (context) => {
  const addon = native()
  const path = join(temporaryDirectory(context), 's')
  const listener = addon.listen(path, 1) as SocketHandle
  const lock = addon.tryLock(`${path}.lock`) as TakenLock
  const callsWith = (argument: unknown): (() => unknown)[] => {
    const wrong = argument as never
    return [
      () => addon.close(wrong),
      () => addon.send(wrong, new Uint8Array(1), 0, 1),
      () => addon.watch(wrong, 1),
      () => addon.start(wrong, () => {}),
      () => addon.keepAlive(wrong, true),
      () => addon.peer(wrong),
      () => addon.shutdown(wrong),
      () => addon.lockHolds(wrong),
      () => addon.unlock(wrong),
    ]
  }
  for (const wrong of [undefined, null, 5, 'x', {}, [], new Uint8Array(100)]) {
    for (const call of callsWith(wrong)) assert.throws(call, TypeError)
  }
  for (const wrong of [undefined, 5, {}, lock.handle]) {
    assert.throws(() => addon.peerState(wrong as never), TypeError)
  }
  assert.throws(() => addon.close(lock.handle as never), TypeError)
  assert.throws(() => addon.unlock(listener as never), TypeError)
  for (const wrong of ['a\0b', 5, undefined]) {
    assert.throws(() => addon.listen(wrong as never, 1), TypeError)
    assert.throws(() => addon.connect(wrong as never), TypeError)
    assert.throws(() => addon.tryLock(wrong as never), TypeError)
    assert.throws(() => addon.fileSystemType(wrong as never), TypeError)
  }
  for (const [start, end] of [
    [-1, 1],
    [2, 1],
    [0, 11],
    [11, 11],
    [NaN, 11],
  ] as const) {
    assert.throws(() => addon.send(listener, new Uint8Array(10), start, end), TypeError)
  }
  assert.throws(() => addon.send(listener, new Uint16Array(10) as never, 0, 1), TypeError)
  addon.close(listener)
  addon.close(listener)
  assert.ok(addon.send(listener, new Uint8Array(1), 0, 1) < 0)
  assert.ok((addon.peer(listener) as number) < 0)
  addon.watch(listener, 3)
  addon.unlock(lock.handle)
})

test('packets: what is not ours is refused with a TypeError, never a crash', { skip: needsLinux }, (context) => {
  const addon = native()
  const path = join(temporaryDirectory(context), 's')
  const fresh = { exports: {} as typeof addon }
  process.dlopen(fresh, createRequire(import.meta.url).resolve('../../build/conclave.node'))
  // Nothing is received before there is a buffer for it.
  assert.throws(() => fresh.exports.listenPackets(path, 1, 0o600), TypeError)
  assert.throws(() => fresh.exports.connectPackets(path), TypeError)
  assert.equal(addon.packetBuffer(), addon.packetBuffer())
  for (const [at, backlog, mode] of [
    ['a\0b', 1, 0o600],
    [5, 1, 0o600],
    [path, 'x', 0o600],
    [path, 1, 'x'],
    [path, 1, 0o1000],
    [path, 1, -1],
    [path, 1, undefined],
  ] as unknown as [string, number, number][]) {
    assert.throws(() => addon.listenPackets(at, backlog, mode), TypeError)
  }
  for (const wrong of ['a\0b', 5, undefined]) assert.throws(() => addon.connectPackets(wrong as never), TypeError)
  assert.ok((addon.connectPackets(path) as number) < 0)
  const listener = addon.listenPackets(path, 1, 0o600) as SocketHandle
  assert.ok((addon.listenPackets(path, 1, 0o600) as number) < 0)
  const client = addon.connectPackets(path) as SocketHandle
  assert.equal(addon.peerState(client), 0)
  assert.equal(addon.send(client, new Uint8Array(10), 0, 10), 10)
  assert.ok(addon.send(client, new Uint8Array(8 << 20), 0, 8 << 20) < 0, 'EMSGSIZE')
  addon.close(listener)
  assert.equal(addon.peerState(client), 2)
  addon.close(client)
  assert.equal(addon.peerState(client), 2)
  assert.ok(addon.send(client, new Uint8Array(1), 0, 1) < 0)
})

test(
  'A10 packets: a Worker that is terminated with sockets open leaves no descriptor, and its peer sees the end',
  {
    skip: needsLinux,
  },
  async (context) => {
    const path = join(temporaryDirectory(context), 's')
    const descriptors = (): number => readdirSync('/proc/self/fd').length
    const round = async (): Promise<void> => {
      const worker = new Worker(new URL('programs/packets.ts', import.meta.url), { workerData: { path } })
      context.after(() => worker.terminate())
      assert.deepEqual((await once(worker, 'message'))[0], { listening: true })
      const connection = packetTransport().connect(path)
      await echo(connection)
      const ended = new Promise<void>((resolve) => {
        connection.handlers = { onData() {}, onEnd: resolve, onDrain() {}, onClose() {} }
      })
      await worker.terminate()
      await ended
      connection.close()
      rmSync(path, { force: true })
    }
    await round()
    const before = descriptors()
    for (let count = 0; count < 3; count++) await round()
    assert.equal(descriptors(), before)
  },
)

test('a second copy in one thread has sockets of its own', (context) => {
  const path = join(temporaryDirectory(context), 's')
  const addon = native()
  const module = { exports: {} as typeof addon }
  process.dlopen(module, createRequire(import.meta.url).resolve('../../build/conclave.node'))
  const handle = module.exports.listen(path, 1) as SocketHandle
  module.exports.close(handle)
})
