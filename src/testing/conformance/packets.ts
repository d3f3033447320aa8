import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError } from '../../errors/index.ts'
import { MAX_PACKET_BYTES, type PacketConnection, type PacketTransport } from '../../transport/index.ts'
import { Bench, pattern, turns, type TransportUnderTest } from './transport-bench.ts'

export interface PacketTransportUnderTest extends TransportUnderTest {
  readonly transport: PacketTransport
}

/** What a packet transport promises beyond what every transport does (`transportSuite`, with `maxWriteBytes`). */
export function packetSuite(name: string, makeTransport: () => PacketTransportUnderTest): void {
  describe(`packets: ${name}`, { concurrency: false }, () => {
    const suite = (title: string, body: (bench: Bench) => Promise<void>): void => {
      test(title, async (context) => {
        const bench = new Bench(makeTransport(), context)
        await body(bench)
      })
    }

    suite('each write arrives as one packet: never joined, never cut', async (bench) => {
      const [client, server] = await bench.pair()
      const sizes = [1, 2, 24, 1000, 65_535, 65_536, 65_537, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES, 3]
      const sent = sizes.map((size, seed) => pattern(size, seed))
      for (const packet of sent) client.connection.write(packet, 0, packet.length)
      await server.until(() => server.reads === sent.length)
      for (const [index, packet] of sent.entries()) assert.ok(server.pieces[index]?.equals(packet), `packet ${index}`)
    })

    suite('also when they were kept, and a few thousand of them', async (bench) => {
      const [client, server] = await bench.pair()
      server.connection.pause()
      const count = 5000
      const size = (index: number): number => 1 + ((index * 37) % 500)
      for (let index = 0; index < count; index++) client.connection.write(pattern(size(index), index), 0, size(index))
      assert.ok(client.connection.bufferedBytes > 0)
      server.connection.resume()
      await server.until(() => server.reads === count)
      for (let index = 0; index < count; index++) {
        assert.ok(server.pieces[index]?.equals(pattern(size(index), index)), `packet ${index}`)
      }
      assert.equal(client.connection.bufferedBytes, 0)
    })

    suite('TOO_LARGE for a longer one, before anything is sent', async (bench) => {
      const [client, server] = await bench.pair()
      assert.throws(
        () => client.connection.write(pattern(MAX_PACKET_BYTES + 1), 0, MAX_PACKET_BYTES + 1),
        (error) => ConclaveError.is(error, 'TOO_LARGE'),
      )
      client.connection.write(pattern(5), 0, 5)
      await server.until(() => server.length === 5)
      assert.equal(server.reads, 1)
    })

    suite('an empty write sends nothing', async (bench) => {
      const [client, server] = await bench.pair()
      client.connection.write(pattern(5), 2, 2)
      client.connection.write(pattern(5), 0, 5)
      await server.until(() => server.reads > 0)
      assert.equal(server.length, 5)
      assert.equal(server.ended, false)
    })

    suite('many packets in one turn do not keep others waiting', async (bench) => {
      const listener = bench.listen()
      const [busy, busyServer] = await bench.pairWith(listener)
      const [quiet, quietServer] = await bench.pairWith(listener)
      busyServer.connection.pause()
      for (let count = 0; count < 400; count++) busy.connection.write(pattern(100), 0, 100)
      assert.equal(busy.connection.bufferedBytes, 0)
      let readWhenQuietCame = -1
      quietServer.onData = () => (readWhenQuietCame = busyServer.reads)
      busyServer.onData = () => {
        if (busyServer.reads === 1) quiet.connection.write(pattern(1), 0, 1)
      }
      busyServer.connection.resume()
      await quietServer.until(() => quietServer.length === 1)
      await busyServer.until(() => busyServer.reads === 400)
      assert.ok(readWhenQuietCame < 400, 'it waited for all of them')
    })

    suite('peerState: the truth of this moment, also before the end is read', async (bench) => {
      const [client, server] = await bench.pair()
      const connection = client.connection as PacketConnection
      client.connection.pause()
      server.connection.write(pattern(10), 0, 10)
      assert.equal(connection.peerState, 'there')
      server.connection.end()
      assert.equal(connection.peerState, 'ended')
      server.connection.close()
      assert.equal(connection.peerState, 'closed')
      assert.equal(client.length, 0)
      client.connection.resume()
      await client.until(() => client.ended)
      assert.equal(client.length, 10)
      client.connection.close()
      assert.equal(connection.peerState, 'closed')
    })

    suite('whom it accepts can be said: a refused client sees the end, and is reported', async (bench) => {
      const transport = bench.under.transport as PacketTransport
      const path = bench.under.address()
      const reported = new Promise<Error>((resolve) => {
        const admits = (): boolean => false
        const listener = transport.listen(path, {
          backlog: 1,
          admits,
          onError: resolve,
          onConnection: () => assert.fail(),
        })
        bench.own(listener)
      })
      const client = bench.adopt(transport.connect(path))
      assert.ok(ConclaveError.is(await reported, 'FORBIDDEN'))
      await client.until(() => client.ended || client.closed)
    })

    suite('and whom it talks to', async (bench) => {
      const transport = bench.under.transport as PacketTransport
      const { path } = bench.listen()
      const asked: number[] = []
      const admits = ({ uid }: { uid: number }): boolean => asked.push(uid) < 0
      assert.throws(
        () => transport.connect(path, { admits }),
        (error) => ConclaveError.is(error, 'FORBIDDEN'),
      )
      assert.deepEqual(asked, [bench.under.uid])
      await turns(2)
    })
  })
}
