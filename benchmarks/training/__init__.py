"""What training here costs and reaches: scripts that print Markdown.

Organization:
    loading.py       images a second of the loader against decoding alone
"""
