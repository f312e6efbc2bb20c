"""verifier: the page that checks what left the store, in the reader's own browser.

page.py serves index.html, style.css and the scripts under a content security policy of their own.
"""
