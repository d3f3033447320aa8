import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isAppName } from '../../src/election/index.ts'
import * as electionLimits from '../../src/election/limits.ts'
import * as engineLimits from '../../src/engine/local/limits.ts'
import { CODES, errorToWire, ConclaveError, MAX_ERROR_MESSAGE } from '../../src/errors/index.ts'
import * as eventLimits from '../../src/events/limits.ts'
import * as rpcLimits from '../../src/rpc/limits.ts'
import { FLAG, KIND, TARGET } from '../../src/wire/frame.ts'
import * as handshake from '../../src/wire/handshake.ts'
import { MAX_BATCH_MESSAGES } from '../../src/wire/jsonrpc.ts'
import * as wireLimits from '../../src/wire/limits.ts'
import { MAX_LINE_BYTES } from '../../src/wire/lines.ts'
import { encode, frameOf } from './support.ts'
import { numbers, table } from './page.ts'

const byName = (list: readonly [string, number][]): Record<string, number> =>
  Object.fromEntries(list.toSorted(([a], [b]) => (a < b ? -1 : 1)))

describe('docs/wire.md', () => {
  it('has every kind with its value', () => {
    assert.deepEqual(byName(numbers(table('kind', 'value', 'way'), 0, 1)), byName(Object.entries(KIND)))
  })

  it('has every flag with its value', () => {
    assert.deepEqual(byName(numbers(table('flag', 'value'), 0, 1)), byName(Object.entries(FLAG)))
  })

  it('has every target with its value', () => {
    assert.deepEqual(byName(numbers(table('target', 'value'), 0, 1)), byName(Object.entries(TARGET)))
  })

  it('has the header as it is written: field after field, little-endian', () => {
    const rows = table('offset', 'size', 'type').filter((row) => row[1] !== '')
    const values: Record<string, number> = {
      kind: KIND.EVENT,
      flags: FLAG.RAW,
      'name length': 3,
      'body length': 2,
      a: 0x01020304,
      b: 0x11121314,
      c: 0x21222324,
      transfer: 0x31323334,
      number: 2 ** 40 + 1,
      time: 0.1,
    }
    const { kind, flags, a, b, c, transfer, number, time } = values as Record<string, number> & { kind: number }
    const bytes = encode(
      frameOf({
        kind,
        flags: flags!,
        a: a!,
        b: b!,
        c: c!,
        transfer: transfer!,
        number: number!,
        time: time!,
        name: 'abc',
        body: '0102',
      }),
    )
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let next = 0
    for (const [offset, size, type, field] of rows) {
      assert.equal(Number(offset), next, `${field} begins where the one before ends`)
      const at = next
      const read = {
        uint8: () => [view.getUint8(at), 1],
        uint16: () => [view.getUint16(at, true), 2],
        uint32: () => [view.getUint32(at, true), 4],
        float64: () => [view.getFloat64(at, true), 8],
      }[type!]!()
      assert.deepEqual(read, [values[field!], Number(size)], field)
      next += Number(size)
    }
    assert.equal(next, wireLimits.HEADER_BYTES)
    assert.equal(rows.length, Object.keys(values).length)
  })

  it('has the limits as they are', () => {
    const constants: Record<string, unknown> = {
      ...electionLimits,
      ...eventLimits,
      ...rpcLimits,
      ...wireLimits,
      ...engineLimits,
      ...handshake,
      MAX_BATCH_MESSAGES,
      MAX_ERROR_MESSAGE,
    }
    const rows = table('limit', 'value', 'constant')
    for (const [what, value, constant] of rows)
      assert.equal(Number(value), constants[constant!], `${what}: ${constant}`)
    const told = new Set(rows.map((row) => row[2]))
    for (const name of Object.keys(wireLimits)) {
      // Of no concern to the other side of a link.
      if (!/BATCH|BLOCK|EARLY|FORETOLD|LONG_/.test(name)) assert.ok(told.has(name), `${name} is not on the page`)
    }
    assert.equal(MAX_LINE_BYTES, engineLimits.MAX_LINE_BYTES)
  })

  it('has every field of HELLO, of WELCOME and of an error', () => {
    const hello = {
      protocol: [1, 1],
      workspace: '1:1',
      id: 'A'.repeat(22),
      name: 'x',
      database: true,
    }
    assert.deepEqual(
      table('HELLO', 'form').map(([field]) => field),
      Object.keys(handshake.parseHello(JSON.stringify(hello))),
    )
    const welcome = { protocol: 1, term: 1, slot: 1, primary: { id: 'A'.repeat(22), name: 'x', pid: 1 } }
    assert.deepEqual(
      table('WELCOME', 'meaning').map(([field]) => field),
      Object.keys(handshake.parseWelcome(JSON.stringify(welcome))),
    )
    const details = { outcome: 'unknown', key: 'k', reason: 'r', data: 1 } as const
    const wire = errorToWire(new ConclaveError('FAILED', 'text', details))
    assert.deepEqual(
      table('error', 'meaning').map(([field]) => field),
      ['code', 'message', ...Object.keys(wire.data!).map((field) => `data.${field}`)],
    )
  })

  it('names codes that exist', () => {
    const words = table('REFUSE', 'then').flatMap(([codes]) => codes!.split(', '))
    for (const word of words) assert.ok(Object.hasOwn(CODES, word), word)
  })

  it('has the protocol version, the form of an app name', () => {
    assert.deepEqual(handshake.PROTOCOL, [1, 1])
    assert.ok(isAppName('a-b.c_1') && !isAppName('.a') && !isAppName('A') && !isAppName('x'.repeat(65)))
  })
})
