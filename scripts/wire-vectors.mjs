// Writes test/vectors/wire.json from the encoder. test/wire/vectors.test.ts checks it with a decoder of its own.
// Run it when the wire changes on purpose, and read the difference: node scripts/wire-vectors.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import { format } from 'prettier'
import { FLAG, Frame, KIND, TARGET } from '../src/wire/frame.ts'
import { BatchPool, BatchWriter } from '../src/wire/writer.ts'

/** @typedef {{ kind: string, flags?: string[], a?: number, b?: number, c?: number, transfer?: number, number?: number, time?: number | 'Infinity', name?: string, json?: unknown, rawHex?: string, repeat?: { text: string, count: number } }} Fields */

/** @param {Fields} of */
function bytesOf(of) {
  const {
    kind,
    flags = [],
    a = 0,
    b = 0,
    c = 0,
    transfer = 0,
    number = 0,
    time = 0,
    name = '',
    json,
    rawHex,
    repeat,
  } = of
  const bits = flags.reduce((sum, flag) => sum | FLAG[/** @type {keyof typeof FLAG} */ (flag)], 0)
  const frame = new Frame()
    .set(KIND[/** @type {keyof typeof KIND} */ (kind)], bits, a, b, c, number, Number(time))
    .withName(name)
  frame.transfer = transfer
  if (json !== undefined) frame.withBody(JSON.stringify(json))
  if (repeat !== undefined) frame.withBody(repeat.text.repeat(repeat.count))
  if (rawHex !== undefined) frame.withBody(Buffer.from(rawHex, 'hex'))
  /** @type {Buffer[]} */
  const written = []
  const writer = new BatchWriter(new BatchPool(), (bytes, start, end) =>
    written.push(Buffer.from(bytes.slice(start, end))),
  )
  writer.frame(frame)
  writer.flush()
  const all = Buffer.concat(written)
  return repeat === undefined ? all : all.subarray(0, all.length - Buffer.byteLength(repeat.text) * repeat.count)
}

/** @param {string} what @param {Fields} fields */
const frame = (what, fields) => ({ what, fields, hex: bytesOf(fields).toString('hex') })
/** @param {'member' | 'primary'} from @param {Fields} fields @param {string} [what] */
const step = (from, fields, what) => ({
  from,
  ...(what === undefined ? {} : { what }),
  fields,
  hex: bytesOf(fields).toString('hex'),
})

