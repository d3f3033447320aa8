/** Does nothing, also when its parent is gone. */
setInterval(() => {}, 60_000)
