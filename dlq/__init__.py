"""The dead letter queue: a small durable parking place for JSON documents. It knows nothing of audit.

What its modules do, a verb each:

    stream      park documents, claim messages, acknowledge, fail, release, retry or snooze them
    drain       hand due messages to a handler, and take out what it stored
    pages       read messages: by id, by key, page by page; selection: those that pass filters
    totals      count what is in the queue, came and left; counters: per day and source
    activity    pause and resume drains; say when each process last ran
    spool       append to local files what neither the database nor Redis took; restore: park it again
    kept        keep what was drained for some hours, for a store that is restored from a backup
    outage      follow the open outage until nothing is left to bring home
    generation  tell a queue that was restored from an older file, or replaced
    rebuild     make every index again from the stream; recovery: mend after a restart of Redis
    authenticity  sign what is parked, and verify it
    alarm       tell people by webhook and e-mail; alarm_state: remember what was told
    durability  ask Redis whether it would keep what is parked, and how much more fits
    history     sample the queue each minute; sample: estimate what it is made of
"""