const editor = { id: 'ZWRpdG9yLWVkaXRvci1lZA', name: 'editor', pid: 4711 }
const server = { id: 'c2VydmVyLXNlcnZlci1zZQ', name: 'server', pid: 42 }
const joined = '2026-01-02T03:04:05.678Z'
const hello = {
  protocol: [1, 1],
  workspace: '64769:1311',
  ...editor,
  term: 0,
  version: 0,
  minVersion: 0,
  stands: false,
}
const welcome = {
  protocol: 1,
  term: 3,
  slot: 2,
  primary: server,
  version: 0,
  lastPublish: 0,
  limits: { maxBodyBytes: 16777216 },
}
const notFound = {
  code: -32601,
  message: 'No member offers nope.',
  data: { code: 'METHOD_NOT_FOUND', outcome: 'not-committed' },
}
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const frames = [
  frame('empty but for its kind', { kind: 'GOODBYE' }),
  frame('every header field, little-endian', {
    kind: 'EVENT',
    flags: ['RAW'],
    a: 1,
    b: 0x01020304,
    c: 0xfffffffe,
    transfer: 5,
    number: 9007199254740991,
    time: 1767323045678.5,
    name: 'é',
    rawHex: '00ff',
  }),
  frame('HELLO', { kind: 'HELLO', json: hello }),
  frame('WELCOME', { kind: 'WELCOME', json: welcome }),
  frame('REFUSE', {
    kind: 'REFUSE',
    json: { code: -32024, message: 'The folder was moved.', data: { code: 'WORKSPACE_MOVED' } },
  }),
  frame('GOAWAY: request 17 was the last one taken', { kind: 'GOAWAY', number: 17 }),
  frame('TERM_END: event 1000 was the last one', { kind: 'TERM_END', number: 1000 }),
  frame('PING', { kind: 'PING', number: 2 }),
  frame('PONG', { kind: 'PONG', number: 2 }),
  frame('MEMBER: slot 2 is taken by a member', { kind: 'MEMBER', a: 2, c: 1, json: { ...editor, joined } }),
  frame('MEMBER: slot 2 is free again', { kind: 'MEMBER', a: 2, json: { ...editor, joined } }),
  frame('MEMBER: who published what comes next has left', {
    kind: 'MEMBER',
    a: 2,
    c: 2,
    json: { ...editor, joined: '' },
  }),
  frame('REQUEST to the default target, deadline in milliseconds of CLOCK_MONOTONIC', {
    kind: 'REQUEST',
    b: 1,
    number: 1,
    time: 12345.5,
    name: 'session.get',
    json: { id: 7 },
  }),
  frame('REQUEST to a member by name, traced, second attempt of an idempotent call', {
    kind: 'REQUEST',
    flags: ['IDEMPOTENT'],
    b: 2,
    c: TARGET.NAME,
    number: 2,
    time: 12345.5,
    name: `session.get\0editor\0${traceparent}`,
    json: [],
  }),
  frame('REQUEST of a stream without a deadline, traced, with no target in its name', {
    kind: 'REQUEST',
    flags: ['STREAM'],
    b: 1,
    c: TARGET.ANY,
    number: 3,
    time: 'Infinity',
    name: `log.tail\0\0${traceparent}`,
  }),
  frame('REQUEST that is a notification, by slot', {
    kind: 'REQUEST',
    flags: ['NOTIFY'],
    a: 4,
    b: 1,
    c: TARGET.SLOT,
    number: 4,
    time: 12345.5,
    name: 'cache.drop',
  }),
  frame('RESPONSE, from the member in slot 1', { kind: 'RESPONSE', a: 1, number: 1, json: { id: 7, open: true } }),
  frame('RESPONSE of bytes', { kind: 'RESPONSE', flags: ['RAW'], a: 1, number: 1, rawHex: 'deadbeef' }),
  frame('RESPONSE of undefined: no body', { kind: 'RESPONSE', a: 1, number: 1 }),
  frame('FAILURE, from the member in slot 1', { kind: 'FAILURE', a: 1, number: 2, json: notFound }),
  frame('FAILURE, from the switchboard', { kind: 'FAILURE', c: 1, number: 2, json: notFound }),
  frame('ITEM of a stream', { kind: 'ITEM', a: 1, number: 3, json: 'line 1' }),
  frame('CANCEL', { kind: 'CANCEL', number: 3 }),
  frame('CREDIT of 64 KiB', { kind: 'CREDIT', b: 65536, number: 3 }),
  frame('TAKEN', { kind: 'TAKEN', number: 4 }),
  frame('OFFER to any caller, at most 4 calls at once', { kind: 'OFFER', b: 4, c: 1, name: 'image.resize' }),
  frame('WITHDRAW', { kind: 'WITHDRAW', name: 'image.resize' }),
  frame('QUERY peers', {
    kind: 'QUERY',
    number: 5,
    time: 12345.5,
    c: 1,
    name: 'peers',
    json: { method: 'image.resize' },
  }),
  frame('PUBLISH', { kind: 'PUBLISH', number: 1, time: 1767323045678, name: 'session.update', json: { id: 7 } }),
  frame('PUBLISH of data that nobody is to show', {
    kind: 'PUBLISH',
    flags: ['SENSITIVE'],
    number: 2,
    time: 1767323045678,
    name: 'session.token',
    json: 'hunter2',
  }),
  frame('PUBLISHED: it is event 12 of the term', { kind: 'PUBLISHED', b: 1, c: 12, number: 1 }),
  frame('PUBLISHED: publishes 5, 6 and 7 are events 20, 21 and 22', { kind: 'PUBLISHED', b: 3, c: 20, number: 5 }),
  frame('SUBSCRIBE', {
    kind: 'SUBSCRIBE',
    b: 1,
    name: 'session.*',
    json: { from: { after: 12884901899 }, maxQueued: 100, overflow: 'drop-newest' },
  }),
  frame('SUBSCRIBED', { kind: 'SUBSCRIBED', b: 1, json: { after: 11, missed: 0, exact: true } }),
  frame('UNSUBSCRIBE', { kind: 'UNSUBSCRIBE', b: 1 }),
  frame('EVENT 12 of the term, publish 1 of the member in slot 2', {
    kind: 'EVENT',
    a: 2,
    b: 1,
    c: 12,
    number: 1,
    time: 1767323045678,
    name: 'session.update',
    json: { id: 7 },
  }),
  frame('EVENT of bytes that nobody is to show', {
    kind: 'EVENT',
    flags: ['RAW', 'SENSITIVE'],
    a: 2,
    b: 1,
    c: 13,
    number: 2,
    time: 1767323045678,
    name: 'session.token',
    rawHex: 'deadbeef',
  }),
  frame('MISSED: exactly 3, up to event 15', { kind: 'MISSED', b: 1, c: 15, number: 3 }),
  frame('MISSED: at least 3, up to event 15', { kind: 'MISSED', flags: ['INEXACT'], b: 1, c: 15, number: 3 }),
  frame('CHUNK, more to come', { kind: 'CHUNK', flags: ['MORE'], transfer: 1, json: 'x' }),
  frame('CHUNK, the transfer is given up', { kind: 'CHUNK', flags: ['ABORTED'], transfer: 1 }),
  frame('WINDOW: 64 KiB more', { kind: 'WINDOW', b: 65536, transfer: 1 }),
]

