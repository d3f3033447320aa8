import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))

/** So that a child runs TypeScript, and `conclave` means src/ (the `source` condition of the package's exports). */
export const NODE_FLAGS: readonly string[] = [
  '--conditions=source',
  ...(process.features.typescript === false ? ['--experimental-strip-types'] : []),
]

/** The environment of a child: ours without what would make it a part of this test runner. */
export function childEnv(extra: Readonly<Record<string, string | undefined>> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, ...extra }
  for (const name of ['NODE_TEST_CONTEXT', 'NODE_TEST_WORKER_ID', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'FORCE_COLOR']) {
    if (!(name in extra)) delete env[name]
  }
  return env
}
