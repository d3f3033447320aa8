import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Channel } from '../../src/wire/channel.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'
import {
  EARLY_WRITE_BYTES,
  HEADER_BYTES,
  MAX_BODY_BYTES,
  MAX_FRAGMENT_BYTES,
  MAX_JOINED_BYTES,
  MAX_NAME_BYTES,
  MAX_TRANSFERS,
  TRANSFER_WINDOW_BYTES,
} from '../../src/wire/limits.ts'
import type { FragmentSink } from '../../src/wire/transfer.ts'
import { BatchPool } from '../../src/wire/writer.ts'
import { encode, fields, frameOf, header, Pipe, randomOf, throwsCode, type Fields } from './support.ts'

const long = (number: number, bytes: number = 3 * MAX_FRAGMENT_BYTES): Frame =>
  frameOf({ kind: KIND.EVENT, number, name: 'long', body: 'x'.repeat(bytes) })
const small = (number: number): Frame => frameOf({ kind: KIND.PING, number })
const numbers = (list: readonly Fields[]): number[] => list.map(({ number }) => number)

/** Takes fragments and grants nothing, until told. */
class HeldSink implements FragmentSink {
  bytes = 0
  ended: 'open' | 'whole' | 'aborted' = 'open'
  readonly grant: (bytes: number) => void
  constructor(grant: (bytes: number) => void) {
    this.grant = grant
  }
  fragment(_bytes: Uint8Array, start: number, end: number, last: boolean, aborted: boolean): void {
    this.bytes += end - start
    if (last) this.ended = aborted ? 'aborted' : 'whole'
  }
}

/** A pipe whose side b holds every long body in a sink. */
function withSinks(): { pipe: Pipe; sinks: HeldSink[] } {
  const sinks: HeldSink[] = []
  const onTransfer = (_frame: Frame, grant: (bytes: number) => void): HeldSink => {
    sinks.push(new HeldSink(grant))
    return sinks.at(-1)!
  }
  return { pipe: new Pipe({ b: { onTransfer } }), sinks }
}

describe('Channel: small frames', () => {
  it('one write a turn, scheduled once', () => {
    const pipe = new Pipe()
    for (let number = 1; number <= 50; number++) pipe.a.send(small(number))
    assert.equal(pipe.a.pendingBytes, 50 * HEADER_BYTES)
    pipe.run()
    assert.equal(pipe.toB.writes, 1)
    assert.equal(pipe.received.b.length, 50)
  })

  it('TOO_LARGE for the body or the name, before anything is sent', () => {
    const pipe = new Pipe({ a: { maxBodyBytes: 100_000 } })
    throwsCode(() => pipe.a.send(long(1, 100_001)), 'TOO_LARGE')
    throwsCode(() => pipe.a.send(long(1, 34_000).withBody('€'.repeat(34_000))), 'TOO_LARGE')
    throwsCode(() => pipe.a.send(small(1).withName('n'.repeat(MAX_NAME_BYTES + 1))), 'TOO_LARGE')
    throwsCode(() => pipe.a.send(small(1).withName('é'.repeat(MAX_NAME_BYTES / 2 + 1))), 'TOO_LARGE')
    throwsCode(() => pipe.a.open(small(1).withName('n'.repeat(MAX_NAME_BYTES + 1))), 'TOO_LARGE')
    pipe.run()
    assert.equal(pipe.toB.writes, 0)
    pipe.a.send(small(2).withName('é'.repeat(MAX_NAME_BYTES / 2)))
    pipe.a.send(long(3, 100_000))
    pipe.run()
    assert.deepEqual(numbers(pipe.received.b), [2, 3])
  })
})

