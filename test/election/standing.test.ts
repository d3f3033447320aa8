import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { standAgain } from '../../src/election/index.ts'
import { memoryWorkspace, sit } from './support.ts'

describe('A7 a candidate that fails between lock and serving', () => {
  it('stands again after 0.1 s doubling to 5 s', () => {
    const backOff = standAgain()
    assert.deepEqual(
      Array.from({ length: 8 }, () => backOff.next()),
      [100, 200, 400, 800, 1600, 3200, 5000, 5000],
    )
  })

  it('leaves the seat to the next, whose term is higher', () => {
    const workspace = memoryWorkspace()
    const seat = sit(workspace)
    seat.release()
    assert(sit(workspace).term > seat.term)
  })
})
