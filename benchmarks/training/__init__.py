"""What training here costs and reaches: scripts that print Markdown.

Organization:
    epoch.py         an epoch against the same in plain torch
    killing.py       runs that are killed at random moments, against one that is not
    loading.py       images a second of the loader against decoding alone
    sets.py          CIFAR-10 in files that training reads
"""
