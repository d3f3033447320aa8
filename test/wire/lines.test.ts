import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { encodeLine, LineReader, MAX_LINE_BYTES, type LineReaderOptions } from '../../src/wire/lines.ts'

type Told = readonly ['line', string] | readonly ['long'] | readonly ['invalid']

function reader(options: Partial<LineReaderOptions> = {}): { readonly lines: LineReader; readonly told: Told[] } {
  const told: Told[] = []
  const lines = new LineReader({
    onLine: (text) => told.push(['line', text]),
    onTooLong: () => told.push(['long']),
    onInvalid: () => told.push(['invalid']),
    ...options,
  })
  return { lines, told }
}

/** What the whole stream means, read at once. */
function expected(bytes: Buffer, max: number): Told[] {
  const told: Told[] = []
  for (let from = 0; ;) {
    const lf = bytes.indexOf(10, from)
    // An unfinished line is told of only when it is too long already, be it by a CR that may end it.
    const line = bytes.subarray(from, lf < 0 ? bytes.length : lf)
    const ended = line.at(-1) === 13 ? line.subarray(0, -1) : line
    if (ended.length > max) told.push(['long'])
    else if (lf >= 0) {
      const text = ended.toString()
      told.push(Buffer.from(text).equals(ended) ? ['line', text] : ['invalid'])
    }
    if (lf < 0) return told
    from = lf + 1
  }
}

const piece = fc.oneof(
  fc.constantFrom('\n', '\r\n', '\r', '', 'ü', '世', '🙂', '\ufeff', '{"a":1}').map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
  fc.nat(40).map((n) => Buffer.alloc(n, 'x')),
)

describe('LineReader', () => {
  it('gives the same lines however the bytes are cut', () => {
    const stream = fc.array(piece, { maxLength: 40, size: 'max' }).map((pieces) => Buffer.concat(pieces))
    fc.assert(
      fc.property(
        stream,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.nat(50),
        (bytes, cuts, max) => {
          const { lines, told } = reader({ maxLineBytes: max })
          // One buffer for all chunks, as a socket reads: what is kept must be a copy.
          const shared = Buffer.alloc(16)
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const length = Math.min(bytes.length - at, cuts[i % cuts.length] ?? 1)
            shared.fill(10)
            const start = i % 5
            bytes.copy(shared, start, at, at + length)
            lines.push(shared, start, start + length)
            assert.ok(lines.pendingBytes <= max + 1)
            at += length
          }
          assert.deepEqual(told, expected(bytes, max))
          const whole = reader({ maxLineBytes: max })
          whole.lines.push(bytes)
          assert.deepEqual(whole.told, told)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('takes a line of the longest length, with either end, and no longer one', () => {
    for (const end of ['\n', '\r\n']) {
      const { lines, told } = reader()
      lines.push(Buffer.from('x'.repeat(MAX_LINE_BYTES) + end))
      lines.push(Buffer.from(`${'y'.repeat(MAX_LINE_BYTES + 1)}${end}z${end}`))
      assert.deepEqual(
        told.map(([kind, text]) => [kind, text?.length]),
        [
          ['line', MAX_LINE_BYTES],
          ['long', undefined],
          ['line', 1],
        ],
      )
    }
  })

  it('holds no more than one line of what has no end', () => {
    const { lines, told } = reader({ maxLineBytes: 1000 })
    const chunk = Buffer.alloc(100, 'x')
    for (let i = 0; i < 1000; i++) {
      lines.push(chunk)
      assert.ok(lines.pendingBytes <= 1000)
    }
    assert.deepEqual(told, [['long']])
    lines.push(Buffer.from('end\nnext\n'))
    assert.deepEqual(told, [['long'], ['line', 'next']])
  })

  it('skips a line that is not UTF-8', () => {
    const { lines, told } = reader()
    lines.push(Buffer.from([0xff, 10, 0x61, 10, 0xc3, 10, 0xed, 0xa0, 0x80, 10]))
    assert.deepEqual(told, [['invalid'], ['line', 'a'], ['invalid'], ['invalid']])
  })

  it('fatal: nothing is read after a line that cannot be', () => {
    for (const bad of [Buffer.from([0xff]), Buffer.alloc(20, 'x')]) {
      for (const cut of [1, 100]) {
        const { lines, told } = reader({ maxLineBytes: 10, fatal: true })
        const bytes = Buffer.concat([Buffer.from('a\n'), bad, Buffer.from('\nb\n')])
        for (let at = 0; at < bytes.length; at += cut) lines.push(bytes, at, Math.min(bytes.length, at + cut))
        assert.deepEqual(told, [['line', 'a'], bad.length === 1 ? ['invalid'] : ['long']])
        assert.equal(lines.ended, true)
      }
    }
  })

  it('end says whether something was cut off', () => {
    const { lines } = reader()
    lines.push(Buffer.from('a\nb'))
    assert.equal(lines.end(), true)
    const clean = reader()
    clean.lines.push(Buffer.from('a\n'))
    assert.equal(clean.lines.end(), false)
    clean.lines.push(Buffer.from('b\n'))
    assert.deepEqual(clean.told, [['line', 'a']])
  })
})

describe('encodeLine', () => {
  it('makes one line of any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const line = encodeLine(value)
        assert.equal(line.indexOf('\n'), line.length - 1)
        assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('refuses what JSON cannot hold', () => {
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    for (const value of [undefined, () => {}, 1n, loop]) {
      assert.throws(
        () => encodeLine(value),
        (error) => ConclaveError.is(error, 'INVALID_REQUEST'),
      )
    }
  })
})
