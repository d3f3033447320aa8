import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { z } from 'zod'
import {
  ackMessage,
  bufferedSender,
  dial,
  dialWithRetry,
  eventMessage,
  heartbeatMessage,
  incidentMessage,
  listen,
  message,
  pipeDirectory,
  pipePath,
  type Receiver,
} from '../../../src/dialects/pipe/index.ts'
import { ACK_EVERY, RECEIVER_QUEUE_SIZE } from '../../../src/dialects/pipe/limits.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import type { Platform } from '../../../src/platform/index.ts'
import { unixTransport } from '../../../src/transport/index.ts'
import { temporaryDirectory, until } from '../../support/index.ts'
import { rawClient, rawServer } from '../eventbus/support.ts'

/** A receiver of ours is not taken for an existing one, however late it says that it acknowledges. */
const OURS = { ackGraceMs: 60_000 } as const

describe('messages', () => {
  test('four kinds and any other; ids are nanoseconds and never repeat', () => {
    const all = [eventMessage(1), incidentMessage(1), ackMessage(), heartbeatMessage(), message('own', 1)]
    assert.deepEqual(
      all.map(({ type }) => type),
      ['soc_event', 'soc_incident', 'soc_ack', 'soc_heartbeat', 'own'],
    )
    const ids = Array.from({ length: 2000 }, () => BigInt(message('own').id as string))
    assert.ok(ids.every((id, at) => at === 0 || id > (ids[at - 1] as bigint)))
    assert.equal(String(ids[0]).length, 19)
    assert.equal('payload' in heartbeatMessage(), false)
  })

  test('names', () => {
    assert.match(pipePath('soc-ingest-to-correlate'), /\/sentinel-soc\/soc-ingest-to-correlate\.sock$/)
    assert.match(pipeDirectory(), /\/sentinel-soc$/)
    for (const name of ['', '..', '.x', 'a/b', 'a\0', 'x'.repeat(65)])
      assert.throws(() => pipePath(name, '/d'), { code: 'INVALID_OPTION' })
  })
})

