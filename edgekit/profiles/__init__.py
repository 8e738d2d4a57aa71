"""Device profiles: what each device takes and prefers, why, and what it must never be given.

profile     what one TOML file a device says, as values
checks      the rules of accelerators, each a function over an exported file
vela        the compiler of Arm's Ethos-U NPUs, run
"""
