import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventText } from '../../../src/dialects/eventbus/event-text.ts'
import { Peer } from '../../../src/dialects/eventbus/peer.ts'
import { Routes } from '../../../src/dialects/eventbus/routes.ts'
import type { Connection } from '../../../src/transport/index.ts'

/** A socket that takes what it was given when it is told to. */
class Slow implements Connection {
  readonly peer = { uid: 0, gid: 0, pid: 0 }
  handlers: Connection['handlers'] = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
  bufferedBytes = 0
  takenBytes = 0

  write(_bytes: Uint8Array, start: number, end: number): boolean {
    this.bufferedBytes += end - start
    return false
  }

  take(): void {
    this.takenBytes += this.bufferedBytes
    this.bufferedBytes = 0
    this.handlers.onDrain()
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  close(): void {}
  ref(): void {}
  unref(): void {}
}

test('a publisher that stood still does not take its reader for a stopped one', async () => {
  const stallMs = 50
  const routes = new Routes(stallMs)
  const connection = new Slow()
  const queue = { events: 10, bytes: 1 << 20, states: 10 }
  const options = { maxFrameBytes: 1 << 20, writeTimeoutMs: 60_000, firstMessageTimeoutMs: 60_000, queue }
  const peer = new Peer(1, connection, options, {
    onMessage() {},
    onDrain: () => routes.drained(),
    onDirty: (dirty) => routes.dirty(dirty),
    onGone() {},
  })
  peer.known()
  peer.phase = 'consumer'
  peer.hello = { type: 'hello', pid: 1, eventKey: 'k', eventTypes: ['a'], version: 'v1' }
  routes.add(peer)
  const publish = (): number => routes.publish('a', eventText({ eventType: 'a', payload: 1 }, 1 << 20))
  publish()
  await routes.room(4, undefined) // the first one is with the socket, which has not taken it
  assert.ok(connection.bufferedBytes > 0)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs * 2)
  for (let n = 0; n < 3; n++) publish()
  setImmediate(() => connection.take())
  await routes.room(4, undefined)
  assert.deepEqual([peer.stuck, peer.queue.events], [false, 0])
})