describe('Receiver', () => {
  test('a malformed and an empty line are errors, unknown types are skipped, an unfinished line is nothing', async (t) => {
    await using listener = await listen('p', { directory: temporaryDirectory(t) })
    const sender = await rawClient(t, listener.path)
    sender.send('', '{', '[]', { type: 1 }, { type: 'zzz', ts: 1 }, { type: 'soc_ack', ts: 1, payload: null })
    sender.socket.end('{"type":"soc_event"')
    const receiver = (await listener.accept()) as Receiver
    for (let n = 0; n < 4; n++) await assert.rejects(receiver.next(), { code: 'PROTOCOL' })
    assert.deepEqual(await receiver.next(), { type: 'soc_ack', ts: 1, payload: null })
    assert.equal(await receiver.next(), undefined)
    assert.deepEqual(receiver.counters, { received: 1, errors: 4, unknown: 1, acks: 0 })
  })

  test('an acknowledgement stands for all before it: what nobody takes waits for what is still to be taken', async (t) => {
    await using listener = await listen('p', { directory: temporaryDirectory(t) })
    const sender = await rawClient(t, listener.path)
    sender.send({ type: 'soc_event', ts: 1, ack: true }, { type: 'zzz', ts: 1 }, '{', { type: 'zzz', ts: 1 })
    const receiver = (await listener.accept()) as Receiver
    const count = async (): Promise<unknown> => ((await sender.json('an ack'))['payload'] as { count: number }).count
    assert.equal(await count(), 0)
    assert.equal((await receiver.next())?.type, 'soc_event')
    assert.equal(await count(), 1)
    await assert.rejects(receiver.next(), { code: 'PROTOCOL' })
    assert.equal(await count(), 4)
    sender.send({ type: 'zzz', ts: 1 })
    assert.equal(await count(), 5)
  })

  test('who leaves messages() has what it got; the rest is not acknowledged, and there for the next', async (t) => {
    const directory = temporaryDirectory(t)
    await using listener = await listen('p', { directory })
    const senders = [bufferedSender('p', { directory, ...OURS }), bufferedSender('p', { directory, ...OURS })] as const
    for (const [at, sender] of senders.entries()) for (const n of [1, 2]) await sender.send(eventMessage(at * 10 + n))
    await until(() => listener.counters.accepted === 2, 'both to be there')
    const got: unknown[] = []
    for (let left = 4; left > 0; left--) {
      for await (const { payload } of listener.messages()) {
        got.push(payload)
        break
      }
      await until(() => senders[0].report.delivered + senders[1].report.delivered === got.length, 'what was taken', {
        seen: () => senders.map(({ report }) => report),
      })
    }
    assert.deepEqual(
      got.toSorted((a, b) => Number(a) - Number(b)),
      [1, 2, 11, 12],
    )
    const late = bufferedSender('p', { directory, ...OURS })
    await late.send(eventMessage(21))
    for await (const { payload } of listener.messages()) {
      assert.equal(payload, 21)
      break
    }
    for (const sender of [...senders, late]) assert.equal((await sender.close()).undelivered, 0)
  })

  test('for await goes on after an error; unknown types come when asked for', async (t) => {
    const errors: Error[] = []
    const options = {
      directory: temporaryDirectory(t),
      unknownTypes: 'deliver',
      onError: (error: Error) => void errors.push(error),
    } as const
    await using listener = await listen('p', options)
    const sender = await rawClient(t, listener.path)
    sender.send('x', { type: 'zzz', ts: 1 })
    sender.finish()
    const seen: string[] = []
    for await (const { type } of (await listener.accept()) as Receiver) seen.push(type)
    assert.deepEqual([seen, errors.length], [['zzz'], 1])
  })

  test('one that is not read stops reading; what is over the limit of connections is closed and counted', async (t) => {
    await using listener = await listen('p', { directory: temporaryDirectory(t), queueSize: 2, maxConnections: 1 })
    const sender = await rawClient(t, listener.path)
    const lines = Array.from({ length: 400 }, (_, n) => ({
      type: 'soc_event',
      ts: 1,
      payload: { n, pad: 'x'.repeat(5000) },
    }))
    sender.send(...lines)
    const receiver = (await listener.accept()) as Receiver
    await until(() => receiver.counters.received > 0, 'the first lines')
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(receiver.counters.received < 400)
    for (let n = 0; n < 400; n++) {
      const { payload } = (await receiver.next()) ?? {}
      assert.equal((payload as { n: number }).n, n)
    }
    await (await rawClient(t, listener.path)).end()
    assert.equal(listener.counters.overflow, 1)
    assert.ok(RECEIVER_QUEUE_SIZE > 2)
  })

  test('a sender that asks is told how many were taken; the others hear nothing', async (t) => {
    await using listener = await listen('p', { directory: temporaryDirectory(t) })
    const sender = await rawClient(t, listener.path)
    sender.send({ type: 'soc_event', ts: 1, payload: 0, ack: true })
    assert.equal(((await sender.json())['payload'] as { count: number }).count, 0)
    const receiver = (await listener.accept()) as Receiver
    for (let n = 1; n < ACK_EVERY; n++) sender.send({ type: 'soc_event', ts: 1, payload: n })
    for (let n = 0; n < ACK_EVERY; n++) await receiver.next()
    await until(() => sender.lines.some((line) => line.includes(`"count":${ACK_EVERY}`)), 'all to be acknowledged')
    const before = sender.lines.length
    sender.send({ type: 'soc_heartbeat', ts: 1, auto: true })
    await until(() => sender.lines.length > before, 'the heartbeat to be answered')
    assert.equal(receiver.counters.received, ACK_EVERY)
  })
})

