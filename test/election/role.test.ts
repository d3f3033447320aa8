import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { JOINING, MAX_TERM, transition, type Role, type RoleEvent, type RoleName } from '../../src/election/index.ts'
import { code } from './support.ts'

const error = new Error('because')

const EVENTS = {
  won: { type: 'won', term: 8, instance: 'me' },
  found: { type: 'found', term: 7, instance: 'other' },
  lost: { type: 'lost', cause: 'gone' },
  'lock-lost': { type: 'lock-lost' },
  'step-down': { type: 'step-down' },
  'handed-over': { type: 'handed-over' },
  close: { type: 'close' },
  drained: { type: 'drained' },
  abort: { type: 'abort', cause: error },
  failed: { type: 'failed', error },
} as const satisfies Record<RoleEvent['type'], RoleEvent>

const STATES: Readonly<Record<RoleName, Role>> = {
  joining: JOINING,
  secondary: { name: 'secondary', term: 7, primary: 'other' },
  primary: { name: 'primary', term: 7, primary: 'me' },
  seeking: { name: 'seeking', term: 7, primary: undefined, cause: 'gone' },
  'stepping-down': { name: 'stepping-down', term: 7, primary: undefined, cause: 'handover' },
  closing: { name: 'closing', term: 7, primary: 'other' },
  closed: { name: 'closed', term: 7, primary: undefined, closed: { type: 'closed' } },
}

/** The next state; `=`: the very same; `!`: refused. */
type Row = readonly [won: string, found: string, lost: string, lockLost: string, stepDown: string, handedOver: string, close: string, drained: string, abort: string, failed: string] // prettier-ignore
const TABLE: Readonly<Record<RoleName, Row>> = {
  //               won        found        lost       lock-lost        step-down        handed-over close      drained   abort     failed
  joining:         ['primary', 'secondary', '!',       '!',             '!',             '!',        'closing', '!',      'closed', 'closed'],
  secondary:       ['!',       '!',         'seeking', '!',             '!',             '!',        'closing', '!',      'closed', 'closed'],
  primary:         ['!',       '!',         '!',       'stepping-down', 'stepping-down', '!',        'closing', '!',      'closed', 'closed'],
  seeking:         ['primary', 'secondary', '!',       '!',             '!',             '!',        'closing', '!',      'closed', 'closed'],
  'stepping-down': ['!',       '!',         '!',       'stepping-down', '!',             'seeking',  'closing', '!',      'closed', 'closed'],
  closing:         ['!',       '!',         '=',       '=',             '=',             '=',        '=',       'closed', 'closed', 'closed'],
  closed:          ['!',       '!',         '=',       '=',             '=',             '=',        '=',       '=',      '=',      '='],
} // prettier-ignore

describe('transition', () => {
  for (const [state, row] of Object.entries(TABLE) as [RoleName, Row][]) {
    it(`of a member that is ${state}: each event`, () => {
      for (const [i, event] of Object.values(EVENTS).entries()) {
        const next = row[i]
        const go = (): Role => transition(STATES[state], event)
        if (next === '!') assert.throws(go, code('INTERNAL', new RegExp(`${state}.*"${event.type}"`)), event.type)
        else if (next === '=') assert.equal(go(), STATES[state], event.type)
        else assert.equal(go().name, next, event.type)
      }
    })
  }

  it('knows who is primary only while there is one, and how it ended', () => {
    assert.deepEqual(transition(STATES.seeking, EVENTS.won), { name: 'primary', term: 8, primary: 'me' })
    assert.deepEqual(transition(JOINING, EVENTS.found), { name: 'secondary', term: 7, primary: 'other' })
    assert.deepEqual(transition(STATES.secondary, EVENTS.lost), STATES.seeking)
    assert.deepEqual(transition(STATES.closing, EVENTS.drained), STATES.closed)
    assert.deepEqual(transition(STATES.primary, EVENTS.abort).closed, { type: 'aborted', cause: error })
    assert.deepEqual(transition(STATES.closing, EVENTS.failed).closed, { type: 'failed', error })
    const deposed = transition(transition(STATES.primary, EVENTS['lock-lost']), EVENTS['handed-over'])
    assert.deepEqual(deposed, { name: 'seeking', term: 7, primary: undefined, cause: 'lock-lost' })
  })

  it('P1 refuses a term that does not rise', () => {
    const won = (term: number) => () => transition(STATES.seeking, { type: 'won', term, instance: 'me' })
    const found = (term: number) => () => transition(STATES.seeking, { type: 'found', term, instance: 'other' })
    for (const term of [0, 6, 7, MAX_TERM + 1, NaN]) assert.throws(won(term), code('STALE_TERM', /seen term 7/))
    for (const term of [0, 6, MAX_TERM + 1, NaN]) assert.throws(found(term), code('STALE_TERM', /seen term 7/))
    assert.equal(found(7)().name, 'secondary', 'the same primary again: it had dropped the link')
    assert.throws(() => transition(JOINING, { type: 'found', term: 0, instance: 'x' }), code('STALE_TERM'))
  })

  it('never lets the term fall, whatever happens', () => {
    const term = fc.integer({ min: 0, max: 20 })
    const events = fc.oneof(
      fc.constantFrom<RoleEvent>(...Object.values(EVENTS)),
      fc.record({ type: fc.constantFrom('won', 'found'), term, instance: fc.string() }),
    )
    fc.assert(
      fc.property(fc.array(events, { maxLength: 30 }), (list) => {
        let role = JOINING
        for (const event of list) {
          let next = role
          try {
            next = transition(role, event)
          } catch (thrown) {
            assert(ConclaveError.is(thrown, 'INTERNAL', 'STALE_TERM'))
          }
          assert(next.term >= role.term)
          if (next.name === 'primary' && role.name !== 'primary') assert(next.term > role.term)
          assert.equal(
            next.primary !== undefined && next.name !== 'closing',
            next.name === 'primary' || next.name === 'secondary',
          )
          if (role.name === 'closed') assert.equal(next, role)
          role = next
        }
      }),
    )
  })
})
