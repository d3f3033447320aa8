// (7) Tests of the app: same join(), another place. start() of the app takes a Place.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { join, type Place } from '../face.ts'
import { memoryWorkspace } from '../face.ts'
const start = (place: Place) => join(place, { app: 'notes', methods: { who: (_: undefined, ctx) => ctx.member.name } })
test('a note survives its primary', async () => {
  await using place = memoryWorkspace()
  const [a, b] = [await start(place), await start(place)]
  assert.equal(a.role, 'primary')
  place.kill(a)
  assert.equal(await b.call('who'), b.name)
})