describe('schemas', () => {
  test('payloads are checked where they are sent and where they arrive, types are known', async (t) => {
    const directory = temporaryDirectory(t)
    const schemas = { alert: z.object({ level: z.coerce.number(), note: z.string().default('none') }) } as const
    await using listener = await listen('p', { directory, schemas })
    await using sender = await dial('p', { directory, schemas })
    await sender.send(message('alert', { level: 3 }))
    await sender.send(eventMessage('free'))
    const receiver = await listener.accept()
    const first = await receiver?.next()
    assert.equal(first?.type === 'alert' && first.payload?.note, 'none')
    assert.equal((await receiver?.next())?.payload, 'free')
    await assert.rejects(sender.send(message('alert', { level: 'x' })), { code: 'INVALID_PARAMS' })
    const stranger = await rawClient(t, listener.path)
    stranger.send({ type: 'alert', ts: 1, payload: { level: 'x' } }, { type: 'alert', ts: 1, payload: { level: 1 } })
    const other = await listener.accept()
    await assert.rejects(other?.next() as Promise<unknown>, { code: 'INVALID_PARAMS' })
    assert.deepEqual((await other?.next())?.payload, { level: 1, note: 'none' })
  })
})

describe('Sender', () => {
  test('dial finds nobody; dialWithRetry waits; a name can be used again at once', async (t) => {
    const directory = temporaryDirectory(t)
    await assert.rejects(dial('p', { directory }), { code: 'DISCONNECTED' })
    await assert.rejects(dialWithRetry('p', { directory, attempts: 2, retryMs: 1 }), { code: 'DISCONNECTED' })
    const dialing = dialWithRetry('p', { directory, retryMs: 5, attempts: 10_000 })
    await (await listen('p', { directory })).close()
    await using listener = await listen('p', { directory })
    const sender = await dialing
    await sender.sendWithRetry(eventMessage(1), { retryMs: 1 })
    assert.equal((await (await listener.accept())?.next())?.payload ?? 1, 1)
    await sender.close()
    await assert.rejects(sender.send(eventMessage(2)), { code: 'CLOSED' })
    await assert.rejects(sender.sendWithRetry(eventMessage(2)), { code: 'CLOSED' })
  })

  test('a receiver that does not read: TIMEOUT, and the connection is given up; ABORTED by signal', async (t) => {
    const directory = temporaryDirectory(t)
    const server = await rawServer(t, join(directory, 'p.sock'))
    const sender = await dial('p', { directory, writeTimeoutMs: 30 })
    ;(await server.peer(0)).socket.pause()
    const fill = async (): Promise<void> => {
      for (;;) await sender.send(eventMessage('x'.repeat(500_000)))
    }
    await assert.rejects(fill(), { code: 'TIMEOUT' })
    await assert.rejects(sender.send(eventMessage(1)), { code: 'DISCONNECTED' })
    await assert.rejects(sender.send(eventMessage('x'.repeat(1024 * 1024))), { code: 'FRAME_TOO_LARGE' })
    await assert.rejects(sender.send(eventMessage(1), { signal: AbortSignal.abort() }), { code: 'ABORTED' })
    await assert.rejects(sender.flush({ timeoutMs: 1 }), { code: 'DISCONNECTED' })
  })

  test('a listener that has too many callers is tried for a while', async (t) => {
    let attempts = 0
    const full = (): never => {
      attempts++
      throw new ConclaveError('DISCONNECTED', 'full', { data: { errno: 'EAGAIN' } })
    }
    const transport = (platform: Platform) => ({ ...unixTransport(platform), connect: full })
    const options = { directory: temporaryDirectory(t), timeoutMs: 50 }
    await assert.rejects(dial('p', options, { transport: transport as never }), { code: 'DISCONNECTED' })
    assert.ok(attempts > 1)
  })

  test('flush resolves when the application has taken everything', async (t) => {
    const directory = temporaryDirectory(t)
    await using listener = await listen('p', { directory })
    await using sender = await dial('p', { directory })
    for (let n = 0; n < 3; n++) await sender.send(eventMessage(n))
    await assert.rejects(sender.flush({ timeoutMs: 20 }), { code: 'TIMEOUT' })
    const receiver = (await listener.accept()) as Receiver
    const flushed = sender.flush()
    for (let n = 0; n < 3; n++) await receiver.next()
    await flushed
    assert.equal(sender.acknowledges, true)
  })
})

