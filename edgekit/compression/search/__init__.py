"""Networks that are looked for: which there are, what each would reach, and which is tried next.

space.py      networks of a kind, as a value: a table of stages in which a list is a choice
supernet.py   one network that all of them are parts of: it is trained once, and each part is measured
proposing.py  what is tried next
front.py      those that no other beats in both accuracy and cost
"""
