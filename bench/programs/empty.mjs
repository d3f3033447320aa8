// Nothing. Modules of Node that run already are taken without importing them, which would cost some MiB.
process.getBuiltinModule('node:fs').writeSync(1, '.')
