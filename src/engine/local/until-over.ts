import { oneTurn } from '../../election/index.ts'

const LOOK_MS = 2

/** Resolves with the work, or when the time is up; what had arrived by then is read first (rule B1). @throws as the work */
export async function untilOver(work: Promise<unknown>, isOver: () => boolean): Promise<void> {
  let done = false
  const ended = work.finally(() => {
    done = true
  })
  const timeUp = async (): Promise<void> => {
    while (!done && !isOver()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    if (!done) await oneTurn()
  }
  await Promise.race([ended, timeUp()])
}
