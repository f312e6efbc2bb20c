"""access: who may come in, and what they may see.

api_keys        `issue`, `rotate`, `revoke` and `check` the keys of writers
published_keys  the copy of these keys in Redis, for the time without PostgreSQL
limits, budget  rates and quotas of writers; what a network may try before it is known who asks
client          address, session and texts of a request
logins          records logins, logouts and refused logins
lockout         locks a name at an address after too many wrong passwords; the login form that says so
sessions        ends sessions by age, and keeps their copies; `end_all` ends all of a person
outage          copies of sessions, by which people read the queue while PostgreSQL is away
sso, mfa, passkeys  single sign-on, second factors, passkeys
rights          what needs a second person: `ask`, `decide`
names           the name that nobody may have
roles           the groups of every installation, with their permissions
access_log      records who viewed which records
signals         connects everything here that follows signals, in one place
"""
