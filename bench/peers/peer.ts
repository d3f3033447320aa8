/** Where the processes of one subject meet. */
export interface Place {
  /** A fresh folder of the subject. */
  readonly folder: string
  /** Of a broker that the runner started. */
  readonly url?: string
  readonly pid?: number
}

/** What a peer carries: JSON values, or bytes as they are. Bytes peers are spared JSON: the comparison favours them. */
export type Body = string | Uint8Array

export interface Caller {
  /** `echo` answers with the body, `sink` with next to nothing. Many may be in flight. */
  call(method: 'echo' | 'sink', body: Body): Promise<unknown>
}

/** Calls and answers of one client and one server. */
export interface Rpc {
  readonly form: 'text' | 'bytes'
  serve(place: Place): Promise<unknown>
  connect(place: Place): Promise<Caller>
  /** For bodies of a megabyte, where it differs: text peers that can carry bytes do so. */
  readonly bulkForm?: 'text' | 'bytes'
}

/** One publisher, a hub, subscribers; the message is `text`, JSON of 128 bytes, made anew for each event where there is a codec. */
export interface Fanout {
  hub(place: Place): Promise<unknown>
  publisher(place: Place): Promise<{ publish(message: Message): unknown; turn?(begin: boolean): void }>
  /** Resolves when events published from now on are delivered; `deliver` is called for each with what was decoded. */
  subscribe(place: Place, deliver: (message: Message) => void): Promise<unknown>
}

export interface Message {
  readonly n: number
  readonly text: string
}

/** The items of one answer. */
export interface Streaming {
  serve(place: Place): Promise<unknown>
  connect(place: Place): Promise<{ stream(count: number, deliver: () => void): Promise<unknown> }>
}

/** A call through a hub from one client to another. */
export interface Relay {
  hub(place: Place): Promise<unknown>
  serve(place: Place): Promise<unknown>
  connect(place: Place): Promise<Caller>
}

export interface Peer {
  readonly rpc?: Rpc
  readonly fanout?: Fanout
  readonly streaming?: Streaming
  readonly relay?: Relay
}
