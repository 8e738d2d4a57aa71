"""What verification found, as files for people and machines.

Functions from a ``VerifyResult`` to text; ``edgekit.reports.writing`` picks one by a file's suffix. No report holds a
date or how long anything took but where its format asks for it, so equal findings give equal bytes.
"""
