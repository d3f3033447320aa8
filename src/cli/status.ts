export const status = undefined as never
