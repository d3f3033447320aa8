/** Tests of your own program: the same join(), another place. No files, no sockets, and a primary can be killed. */
import assert from 'node:assert/strict'
import { join, type Place } from 'conclave'
import { memoryWorkspace } from 'conclave/testing'

// Your program takes the place where it joins.
async function counter(place: Place) {
  let count = 0
  return join(place, { app: 'counter', methods: { next: () => ++count } })
}

const place = memoryWorkspace()
const [first, second] = [await counter(place), await counter(place)]
assert.equal(await second.call('next'), 1)
assert.equal(await first.call('next'), 2)

place.kill(first) // as SIGKILL
assert.equal(await second.call('next'), 1, 'what lived in its memory is gone')
console.log('survived as', second.role, 'of term', second.term) // prints: survived as primary of term 2

await place[Symbol.asyncDispose]() // or `await using place = memoryWorkspace()`
