import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Context } from 'zeromq'
import { Gatekeeper as NamedGatekeeper } from '../../../src/dialects/bilateral/gatekeeper.ts'
import type { Zeromq } from '../../../src/dialects/zmq-library.ts'
import { Gatekeeper } from '../../../src/dialects/zeromq/zap.ts'
import { until } from '../../support/index.ts'

/** A socket that was closed when its last question had been read: seen with clients that connect while a bus ends. */
class ClosingReply {
  closed = false
  sent = 0

  async bind(): Promise<void> {}

  close(): void {
    this.closed = true
  }

  async send(): Promise<void> {
    this.sent++
    if (this.closed) throw new Error('Socket is closed')
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer[]> {
    const question = ['1.0', '1', '', '', '', 'CURVE', 'k'.repeat(32)].map((part) => Buffer.from(part))
    yield question
    this.close()
    yield question
  }
}

const probe = { events: { on: () => {} }, close: () => {} }

for (const [what, start] of [
  ['a bus', (library: Zeromq) => Gatekeeper.start(library, {} as Context, [])],
  ['a node', (library: Zeromq) => NamedGatekeeper.start(library, {} as Context, () => false)],
] as const) {
  test(`the gatekeeper of ${what} ends in silence when its socket does`, async () => {
    const socket = new ClosingReply()
    const failed: unknown[] = []
    const onRejection = (error: unknown): void => void failed.push(error)
    process.on('unhandledRejection', onRejection)
    try {
      const library = {
        Reply: function Reply() {
          return socket
        },
        Dealer: function Dealer() {
          return probe
        },
      }
      await start(library as unknown as Zeromq)
      await until(() => socket.closed, 'the second question')
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual([failed, socket.sent], [[], 1])
    } finally {
      process.off('unhandledRejection', onRejection)
    }
  })
}
