import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { isOurUid, mapsEveryId, refuseSetuid } from '../../src/platform/index.ts'

test('B18 our uid is ours, another is not, and the overflow uid proves nothing', () => {
  const everybody = { euid: 1000, overflowUid: 65534, allMapped: true }
  assert.equal(isOurUid(1000, everybody), true)
  assert.equal(isOurUid(1001, everybody), false)
  assert.equal(isOurUid(0, everybody), false)
  assert.equal(isOurUid(1000, { ...everybody, allMapped: false }), true)
  // A pod that runs as `nobody` in the first namespace, and a namespace that does not map us.
  assert.equal(isOurUid(65534, { ...everybody, euid: 65534 }), true)
  assert.equal(isOurUid(65534, { ...everybody, euid: 65534, allMapped: false }), false)
  assert.equal(isOurUid(99, { euid: 99, overflowUid: 99, allMapped: false }), false)
  assert.equal(isOurUid(65534, { euid: 65534, overflowUid: undefined, allMapped: false }), true)
})

test('B18 which uid maps map everybody', () => {
  assert.equal(mapsEveryId('         0          0 4294967295\n'), true)
  assert.equal(mapsEveryId('0 0 1000\n1000 1000 4294966295'), true)
  assert.equal(mapsEveryId('0 1000 1\n'), false)
  assert.equal(mapsEveryId('0 1000 1\n1 100000 65536\n'), false)
  assert.equal(mapsEveryId(''), false)
  assert.equal(mapsEveryId('nonsense'), false)
})

test('B18 a setuid program is refused', () => {
  refuseSetuid(5, 5)
  assert.throws(
    () => refuseSetuid(1000, 0),
    (error) => ConclaveError.is(error, 'SETUID_REFUSED') && /uid 1000.*uid 0/.test(error.message),
  )
})
