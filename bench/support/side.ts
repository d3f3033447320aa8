// One process of one side: `side.ts <module of bench/sides> <options as JSON>`, driven by its parent's messages.

/** What a module of bench/sides exports as `start`: it resolves when the side is ready, with what it can be asked. */
export type Start = (options: never) => Promise<Commands>
export type Commands = Readonly<Record<string, (args: never) => unknown>>

interface Request {
  readonly id: number
  readonly command: string
  readonly args: object
  readonly stop?: true
}

const [module = '', options = '{}'] = process.argv.slice(2)
const send = process.send?.bind(process)
if (send === undefined) throw new Error('bench/support/side.ts is started by the runner')
process.once('disconnect', () => process.exit())

const starting = import(new URL(`../sides/${module}.ts`, import.meta.url).href).then(({ start }: { start: Start }) =>
  start(JSON.parse(options) as never),
)

process.on('message', ({ id, command, args, stop }: Request) => {
  if (stop === true) process.exit()
  void (async () => {
    try {
      const commands = await starting
      const run = Object.hasOwn(commands, command) ? commands[command] : undefined
      if (run === undefined && command !== 'ready') throw new Error(`no command ${command}`)
      send({ id, value: await run?.(args as never) })
    } catch (error) {
      send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })()
})
