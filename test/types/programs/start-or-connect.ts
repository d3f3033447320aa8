// (3b) start-or-connect, safe when ten do it at once: ten spawn, one daemon gets the seat, nine exit 0.
import { spawn } from 'node:child_process'
import { ConclaveError, join } from '../face.ts'
async function connect() {
  const options = { app: 'notes', primary: 'never' } as const
  try {
    return await join('.', options)
  } catch (e) {
    if (!ConclaveError.is(e, 'NO_PRIMARY')) throw e
    spawn(process.execPath, ['daemon.js'], { detached: true, stdio: 'ignore' }).unref()
    return join('.', { ...options, waitMs: 5000 })
  }
}
const daemon = await join('.', { app: 'notes', primary: 'must' }).catch((e: unknown) => {
  if (ConclaveError.is(e, 'PRIMARY_EXISTS')) process.exit(0)
  throw e
})

void connect
void daemon
