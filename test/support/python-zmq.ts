import { execFileSync } from 'node:child_process'

/** The Python of the system, which has pyzmq where the system's package is installed; another `python3` of the PATH may not. */
export const PYTHON = '/usr/bin/python3'

let found: boolean | undefined

function havePythonZmq(): boolean {
  if (found === undefined) {
    try {
      execFileSync(PYTHON, ['-c', 'import zmq'], { stdio: 'ignore' })
      found = true
    } catch {
      found = false
    }
  }
  return found
}

/**
 * `if (!requirePythonZmq(t)) return`: skips the test where Python has no zmq, or fails it when CONCLAVE_TEST_REQUIRE is
 * `all` or names `python3-zmq`.
 */
export function requirePythonZmq(t: { skip(message?: string): void }): boolean {
  if (havePythonZmq()) return true
  const required = (process.env['CONCLAVE_TEST_REQUIRE'] ?? '').split(',')
  if (required.includes('all') || required.includes('python3-zmq')) {
    throw new Error('python3-zmq not installed, and CONCLAVE_TEST_REQUIRE asks for it')
  }
  t.skip('needs python3-zmq')
  return false
}
