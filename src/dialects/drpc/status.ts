import type * as generated from './gen/drpc_pb.ts'

type Generated = typeof generated.Status

/** How a call ended, as it travels. The same as in drpc.proto: the compiler compares. */
export const Status: { readonly [Name in keyof Generated]: Generated[Name] } = {
  SUCCESS: 0,
  /** Taken, not done yet. */
  SUBMITTED: 1,
  FAILURE: 2,
  UNKNOWN_MODULE: 3,
  UNKNOWN_METHOD: 4,
  FAILED_UNMARSHAL_CALL: 5,
  FAILED_UNMARSHAL_PAYLOAD: 6,
  FAILED_MARSHAL: 7,
}

export type StatusName = keyof typeof Status

/** One of the list, or a number that a newer peer may send. */
export type Status = (typeof Status)[StatusName] | (number & {})

const NAMES: ReadonlyMap<number, StatusName> = new Map(
  (Object.entries(Status) as [StatusName, number][]).map(([name, status]) => [status, name]),
)

/** Its name, or `STATUS_<number>` for one that is not in the list. */
export function statusName(status: Status): StatusName | `STATUS_${number}` {
  return NAMES.get(status) ?? `STATUS_${status}`
}
