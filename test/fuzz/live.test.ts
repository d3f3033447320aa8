import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { connect } from 'node:net'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { ConclaveError } from 'conclave'
import { endpointOf } from '../engine/local/lines.ts'
import { own } from '../process/support.ts'
import { defer, until, workspace } from '../support/index.ts'
import { KIND } from '../../src/wire/frame.ts'
import { encode, frameOf, randomOf } from '../wire/support.ts'
import { recorded, utf8 } from './corpus.ts'
import { mutate, ROUNDS, SEED } from './mutate.ts'
import { relay } from './relay.ts'

const LINKS = Math.ceil(ROUNDS / 25)
const JOINS = Math.ceil(ROUNDS / 500)
const ANSWER_MS = 300
const lines = [
  '{"jsonrpc":"2.0","id":1,"method":"echo","params":[1]}\n',
  '[{"jsonrpc":"2.0","id":2,"method":"x"}]\n',
].map(utf8)

test('a primary that is sent garbage: the calls and events of others go on, and it is counted', async (t) => {
  t.diagnostic(`CONCLAVE_FUZZ_SEED=${SEED}`)
  const folder = workspace(t)
  const primary = await own(t, folder, {
    name: 'first',
    methods: { echo: (x: unknown) => x },
    limits: { handshakeTimeoutMs: 500 },
  })
  const second = await own(t, folder, { name: 'second' })
  const events = second.subscribe('calm')
  await events.ready
  const endpoint = endpointOf(folder)
  const corpus = [...recorded('link-from-member'), ...lines]
  const { dev, ino } = statSync(path(folder, '.conclave', 'lock'), { bigint: true })
  const hello = (round: number): Uint8Array => {
    const id = `${round}`.padStart(22, 'x')
    const numbers = { pid: 1, term: 0, version: 0, minVersion: 0 }
    const body = { protocol: [1, 1], workspace: `${dev}:${ino}`, id, name: `raw${round}`, stands: false, ...numbers }
    return encode(frameOf({ kind: KIND.HELLO, body: JSON.stringify(body) }))
  }
  let closed = 0
  for (let round = 0; round < LINKS; round++) {
    const socket = connect({ path: endpoint })
    defer(t, () => socket.destroy())
    socket.on('error', () => {}).on('close', () => closed++)
    socket.resume()
    // Half of them come in as members first: what follows then reaches the desks behind the door.
    if (round % 2 === 0) socket.write(hello(round))
    socket.end(mutate(randomOf(SEED + round), corpus))
    assert.equal(await second.call('echo', round), round)
    const seq = await primary.publish('calm', round)
    const event = (await events.next()).value
    assert.deepEqual([event?.seq, event?.missed, event?.data], [seq, 0, round])
  }
  await until(() => closed === LINKS, 'every link to be closed')
  await until(async () => (await primary.inspect()).links.length === 2, 'every raw member to be gone')
  const { counters } = await primary.inspect()
  const counted = Object.entries(counters).filter(([name]) => name.startsWith('door.') || name.startsWith('links.'))
  assert.ok(
    counted.some(([, times]) => times > 0),
    JSON.stringify(counters),
  )
  assert.deepEqual([primary.role, primary.term, second.role], ['primary', 1, 'secondary'])
})

test('a member whose primary answers garbage ends with a typed error or joins', async (t) => {
  t.diagnostic(`CONCLAVE_FUZZ_SEED=${SEED}`)
  const folder = workspace(t)
  const primary = await own(t, folder, { name: 'first', methods: { echo: (x: unknown) => x } })
  const random = randomOf(SEED)
  let garbage = true
  const between = await relay(t, folder, (from, bytes) =>
    garbage && from === 'primary' ? mutate(random, [bytes]) : bytes,
  )
  for (let round = 0; round < JOINS; round++) {
    try {
      const member = await own(t, folder, { name: `member${round}`, primary: 'never', waitMs: 700 })
      const answer = member.call('echo', round, { timeoutMs: ANSWER_MS })
      await answer.catch((error: unknown) => assert.ok(ConclaveError.is(error), String(error)))
      member.abort(new Error('next'))
    } catch (error) {
      assert.ok(ConclaveError.is(error) && error.code !== 'INVALID_OPTION', String(error))
    }
  }
  assert.ok(between.links() > 0)
  garbage = false
  const calm = await own(t, folder, { name: 'calm', primary: 'never' })
  assert.equal(await calm.call('echo', 1), 1)
  assert.deepEqual([primary.role, primary.term], ['primary', 1])
})
