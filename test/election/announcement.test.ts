import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  announcementPath,
  formatAnnouncement,
  MAX_TERM,
  parseAnnouncement,
  readAnnouncement,
  type Announcement,
} from '../../src/election/index.ts'
import { memoryWorkspace } from './support.ts'

const example: Announcement = {
  state: 'serving',
  instance: 'AbCdEfGhIjKlMnOpQrSt_-',
  name: 'editor',
  pid: 4711,
  term: 12,
  started_at: '2026-11-21T06:12:00.000Z',
  endpoint: 'unix:/run/user/1000/conclave/AbCdEfGhIjKlMn_-.sock',
  protocol: [1, 2],
  host: 'here',
  boot: '5f8addaa',
  lock: '66306:1234',
}

const base64url = (length: number) => fc.stringMatching(new RegExp(`^[A-Za-z0-9_-]{${length}}$`))
const label = fc.string({ maxLength: 80 }).filter((text) => !/[\u0000-\u001f\u007f-\u009f]/.test(text)) // oxlint-disable-line no-control-regex
const announcements: fc.Arbitrary<Announcement> = fc.record(
  {
    state: fc.constantFrom('starting', 'serving', 'closing'),
    instance: base64url(22),
    name: label,
    pid: fc.integer({ min: 1 }),
    term: fc.integer({ min: 1, max: MAX_TERM }),
    started_at: fc
      .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
      .map((date) => date.toISOString()),
    endpoint: fc
      .tuple(fc.constantFrom('unix', 'memory'), fc.stringMatching(/^(\/[a-z0-9-]{1,9}){1,4}$/), base64url(16))
      .map(([scheme, directory, name]) => `${scheme}:${directory}/${name}.sock`),
    protocol: fc.tuple(fc.nat(9), fc.nat(9)).map(([min, more]): [number, number] => [min, min + more]),
    host: label,
    boot: label,
    lock: fc.tuple(fc.nat(), fc.nat()).map(([dev, ino]) => `${dev}:${ino}`),
  },
  { requiredKeys: ['state', 'instance', 'name', 'pid', 'term', 'started_at', 'endpoint', 'protocol', 'host', 'lock'] },
)

describe('parseAnnouncement', () => {
  it('reads what was written', () => {
    fc.assert(
      fc.property(announcements, (announcement) => {
        assert.deepEqual(parseAnnouncement(formatAnnouncement(announcement)), { ...announcement })
      }),
    )
  })

  it('ignores unknown fields', () => {
    const text = JSON.stringify({ ...example, endpoints: ['unix:/x'], __proto__: 1, constructor: 'x' })
    assert.deepEqual(parseAnnouncement(text), example)
  })

  it('B4 takes whatever is not wholly of our form as absent', () => {
    assert(parseAnnouncement(JSON.stringify(example)) !== undefined)
    const wrong: Record<string, readonly unknown[]> = {
      state: ['', 'dead', 1, null, undefined],
      instance: ['', 'short', `${example.instance}x`, example.instance.replace('A', '/'), 1],
      name: [1, undefined, 'x'.repeat(300), 'a\u001b[2J', 'a\n', 'a\u009b'],
      pid: [0, -1, 1.5, 2 ** 53, '1', null],
      term: [0, -1, 1.5, MAX_TERM + 1, 2 ** 48, 2 ** 53, '12', null],
      started_at: ['', 'now', '2026-11-21', 1, '\u001b'],
      endpoint: [
        '',
        'unix:',
        'tcp:/x/AbCdEfGhIjKlMn_-.sock',
        'unix:x/AbCdEfGhIjKlMn_-.sock',
        'unix:/run/../AbCdEfGhIjKlMn_-.sock',
        'unix://run/AbCdEfGhIjKlMn_-.sock',
        'unix:/run/docker.sock',
        'unix:/run/AbCdEfGhIjKlMn_-.sock/',
        'unix:/run/AbCdEfGhIjKlMn_-.socket',
        'unix:/r\0n/AbCdEfGhIjKlMn_-.sock',
        'unix:/run/AbCdEfGhIjKlMn_-.sock\n',
        7,
      ],
      protocol: [[], [1], [2, 1], [1, 2, 3], ['1', '2'], [0.5, 1], [-1, 1], [1, 70000], 1],
      host: [1, undefined, 'x'.repeat(300), '\u0007'],
      boot: [1, null, '\u0007'],
      lock: ['', '1', '1:', '1:x', '0x1:2', '-1:2', 12],
    }
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        assert.equal(
          parseAnnouncement(JSON.stringify({ ...example, [field]: value })),
          undefined,
          `${field} ${String(value)}`,
        )
      }
    }
  })

  it('never throws, and accepts nothing by accident', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(parseAnnouncement(text), undefined)))
    const fields = fc.dictionary(fc.constantFrom(...Object.keys(example)), fc.jsonValue())
    fc.assert(
      fc.property(fields, (changes) => {
        const parsed = parseAnnouncement(JSON.stringify({ ...example, ...changes }))
        if (parsed !== undefined) assert.deepEqual(parseAnnouncement(formatAnnouncement(parsed)), parsed)
      }),
    )
  })

  it('is cut off by size before it is parsed', () => {
    assert.equal(parseAnnouncement(JSON.stringify({ ...example, padding: 'x'.repeat(5000) })), undefined)
    const workspace = memoryWorkspace()
    assert.deepEqual(readAnnouncement(workspace), { type: 'absent' })
    workspace.platform.replaceFile(
      announcementPath(workspace),
      JSON.stringify({ ...example, padding: 'ä'.repeat(3000) }),
    )
    assert.deepEqual(readAnnouncement(workspace), { type: 'damaged' })
  })
})
