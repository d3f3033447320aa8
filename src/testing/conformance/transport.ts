import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError } from '../../errors/index.ts'
import { Bench, pattern, turns, type TransportUnderTest } from './transport-bench.ts'

export type { TransportUnderTest } from './transport-bench.ts'

/** What every transport promises (src/transport/transport.ts), as tests. */
export function transportSuite(name: string, makeTransport: () => TransportUnderTest): void {
  describe(`transport: ${name}`, { concurrency: false }, () => {
    const suite = (title: string, body: (bench: Bench) => Promise<void>): void => {
      test(title, async (context) => {
        const bench = new Bench(makeTransport(), context)
        await body(bench)
      })
    }

    for (const size of [1, 7, 65_535, 65_536, 65_537, 212_992, 1 << 20, 8 << 20]) {
      suite(`${size} bytes arrive in order, and come back`, async (bench) => {
        const [client, server] = await bench.pair()
        const sent = pattern(size)
        server.echo = true
        client.write(sent)
        await client.until(() => client.length === size)
        assert.ok(client.bytes().equals(sent))
      })
    }

    suite('single bytes arrive in order', async (bench) => {
      const [client, server] = await bench.pair()
      const sent = pattern(5000)
      for (let at = 0; at < sent.length; at++) client.connection.write(sent, at, at + 1)
      await server.until(() => server.length === sent.length)
      assert.ok(server.bytes().equals(sent))
    })

    suite('only the range is written, and the caller may reuse its bytes', async (bench) => {
      const [client, server] = await bench.pair()
      server.connection.pause()
      const reused = new Uint8Array(1000)
      for (let round = 0; round < 1000; round++) {
        reused.fill(round & 0xff)
        client.connection.write(reused, 100, 900)
      }
      reused.fill(0xee)
      assert.ok(client.connection.bufferedBytes > 0)
      server.connection.resume()
      await server.until(() => server.length === 800_000)
      const bytes = server.bytes()
      for (let round = 0; round < 1000; round++) {
        assert.equal(bytes[round * 800], round & 0xff)
        assert.equal(bytes[round * 800 + 799], round & 0xff)
      }
    })

    suite('what the kernel does not take is counted, and drained once the peer reads', async (bench) => {
      const [client, server] = await bench.pair()
      server.connection.pause()
      const piece = pattern(100_000)
      let accepted = 0
      while (client.connection.write(piece, 0, piece.length)) accepted += piece.length
      assert.ok(accepted < 8 << 20, 'a bounded buffer')
      assert.ok(client.connection.bufferedBytes > 0 && client.connection.bufferedBytes <= piece.length)
      assert.equal(client.connection.write(piece, 0, 10), false)
      const written = accepted + piece.length + 10
      assert.equal(client.connection.takenBytes + client.connection.bufferedBytes, written)
      assert.equal(client.drains, 0)
      server.connection.resume()
      await client.until(() => client.drains > 0)
      assert.equal(client.connection.bufferedBytes, 0)
      assert.equal(client.connection.takenBytes, written)
      await server.until(() => server.length === written)
      assert.equal(client.drains, 1)
      assert.equal(client.connection.write(piece, 0, 10), true)
    })

    suite('a sender that waits for onDrain gets 8 MiB across', async (bench) => {
      const [client, server] = await bench.pair()
      const piece = pattern(65_536)
      let left = 128
      const send = (): void => {
        while (left > 0) {
          left--
          if (!client.connection.write(piece, 0, piece.length)) return
          assert.equal(client.connection.bufferedBytes, 0)
        }
      }
      client.onDrain = send
      send()
      await server.until(() => server.length === 8 << 20)
    })

    suite('nothing arrives while it is paused, everything after', async (bench) => {
      const [client, server] = await bench.pair()
      server.connection.pause()
      client.write(pattern(1000))
      await turns(20)
      assert.equal(server.length, 0)
      server.connection.resume()
      await server.until(() => server.length === 1000)
      // From within onData, too.
      server.onData = () => server.connection.pause()
      const reads = server.reads
      client.write(pattern(300_000))
      await server.until(() => server.reads === reads + 1)
      await turns(20)
      assert.equal(server.reads, reads + 1)
      server.onData = undefined
      server.connection.resume()
      await server.until(() => server.length === 301_000)
    })

    suite('a half close is answered before the other half closes', async (bench) => {
      const [client, server] = await bench.pair()
      const request = pattern(500_000)
      client.write(request)
      client.connection.end()
      await server.until(() => server.ended)
      assert.equal(server.length, request.length)
      await turns(5)
      assert.equal(server.closed, false)
      server.write(request)
      server.connection.end()
      assert.equal(await client.closing, undefined)
      assert.equal(await server.closing, undefined)
      assert.ok(client.ended)
      assert.ok(client.bytes().equals(request))
    })

    suite('after end() nothing more is written', async (bench) => {
      const [client, server] = await bench.pair()
      client.connection.end()
      client.connection.end()
      assert.equal(client.write(pattern(10)), true)
      await server.until(() => server.ended)
      assert.equal(server.length, 0)
    })

    suite('close drops what is kept; onClose follows later, once', async (bench) => {
      const [client, server] = await bench.pair()
      server.connection.pause()
      client.write(pattern(4 << 20))
      assert.ok(client.connection.bufferedBytes > 0)
      client.connection.close()
      assert.equal(client.closed, false, 'not within the call')
      assert.equal(client.connection.bufferedBytes, 0)
      client.connection.close()
      client.connection.end()
      client.connection.pause()
      client.connection.resume()
      client.connection.ref()
      client.connection.unref()
      assert.equal(client.write(pattern(10)), true)
      assert.equal(await client.closing, undefined)
      server.connection.resume()
      await server.until(() => server.ended)
      assert.ok(server.length > 0 && server.length < 4 << 20)
      await turns(5)
      assert.equal(client.closes, 1)
      assert.equal(client.ended, false)
    })

    suite('no event comes after close(), not even what was read already', async (bench) => {
      const [client, server] = await bench.pair()
      server.onData = () => server.connection.close()
      client.write(pattern(1 << 20))
      await server.closing
      assert.equal(server.reads, 1)
      await client.closing
    })

    suite('close may be called from every handler', async (bench) => {
      const [client, server] = await bench.pair()
      server.onEnd = () => server.connection.close()
      client.connection.end()
      await server.closing
      await client.closing
      const [writer, reader] = await bench.pair()
      writer.onDrain = () => writer.connection.close()
      writer.write(pattern(4 << 20))
      await writer.closing
      await reader.until(() => reader.ended)
      assert.equal(reader.length, 4 << 20)
    })

    suite('A8 a failed write does not lose what the peer said before it left', async (bench) => {
      const [client, server] = await bench.pair()
      const words = pattern(150_000)
      client.connection.pause()
      server.write(words)
      assert.equal(server.connection.bufferedBytes, 0)
      server.connection.close()
      await server.closing
      // The survivor's first act is a write, and another one.
      client.connection.resume()
      assert.equal(client.write(pattern(10)), true)
      assert.equal(client.write(pattern(10)), true)
      assert.equal(client.closed, false)
      const error = await client.closing
      assert.ok(client.bytes().equals(words))
      assert.ok(ConclaveError.is(error, 'DISCONNECTED'))
    })

    suite('A8 nor does one that fails while bytes are kept', async (bench) => {
      const [client, server] = await bench.pair()
      const words = pattern(150_000)
      server.connection.pause()
      client.connection.pause()
      client.write(pattern(4 << 20))
      assert.ok(client.connection.bufferedBytes > 0)
      server.write(words)
      server.connection.close()
      // Paused, it learns from its write that the peer is gone, and still has to read.
      await client.until(() => client.connection.bufferedBytes === 0)
      assert.equal(client.length, 0)
      client.connection.resume()
      const error = await client.closing
      assert.ok(client.bytes().equals(words))
      assert.ok(ConclaveError.is(error, 'DISCONNECTED'))
      assert.equal(client.drains, 0)
    })

    suite(
      'F6 a peer that leaves without reading: what it said is read, then the connection is broken',
      async (bench) => {
        const [client, server] = await bench.pair()
        const words = pattern(150_000)
        server.connection.pause()
        client.write(pattern(1000))
        server.write(words)
        server.connection.close()
        const error = await client.closing
        assert.ok(client.bytes().equals(words))
        assert.equal(client.ended, false)
        assert.ok(ConclaveError.is(error, 'DISCONNECTED'))
        assert.deepEqual(error.data, { errno: 'ECONNRESET' })
      },
    )

    suite('ticks and microtasks run between one onData and the next', async (bench) => {
      const [client, server] = await bench.pair()
      const order: string[] = []
      server.onData = () => {
        order.push('data')
        void Promise.resolve().then(() => order.push('microtask'))
        process.nextTick(() => order.push('tick'))
      }
      client.write(pattern(200_000))
      await server.until(() => server.length === 200_000)
      await turns(1)
      assert.ok(server.reads > 1)
      assert.deepEqual(order, Array.from({ length: server.reads }, () => ['data', 'tick', 'microtask']).flat())
    })

    suite('a write after the end of the peer closes with its error', async (bench) => {
      const [client, server] = await bench.pair()
      server.connection.close()
      await client.until(() => client.ended)
      assert.equal(client.closed, false)
      client.write(pattern(10))
      const error = await client.closing
      assert.ok(ConclaveError.is(error, 'DISCONNECTED'))
      assert.match(String((error.data as { errno: unknown }).errno), /^(EPIPE|ECONNRESET)$/)
    })

    suite('nobody there: DISCONNECTED with ENOENT', (bench) => {
      const { transport, address } = bench.under
      assert.throws(() => transport.connect(address()), refusal('ENOENT'))
      return Promise.resolve()
    })

    suite('nobody listens any more: DISCONNECTED', async (bench) => {
      const listener = bench.listen()
      await bench.pairWith(listener)
      listener.close()
      listener.close()
      assert.throws(() => bench.under.transport.connect(listener.path), refusal('ENOENT'))
    })

    suite('an address in use: CONFLICT', (bench) => {
      const { path } = bench.listen()
      assert.throws(
        () => bench.under.transport.listen(path, { backlog: 1, onConnection() {}, onError() {} }),
        (error) => ConclaveError.is(error, 'CONFLICT'),
      )
      return Promise.resolve()
    })

    suite('a directory that does not exist: INTERNAL with the cause', (bench) => {
      const path = `${bench.under.address()}/below/x`
      assert.throws(
        () => bench.under.transport.listen(path, { backlog: 1, onConnection() {}, onError() {} }),
        (error) => ConclaveError.is(error, 'INTERNAL') && (error.cause as NodeJS.ErrnoException).code === 'ENOENT',
      )
      return Promise.resolve()
    })

    suite('PATH_TOO_LONG counts bytes and names path and limit', (bench) => {
      const start = bench.under.address()
      const long = start + 'ü'.repeat(60)
      for (const attempt of [
        () => bench.under.transport.connect(long),
        () => bench.under.transport.listen(long, { backlog: 1, onConnection() {}, onError() {} }),
      ]) {
        assert.throws(attempt, (error) => {
          assert.ok(ConclaveError.is(error, 'PATH_TOO_LONG'))
          assert.ok(error.message.includes(long))
          assert.match(error.message, /allows 10[37]/)
          return true
        })
      }
      return Promise.resolve()
    })

    suite('a full backlog is EAGAIN, at once', (bench) => {
      const { path } = bench.listen({ backlog: 2 })
      // Within one turn nothing is accepted.
      const attempt = (): void => {
        for (let count = 0; count < 10; count++) bench.adopt(bench.under.transport.connect(path))
      }
      assert.throws(attempt, refusal('EAGAIN'))
      return Promise.resolve()
    })

    suite('many connections at once keep their bytes apart', async (bench) => {
      const listener = bench.listen({ backlog: 500 })
      const pairs = await Promise.all(Array.from({ length: 200 }, () => bench.pairWith(listener)))
      for (const [index, [client, server]] of pairs.entries()) {
        server.echo = true
        client.write(pattern(2000, index))
      }
      for (const [index, [client]] of pairs.entries()) {
        await client.until(() => client.length === 2000)
        assert.ok(client.bytes().equals(pattern(2000, index)))
      }
    })

    suite('closing the listener keeps its connections', async (bench) => {
      const listener = bench.listen()
      const [client, server] = await bench.pairWith(listener)
      listener.close()
      server.echo = true
      client.write(pattern(1000))
      await client.until(() => client.length === 1000)
    })

    suite('connections that wait in the backlog of a listener that closes see it', async (bench) => {
      const listener = bench.listen()
      const client = bench.adopt(bench.under.transport.connect(listener.path))
      listener.close()
      await client.until(() => client.ended || client.closed)
    })

    suite('the address is free again after close, and only its own socket is removed', async (bench) => {
      const first = bench.listen()
      first.close()
      const second = bench.listen({ path: first.path })
      first.close()
      await bench.pairWith(second)
    })

    suite('both sides know the uid of the other', async (bench) => {
      const [client, server] = await bench.pair()
      assert.equal(client.connection.peer.uid, bench.under.uid)
      assert.equal(server.connection.peer.uid, bench.under.uid)
      assert.equal(typeof client.connection.peer.pid, 'number')
      assert.equal(typeof server.connection.peer.gid, 'number')
    })

    suite('ref and unref change nothing but the life of the process', async (bench) => {
      const listener = bench.listen()
      listener.unref()
      listener.ref()
      const [client, server] = await bench.pairWith(listener)
      client.connection.unref()
      client.connection.ref()
      server.echo = true
      client.write(pattern(100))
      await client.until(() => client.length === 100)
    })
  })
}

function refusal(errno: string): (error: unknown) => boolean {
  return (error) => ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno: string }).errno === errno
}
