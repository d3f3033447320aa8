import { ConclaveError } from '../../errors/index.ts'
import type { Method, MethodDefinition, MethodDefinitions, Module, ModuleDefinition, Schema } from './types.ts'

/** Says nothing at run time: it carries the types of the schemas to the handler. Without a schema: bytes. */
export function defineMethod<Req extends Schema = undefined, Res extends Schema = undefined>(
  method: MethodDefinition<Req, Res>,
): MethodDefinition<Req, Res> {
  return method
}

/**
 * A module and its methods: registered at a server, or, with or without handlers, called by a client.
 * @throws `INVALID_OPTION` for an id that is no 32-bit integer, or is there twice
 */
export function defineModule<const M extends MethodDefinitions = Record<never, MethodDefinition>>({
  id,
  name = `module ${id}`,
  methods,
  handleCall,
}: ModuleDefinition<M>): Module<M> {
  checkId(id, `the id of ${name}`)
  const bound: Record<string, Method> = {}
  const ids = new Set<number>()
  for (const [key, method] of Object.entries(methods ?? {})) {
    checkId(method.id, `the id of ${name}.${key}`)
    if (ids.has(method.id)) {
      throw new ConclaveError('INVALID_OPTION', `${name} has two methods with the id ${method.id}.`)
    }
    ids.add(method.id)
    bound[key] = { ...(method as MethodDefinition), name: method.name ?? key, module: id }
  }
  return { id, name, methods: bound as Module<M>['methods'], handleCall }
}

function checkId(id: number, what: string): void {
  if ((id | 0) !== id) throw new ConclaveError('INVALID_OPTION', `${what} must be a 32-bit integer, not ${String(id)}.`)
}
