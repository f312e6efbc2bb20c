"""verifier: the page that checks what left the store, in the reader's own browser.

page.py serves it under a policy of its own; index.html, style.css and the scripts are what it serves.
"""
