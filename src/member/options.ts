import { basename, extname } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import { MAX_MEMBER_NAME } from '../wire/handshake.ts'
import type { Contract } from '../rpc/contract.ts'
import type { JoinOptions } from './types.ts'

const KNOWN: ReadonlySet<string> = new Set([
  'app',
  'name',
  'version',
  'minVersion',
  'primary',
  'waitMs',
  'signal',
  'ref',
  'contract',
  'methods',
  'whilePrimary',
  'database',
  'limits',
  'logger',
])

/** Names that `limits` may set; docs/limits.md describes each. */
export const LIMIT_NAMES: ReadonlySet<string> = new Set([
  'maxBodyBytes',
  'maxPendingCalls',
  'maxPendingBytes',
  'maxUnackedPublishes',
  'maxUnackedBytes',
  'maxLinks',
  'maxLinkBytes',
  'maxHubBytes',
  'maxWaitingCalls',
  'maxQueued',
  'ringMaxCount',
  'ringMaxBytes',
  'handshakeTimeoutMs',
  'graceMs',
  'drainMs',
  'unresponsiveMs',
])

export interface CheckedOptions {
  readonly name: string
  readonly version: number
  readonly minVersion: number
  readonly primary: 'may' | 'never' | 'must'
  readonly waitMs: number
  readonly ref: boolean
  readonly limits: Readonly<Record<string, number>>
}

/** @throws `INVALID_OPTION` that names the option and the cure */
export function checkOptions(options: JoinOptions<Contract, Record<string, unknown>, never>): CheckedOptions {
  for (const key of Object.keys(options)) {
    if (!KNOWN.has(key)) throw invalid(`join() has no option "${key}"; it has ${[...KNOWN].join(', ')}.`)
  }
  const {
    name = programName(),
    version = options.database?.migrations?.length ?? 0,
    primary = 'may',
    waitMs = 0,
    ref = true,
    limits = {},
  } = options
  const { minVersion = version } = options
  if (options.app !== undefined && typeof options.app !== 'string') throw invalid('app must be a string.')
  if (typeof name !== 'string' || name === '' || name.length > MAX_MEMBER_NAME || /\p{Cc}/u.test(name)) {
    throw invalid(`name must be 1 to ${MAX_MEMBER_NAME} characters without control characters.`)
  }
  if (!['may', 'never', 'must'].includes(primary)) throw invalid('primary must be "may", "never" or "must".')
  for (const [option, value] of Object.entries({ version, minVersion })) {
    if (!Number.isSafeInteger(value) || value < 0) throw invalid(`${option} must be a whole number of at least 0.`)
  }
  if (minVersion > version) throw invalid('minVersion must not exceed version.')
  if (typeof waitMs !== 'number' || !(waitMs >= 0))
    throw invalid('waitMs must be a number of milliseconds of at least 0.')
  if (typeof ref !== 'boolean') throw invalid('ref must be true or false.')
  for (const option of ['contract', 'methods', 'limits', 'logger', 'signal'] as const) {
    const value: unknown = options[option]
    if (value !== undefined && (typeof value !== 'object' || value === null)) {
      throw invalid(`${option} must be an object, not ${value === null ? 'null' : typeof value}.`)
    }
  }
  checkDatabase(options.database)
  if (options.whilePrimary !== undefined && typeof options.whilePrimary !== 'function') {
    throw invalid('whilePrimary must be a function that is called with { member, term, signal }.')
  }
  for (const [limit, value] of Object.entries(limits)) {
    if (!LIMIT_NAMES.has(limit)) throw invalid(`There is no limit "${limit}"; docs/limits.md lists them.`)
    if (!(Number.isFinite(value) && value >= 0)) throw invalid(`limits.${limit} must be a number of at least 0.`)
  }
  return { name, version, minVersion, primary, waitMs, ref, limits }
}

const DATABASE_OPTIONS: ReadonlySet<string> = new Set(['file', 'migrations', 'durability', 'writes'])

function checkDatabase(given: unknown): void {
  if (given === undefined) return
  if (typeof given !== 'object' || given === null)
    throw invalid('database must be an object, such as { migrations: [] }.')
  for (const key of Object.keys(given)) {
    if (DATABASE_OPTIONS.has(key)) continue
    throw invalid(`database has no option "${key}"; it has ${[...DATABASE_OPTIONS].join(', ')}.`)
  }
  const { file, migrations, durability, writes } = given as Readonly<Record<string, unknown>>
  if (file !== undefined && (typeof file !== 'string' || file === '')) throw invalid('database.file must be a path.')
  if (durability !== undefined && durability !== 'normal' && durability !== 'full') {
    throw invalid('database.durability must be "normal" or "full".')
  }
  const list = migrations === undefined ? [] : migrations
  if (!Array.isArray(list) || !list.every((one) => typeof one === 'string' || typeof one === 'function')) {
    throw invalid('database.migrations must be a list of SQL strings and functions of a transaction.')
  }
  if (writes !== undefined && (typeof writes !== 'object' || writes === null)) {
    throw invalid('database.writes must be an object of functions (tx, params).')
  }
}

function programName(): string {
  const script = process.argv[1]
  const name = script === undefined ? '' : basename(script, extname(script))
  return name.replace(/\p{Cc}/gu, '').slice(0, MAX_MEMBER_NAME) || 'node'
}

function invalid(text: string): ConclaveError {
  return new ConclaveError('INVALID_OPTION', text)
}
