/** What was survived, and how often. */
export interface Counters {
  /** Connections refused because their key is not on the list. */
  refusedKeys: number
  /** JOINs refused because they name another network. */
  refusedNetworks: number
  /** JOINs refused because of the name: our own, one that is no name, or one too many. */
  refusedNames: number
  /** JOINs refused because we connect to the same peer. */
  crossed: number
  /** Messages of peers that were not admitted, or of a peer under another name than the one we connected to. */
  strangers: number
  /** Messages with a part too many. */
  extraParts: number
  /** Commands that nobody knows, and commands of the wrong side. */
  unknownCommands: number
  /** Calls and answers that could not be read. */
  malformed: number
  /** Answers that nobody waits for: late, twice, or from somebody who was not asked. */
  unexpectedAnswers: number
  /** Answers and casts that could not be sent. */
  lost: number
  /** Requests answered with `OVERLOADED`. */
  overloaded: number
  /** Requests that were taken. */
  requests: number
}

export function newCounters(): Counters {
  return {
    refusedKeys: 0,
    refusedNetworks: 0,
    refusedNames: 0,
    crossed: 0,
    strangers: 0,
    extraParts: 0,
    unknownCommands: 0,
    malformed: 0,
    unexpectedAnswers: 0,
    lost: 0,
    overloaded: 0,
    requests: 0,
  }
}
