import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Dedup } from '../../../src/dialects/eventbus/dedup.ts'
import { eventLine, eventText } from '../../../src/dialects/eventbus/event-text.ts'
import { OutQueue } from '../../../src/dialects/eventbus/out-queue.ts'

const text = (payload: unknown) => eventText({ eventType: 'a', payload }, 1 << 20)

describe('OutQueue', () => {
  test('seq and the gaps count every event once, states are never dropped for events, order is kept', () => {
    const actions = fc.array(fc.constantFrom('event', 'event', 'event', 'state', 'answer', 'take', 'take-one'), {
      maxLength: 300,
    })
    fc.assert(
      fc.property(actions, fc.integer({ min: 1, max: 7 }), (script, events) => {
        const queue = new OutQueue({ events, bytes: 1 << 20, states: 1000 })
        const sent: string[] = []
        let events_ = 0
        let others = 0
        for (const action of script) {
          if (action === 'event') queue.event(text(++events_))
          else if (action === 'state') queue.state(`s${++others}\n`)
          else if (action === 'answer') queue.answer(`s${++others}\n`)
          else
            sent.push(
              ...queue
                .take(action === 'take' ? 1 << 20 : 1)
                .split('\n')
                .slice(0, -1),
            )
          assert.ok(queue.events <= events)
        }
        sent.push(
          ...queue
            .take(1 << 20)
            .split('\n')
            .slice(0, -1),
        )
        const seqs = sent
          .filter((line) => line.startsWith('{'))
          .map((line) => (JSON.parse(line) as { seq: number }).seq)
        const plain = sent.filter((line) => line.startsWith('s'))
        assert.deepEqual(
          plain,
          Array.from({ length: others }, (_, at) => `s${at + 1}`),
        )
        assert.ok(seqs.every((seq, at) => at === 0 || seq > (seqs[at - 1] as number)))
        assert.equal(seqs.length + queue.dropped, events_)
        assert.equal(queue.received, events_)
        // A gap of so many is what was dropped there.
        if (events_ > 0) assert.equal(seqs.at(-1), events_)
        assert.equal(queue.size, 0)
      }),
    )
  })

  test('bytes are bounded too, but one event always stays', () => {
    const queue = new OutQueue({ events: 100, bytes: 1000, states: 10 })
    for (let n = 0; n < 5; n++) queue.event(text('x'.repeat(400)))
    assert.deepEqual([queue.events, queue.dropped], [2, 3])
    queue.event(text('x'.repeat(5000)))
    assert.deepEqual([queue.events, queue.dropped], [1, 5])
  })

  test('of states the latest stay', () => {
    const queue = new OutQueue({ events: 1, bytes: 1000, states: 2 })
    for (const line of ['1\n', '2\n', '3\n']) queue.state(line)
    assert.equal(queue.take(1000), '2\n3\n')
  })
})

describe('Dedup', () => {
  test('an id is new once within its time; an empty one is an id', () => {
    const dedup = new Dedup(1000, 10)
    assert.deepEqual(
      [dedup.add('', 0), dedup.add('', 999), dedup.add('', 1000), dedup.add('', 1001)],
      [true, false, true, false],
    )
  })

  test('the oldest is forgotten, first by time, then by number', () => {
    const dedup = new Dedup(1000, 2)
    for (const id of ['a', 'b', 'c']) dedup.add(id, 0)
    assert.equal(dedup.size, 2)
    assert.equal(dedup.add('a', 1), true)
    dedup.add('d', 5000)
    assert.equal(dedup.size, 1)
  })
})

test('the line of an event holds its seq where the existing peers have it', () => {
  const event = { eventType: 'a', eventId: '1', payload: { t: '<&>\u2028' }, appId: 'cli' }
  const line = eventLine(eventText(event, 1 << 20), 7)
  assert.equal(
    line,
    '{"type":"event","event_type":"a","event_id":"1","seq":7,"payload":{"t":"\\u003c\\u0026\\u003e\\u2028"},"app_id":"cli"}\n',
  )
})