const seq = 3 * 2 ** 32 + 12
const conversations = [
  {
    what: 'join, and call the primary',
    steps: [
      step('member', { kind: 'HELLO', json: hello }),
      step('primary', { kind: 'WELCOME', json: welcome }),
      step('primary', { kind: 'MEMBER', a: 1, c: 1, json: { ...server, joined } }, 'who was here'),
      step('primary', { kind: 'MEMBER', a: 2, c: 1, json: { ...editor, joined } }, 'the member itself'),
      step('member', { kind: 'REQUEST', b: 1, number: 1, time: 12345.5, name: 'session.get', json: { id: 7 } }),
      step('primary', { kind: 'RESPONSE', a: 1, number: 1, json: { id: 7, open: true } }),
      step('member', { kind: 'GOODBYE' }),
    ],
  },
  {
    what: `subscribe, publish, get the event; its public seq is 3 * 2^32 + 12 = ${seq}`,
    steps: [
      step('member', { kind: 'SUBSCRIBE', b: 1, name: 'session.*', json: { from: 'now' } }),
      step('primary', { kind: 'SUBSCRIBED', b: 1, json: { after: 11, missed: 0, exact: true } }),
      step('member', { kind: 'PUBLISH', number: 1, time: 1767323045678, name: 'session.update', json: { id: 7 } }),
      step('primary', {
        kind: 'EVENT',
        a: 2,
        b: 1,
        c: 12,
        number: 1,
        time: 1767323045678,
        name: 'session.update',
        json: { id: 7 },
      }),
      step('primary', { kind: 'PUBLISHED', b: 1, c: 12, number: 1 }),
      step('member', { kind: 'UNSUBSCRIBE', b: 1 }),
    ],
  },
  {
    what: 'a body of 330000 bytes: hex holds header and name, the body follows; small frames may come between',
    steps: [
      ...Array.from({ length: 4 }, (_, i) =>
        step(
          'member',
          i === 0
            ? {
                kind: 'REQUEST',
                flags: ['MORE'],
                b: 1,
                transfer: 1,
                number: 2,
                time: 12345.5,
                name: 'file.put',
                repeat: { text: '7', count: 65536 },
              }
            : { kind: 'CHUNK', flags: ['MORE'], transfer: 1, repeat: { text: '7', count: 65536 } },
          i === 3 ? 'the window of 262144 bytes is used up' : undefined,
        ),
      ),
      step('member', { kind: 'PING', number: 1 }),
      step('primary', { kind: 'WINDOW', b: 65536, transfer: 1 }),
      step('primary', { kind: 'WINDOW', b: 65536, transfer: 1 }),
      step('member', { kind: 'CHUNK', flags: ['MORE'], transfer: 1, repeat: { text: '7', count: 65536 } }),
      step('primary', { kind: 'PONG', number: 1 }),
      step('member', { kind: 'CHUNK', transfer: 1, repeat: { text: '7', count: 2320 } }, 'the last one lacks MORE'),
      step('primary', { kind: 'RESPONSE', a: 1, number: 2 }),
    ],
  },
]

