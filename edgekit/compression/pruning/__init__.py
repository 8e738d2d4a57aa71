"""Channels that go: which belong together, what each is worth and costs, and the smaller network without them.

``groups`` finds them in a network's graph, ``ranking`` says what they are worth, ``budget`` which go, and ``cutting``
makes the network without them. ``dead`` finds those that say nothing, and ``sparsity`` sets single weights to zero.
"""
