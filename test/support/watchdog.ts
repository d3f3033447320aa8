/**
 * Loaded into every test file's process by scripts/test.mjs. A file that does not end within its limit is ended: from
 * inside with a list of what keeps it alive, or, when its loop is blocked, by SIGKILL from a thread of its own.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isMainThread, Worker } from 'node:worker_threads'

const GRACE_MS = 2000
const DEFAULT_LIMIT_MS = 120_000

/** `// limit: 300 s` on the first line of a test file. */
function limitOf(file: string): number {
  const bytes = Buffer.alloc(64)
  const fd = openSync(file, 'r')
  try {
    const asked = /^\/\/ limit: (\d+) s\n/.exec(bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0)))
    return asked === null ? DEFAULT_LIMIT_MS : Number(asked[1]) * 1000
  } finally {
    closeSync(fd)
  }
}

const file = process.argv[1]
if (isMainThread && file?.endsWith('.test.ts') === true) {
  const set = process.env['CONCLAVE_TEST_LIMIT_MS']
  const limitMs = set === undefined ? limitOf(file) : Number(set)
  setTimeout(() => {
    const alive = process.getActiveResourcesInfo().join(', ')
    process.stderr.write(`Watchdog: ${file} did not end within ${limitMs / 1000} s; alive: ${alive}\n`)
    process.exit(1)
  }, limitMs).unref()
  new Worker(
    `const { workerData } = require('node:worker_threads')
     setTimeout(() => {
       require('node:fs').writeSync(2, workerData.text)
       process.kill(process.pid, 'SIGKILL')
     }, workerData.limitMs)`,
    {
      eval: true,
      execArgv: [],
      workerData: {
        limitMs: limitMs + GRACE_MS,
        text: `Watchdog: ${file} blocked its loop for ${GRACE_MS / 1000} s after its limit of ${limitMs / 1000} s\n`,
      },
    },
  ).unref()
}

/** Where this file lies, for the test of the watchdog. */
export const watchdogFile: string = fileURLToPath(import.meta.url)
