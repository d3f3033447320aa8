import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  dial,
  GENOME_HASH,
  listen,
  MemoryFactStore,
  openSwarm,
  type Fact,
  type PipeMessage,
} from '../../../src/dialects/pipe/index.ts'
import { SwarmTransport } from '../../../src/dialects/pipe/swarm/swarm.ts'
import { placeOf } from '../../../src/dialects/shared/uids.ts'
import { temporaryDirectory, until } from '../../support/index.ts'
import { cases, rawClient, rawServer, type Case } from '../eventbus/support.ts'

const PIPE = cases('SENTINEL SOC pipe')
const SWARM = cases('SENTINEL swarm sync')

describe('recorded pipe conversations', () => {
  for (const { name, transcript, receiver_saw: saw } of PIPE) {
    const lines = transcript.flatMap(({ line }) => (line === undefined ? [] : [line]))

    test(`${name}, with our receiver`, async (t) => {
      await using listener = await listen('p', { directory: temporaryDirectory(t) })
      const sender = await rawClient(t, listener.path)
      sender.send(...lines)
      sender.finish()
      const receiver = await listener.accept()
      assert.ok(receiver !== undefined)
      for (const { id, payload, ts, type, eof } of saw as Record<string, unknown>[]) {
        const message = await receiver.next()
        if (eof === true) assert.equal(message, undefined)
        else assert.deepEqual(message, { type, id, ts, payload: JSON.parse(payload as string) as unknown })
      }
      await sender.end()
      assert.deepEqual(sender.lines, [], 'an existing sender hears nothing')
    })

    test(`${name}, with our sender`, async (t) => {
      const directory = temporaryDirectory(t)
      const server = await rawServer(t, join(directory, 'p.sock'))
      const sender = await dial('p', { directory, acks: false })
      for (const line of lines) await sender.send(JSON.parse(line) as PipeMessage<'soc_event'>)
      const receiver = await server.peer(0)
      for (const line of lines) assert.equal(await receiver.next(), line)
      const closed = sender.close()
      await receiver.end()
      receiver.finish()
      await closed
    })

    test(`${name}, with our sender and its offer to read acknowledgements: one more field, once`, async (t) => {
      const directory = temporaryDirectory(t)
      const server = await rawServer(t, join(directory, 'p.sock'))
      await using sender = await dial('p', { directory })
      for (const line of lines) await sender.send(JSON.parse(line) as PipeMessage<'soc_event'>)
      const receiver = await server.peer(0)
      assert.equal(await receiver.next(), `${lines[0]?.slice(0, -1)},"ack":true}`)
      for (const line of lines.slice(1)) assert.equal(await receiver.next(), line)
      receiver.destroy()
    })
  }
})

/** Times are those of the recording; `to_peer_id` is ours where the existing listener says the dialer's back (5.3.7). */
function bare(line: string): string {
  return line
    .replace(/"timestamp":\d+/, '"timestamp":0')
    .replace(/"synced_at":"[^"]*"/, '"synced_at":""')
    .replace(/"to_peer_id":"[^"]*"/, '"to_peer_id":""')
}

function payloadsOf({ transcript }: Case, type: string): Record<string, unknown>[] {
  return transcript.flatMap(({ line }) => {
    if (line === undefined) return []
    const message = JSON.parse(line) as { readonly type: string; readonly payload: Record<string, unknown> }
    return message.type === type ? [message.payload] : []
  })
}

function factsOf(recording: Case): Fact[] {
  const facts = payloadsOf(recording, 'sync_payload').flatMap(
    ({ facts: list }) => (list ?? []) as Record<string, unknown>[],
  )
  return facts.map(
    ({ is_gene: isGene, created_at: createdAt, ...fact }) => ({ ...fact, isGene, createdAt }) as unknown as Fact,
  )
}

describe('recorded swarm conversations', () => {
  for (const recording of SWARM) {
    const { name, transcript } = recording

    test(`${name}, with our listener`, async (t) => {
      const store = new MemoryFactStore()
      await using swarm = await openSwarm({ directory: temporaryDirectory(t), store, node: 'node-swarm-listen' })
      const dialer = await rawClient(t, swarm.path)
      for (const { direction, line, end_of_stream: end } of transcript) {
        if (direction === 'client->server') {
          if (end === true) dialer.finish()
          else dialer.send(line as string)
        } else if (end === true) await dialer.end()
        else assert.equal(bare(await dialer.next(line)), bare(line as string))
      }
      await until(() => swarm.lastSync !== undefined, 'the conversation to end')
      assert.deepEqual(
        store.facts(),
        factsOf(recording).map((fact) => ({ ...fact, source: `swarm:${fact.source}` })),
      )
      assert.equal(swarm.lastSync?.synced, name !== 'swarm-mismatch')
    })

    // A dialer of that hash is nobody of ours.
    if (name === 'swarm-mismatch') continue

    test(`${name}, with our dialer`, async (t) => {
      const directory = temporaryDirectory(t)
      const server = await rawServer(t, join(directory, 'swarm.sock'))
      const [hello] = payloadsOf(recording, 'handshake')
      const dialer = new SwarmTransport(
        {
          directory,
          store: new MemoryFactStore(factsOf(recording)),
          peerId: hello?.['from_peer_id'] as string,
          node: 'node-swarm-dial',
          extensions: false,
        },
        placeOf({}, {}),
      )
      const dialed = dialer.dial()
      const listener = await server.peer(0)
      for (const { direction, line, end_of_stream: end } of transcript) {
        if (direction === 'server->client') {
          if (end === true) listener.finish()
          else listener.send(line as string)
        } else if (end === true) await listener.end()
        else assert.equal(bare(await listener.next(line)), bare(line as string))
      }
      const { synced, peer, sent } = await dialed
      assert.deepEqual(
        [synced, peer?.node, peer?.trust, sent],
        [true, 'node-swarm-listen', 'verified', factsOf(recording).length],
      )
      await dialer.close()
    })
  }

  test('swarm-mismatch, with our dialer: a listener of another hash gets no facts', async (t) => {
    const directory = temporaryDirectory(t)
    const server = await rawServer(t, join(directory, 'swarm.sock'))
    const store = new MemoryFactStore([{ id: '1', content: 'c', level: 0, isGene: false, source: 's', createdAt: '' }])
    const dialer = new SwarmTransport(
      { directory, store, peerId: 'p1', node: 'n', genomeHash: '00', extensions: false },
      placeOf({}, {}),
    )
    const dialed = dialer.dial()
    const listener = await server.peer(0)
    const [hello, ack] = SWARM.find(({ name }) => name === 'swarm-mismatch')?.transcript.map(({ line }) => line) ?? []
    assert.equal(bare(await listener.next()), bare(hello as string))
    listener.send(ack as string)
    listener.finish()
    const result = await dialed
    assert.deepEqual([result.synced, result.reason, result.peer?.trust], [false, 'mismatch', 'rejected'])
    await listener.end()
    assert.deepEqual(listener.lines, [])
    assert.equal(GENOME_HASH.length, 64)
    await dialer.close()
  })
})
