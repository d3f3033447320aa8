/** How long anything may take before it counts as hung. Generous: the machine may be busy with much else. */
export const PATIENCE_MS = 120_000
