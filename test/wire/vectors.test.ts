import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ConclaveError, errorFromWire } from '../../src/errors/index.ts'
import { parseHello, parseWelcome } from '../../src/wire/handshake.ts'
import { parseRpcLine } from '../../src/wire/jsonrpc.ts'
import { numbers, table } from './page.ts'

interface Vector {
  readonly what?: string
  readonly from?: string
  readonly fields: Record<string, unknown> & {
    readonly kind: string
    readonly json?: unknown
    readonly rawHex?: string
  }
  readonly hex: string
}
interface Vectors {
  readonly frames: readonly Vector[]
  readonly conversations: readonly { readonly what: string; readonly steps: readonly Vector[] }[]
  readonly lines: readonly { readonly what: string; readonly send: string; readonly receive: readonly string[] }[]
}

const vectors = JSON.parse(readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')) as Vectors

/*
 * A decoder made from docs/wire.md and nothing else, so that the vectors don't merely mirror the encoder: kinds and
 * flags are those of the page's tables, offsets and types those of its header table.
 */
const kinds = new Map(numbers(table('kind', 'value', 'way'), 0, 1).map(([name, value]) => [value, name]))
const flags = numbers(table('flag', 'value'), 0, 1)

function decode(hex: string): Record<string, unknown> {
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16))
  const view = new DataView(bytes.buffer)
  const bits = view.getUint8(1)
  const nameEnd = 40 + view.getUint16(2, true)
  const bodyBytes = view.getUint32(4, true)
  const decoded: Record<string, unknown> = { kind: kinds.get(view.getUint8(0)) }
  const set = (field: string, value: number): void => void (value !== 0 && (decoded[field] = value))
  const names = flags.filter(([, value]) => (bits & value) !== 0).map(([name]) => name)
  if (names.length > 0) decoded['flags'] = names
  set('a', view.getUint32(8, true))
  set('b', view.getUint32(12, true))
  set('c', view.getUint32(16, true))
  set('transfer', view.getUint32(20, true))
  set('number', view.getFloat64(24, true))
  const time = view.getFloat64(32, true)
  if (time === Infinity) decoded['time'] = 'Infinity'
  else set('time', time)
  const name = new TextDecoder().decode(bytes.subarray(40, nameEnd))
  if (name !== '') decoded['name'] = name
  const body = bytes.subarray(nameEnd)
  // A long body is told, not spelled out.
  if (body.length === 0 && bodyBytes > 0) decoded['repeat'] = bodyBytes
  else {
    assert.equal(body.length, bodyBytes)
    if (names.includes('RAW')) decoded['rawHex'] = hex.slice(2 * nameEnd)
    else if (body.length > 0) decoded['json'] = JSON.parse(new TextDecoder().decode(body))
  }
  return decoded
}

function check({ fields, hex }: Vector): void {
  const { repeat, ...others } = fields as { readonly repeat?: { readonly text: string; readonly count: number } }
  assert.deepEqual(
    decode(hex),
    repeat === undefined ? others : { ...others, repeat: repeat.text.length * repeat.count },
  )
}

describe('test/vectors/wire.json', () => {
  for (const vector of vectors.frames) it(vector.what!, () => check(vector))
  for (const { what, steps } of vectors.conversations) it(what, () => steps.forEach(check))

  it('has every kind', () => {
    const told = new Set(vectors.frames.map(({ fields }) => fields.kind))
    assert.deepEqual(
      [...kinds.values()].filter((kind) => !told.has(kind)),
      [],
    )
  })

  it('handshakes and errors in it are ones that we take', () => {
    for (const { fields } of [...vectors.frames, ...vectors.conversations.flatMap(({ steps }) => steps)]) {
      const text = JSON.stringify(fields.json)
      if (fields.kind === 'HELLO') assert.deepEqual(parseHello(text), fields.json)
      if (fields.kind === 'WELCOME') assert.deepEqual(parseWelcome(text), fields.json)
      if (fields.kind === 'REFUSE') assert.ok(ConclaveError.is(errorFromWire(fields.json), 'WORKSPACE_MOVED'))
    }
  })

  it('the long body keeps to the rules of transfers', () => {
    const [, , { steps } = assert.fail()] = vectors.conversations
    let onTheWay = 0
    let whole = 0
    for (const { from, fields } of steps) {
      if (fields.kind === 'WINDOW') onTheWay -= fields['b'] as number
      const repeat = fields['repeat'] as { readonly count: number } | undefined
      if (repeat === undefined) continue
      assert.equal(from, 'member')
      onTheWay += repeat.count
      whole += repeat.count
      assert.ok(repeat.count <= 65536 && onTheWay <= 262144)
    }
    assert.equal(whole, 330000)
  })

  it('lines are JSON-RPC 2.0 as we read it', () => {
    for (const { send, receive } of vectors.lines) {
      const sent = parseRpcLine(send)
      const messages = sent.kind === 'batch' ? sent.messages : [sent]
      assert.ok(messages.every(({ kind }) => kind === 'request' || kind === 'notification'))
      for (const line of receive) {
        const got = parseRpcLine(line)
        const answers = got.kind === 'batch' ? got.messages : [got]
        assert.ok(answers.every(({ kind }) => kind === 'answer' || kind === 'notification'))
      }
    }
  })

  it('is what the encoder writes', () => {
    const script = fileURLToPath(new URL('../../scripts/wire-vectors.mjs', import.meta.url))
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  })
})