describe('BufferedSender', () => {
  test('it holds so many, refuses more, or drops the oldest; all is counted', async (t) => {
    const directory = temporaryDirectory(t)
    const refusing = bufferedSender('p', { directory, size: 3, closeTimeoutMs: 1 })
    for (let n = 0; n < 3; n++) await refusing.send(eventMessage(n))
    await assert.rejects(refusing.send(eventMessage(3)), { code: 'OVERLOADED' })
    assert.deepEqual(await refusing.close(), { delivered: 0, written: 0, dropped: 1, undelivered: 3, repeated: 0 })

    const dropping = bufferedSender('p', { directory, size: 3, overflow: 'drop-oldest', ...OURS })
    for (let n = 0; n < 5; n++) await dropping.send(eventMessage(n))
    await using listener = await listen('p', { directory })
    const receiver = (await listener.accept()) as Receiver
    for (const n of [2, 3, 4]) assert.equal((await receiver.next())?.payload, n)
    assert.deepEqual(await dropping.close(), { delivered: 3, written: 0, dropped: 2, undelivered: 0, repeated: 0 })
  })

  test('a sender may wait for room', async (t) => {
    const directory = temporaryDirectory(t)
    await using sender = bufferedSender('p', { directory, size: 2, closeTimeoutMs: 10 })
    await using listener = await listen('p', { directory })
    const sending = (async () => {
      for (let n = 0; n < 50; n++) await sender.send(eventMessage(n), { wait: true })
    })()
    const receiver = (await listener.accept()) as Receiver
    for (let n = 0; n < 50; n++) assert.equal((await receiver.next())?.payload, n)
    await sending
    await assert.rejects(
      (async () => {
        for (;;) await sender.send(eventMessage(0), { wait: true, signal: AbortSignal.timeout(20) })
      })(),
      { code: 'ABORTED' },
    )
  })

  test('to an existing receiver what the kernel took counts as written; at the end it has read all', async (t) => {
    const directory = temporaryDirectory(t)
    const server = await rawServer(t, join(directory, 'p.sock'))
    const sender = bufferedSender('p', { directory, ackGraceMs: 20 })
    for (let n = 0; n < 5; n++) await sender.send(eventMessage(n))
    await sender.flush()
    assert.deepEqual([sender.report.written, sender.pending], [5, 0])
    await sender.send(eventMessage(5))
    const closing = sender.close()
    const peer = await server.peer(0)
    await peer.end()
    peer.finish()
    assert.deepEqual(await closing, { delivered: 0, written: 6, dropped: 0, undelivered: 0, repeated: 0 })
    assert.equal(peer.lines.length, 6)
  })

  test('a receiver that acknowledges is asked now and then whether it is there', async (t) => {
    const directory = temporaryDirectory(t)
    await using listener = await listen('p', { directory })
    await using sender = bufferedSender('p', { directory, heartbeatMs: 10 })
    await sender.send(eventMessage(1))
    const receiver = (await listener.accept()) as Receiver
    await receiver.next()
    const { acks } = receiver.counters
    await until(() => receiver.counters.acks > acks + 3, 'heartbeats to be answered')
    assert.equal(receiver.counters.received, 1)
  })

  test('4096 messages through three receivers that die: in order, none lost, repeats only at the seams', async (t) => {
    const directory = temporaryDirectory(t)
    const sender = bufferedSender('p', { directory, closeTimeoutMs: 60_000, ...OURS })
    for (let n = 0; n < 4096; n++) await sender.send(eventMessage(n))
    await assert.rejects(sender.send(eventMessage(-1)), { code: 'OVERLOADED' })
    const seen: number[] = []
    for (const stop of [1000, 2000, Infinity]) {
      const listener = await listen('p', { directory })
      const receiver = (await listener.accept()) as Receiver
      const closing = stop === Infinity ? sender.close() : undefined
      for (let one = await receiver.next(); one !== undefined; one = await receiver.next()) {
        seen.push(one.payload as number)
        if (seen.length >= stop) break
      }
      await closing
      await listener.close()
    }
    const unique = [...new Set(seen)]
    assert.deepEqual(
      unique,
      Array.from({ length: 4096 }, (_, n) => n),
    )
    const report = await sender.close()
    assert.deepEqual([report.delivered, report.undelivered, report.dropped], [4096, 0, 1])
  })
})
