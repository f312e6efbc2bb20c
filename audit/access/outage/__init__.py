"""Who may read the dead letter queue while PostgreSQL, which has the sessions, is away.

session_copies  what Redis keeps of a session: signed, void once the session ends or its person's rights change
copying         `renew`: copy the session of a request, read afresh
endings         what makes copies void: ended sessions, changed people, groups and scopes
person          the person of a copy: sees the queue within their scopes, and may do nothing
pages           the pages that open, and the page that stands in the place of all others
"""
