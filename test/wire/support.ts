import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ConclaveError, type Code } from '../../src/errors/index.ts'
import { Channel, type ChannelOptions } from '../../src/wire/channel.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'
import { HEADER_BYTES } from '../../src/wire/limits.ts'
import { BatchPool, BatchWriter } from '../../src/wire/writer.ts'

/** A frame as a plain value, to be compared. */
export interface Fields {
  readonly kind: number
  readonly flags: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly transfer: number
  readonly number: number
  readonly time: number
  readonly name: string
  /** Text; bytes, and any part of a body, as hex. */
  readonly body: string
}

export const fields = (frame: Frame): Fields => ({
  kind: frame.kind,
  flags: frame.flags,
  a: frame.a,
  b: frame.b,
  c: frame.c,
  transfer: frame.transfer,
  number: frame.number,
  time: frame.time,
  name: frame.name,
  body: frame.raw || frame.kind === KIND.CHUNK ? Buffer.from(frame.copyBody()).toString('hex') : frame.text,
})

export function frameOf(of: Partial<Fields> & { readonly kind: number }): Frame {
  const { kind, flags = 0, a = 0, b = 0, c = 0, transfer = 0, number = 0, time = 0, name = '', body = '' } = of
  const frame = new Frame().set(kind, flags, a, b, c, number, time).withName(name)
  frame.transfer = transfer
  return frame.withBody((flags & FLAG.RAW) === 0 ? body : Buffer.from(body, 'hex'))
}

const uint32 = fc.integer({ min: 0, max: 0xffffffff })
/** Method, target and traceparent: NUL between them, any characters in them. */
export const anyName = fc
  .array(fc.string({ unit: 'binary', maxLength: 12 }), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('\0'))

export const anyFields: fc.Arbitrary<Fields> = fc.record({
  kind: fc.constantFrom(...Object.values(KIND)),
  flags: fc.integer({ min: 0, max: 255 }).map((flags) => flags & ~FLAG.RAW),
  a: uint32,
  b: uint32,
  c: uint32,
  transfer: uint32,
  number: fc.maxSafeNat(),
  time: fc.oneof(fc.double({ noNaN: true }), fc.constant(Infinity)),
  name: anyName,
  body: fc.string({ unit: 'binary', maxLength: 300 }),
})

export const anyRawFields: fc.Arbitrary<Fields> = fc
  .tuple(anyFields, fc.uint8Array({ maxLength: 300 }))
  .map(([of, bytes]) => ({ ...of, flags: of.flags | FLAG.RAW, body: Buffer.from(bytes).toString('hex') }))

/** What one flush writes. */
export function encode(...frames: readonly Frame[]): Uint8Array {
  const written: Uint8Array[] = []
  const writer = new BatchWriter(new BatchPool(), (bytes, start, end) => written.push(bytes.slice(start, end)))
  for (const frame of frames) writer.frame(frame)
  writer.flush()
  return Buffer.concat(written)
}

/** A header by hand, so that it can lie. */
export function header(of: {
  readonly kind: number
  readonly flags?: number
  readonly name?: number
  readonly body?: number
  readonly b?: number
  readonly transfer?: number
}): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  bytes[0] = of.kind
  bytes[1] = of.flags ?? 0
  view.setUint16(2, of.name ?? 0, true)
  view.setUint32(4, of.body ?? 0, true)
  view.setUint32(12, of.b ?? 0, true)
  view.setUint32(20, of.transfer ?? 0, true)
  return bytes
}

export function throwsCode(run: () => unknown, ...codes: readonly Code[]): ConclaveError {
  let thrown: unknown
  try {
    run()
  } catch (error) {
    thrown = error
  }
  assert.ok(ConclaveError.is(thrown, ...codes), `expected ${codes.join(' or ')}, got ${String(thrown)}`)
  return thrown
}

/** Numbers from 0 to below 1 that a seed decides. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Direction {
  readonly bytes: Uint8Array[]
  held: number
  writes: number
  congested: boolean
  /** Nothing comes through: the reader is stopped. */
  stopped: boolean
  readonly from: Channel
  readonly to: Channel
}

export interface PipeOptions {
  readonly seed?: number
  /** Bytes a direction takes before `write` says no. */
  readonly capacity?: number
  readonly chunk?: number
  readonly a?: Partial<ChannelOptions>
  readonly b?: Partial<ChannelOptions>
}

/** Two channels and what lies between them: any chunking, any backpressure, no time. */
export class Pipe {
  readonly a: Channel
  readonly b: Channel
  readonly received: { readonly a: Fields[]; readonly b: Fields[] } = { a: [], b: [] }
  readonly toA: Direction
  readonly toB: Direction
  readonly #dirty = new Set<Channel>()
  readonly #random: () => number
  readonly #capacity: number
  readonly #chunk: number

  constructor({ seed = 1, capacity = Infinity, chunk = 64 * 1024, a = {}, b = {} }: PipeOptions = {}) {
    this.#random = randomOf(seed)
    this.#capacity = capacity
    this.#chunk = chunk
    const pool = new BatchPool()
    const make = (received: Fields[], out: () => Direction, options: Partial<ChannelOptions>): Channel =>
      new Channel({
        pool,
        write: (bytes, start, end) => this.#write(out(), bytes.slice(start, end)),
        schedule: (channel) => this.#dirty.add(channel),
        onMessage: (frame) => received.push(fields(frame)),
        ...options,
      })
    this.a = make(this.received.a, () => this.toB, a)
    this.b = make(this.received.b, () => this.toA, b)
    const direction = (from: Channel, to: Channel): Direction => {
      return { bytes: [], held: 0, writes: 0, congested: false, stopped: false, from, to }
    }
    this.toB = direction(this.a, this.b)
    this.toA = direction(this.b, this.a)
  }

  /** One thing happens. @returns false when nothing could */
  step(): boolean {
    const acts: (() => void)[] = []
    for (const channel of this.#dirty) acts.push(() => this.#flush(channel))
    for (const direction of [this.toA, this.toB]) {
      if (direction.held > 0 && !direction.stopped) acts.push(() => this.#deliver(direction))
      else if (direction.congested && direction.held === 0) acts.push(() => this.#drain(direction))
    }
    acts[Math.floor(this.#random() * acts.length)]?.()
    return acts.length > 0
  }

  /** Until nothing is left to happen. @throws when it does not end */
  run(steps: number = 2_000_000): void {
    while (this.step()) assert.ok(--steps > 0, 'the two channels never come to rest')
  }

  #flush(channel: Channel): void {
    this.#dirty.delete(channel)
    channel.flush()
  }

  #write(direction: Direction, bytes: Uint8Array): boolean {
    direction.writes++
    direction.bytes.push(bytes)
    direction.held += bytes.length
    // As a socket: no until all of it is gone.
    direction.congested ||= direction.held > this.#capacity
    return !direction.congested
  }

  #drain(direction: Direction): void {
    direction.congested = false
    direction.from.drained()
  }

  /** Readers get a buffer that is overwritten right afterwards, as sockets do. */
  #deliver(direction: Direction): void {
    const first = direction.bytes[0]!
    const length = Math.min(first.length, 1 + Math.floor(this.#random() * this.#chunk))
    const offset = Math.floor(this.#random() * 9)
    const buffer = new Uint8Array(length + offset + 3).fill(0xee)
    buffer.set(first.subarray(0, length), offset)
    if (length === first.length) direction.bytes.shift()
    else direction.bytes[0] = first.subarray(length)
    direction.held -= length
    direction.to.receive(buffer, offset, offset + length)
    buffer.fill(0xdd)
  }
}
