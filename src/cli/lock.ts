export const lock = undefined as never
