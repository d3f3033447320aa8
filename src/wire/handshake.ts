import { ConclaveError } from '../errors/index.ts'
import type { MemberRef } from './peers.ts'

/** Protocol versions this build speaks (rule C3). */
export const PROTOCOL: readonly [min: number, max: number] = [1, 1]

/** What a member says first: body of HELLO. Unknown fields are ignored. */
export interface Hello {
  readonly protocol: readonly [min: number, max: number]
  /** `dev:ino` of the workspace's lock, as the member sees it (rule B3). */
  readonly workspace: string
  readonly id: string
  readonly name: string
  readonly pid: number
  /** Highest term the member has seen. */
  readonly term: number
  /** Generation of its program, and the lowest it works with. */
  readonly version: number
  readonly minVersion: number
  /** Whether it stands for election. */
  readonly stands: boolean
  /** Whether it brings a database to serve (rule A7). Left out: no. */
  readonly database?: boolean | undefined
}

/** What the primary answers: body of WELCOME. */
export interface Welcome {
  readonly protocol: number
  readonly term: number
  /** The member's slot in this term. */
  readonly slot: number
  readonly primary: MemberRef
  readonly version: number
  /** Highest publish number of this member that was taken in this term. */
  readonly lastPublish: number
  readonly limits: { readonly maxBodyBytes: number }
}

const MEMBER_ID = /^[A-Za-z0-9_-]{22}$/
/** It is printed on terminals, and NUL parts the names of requests: no control characters. */
const PRINTABLE = /^[^\u0000-\u001f\u007f-\u009f]+$/ // oxlint-disable-line no-control-regex
/** Longest member name, in UTF-16 units. */
export const MAX_MEMBER_NAME = 128

/** @throws `PROTOCOL` for what is no hello, naming the field */
export function parseHello(text: string): Hello {
  const hello = parseObject(text, 'HELLO')
  const bad = (field: string): ConclaveError =>
    new ConclaveError('PROTOCOL', `The HELLO of a peer has no valid "${field}"; docs/wire.md describes it.`)
  const range = hello['protocol']
  if (!isRange(range)) throw bad('protocol')
  const id = hello['id']
  if (!isId(id)) throw bad('id')
  const name = hello['name']
  if (!isName(name)) throw bad('name')
  const workspace = hello['workspace']
  if (typeof workspace !== 'string') throw bad('workspace')
  return {
    protocol: [range[0], range[1]],
    workspace,
    id,
    name,
    pid: count(hello['pid']),
    term: count(hello['term']),
    version: count(hello['version']),
    minVersion: count(hello['minVersion']),
    stands: hello['stands'] === true,
    ...(hello['database'] === true && { database: true }),
  }
}

/** @throws `PROTOCOL` */
export function parseWelcome(text: string): Welcome {
  const welcome = parseObject(text, 'WELCOME')
  const primary = welcome['primary'] as MemberRef | undefined
  const term = count(welcome['term'])
  const slot = count(welcome['slot'])
  if (term === 0 || slot === 0 || !isId(primary?.id) || !isName(primary?.name)) {
    throw new ConclaveError('PROTOCOL', 'The WELCOME of the primary is incomplete; docs/wire.md describes it.')
  }
  const limits = welcome['limits'] as { maxBodyBytes?: unknown } | undefined
  return {
    protocol: count(welcome['protocol']),
    term,
    slot,
    primary: { id: primary.id, name: primary.name, pid: count(primary.pid) },
    version: count(welcome['version']),
    lastPublish: count(welcome['lastPublish']),
    limits: { maxBodyBytes: count(limits?.maxBodyBytes) },
  }
}

/**
 * The highest version that both sides speak.
 * @throws `VERSION_MISMATCH` that names both ranges and says which side is older
 */
export function negotiate(ours: readonly [number, number], theirs: readonly [number, number]): number {
  const version = Math.min(ours[1], theirs[1])
  if (version >= Math.max(ours[0], theirs[0])) return version
  const older = theirs[1] < ours[0] ? 'the joining member is older: update it' : 'the primary is older: update it'
  const text = `The primary speaks protocol ${ours.join(' to ')}, the member ${theirs.join(' to ')}; ${older}.`
  throw new ConclaveError('VERSION_MISMATCH', text, { data: { primary: ours, member: theirs } })
}

function parseObject(text: string, what: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ConclaveError('PROTOCOL', `The ${what} of a peer is not JSON.`, { cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new ConclaveError('PROTOCOL', `The ${what} of a peer is not an object.`)
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : 0
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && MEMBER_ID.test(value)
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_MEMBER_NAME && PRINTABLE.test(value)
}

function isRange(value: unknown): value is readonly [min: number, max: number] {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [min, max] = value as readonly unknown[]
  return (
    Number.isSafeInteger(min) && Number.isSafeInteger(max) && (min as number) >= 0 && (min as number) <= (max as number)
  )
}
