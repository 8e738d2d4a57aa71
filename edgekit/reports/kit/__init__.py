"""What all pages are made of: markup, tables, charts, and the page around them.

A page is one HTML file that needs no other and loads nothing. The one script in it sorts tables; the page names its
hash, so a browser runs nothing else, whatever a name in the results holds.
"""
