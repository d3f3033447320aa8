import assert from 'node:assert/strict'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Event } from 'conclave'
import { until, workspace, type Program } from '../support/index.ts'
import { ask, member, own, status } from '../process/support.ts'

const HOUR_MS = 3_600_000
const STEPS = [HOUR_MS, -2 * HOUR_MS, HOUR_MS]
const how = {
  flags: ['--import', pathToFileURL(path(import.meta.dirname, 'programs', 'clock.ts')).href],
  env: { CONCLAVE_TEST_JUMPS: STEPS.join() },
}

test('clock jumps of an hour, both ways: no false timeout, no change of primary, deadlines and failover as ever', async (t) => {
  const folder = workspace(t)
  const limits = { unresponsiveMs: 2000 }
  const primary = await member(t, folder, { limits }, how)
  const second = await member(t, folder, { limits }, how)
  const reader = await own(t, folder, { limits, primary: 'never' })
  const events = reader.subscribe('tick')
  await events.ready
  let shiftMs = 0
  let seq = 0
  const jump = async (program: Program): Promise<void> => {
    const waiting = ask(program, { call: 'later', params: 150, options: { to: 'any', timeoutMs: 20_000 } })
    const hanging = ask(program, { call: 'hang', options: { to: 'primary', timeoutMs: 300 } })
    process.kill(program.pid, 'SIGUSR2')
    assert.equal(typeof (await waiting)['result'], 'number')
    assert.equal((await hanging)['code'], 'TIMEOUT', 'a deadline is still one')
  }
  for (const step of STEPS) {
    await Promise.all([jump(primary), jump(second)])
    shiftMs += step
    await ask(second, { publish: 'tick' })
    const { time, ...event } = (await events.next()).value as Event
    const offMs = time - (Date.now() + shiftMs)
    assert.ok(Math.abs(offMs) < HOUR_MS / 2, `the jump happened: off by ${offMs} ms`)
    assert.ok(event.seq > seq && event.missed === 0)
    seq = event.seq
    assert.deepEqual([reader.primary?.id, reader.term], [primary.id, 1])
  }
  for (const each of [primary, second]) assert.deepEqual(each.messages.filter(status('primary-lost')), [])

  // The second one is an hour behind the time at which the first one's files were written.
  process.kill(second.pid, 'SIGUSR2')
  await primary.kill('SIGKILL')
  await until(() => reader.primary?.id === second.id, 'the second to serve')
  assert.equal(reader.term, 2)
  assert.equal(await reader.call('echo', 'after', { timeoutMs: 20_000 }), 'after')
})
