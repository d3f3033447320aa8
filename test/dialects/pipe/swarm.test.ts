import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import {
  MemoryFactStore,
  openSwarm,
  SqliteFactStore,
  type Fact,
  type FactStore,
} from '../../../src/dialects/pipe/index.ts'
import { MAX_SWARM_PEERS } from '../../../src/dialects/pipe/swarm/limits.ts'
import { execute, NODE_FLAGS, temporaryDirectory, until } from '../../support/index.ts'
import { rawClient } from '../eventbus/support.ts'

const fact = (id: string, more: Partial<Fact> = {}): Fact => ({
  id,
  content: `<${id}>`,
  level: 1,
  isGene: true,
  source: 'manual',
  createdAt: '2026-01-01T00:00:00Z',
  ...more,
})

const STORES: Readonly<Record<string, () => FactStore>> = {
  MemoryFactStore: () => new MemoryFactStore(),
  SqliteFactStore: () => new SqliteFactStore(new DatabaseSync(':memory:')),
}

for (const [name, make] of Object.entries(STORES)) {
  describe(name, () => {
    test('takes what is new, in order, with every field', async () => {
      const store = make()
      const facts = [fact('b', { domain: 'd', module: 'm', isGene: false }), fact('a')]
      assert.equal(await store.merge(facts), 2)
      assert.equal(await store.merge([fact('a', { content: 'other' }), fact('c')]), 1)
      assert.deepEqual(await store.facts(), [...facts, fact('c')])
    })

    test('shares with the other side, in both directions, once', async (t) => {
      const directory = temporaryDirectory(t)
      const [one, two] = [make(), make()]
      await one.merge([fact('1'), fact('both')])
      await two.merge([fact('2'), fact('both')])
      await using listening = await openSwarm({ directory, store: one })
      await using dialing = await openSwarm({ directory, store: two })
      assert.deepEqual([listening.isListening, dialing.isListening, dialing.lastSync?.merged], [true, false, 1])
      assert.equal((await dialing.dial()).merged, 0)
      const sources = async (store: FactStore): Promise<unknown> =>
        Object.fromEntries((await store.facts()).map(({ id, source }) => [id, source]))
      assert.deepEqual(await sources(one), { 1: 'manual', both: 'manual', 2: 'swarm:manual' })
      assert.deepEqual(await sources(two), { 2: 'manual', both: 'manual', 1: 'swarm:manual' })
    })
  })
}

describe('SwarmTransport', () => {
  test('no listener is no error; the name goes to the next one', async (t) => {
    const directory = temporaryDirectory(t)
    const first = await openSwarm({ directory, store: new MemoryFactStore() })
    const second = await openSwarm({ directory, store: new MemoryFactStore() })
    await first.close()
    assert.equal((await second.dial()).reason, 'no-listener')
    await second.listen()
    assert.equal(second.isListening, true)
    await second.close()
    await assert.rejects(second.dial(), { code: 'CLOSED' })
  })

  test('limits: time, connections, the frame; a bad conversation is told and harms nobody', async (t) => {
    const directory = temporaryDirectory(t)
    const errors: unknown[] = []
    const open = (name: string, limits: { readonly timeoutMs: number; readonly maxConnections?: number }) =>
      openSwarm({
        directory: join(directory, name),
        store: new MemoryFactStore(),
        maxLineBytes: 5000,
        onError: (error) => errors.push('code' in error && error.code),
        ...limits,
      })
    await using full = await open('full', { timeoutMs: 60_000, maxConnections: 1 })
    await rawClient(t, full.path)
    await (await rawClient(t, full.path)).end()
    assert.equal(full.refused, 1)
    await using hasty = await open('hasty', { timeoutMs: 60 })
    await (await rawClient(t, hasty.path)).end()
    await using other = await open('other', { timeoutMs: 60_000 })
    for (const line of ['nonsense', '{"type":"sync_request"}', 'x'.repeat(6000)]) {
      const peer = await rawClient(t, other.path)
      peer.send(line)
      await peer.end()
    }
    await until(() => errors.length >= 4, 'all to be told', { seen: () => errors })
    assert.deepEqual([...new Set(errors)].sort(), ['FRAME_TOO_LARGE', 'PROTOCOL', 'TIMEOUT'])
    assert.ok(MAX_SWARM_PEERS > 1)
  })

  test('a store holds so many facts', () => {
    const store = new MemoryFactStore([fact('1'), fact('2'), fact('3')], { maxFacts: 2 })
    assert.equal(store.size, 2)
  })
})

describe('conclave pipe', () => {
  const verb = [...NODE_FLAGS, join(import.meta.dirname, '..', 'eventbus', 'programs', 'verb.ts'), 'pipe']

  test('send and listen', async (t) => {
    const directory = temporaryDirectory(t)
    const listening = execute(t, process.execPath, [
      ...verb,
      'listen',
      'p',
      '--dir',
      directory,
      '--limit',
      '3',
      '--any',
    ])
    // Fits a line as it is, and none as it is sent.
    const long = `{"type":"soc_event","payload":"${'<'.repeat(200_000)}"}`
    const input = `{"type":"soc_event","payload":1}\nnonsense\n${long}\n{"type":"own","payload":{"a":"<"}}\n{"type":"soc_event","payload":3,"ack":true,"auto":true}`
    const sent = await execute(
      t,
      process.execPath,
      [...verb, 'send', 'p', '--dir', directory, '--json', '--timeout', '20000'],
      { input },
    )
    const { stdout, code } = await listening
    assert.equal(code, 0)
    const payloads = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { payload: unknown }).payload)
    assert.deepEqual(payloads, [1, { a: '<' }, 3])
    assert.equal(sent.code, 1)
    assert.match(sent.stderr, /no JSON/)
    assert.match(sent.stderr, /exceeds the limit/)
    const { delivered, undelivered } = JSON.parse(sent.stdout) as { delivered: number; undelivered: number }
    assert.deepEqual([delivered, undelivered], [3, 0])
  })

  test('what cannot be delivered is told', async (t) => {
    const args = [...verb, 'send', 'p', '--dir', temporaryDirectory(t), '--type', 'soc_event', '--timeout', '50']
    const { code, stderr } = await execute(t, process.execPath, args, { input: '1\n2\n' })
    assert.equal(code, 1)
    assert.match(stderr, /2 messages were not delivered/)
  })

  test('swarm', async (t) => {
    const directory = temporaryDirectory(t)
    await using listening = await openSwarm({ directory, store: new MemoryFactStore([fact('1')]), node: 'here' })
    const args = [...verb, 'swarm', directory, '--db', join(directory, 'facts.db'), '--fact', 'new']
    const { code, stdout } = await execute(t, process.execPath, args)
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(stdout), {
      synced: true,
      node: 'here',
      trust: 'verified',
      sent: 1,
      merged: 1,
      tooLarge: 0,
      facts: 2,
    })
    assert.equal(listening.lastSync?.merged, 1)
  })
})
