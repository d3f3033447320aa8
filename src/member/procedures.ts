import { ConclaveError } from '../errors/index.ts'
import type { Contract, WriteSpec } from '../rpc/contract.ts'
import type { Procedure, Procedures, Tx } from '../sqlite/types.ts'
import { validate, type Checkpoint } from '../wire/validate.ts'
import { isPromise } from './handlers.ts'

/** A procedure of the user's, of any contract. */
export type UserProcedure = (tx: Tx, params: unknown) => unknown

/** The procedures between the checks of their contract. @throws `INVALID_OPTION` */
export function proceduresOf(
  writes: Readonly<Record<string, UserProcedure>> = {},
  contract: Contract | undefined,
): Procedures {
  const specs = contract?.writes
  const procedures = new Map<string, Procedure>()
  for (const [name, procedure] of Object.entries(writes)) {
    if (typeof procedure !== 'function') {
      throw new ConclaveError('INVALID_OPTION', `The write ${name} must be a function (tx, params).`)
    }
    const spec = specs !== undefined && Object.hasOwn(specs, name) ? specs[name] : undefined
    if (specs !== undefined && spec === undefined) {
      const text = `The contract has no write ${name}: add it to its \`writes\`, or take it out.`
      throw new ConclaveError('INVALID_OPTION', text)
    }
    procedures.set(name, spec === undefined ? procedure : checked(name, procedure, spec))
  }
  return procedures
}

function checked(name: string, procedure: UserProcedure, spec: WriteSpec): Procedure {
  const write = `the write ${JSON.stringify(name)}`
  const { sensitive } = spec
  const params: Checkpoint = { code: 'INVALID_PARAMS', what: `The params of ${write}`, sensitive }
  const result: Checkpoint = { code: 'INVALID_RESULT', what: `The result of ${write}`, sensitive }
  return (tx, given) => {
    const value = procedure(tx, atOnce(name, validate(spec.params, given, params)))
    // A promise passes: the writer refuses it by its own name, ASYNC_PROCEDURE.
    if (isPromise(value)) return value
    return spec.result === undefined ? undefined : atOnce(name, validate(spec.result, value, result))
  }
}

/** A procedure runs inside a transaction, which waits for nothing (rule A4). */
function atOnce<T>(name: string, value: T | Promise<T>): T {
  if (!isPromise(value)) return value as T
  value.catch(() => {})
  const text = `A schema of the write ${JSON.stringify(name)} is asynchronous: use a synchronous one.`
  throw new ConclaveError('INVALID_OPTION', text)
}
