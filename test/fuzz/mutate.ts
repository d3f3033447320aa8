import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { randomOf } from '../wire/support.ts'

/** What decides all inputs: `CONCLAVE_FUZZ_SEED`, or else one for this run. */
export const SEED: number = Number(process.env['CONCLAVE_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32)) >>> 0
/** Inputs of each decoder: `CONCLAVE_FUZZ_ROUNDS`. */
export const ROUNDS: number = Number(process.env['CONCLAVE_FUZZ_ROUNDS'] ?? 1_500)
/** What a decoder may allocate beyond its limit. */
export const SLACK_BYTES: number = 64 * 1024

/** Where numbers are at their ends. */
const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xf8, 0xfe, 0xff, 0x0a, 0x22, 0x7b]
const LONGEST_BYTES = 256 * 1024

export type Random = () => number

const below = (random: Random, bound: number): number => Math.floor(random() * bound)
const anyOf = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!

/** One to eight changes: bits, bytes, numbers, pieces that go, come twice, or come from another recording. */
export function mutate(random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  let bytes = Buffer.from(anyOf(random, corpus))
  for (let left = 1 + below(random, 8); left > 0; left--) {
    const at = below(random, bytes.length + 1)
    const to = Math.min(bytes.length, at + 1 + below(random, 1 + below(random, 64)))
    const change = below(random, 8)
    if (change === 0 && at < bytes.length) bytes[at]! ^= 1 << below(random, 8)
    else if (change === 1 && at < bytes.length) bytes[at] = anyOf(random, EDGES)
    else if (change === 2 && at < bytes.length) bytes[at] = below(random, 256)
    else if (change === 3) bytes.fill(random() < 0.5 ? 0xff : 0x7f, at, Math.min(to, at + 8))
    else if (change === 4) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
    else if (change === 5) bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    else if (change === 6) {
      const other = anyOf(random, corpus)
      const from = below(random, other.length + 1)
      bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(from), bytes.subarray(at)])
    } else if (random() < 0.2) bytes = bytes.subarray(0, at)
  }
  return bytes.subarray(0, LONGEST_BYTES)
}

/** The bytes in chunks of any size, in a buffer that is overwritten after each, as sockets do. */
export function inChunks(random: Random, bytes: Uint8Array, push: (chunk: Uint8Array) => void): void {
  const buffer = Buffer.alloc(4_096)
  for (let at = 0; at < bytes.length;) {
    const length = Math.min(bytes.length - at, buffer.length, 1 + below(random, 1 + below(random, 4_096)))
    buffer.set(bytes.subarray(at, at + length))
    push(buffer.subarray(0, length))
    buffer.fill(0xdd, 0, length)
    at += length
  }
}

/** Runs `decode` and lets errors of ours pass. @returns the error */
export function typed(decode: () => unknown): ConclaveError | undefined {
  try {
    decode()
  } catch (error) {
    assert.ok(ConclaveError.is(error), `not an error of ours: ${error instanceof Error ? error.stack : String(error)}`)
    return error
  }
  return undefined
}

/**
 * A test that gives `decode` mutated recordings. It fails with the seed and the input, and also when all inputs were refused
 * or none.
 */
export function fuzz(
  title: string,
  corpus: readonly Uint8Array[],
  decode: (bytes: Uint8Array, random: Random) => ConclaveError | undefined | 'refused',
): void {
  test(title, () => {
    assert.ok(corpus.length > 0)
    let refused = 0
    for (let round = 0; round < ROUNDS; round++) {
      const random = randomOf(SEED + Math.imul(round, 0x9e3779b1))
      const bytes = mutate(random, corpus)
      try {
        if (decode(bytes, random) !== undefined) refused++
      } catch (cause) {
        const input = Buffer.from(bytes).toString('hex').slice(0, 4_000)
        throw new Error(`CONCLAVE_FUZZ_SEED=${SEED}, round ${round}, input ${input}`, { cause })
      }
    }
    // Otherwise the recordings do not reach what they should.
    assert.ok(
      ROUNDS < 500 || (refused > 0 && refused < ROUNDS),
      `${refused} of ${ROUNDS} refused, CONCLAVE_FUZZ_SEED=${SEED}`,
    )
  })
}

/** Buffers that a run leaves allocated or allocates on its way, in bytes, at most; other tests of the process rest. */
export function allocated(run: () => void): number {
  const before = process.memoryUsage().arrayBuffers
  run()
  return process.memoryUsage().arrayBuffers - before
}
