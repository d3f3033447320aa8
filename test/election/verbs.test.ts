import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { allowance, type Allowance, type RoleName, type Verb } from '../../src/election/index.ts'
import { isCode } from '../../src/errors/index.ts'

const VERBS: readonly Verb[] = ['request', 'register', 'read', 'look', 'end']
const TABLE: Readonly<Record<RoleName, readonly Allowance[]>> = {
  //               request   register  read          look   end
  joining:         ['wait',   'now',    'NO_PRIMARY', 'now', 'now'],
  secondary:       ['now',    'now',    'now',        'now', 'now'],
  primary:         ['now',    'now',    'now',        'now', 'now'],
  seeking:         ['wait',   'now',    'now',        'now', 'now'],
  'stepping-down': ['wait',   'now',    'now',        'now', 'now'],
  closing:         ['CLOSED', 'CLOSED', 'now',        'now', 'now'],
  closed:          ['CLOSED', 'CLOSED', 'CLOSED',     'now', 'now'],
} // prettier-ignore

describe('allowance', () => {
  it('answers for every verb in every state', () => {
    for (const [state, row] of Object.entries(TABLE) as [RoleName, readonly Allowance[]][]) {
      assert.deepEqual(
        VERBS.map((verb) => allowance(state, verb)),
        row,
        state,
      )
    }
    const refusals = Object.values(TABLE)
      .flat()
      .filter((answer) => answer !== 'now' && answer !== 'wait')
    for (const refusal of refusals) assert(isCode(refusal), refusal)
  })
})
