/** One test for each numbered weak point of the existing system (SEEDS.md 5.3). */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  bufferedSender,
  dial,
  dialWithRetry,
  eventMessage,
  listen,
  MemoryFactStore,
  openSwarm,
  type Fact,
  type Receiver,
} from '../../../src/dialects/pipe/index.ts'
import { unixTransport, type ListenOptions } from '../../../src/transport/index.ts'
import type { Platform } from '../../../src/platform/index.ts'
import { temporaryDirectory, until } from '../../support/index.ts'
import { rawClient, rawServer, strangersAround } from '../eventbus/support.ts'

const fact = (id: string, content = 'c'): Fact => ({
  id,
  content,
  level: 0,
  isGene: false,
  source: 'manual',
  createdAt: '2026-01-01T00:00:00Z',
})

describe('weak points of the existing pipes, which ours do not have', () => {
  test('5.3.1 peers of other users are refused on both sides and counted; the directory must be ours and private', async (t) => {
    const directory = temporaryDirectory(t)
    const listener = await listen('p', { directory, uids: [4_000_000] })
    const other = await rawClient(t, listener.path)
    await other.end()
    await until(() => listener.counters.refused === 1, 'the refusal to be counted')
    await listener.close()

    await using own = await listen('p', { directory })
    await assert.rejects(dial('p', { directory }, strangersAround()), { code: 'FORBIDDEN' })
    assert.equal(statSync(own.path).mode & 0o777, 0o600)

    mkdirSync(join(directory, 'open'))
    chmodSync(join(directory, 'open'), 0o777)
    symlinkSync(directory, join(directory, 'link'))
    for (const name of ['open', 'link']) {
      await assert.rejects(listen('p', { directory: join(directory, name) }), { code: 'UNSAFE_WORKSPACE' })
      await assert.rejects(dial('p', { directory: join(directory, name) }), { code: 'UNSAFE_WORKSPACE' })
    }
    await listen('p', { directory: join(directory, 'new') }).then((made) => made.close())
    assert.equal(statSync(join(directory, 'new')).mode & 0o777, 0o700)
  })

  test('5.3.2 a line that is too long is one error, and the stream goes on', async (t) => {
    await using listener = await listen('p', { directory: temporaryDirectory(t) })
    const sender = await rawClient(t, listener.path)
    sender.send({ type: 'soc_event', ts: 1, payload: 1 }, 'x'.repeat(3 * 1024 * 1024), {
      type: 'soc_event',
      ts: 1,
      payload: 2,
    })
    sender.finish()
    const receiver = (await listener.accept()) as Receiver
    assert.equal((await receiver.next())?.payload, 1)
    await assert.rejects(receiver.next(), { code: 'FRAME_TOO_LARGE' })
    assert.equal((await receiver.next())?.payload, 2)
    assert.equal(await receiver.next(), undefined)
    assert.equal(await receiver.next(), undefined)
    assert.equal(receiver.counters.errors, 1)
  })

  test('5.3.3 a retry connects anew, and what was queued reaches the next receiver in order', async (t) => {
    const directory = temporaryDirectory(t)
    const first = await listen('p', { directory })
    const plain = await dial('p', { directory })
    await using buffered = bufferedSender('p', { directory, ackGraceMs: 60_000 })
    for (let n = 0; n < 5; n++) await buffered.send(eventMessage(n))
    await until(() => buffered.connected, 'the buffered sender to be connected')
    await first.close()
    await until(() => !plain.connected && !buffered.connected, 'the loss to be noticed')
    await assert.rejects(plain.send(eventMessage('lost')), { code: 'DISCONNECTED' })
    for (let n = 5; n < 10; n++) await buffered.send(eventMessage(n))
    await using second = await listen('p', { directory })
    await plain.sendWithRetry(eventMessage('again'))
    const seen: unknown[] = []
    for await (const { payload } of second.messages()) {
      seen.push(payload)
      if (seen.length === 11) break
    }
    assert.deepEqual(
      seen.filter((one) => one !== 'again'),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    await buffered.flush()
    assert.deepEqual(
      { ...(await buffered.close()), repeated: 0 },
      { delivered: 10, written: 0, dropped: 0, undelivered: 0, repeated: 0 },
    )
    await plain.close()
  })

  test('5.3.4 whoever listens keeps the name, one of ours and one of the existing system', async (t) => {
    const directory = temporaryDirectory(t)
    await using first = await listen('p', { directory })
    await assert.rejects(listen('p', { directory }), { code: 'SOCKET_IN_USE' })
    await using sender = await dial('p', { directory })
    await sender.send(eventMessage(1))
    assert.equal((await (await first.accept())?.next())?.payload, 1)
    await rawServer(t, join(directory, 'q.sock'))
    await assert.rejects(listen('q', { directory }), { code: 'SOCKET_IN_USE' })
    await rawClient(t, join(directory, 'q.sock'))
  })

  test('5.3.5 loss is visible: acknowledgements count, close() tells; a send after close is an error', async (t) => {
    const directory = temporaryDirectory(t)
    const listener = await listen('p', { directory })
    const sender = bufferedSender('p', { directory, closeTimeoutMs: 50, ackGraceMs: 60_000 })
    for (let n = 0; n < 10; n++) await sender.send(eventMessage(n))
    const receiver = (await listener.accept()) as Receiver
    for (let n = 0; n < 4; n++) await receiver.next()
    await until(() => sender.report.delivered === 4, 'four to be acknowledged')
    await listener.close()
    const report = await sender.close()
    assert.deepEqual([report.delivered, report.undelivered], [4, 6])
    await assert.rejects(sender.send(eventMessage(11)), { code: 'CLOSED' })
  })

  test('5.3.6 any payload up to the frame limit; to an existing listener in several conversations; nothing sent ahead is lost', async (t) => {
    const directory = temporaryDirectory(t)
    const many = Array.from({ length: 300 }, (_, n) => fact(`f${n}`, 'x'.repeat(1000)))
    const store = new MemoryFactStore()
    await using listening = await openSwarm({ directory, store })
    await using dialing = await openSwarm({
      directory,
      store: new MemoryFactStore([...many, fact('long', 'y'.repeat(900_000))]),
    })
    assert.deepEqual([dialing.lastSync?.sent, store.size], [301, 301])
    // All at once, as no existing dialer does.
    const ahead = await rawClient(t, listening.path)
    const handshake = { from_peer_id: 'p', from_node: 'n', genome_hash: GENOME, timestamp: 1, nonce: '' }
    const payload = {
      from_peer_id: 'p',
      genome_hash: GENOME,
      facts: [{ id: 'ahead', content: 'c', level: 1, is_gene: false, source: 's', created_at: '' }],
      synced_at: '',
    }
    ahead.send({ type: 'handshake', payload: handshake }, { type: 'sync_payload', payload })
    await until(() => store.size === 302, 'the fact sent ahead')

    const existing = join(directory, 'existing')
    mkdirSync(existing, { mode: 0o700 })
    const server = await rawServer(t, join(existing, 'swarm.sock'))
    const to = openSwarm({
      directory: existing,
      store: new MemoryFactStore([...many, fact('long', 'y'.repeat(900_000))]),
    })
    const got: string[] = []
    for (let at = 1; got.length < 300; at++) {
      // The first connection asks who listens.
      const peer = await server.peer(at)
      await peer.next('a handshake')
      peer.send({
        type: 'handshake_ack',
        payload: { to_peer_id: 'x', to_node: 'old', genome_hash: GENOME, match: true, trust: 2, timestamp: 1 },
      })
      const line = await peer.next('a payload')
      assert.ok(line.length < 65_536)
      got.push(...(JSON.parse(line) as { payload: { facts: Fact[] } }).payload.facts.map(({ id }) => id))
      peer.finish()
    }
    const swarm = await to
    assert.deepEqual(
      got,
      many.map(({ id }) => id),
    )
    assert.deepEqual([swarm.lastSync?.sent, swarm.lastSync?.tooLarge], [300, ['long']])
    await swarm.close()
  })

  test('5.3.7 a peer is who it is: the listener says its own id, and what an existing one says back is not believed', async (t) => {
    const directory = temporaryDirectory(t)
    await using listening = await openSwarm({ directory, store: new MemoryFactStore(), node: 'one' })
    await using dialing = await openSwarm({ directory, store: new MemoryFactStore(), node: 'two' })
    assert.deepEqual(
      dialing.peers().map(({ id, node }) => [id, node]),
      [[listening.peerId, 'one']],
    )
    await until(() => listening.peers().length === 1, 'the listener to know the dialer')
    assert.deepEqual(
      listening.peers().map(({ id, node }) => [id, node]),
      [[dialing.peerId, 'two']],
    )
    await listening.close()

    const server = await rawServer(t, listening.path)
    const dialed = dialing.dial()
    const peer = await server.peer(0)
    await peer.next()
    peer.send({
      type: 'handshake_ack',
      payload: { to_peer_id: dialing.peerId, to_node: 'old', genome_hash: GENOME, match: true, trust: 2, timestamp: 1 },
    })
    peer.finish()
    assert.equal((await dialed).peer?.id, undefined)
  })

  test('5.3.8 a secret keeps out who only knows the hash, in either role, and facts without proof', async (t) => {
    const directory = temporaryDirectory(t)
    const store = new MemoryFactStore([fact('mine')])
    const errors: Error[] = []
    await using listening = await openSwarm({ directory, store, secret: 's', onError: (error) => errors.push(error) })
    const intruders = new MemoryFactStore([fact('theirs')])
    for (const [secret, reason] of [
      [undefined, 'mismatch'],
      ['wrong', 'unproven'],
    ] as const) {
      await using intruder = await openSwarm({ directory, store: intruders, secret })
      assert.deepEqual([intruder.lastSync?.synced, intruder.lastSync?.reason], [false, reason])
    }
    const forger = await rawClient(t, listening.path)
    forger.send({
      type: 'handshake',
      payload: { from_peer_id: 'p', from_node: 'n', genome_hash: GENOME, timestamp: 1, nonce: 'ab' },
    })
    await forger.next()
    forger.send({
      type: 'sync_payload',
      payload: { from_peer_id: 'p', genome_hash: GENOME, facts: [], proof: '0'.repeat(64), synced_at: '' },
    })
    await until(
      () => errors.some((error) => 'code' in error && error.code === 'FORBIDDEN'),
      'the forgery to be refused',
    )
    await using friend = await openSwarm({ directory, store: new MemoryFactStore([fact('friends')]), secret: 's' })
    assert.deepEqual([friend.lastSync?.synced, friend.lastSync?.merged], [true, 1])
    assert.deepEqual(
      store.facts().map(({ id }) => id),
      ['mine', 'friends'],
    )
    assert.equal(intruders.size, 1)
  })

  test('5.3.9 waits end with their signal, and a failed accept does not end accepting', async (t) => {
    const directory = temporaryDirectory(t)
    const stop = new AbortController()
    const dialing = dialWithRetry('p', { directory, retryMs: 600_000, signal: stop.signal })
    let fail: (error: Error) => void = () => {}
    const transport = (platform: Platform) => {
      const real = unixTransport(platform)
      const listenOn = (path: string, options: ListenOptions): ReturnType<typeof real.listen> => {
        fail = options.onError
        return real.listen(path, options)
      }
      return { listen: listenOn, connect: (path: string) => real.connect(path) }
    }
    await using listener = await listen('q', { directory }, { transport })
    const accepting = listener.accept({ signal: stop.signal })
    stop.abort()
    await assert.rejects(dialing, { code: 'ABORTED' })
    await assert.rejects(accepting, { code: 'ABORTED' })
    fail(new Error('EMFILE'))
    await using sender = await dial('q', { directory })
    const receiver = (await listener.accept()) as Receiver
    const reading = receiver.next({ signal: AbortSignal.timeout(1) })
    await assert.rejects(reading, { code: 'ABORTED' })
    await sender.send(eventMessage(1))
    assert.equal((await receiver.next())?.payload, 1)
    assert.equal(listener.counters.acceptErrors, 1)
    assert.ok(readdirSync(directory).includes('q.sock'))
  })
})

const GENOME = '11906548e3bc628ace96ca9efb76f447d0616310b335e90b74b8dde489a32af5'
