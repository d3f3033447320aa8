import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Verdict } from '../targets.ts'
import type { Skipped } from './bench.ts'
import type { Row } from './rows.ts'

/** What `--json` prints, and what the report is made of. */
export interface BenchDocument {
  readonly about: About
  readonly rows: readonly Row[]
  readonly targets: readonly Verdict[]
  readonly skipped: readonly Skipped[]
}

export interface About {
  readonly date: string
  readonly node: string
  readonly system: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  /** Of one minute, when the run began and when it ended: above 0.3 others were at work. */
  readonly load: readonly [before: number, after: number]
  readonly quick: boolean
  /** Of the peers, and of ourselves. */
  readonly versions: Readonly<Record<string, string>>
}

const PACKAGES = ['zeromq', 'vscode-jsonrpc', '@grpc/grpc-js', '@nats-io/transport-node', 'birpc', 'ws']

export function loadNow(): number {
  return loadavg()[0] ?? Number.NaN
}

export function about(quick: boolean, loadBefore: number): About {
  const root = join(import.meta.dirname, '..', '..')
  const version = (path: string): string => {
    try {
      return (JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as { version: string }).version
    } catch {
      return 'missing'
    }
  }
  return {
    date: new Date().toISOString(),
    node: process.version,
    system: `${process.platform} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    load: [loadBefore, loadNow()],
    quick,
    versions: {
      conclave: version('.'),
      ...Object.fromEntries(PACKAGES.map((name) => [name, version(join('node_modules', name))])),
    },
  }
}
