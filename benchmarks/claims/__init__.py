"""Which operators have the same integers everywhere: each alone, in every runtime, against exact ones.

    python -m edgekit.benchmarks.claims [--draws N] [--emulate] [--write]

Organization:
    cases.py      every operator in every form, as a torch module, with the inputs that it is tried on
    measuring.py  from a case to an integer model, and what each runtime makes of it
    emulated.py   the same on an emulated aarch64, of which elsewhere.py is what runs there
    found.py      what was measured, as a value and as a file
    table.py      the table of docs/operators.md

``--write`` keeps what was found in ``found.json`` and writes the page; ``tests/benchmarks/test_claims.py`` holds both
against what this machine gives.
"""