const lines = [
  {
    what: 'a call',
    send: '{"jsonrpc":"2.0","id":1,"method":"session.get","params":{"id":7}}',
    receive: ['{"jsonrpc":"2.0","id":1,"result":{"id":7,"open":true}}'],
  },
  {
    what: 'a call that fails',
    send: '{"jsonrpc":"2.0","id":"x","method":"nope"}',
    receive: [`{"jsonrpc":"2.0","id":"x","error":${JSON.stringify(notFound)}}`],
  },
  { what: 'a notification', send: '{"jsonrpc":"2.0","method":"cache.drop"}', receive: [] },
  {
    what: 'a batch is answered by one line, in any order',
    send: '[{"jsonrpc":"2.0","id":1,"method":"session.get","params":{"id":7}},{"jsonrpc":"2.0","method":"cache.drop"}]',
    receive: ['[{"jsonrpc":"2.0","id":1,"result":{"id":7,"open":true}}]'],
  },
  {
    what: 'publish',
    send: '{"jsonrpc":"2.0","id":2,"method":"conclave.publish","params":{"topic":"session.update","data":{"id":7}}}',
    receive: [`{"jsonrpc":"2.0","id":2,"result":{"seq":${seq}}}`],
  },
  {
    what: 'subscribe, and an event',
    send: '{"jsonrpc":"2.0","id":3,"method":"conclave.subscribe","params":{"pattern":"session.*"}}',
    receive: [
      `{"jsonrpc":"2.0","id":3,"result":{"subscription":1,"seq":${seq - 1}}}`,
      `{"jsonrpc":"2.0","method":"conclave.event","params":{"subscription":1,"topic":"session.update","data":{"id":7},"seq":${seq},"term":3,"publisher":${JSON.stringify(editor)},"time":1767323045678,"missed":0,"exact":true}}`,
    ],
  },
  {
    what: 'publish a secret; who subscribed is told that it is one',
    send: '{"jsonrpc":"2.0","id":4,"method":"conclave.publish","params":{"topic":"session.token","data":"hunter2","sensitive":true}}',
    receive: [
      `{"jsonrpc":"2.0","method":"conclave.event","params":{"subscription":1,"topic":"session.token","data":"hunter2","seq":${seq + 1},"term":3,"publisher":${JSON.stringify(editor)},"time":1767323045678,"missed":0,"exact":true,"sensitive":true}}`,
      `{"jsonrpc":"2.0","id":4,"result":{"seq":${seq + 1}}}`,
    ],
  },
  {
    what: 'unsubscribe',
    send: '{"jsonrpc":"2.0","id":5,"method":"conclave.unsubscribe","params":{"subscription":1}}',
    receive: ['{"jsonrpc":"2.0","id":5,"result":true}'],
  },
]

const about =
  'docs/wire.md explains these bytes. Fields that are left out are 0 or empty; json is the body as JSON.stringify writes it.'
const path = new URL('../test/vectors/wire.json', import.meta.url)
const text = await format(JSON.stringify({ about, frames, conversations, lines }), { parser: 'json', printWidth: 120 })
if (!process.argv.includes('--check')) writeFileSync(path, text)
else if (readFileSync(path, 'utf8') !== text) {
  console.error('test/vectors/wire.json is not what the encoder writes now: run node scripts/wire-vectors.mjs')
  process.exitCode = 1
}
