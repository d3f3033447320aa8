/** What must be undone at the end of a test, latest first: node:test runs `t.after` hooks in the order they were given. */

/** A test's context, or `{ after }` of node:test for a whole suite. */
export interface Scope {
  after(hook: () => unknown): void
  readonly passed?: boolean
  readonly name?: string
  diagnostic?(message: string): void
}

const stacks = new WeakMap<Scope, (() => unknown)[]>()

/** Runs `undo` when the test ends, before what was deferred earlier. All run, also when one throws. */
export function defer(t: Scope, undo: () => unknown): void {
  let stack = stacks.get(t)
  if (stack === undefined) {
    const created: (() => unknown)[] = []
    stack = created
    stacks.set(t, created)
    t.after(() => unwind(created))
  }
  stack.push(undo)
}

async function unwind(stack: (() => unknown)[]): Promise<void> {
  const errors: unknown[] = []
  for (let undo = stack.pop(); undo !== undefined; undo = stack.pop()) {
    try {
      await undo()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors, errors.map(String).join('\n'))
}
