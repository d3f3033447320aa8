/** Hands a notice to its listener, whose fault must not end what it listens to. */
export function told<N>(listener: ((notice: N) => void) | undefined, notice: N): void {
  try {
    listener?.(notice)
  } catch {
    // A log that fails has nobody to tell.
  }
}
