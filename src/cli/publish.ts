export const publish = undefined as never
