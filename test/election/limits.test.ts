import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  formatAnnouncement,
  newEndpointPath,
  parseAnnouncement,
  readAnnouncement,
  readTerm,
  seek,
  sweepEndpoints,
  type Announcement,
} from '../../src/election/index.ts'
import {
  MAX_ANNOUNCEMENT_BYTES,
  MAX_LABEL_LENGTH,
  MAX_NAME_LENGTH,
  MAX_PROTOCOL,
  MAX_TERM_FILE_BYTES,
  PAUSE_MAX_MS,
  PAUSE_MIN_MS,
  SLOW_AFTER_MS,
  SLOW_FACTOR,
  SWEEP_AGE_MS,
  SWEEP_MAX,
} from '../../src/election/limits.ts'
import { announcementPath } from '../../src/election/announcement.ts'
import { termPath } from '../../src/election/term.ts'
import { code, machine, memoryWorkspace, refused, sit, VirtualTime } from './support.ts'

const announced = (): Announcement => sit(memoryWorkspace()).announcement
const passes = (change: Partial<Announcement>): boolean =>
  parseAnnouncement(formatAnnouncement({ ...announced(), ...change })) !== undefined

describe('the limits of docs/limits.md', () => {
  it('MAX_NAME_LENGTH, MAX_LABEL_LENGTH, MAX_PROTOCOL pass in an announcement, and one more does not', () => {
    assert.ok(passes({ name: 'x'.repeat(MAX_NAME_LENGTH) }) && !passes({ name: 'x'.repeat(MAX_NAME_LENGTH + 1) }))
    for (const label of ['host', 'boot'] as const) {
      assert.ok(passes({ [label]: 'x'.repeat(MAX_LABEL_LENGTH) }))
      assert.ok(!passes({ [label]: 'x'.repeat(MAX_LABEL_LENGTH + 1) }))
    }
    assert.ok(passes({ protocol: [1, MAX_PROTOCOL] }) && !passes({ protocol: [1, MAX_PROTOCOL + 1] }))
  })

  it('MAX_NAME_LENGTH: a longer name is refused before anything is written', () => {
    const workspace = memoryWorkspace()
    assert.throws(() => sit(workspace, { name: 'x'.repeat(MAX_NAME_LENGTH + 1) }), code('INVALID_OPTION'))
    assert.deepEqual(readAnnouncement(workspace), { type: 'absent' })
  })

  it('MAX_TERM_FILE_BYTES, MAX_ANNOUNCEMENT_BYTES: a longer file is damaged', () => {
    const workspace = memoryWorkspace()
    const { platform } = workspace
    sit(workspace)
    for (const [path, most, read] of [
      [termPath(workspace), MAX_TERM_FILE_BYTES, readTerm],
      [announcementPath(workspace), MAX_ANNOUNCEMENT_BYTES, readAnnouncement],
    ] as const) {
      const text = platform.readFile(path, most)!
      platform.replaceFile(path, text.padEnd(most))
      assert.notEqual(read(workspace).type, 'damaged')
      platform.replaceFile(path, text.padEnd(most + 1))
      assert.equal(read(workspace).type, 'damaged')
    }
  })

  it('SWEEP_MAX: so many sockets are looked at in one sweep', async () => {
    const platform = machine().process()
    for (let i = 0; i < SWEEP_MAX + 5; i++) platform.bind(newEndpointPath(platform), {})
    const sweep = (): Promise<readonly string[]> =>
      sweepEndpoints(platform, {
        refuses: () => true,
        wallClock: () => Date.now() + SWEEP_AGE_MS + 60_000,
        pause: () => Promise.resolve(),
      })
    assert.equal((await sweep()).length, SWEEP_MAX)
    assert.equal((await sweep()).length, 5)
  })
})

describe('SLOW_AFTER_MS, SLOW_FACTOR', () => {
  it('who has waited for long looks less often', async () => {
    const time = new VirtualTime()
    const one = machine()
    const holder = one.process()
    const seat = sit(memoryWorkspace(holder))
    holder.bind(seat.endpointPath, {})
    seat.announce()
    const pauses: { atMs: number; ms: number }[] = []
    const workspace = memoryWorkspace(time.on(one.process()))
    const start = time.nowMs
    const searched = seek(workspace, {
      stand: true,
      attempt: () => Promise.reject(refused('ECONNREFUSED')),
      deadline: start + 2 * SLOW_AFTER_MS,
      random: () => 0.5,
      sleep: (ms, signal) => {
        pauses.push({ atMs: time.nowMs - start, ms })
        return time.sleep(ms, signal)
      },
    })
    await assert.rejects(searched, code('PRIMARY_UNRESPONSIVE'))
    const usual = (PAUSE_MIN_MS + PAUSE_MAX_MS) / 2
    const of = (from: number, to: number): number[] =>
      pauses.filter(({ atMs, ms }) => atMs > from && atMs <= to && ms < 1000).map(({ ms }) => ms)
    assert.ok(of(1000, SLOW_AFTER_MS - 1000).includes(usual))
    assert.ok(of(SLOW_AFTER_MS, 2 * SLOW_AFTER_MS).includes(SLOW_FACTOR * usual))
    assert.ok(!of(SLOW_AFTER_MS + 100, 2 * SLOW_AFTER_MS).includes(usual))
  })
})
