"""connecting: how a connection to PostgreSQL is made, whoever makes it.

hosts       the host of an address that leads to a server as it is wanted
reasons     what to do where no connection could be made
addresses   `addresses`: can the files of TLS be read, and is it known who answers
"""
