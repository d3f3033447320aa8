import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load, loadZeromq } from '../../../src/dialects/zmq-library.ts'

test('zeromq is loaded once, and a missing one is told with what to do', async () => {
  assert.equal(await loadZeromq(), await loadZeromq())
  const cause = new Error('Cannot find package')
  await assert.rejects(
    load(() => Promise.reject(cause)),
    (error: Error & { code?: string }) =>
      error.code === 'UNSUPPORTED' && error.message.includes('npm install zeromq') && error.cause === cause,
  )
})