describe('Channel: transfers', () => {
  it('bodies of any length, both ways, in any chunks, under any backpressure, arrive whole', () => {
    const message = fc.record({
      from: fc.constantFrom('a', 'b'),
      raw: fc.boolean(),
      bytes: fc.oneof(
        fc.nat({ max: 200 }),
        fc.integer({ min: MAX_FRAGMENT_BYTES - 2, max: MAX_FRAGMENT_BYTES + 2 }),
        fc.nat({ max: 600_000 }),
      ),
    })
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 8 }),
        fc.integer(),
        fc.constantFrom(1, 1000, 70_000, Infinity),
        fc.constantFrom(40, 5000, 200_000),
        (list, seed, capacity, chunk) => {
          const pipe = new Pipe({ seed, capacity, chunk: Math.max(chunk, Math.min(2000, chunk * 50)) })
          const expected: { a: Fields[]; b: Fields[] } = { a: [], b: [] }
          const random = randomOf(seed)
          for (const [i, { from, raw, bytes }] of list.entries()) {
            const frame = new Frame().set(KIND.RESPONSE, 0, i, 0, 0, i, 0).withName(`n\0${i}`)
            if (raw) frame.withBody(new Uint8Array(bytes).map(() => random() * 256))
            else frame.withBody('é'.repeat(bytes >> 1).padEnd(bytes, 'x'))
            expected[from === 'a' ? 'b' : 'a'].push(fields(frame))
            pipe[from as 'a' | 'b'].send(frame)
          }
          pipe.run()
          for (const side of ['a', 'b'] as const) {
            const got = pipe.received[side].map((of) => ({ ...of, transfer: 0 })).sort((x, y) => x.number - y.number)
            assert.ok(JSON.stringify(got) === JSON.stringify(expected[side]), `side ${side}`)
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('MAX_BODY_BYTES arrive; one more is refused', () => {
    const sizes: number[] = []
    const pipe = new Pipe({ capacity: 212_992, b: { onMessage: (frame) => sizes.push(frame.bodyBytes()) } })
    pipe.a.send(small(1).withBody(new Uint8Array(MAX_BODY_BYTES)))
    throwsCode(() => pipe.a.send(small(1).withBody(new Uint8Array(MAX_BODY_BYTES + 1))), 'TOO_LARGE')
    pipe.run()
    assert.deepEqual(sizes, [MAX_BODY_BYTES])
  })

  it('the body is taken before send returns', () => {
    const pipe = new Pipe()
    const body = new Uint8Array(MAX_FRAGMENT_BYTES + 1).fill(7)
    const frame = small(1).withBody(body)
    pipe.a.send(frame)
    body.fill(0)
    frame.set(0, 0, 0, 0, 0, 0, 0)
    pipe.run()
    assert.equal(pipe.received.b[0]?.body, '07'.repeat(MAX_FRAGMENT_BYTES + 1))
  })

  it('B16: small frames overtake a long body, and long bodies interleave', () => {
    const seen: string[] = []
    const pipe = new Pipe({
      capacity: 1,
      b: {
        onMessage: (frame) => seen.push(`whole ${frame.number}`),
        onTransfer: (frame) => {
          const { number } = frame
          return { fragment: (_b, _s, _e, last) => seen.push(`${last ? 'last' : 'part'} ${number}`) }
        },
      },
    })
    pipe.a.send(long(1))
    pipe.a.send(long(2))
    pipe.a.send(small(3))
    pipe.run()
    // A fragment may come in parts.
    const turns = seen.filter((what, at) => what !== seen[at - 1])
    const expected = ['whole 3', 'part 1', 'part 2', 'part 1', 'part 2', 'part 1', 'last 1', 'part 2', 'last 2']
    assert.deepEqual(turns, expected)
  })

  it('what onEnd sends follows the last fragment', () => {
    const pipe = new Pipe()
    pipe.a.send(long(1))!.onEnd = () => pipe.a.send(small(2))
    pipe.run()
    assert.deepEqual(numbers(pipe.received.b), [1, 2])
  })

  it('F5: a receiver that grants nothing stops the sender at TRANSFER_WINDOW_BYTES', () => {
    const { pipe, sinks } = withSinks()
    pipe.a.send(long(1, 2 * TRANSFER_WINDOW_BYTES))
    pipe.run()
    assert.equal(sinks[0]?.bytes, TRANSFER_WINDOW_BYTES)
    pipe.a.send(small(2))
    pipe.run()
    assert.deepEqual(numbers(pipe.received.b), [2])
    sinks[0].grant(TRANSFER_WINDOW_BYTES)
    pipe.run()
    assert.deepEqual([sinks[0].bytes, sinks[0].ended], [2 * TRANSFER_WINDOW_BYTES, 'whole'])
  })

  it('windows are told in steps of a quarter', () => {
    const { pipe, sinks } = withSinks()
    pipe.a.send(long(1, 2 * TRANSFER_WINDOW_BYTES))
    pipe.run()
    const before = pipe.toA.writes
    sinks[0]!.grant(TRANSFER_WINDOW_BYTES / 4 - 1)
    pipe.run()
    assert.equal(pipe.toA.writes, before)
    sinks[0]!.grant(1)
    pipe.run()
    assert.equal(sinks[0]!.bytes, TRANSFER_WINDOW_BYTES * 1.25)
  })

  it('a WINDOW grants no more than a window at a time, and one for an unknown transfer is ignored', () => {
    const { pipe, sinks } = withSinks()
    pipe.a.send(long(1, 4 * TRANSFER_WINDOW_BYTES))
    pipe.run()
    const greedy = header({ kind: KIND.WINDOW, b: 0xffffffff, transfer: 99 })
    pipe.a.receive(greedy, 0, greedy.length)
    pipe.run()
    assert.equal(sinks[0]!.bytes, TRANSFER_WINDOW_BYTES)
    greedy[20] = 1
    pipe.toB.stopped = true
    pipe.a.receive(greedy, 0, greedy.length)
    pipe.run()
    const fragments = TRANSFER_WINDOW_BYTES / MAX_FRAGMENT_BYTES
    assert.equal(pipe.toB.held, TRANSFER_WINDOW_BYTES + fragments * HEADER_BYTES)
  })

  it('MAX_TRANSFERS at once; further ones start later, in order', () => {
    const { pipe, sinks } = withSinks()
    const begun: number[] = []
    const count = MAX_TRANSFERS + 5
    for (let number = 1; number <= count; number++) {
      const transfer = pipe.a.send(long(number, MAX_FRAGMENT_BYTES + 1))!
      transfer.onEnd = () => begun.push(number)
    }
    pipe.toB.stopped = true
    pipe.run()
    assert.deepEqual(
      begun,
      Array.from({ length: count }, (_, i) => i + 1),
    )
    pipe.toB.stopped = false
    pipe.run()
    assert.ok(sinks.length === count && sinks.every(({ ended }) => ended === 'whole'))

    const full = withSinks()
    for (let number = 1; number <= count; number++) full.pipe.a.send(long(number, 2 * TRANSFER_WINDOW_BYTES))
    full.pipe.run()
    assert.equal(full.sinks.length, MAX_TRANSFERS)
    full.sinks[3]!.grant(TRANSFER_WINDOW_BYTES)
    full.pipe.run()
    assert.deepEqual([full.sinks[3]!.ended, full.sinks.length], ['whole', MAX_TRANSFERS + 1])
  })

  it('B17: MAX_JOINED_BYTES of unfinished bodies at once; past it the oldest goes on, and all arrive', () => {
    const size = 2 * 1024 * 1024
    const [seen, ends] = [new Map<number, number>(), new Set<number>()]
    const pipe = new Pipe({ b: { onMessage: (frame) => seen.set(frame.number, frame.bodyBytes()) } })
    for (let number = 1; number <= MAX_TRANSFERS; number++) {
      pipe.a.send(small(number).withBody(new Uint8Array(size)))!.onEnd = () => ends.add(number)
    }
    let most = 0
    while (pipe.step()) most = Math.max(most, pipe.b.joinedBytes)
    assert.ok(most >= MAX_JOINED_BYTES, `${most} bytes`)
    assert.ok(most <= MAX_JOINED_BYTES + size + MAX_TRANSFERS * TRANSFER_WINDOW_BYTES, `${most} bytes`)
    assert.ok(seen.size === MAX_TRANSFERS && [...seen.values()].every((bytes) => bytes === size))
    assert.deepEqual([ends.size, pipe.b.joinedBytes], [MAX_TRANSFERS, 0])
  })

  it('aborted: before it began nothing arrives, mid-way the receiver is told', () => {
    const { pipe, sinks } = withSinks()
    let ends = 0
    const [early, late] = [pipe.a.send(long(1))!, pipe.a.send(long(2, 2 * TRANSFER_WINDOW_BYTES))!]
    for (const transfer of [early, late]) transfer.onEnd = () => ends++
    early.abort()
    pipe.run()
    assert.deepEqual([sinks.length, sinks[0]?.ended, ends], [1, 'open', 1])
    late.abort()
    pipe.a.pump()
    pipe.run()
    assert.deepEqual([sinks[0]?.ended, ends], ['aborted', 2])
    pipe.a.send(small(3))
    pipe.run()
    assert.deepEqual(numbers(pipe.received.b), [3])
  })

  it('aborted while it is joined: no message', () => {
    const pipe = new Pipe({ capacity: 1 })
    const transfer = pipe.a.send(long(1))!
    while (pipe.toB.writes < 2) pipe.step()
    transfer.abort()
    pipe.a.pump()
    pipe.run()
    assert.deepEqual([pipe.received.b, pipe.b.joinedBytes], [[], 0])
  })

  it('neither transfers nor what waits above starve the other when the transport is the bottleneck', () => {
    const turns = { above: 0, parts: 0 }
    const pipe = new Pipe({
      capacity: MAX_FRAGMENT_BYTES / 2,
      a: {
        onWritable: () => {
          turns.above++
          pipe.a.send(small(turns.above).withBody('x'.repeat(MAX_FRAGMENT_BYTES)))
        },
      },
      b: {
        onTransfer: (_frame, grant) => ({
          fragment: (_bytes, start, end) => {
            turns.parts++
            grant(end - start)
          },
        }),
      },
    })
    for (let number = 1; number <= 4; number++) pipe.a.send(long(number, 64 * MAX_FRAGMENT_BYTES))
    // While there are parts left to send: 256 in all.
    while (turns.parts < 120 && turns.above < 1000 && pipe.step());
    assert.ok(turns.above > 10 && turns.parts > 10, JSON.stringify(turns))
  })

  it('frames of calls leave before the turn is over once there are EARLY_WRITE_BYTES of them; events wait for its end', () => {
    const pipe = new Pipe()
    const body = 'x'.repeat(500)
    const frame = new Frame()
    const fill = (kind: number): number => {
      const before = pipe.toB.writes
      for (let bytes = 0; bytes < 3 * EARLY_WRITE_BYTES; bytes += body.length) {
        pipe.a.send(frame.set(kind, 0, 0, 0, 0, 1, 0).withName('m').withBody(body))
      }
      return pipe.toB.writes - before
    }
    assert.equal(fill(KIND.EVENT), 0)
    pipe.run()
    assert.ok(fill(KIND.REQUEST) >= 3)
    pipe.run()
  })

  it('after a refused write it waits for drained()', () => {
    const pipe = new Pipe({ capacity: 1 })
    pipe.toB.stopped = true
    pipe.a.send(long(1, 2 * TRANSFER_WINDOW_BYTES))
    pipe.run()
    assert.deepEqual([pipe.a.congested, pipe.toB.writes], [true, 1])
    pipe.toB.stopped = false
    pipe.run()
    assert.deepEqual([pipe.a.congested, numbers(pipe.received.b)], [false, [1]])
  })
})

describe('Channel: relays', () => {
  /** What a hub does: bodies that come from `source.a` go on to `target.b` as they come. */
  function relay(): { source: Pipe; target: Pipe; outs: ReturnType<Channel['open']>[]; run: () => void } {
    const target = new Pipe({ capacity: 100_000 })
    const outs: ReturnType<Channel['open']>[] = []
    const source = new Pipe({
      b: {
        onTransfer: (frame, grant) => {
          const out = target.a.open(frame)
          outs.push(out)
          out.onTaken = grant
          return {
            fragment: (bytes, start, end, last, aborted) => {
              if (aborted) out.abort()
              else out.push(bytes.slice(start, end), last)
              target.a.pump()
            },
          }
        },
      },
    })
    const run = (): void => {
      while (source.step() || target.step());
    }
    return { source, target, outs, run }
  }

  it('open, push, onTaken: whole bodies, with one window between source and target', () => {
    const { source, target, run } = relay()
    const body = 'abc'.repeat(500_000)
    source.a.send(frameOf({ kind: KIND.REQUEST, number: 1, name: 'm\0t', body }))
    run()
    assert.deepEqual(
      target.received.b.map((of) => ({ ...of, transfer: 0 })),
      [fields(frameOf({ kind: KIND.REQUEST, number: 1, name: 'm\0t', body }))],
    )
  })

  it('F5: a stopped target costs the relay one window a body', () => {
    const { source, target, run } = relay()
    target.toB.stopped = true
    source.a.send(long(1, 8 * TRANSFER_WINDOW_BYTES))
    run()
    const before = source.toB.writes
    source.a.pump()
    run()
    assert.equal(source.toB.writes, before)
    target.toB.stopped = false
    run()
    assert.equal(target.received.b[0]?.body.length, 8 * TRANSFER_WINDOW_BYTES)
  })

  for (const [how, leave] of [
    ['the target closes', (target: Pipe) => target.a.close()],
    ['the relay gives up', (_target: Pipe, out: ReturnType<Channel['open']>) => out.abort()],
  ] as const) {
    it(`${how} mid-way: the source's transfer still ends`, () => {
      const { source, target, outs, run } = relay()
      target.toB.stopped = true
      let ended = false
      source.a.send(long(1, 8 * TRANSFER_WINDOW_BYTES))!.onEnd = () => (ended = true)
      run()
      assert.equal(ended, false)
      leave(target, outs[0]!)
      run()
      assert.equal(ended, true)
    })
  }
})

describe('Channel: close', () => {
  it('ends every transfer, both ways, and tells each once', () => {
    const { pipe, sinks } = withSinks()
    let ends = 0
    for (let number = 1; number <= MAX_TRANSFERS + 2; number++) {
      pipe.a.send(long(number, 2 * TRANSFER_WINDOW_BYTES))!.onEnd = () => ends++
    }
    pipe.run()
    for (const channel of [pipe.a, pipe.b]) {
      channel.close()
      channel.close()
    }
    assert.equal(ends, MAX_TRANSFERS + 2)
    assert.ok(sinks.length === MAX_TRANSFERS && sinks.every(({ ended }) => ended === 'aborted'))
  })

  it('afterwards nothing is sent, received or asked for', () => {
    const pipe = new Pipe({ a: { schedule: () => assert.fail('scheduled') } })
    pipe.a.close()
    assert.equal(pipe.a.send(long(1)), undefined)
    assert.equal(pipe.a.send(small(1)), undefined)
    const bytes = encode(small(1))
    pipe.a.receive(bytes, 0, bytes.length)
    pipe.a.flush()
    pipe.a.drained()
    assert.deepEqual([pipe.received.a.length, pipe.toB.writes], [0, 0])
  })

  it('a frame of the chunk in which it was closed is not handed on', () => {
    const seen: number[] = []
    const channel: Channel = new Channel({
      pool: new BatchPool(),
      write: () => true,
      schedule: () => {},
      onMessage: (frame) => {
        seen.push(frame.number)
        channel.close()
      },
    })
    const bytes = encode(small(1), small(2))
    channel.receive(bytes, 0, bytes.length)
    assert.deepEqual(seen, [1])
  })
})

describe('Channel: transfers that are given up', () => {
  it('let go of what waits for a link that takes nothing', () => {
    const channel = new Channel({ pool: new BatchPool(), write: () => false, schedule: () => {}, onMessage: () => {} })
    const all = Array.from({ length: 1000 }, (_, n) => {
      const transfer = channel.open(frameOf({ kind: KIND.REQUEST, number: n }))
      transfer.push(new Uint8Array(MAX_FRAGMENT_BYTES), false)
      transfer.abort()
      return transfer
    })
    assert.ok(all.filter(({ ended }) => !ended).length <= MAX_TRANSFERS + 1)
  })
})

describe('Channel: a peer that does not keep to the rules', () => {
  const channel = (maxBodyBytes?: number, onTransfer?: (frame: Frame) => FragmentSink): Channel =>
    new Channel({
      pool: new BatchPool(),
      write: () => true,
      schedule: () => {},
      onMessage: () => {},
      maxBodyBytes,
      onTransfer,
    })
  const feed = (to: Channel, ...frames: readonly Partial<Fields>[]): void => {
    for (const of of frames) {
      const bytes = encode(frameOf({ kind: KIND.EVENT, transfer: 1, ...of }))
      to.receive(bytes, 0, bytes.length)
    }
  }
  const begin: Partial<Fields> = { flags: FLAG.MORE }
  const chunk: Partial<Fields> = { kind: KIND.CHUNK, flags: FLAG.MORE }
  const full = 'x'.repeat(MAX_FRAGMENT_BYTES)

  it('a fragment of a transfer that is not open is PROTOCOL', () => {
    throwsCode(() => feed(channel(), chunk), 'PROTOCOL')
    throwsCode(() => feed(channel(), begin, { kind: KIND.CHUNK }, { kind: KIND.CHUNK }), 'PROTOCOL')
    throwsCode(() => feed(channel(), begin, { ...chunk, flags: FLAG.ABORTED }, chunk), 'PROTOCOL')
  })

  it('a transfer begun twice is PROTOCOL; its number may be used again after its end', () => {
    throwsCode(() => feed(channel(), begin, begin), 'PROTOCOL')
    feed(channel(), begin, { kind: KIND.CHUNK }, begin, { kind: KIND.CHUNK, flags: FLAG.ABORTED }, begin)
  })

  it('MAX_TRANSFERS may be open, one more is PROTOCOL', () => {
    const to = channel()
    for (let transfer = 1; transfer <= MAX_TRANSFERS; transfer++) feed(to, { ...begin, transfer })
    throwsCode(() => feed(to, { ...begin, transfer: MAX_TRANSFERS + 1 }), 'PROTOCOL')
  })

  it('more than the window is PROTOCOL', () => {
    const held = channel(undefined, () => ({ fragment() {} }))
    const chunks = Array.from({ length: TRANSFER_WINDOW_BYTES / MAX_FRAGMENT_BYTES - 1 }, () => ({
      ...chunk,
      body: full,
    }))
    feed(held, { ...begin, body: full }, ...chunks)
    throwsCode(() => feed(held, { ...chunk, body: 'x' }), 'PROTOCOL')
  })

  it('more than maxBodyBytes in all is TOO_LARGE', () => {
    const to = channel(100_000)
    feed(to, { ...begin, body: full }, { ...chunk, body: 'x'.repeat(100_000 - MAX_FRAGMENT_BYTES) })
    throwsCode(() => feed(to, { ...chunk, body: 'x' }), 'TOO_LARGE')
  })

  it('fuzz: changed bytes of a real conversation end in messages or a ConclaveError, soon and with bounded memory', () => {
    const recorded: Uint8Array[] = []
    const recorder = new Pipe({
      capacity: 100_000,
      a: { write: (bytes, start, end) => recorded.push(bytes.slice(start, end)) > 0 },
      b: {},
    })
    recorder.a.send(frameOf({ kind: KIND.HELLO, body: '{"protocol":[1,1]}' }))
    recorder.a.send(frameOf({ kind: KIND.REQUEST, number: 1, name: 'm\0\0trace', body: '[1,2,3]' }))
    recorder.a.send(long(1, 200_000)) // within its window: nobody answers here
    recorder.a.send(frameOf({ kind: KIND.PUBLISH, number: 2, name: 'topic', body: '{}' }))
    recorder.a.send(long(3, 70_000))
    recorder.a.open(frameOf({ kind: KIND.ITEM, number: 9 })).push(new Uint8Array(1000), false)
    recorder.run()
    const stream = Buffer.concat(recorded)
    // Mostly headers are hit: that is where lengths, kinds and numbers lie.
    const headers: number[] = []
    for (
      let at = 0;
      at < stream.length;
      at += HEADER_BYTES + stream.readUInt16LE(at + 2) + stream.readUInt32LE(at + 4)
    ) {
      headers.push(at)
    }
    const place = fc.oneof(
      {
        weight: 5,
        arbitrary: fc
          .tuple(fc.nat({ max: headers.length - 1 }), fc.nat({ max: HEADER_BYTES - 1 }))
          .map(([i, byte]) => headers[i]! + byte),
      },
      { weight: 1, arbitrary: fc.nat({ max: stream.length - 1 }) },
    )
    const change = fc.tuple(place, fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.integer(), (changes, seed) => {
        const bytes = Uint8Array.from(stream)
        for (const [at, value] of changes) bytes[at] = value
        const random = randomOf(seed)
        let sizes = 0
        const to = new Channel({
          pool: new BatchPool(),
          write: () => true,
          schedule: (self) => self.flush(),
          onMessage: (frame) => (sizes += frame.bodyBytes() + frame.name.length),
        })
        try {
          for (let at = 0; at < bytes.length;) {
            const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 50_000))
            to.receive(bytes, at, end)
            at = end
          }
        } catch (error) {
          throwsCode(
            () => {
              throw error
            },
            'PROTOCOL',
            'TOO_LARGE',
          )
        }
        assert.ok(sizes <= bytes.length)
        to.close()
      }),
      { numRuns: 300 },
    )
  })
})
