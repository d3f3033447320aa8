import { ConclaveError } from '../errors/index.ts'
import type { Checked, Schema, SchemaIssue } from './schema.ts'

/** Made once for each method or topic, not for each value. */
export interface Checkpoint {
  readonly code: 'INVALID_PARAMS' | 'INVALID_RESULT'
  /** The subject of the message, as in `The params of "note.add"`. */
  readonly what: string
  /** The value is a secret: its refusal says neither where nor why, since both may quote it. */
  readonly sensitive?: boolean | undefined
}

/** Issues that the message spells out; `data.issues` holds up to the other number. */
const ISSUES_IN_MESSAGE = 5
const ISSUES_IN_DATA = 100

/**
 * The value as its schema gives it back (defaults filled in, unknown keys dropped), or the value itself without one.
 * A promise only when the schema answered with one, so that synchronous schemas cost no turn.
 * @throws the checkpoint's code, with `data: { issues: { message, path }[] }`, none of a sensitive value; what the schema itself throws passes
 * through, but for a sensitive value
 */
export function validate<Out>(
  schema: Schema<unknown, Out> | undefined,
  value: unknown,
  at: Checkpoint,
): Out | Promise<Out> {
  if (schema === undefined) return value as Out
  const checked = at.sensitive === true ? discreet(schema, value) : schema['~standard'].validate(value)
  return 'then' in checked ? checked.then((later) => outcome(later, at)) : outcome(checked, at)
}

/** What a schema throws may quote the value as well. */
function discreet<Out>(schema: Schema<unknown, Out>, value: unknown): Checked<Out> | Promise<Checked<Out>> {
  const threw = (): Checked<Out> => ({ issues: [] })
  try {
    const checked = schema['~standard'].validate(value)
    return 'then' in checked ? checked.then((later) => later, threw) : checked
  } catch {
    return threw()
  }
}

function outcome<Out>(checked: Checked<Out>, at: Checkpoint): Out {
  if (checked.issues === undefined) return checked.value
  if (at.sensitive === true) {
    const text = `${at.what} do not fit the contract; why is not told, since they are marked sensitive.`
    throw new ConclaveError(at.code, text, { data: { issues: [] } })
  }
  const issues = checked.issues
  const told = issues.slice(0, ISSUES_IN_MESSAGE).map(describe).join('; ')
  const more = issues.length > ISSUES_IN_MESSAGE ? ` (and ${issues.length - ISSUES_IN_MESSAGE} more)` : ''
  throw new ConclaveError(
    at.code,
    `${at.what} do not fit the contract: ${told === '' ? 'no reason given' : told}${more}.`,
    {
      data: {
        issues: issues.slice(0, ISSUES_IN_DATA).map((issue) => ({ message: issue.message, path: pathOf(issue) })),
      },
    },
  )
}

/** `items[2].name: expected string` */
function describe(issue: SchemaIssue): string {
  let path = ''
  for (const key of pathOf(issue)) path += typeof key === 'number' ? `[${key}]` : path === '' ? key : `.${key}`
  const message = issue.message.replace(/\.$/, '')
  return path === '' ? message : `${path}: ${message}`
}

function pathOf(issue: SchemaIssue): (string | number)[] {
  return (issue.path ?? []).map((segment) => {
    const key = typeof segment === 'object' ? segment.key : segment
    return typeof key === 'number' ? key : String(key)
  })
}
