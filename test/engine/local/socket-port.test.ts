import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LONG_FACTOR, MAX_LINK_BYTES, STALL_MS } from '../../../src/engine/local/limits.ts'
import { Session } from '../../../src/engine/local/session.ts'
import { SocketPort } from '../../../src/engine/local/socket-port.ts'
import type { Connection } from '../../../src/transport/transport.ts'
import { Channel } from '../../../src/wire/channel.ts'
import { Frame, KIND } from '../../../src/wire/frame.ts'
import { BatchPool } from '../../../src/wire/writer.ts'

/** A member whose socket takes nothing. */
function stopped(): { port: SocketPort; isCutOff: () => boolean } {
  let closed = false
  const connection = { takenBytes: 0, bufferedBytes: 0, close: () => (closed = true) } as unknown as Connection
  const channel = new Channel({ pool: new BatchPool(), write: () => false, schedule: () => {}, onMessage: () => {} })
  const ref = { id: 'it', name: 'it', pid: 1 }
  return { port: new SocketPort(1, ref, new Session('it'), connection, channel), isCutOff: () => closed }
}

test('B17, P4: long events do not count against their reader, answers do', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const body = new Uint8Array(9 * 1024 * 1024)
  for (const [kind, ends] of [
    [KIND.EVENT, false],
    [KIND.RESPONSE, true],
  ] as const) {
    const { port, isCutOff } = stopped()
    for (let sent = 0; sent <= MAX_LINK_BYTES * LONG_FACTOR; sent += body.length) {
      port.send(new Frame().set(kind, 0, 0, 0, 0, 1, 0).withBody(body))
    }
    assert.equal(port.isStuck(MAX_LINK_BYTES), false)
    assert.equal(port.longBytes === 0, !ends)
    t.mock.timers.tick(STALL_MS)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isCutOff(), ends)
    port.close()
  }
})

test('one long answer does not cut off a member that is busy', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { port, isCutOff } = stopped()
  port.send(new Frame().set(KIND.RESPONSE, 0, 0, 0, 0, 1, 0).withBody(new Uint8Array(16 * 1024 * 1024)))
  assert.equal(port.isStuck(MAX_LINK_BYTES), false)
  t.mock.timers.tick(STALL_MS)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isCutOff(), false)
  port.close()
})
