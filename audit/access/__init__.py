"""access: who may come in, and what they may see.

api_keys    `issue`, `rotate`, `revoke`, `check` the keys of writers
client      address, session and texts of a request
logins      records logins, logouts and refused logins
lockout     locks a name or address after too many wrong passwords
sessions    ends sessions by age; `end` ends all of a person
sso, mfa, passkeys, forms  single sign-on, second factors, passkeys, the login form
roles       the groups of every installation, with their rights
access_log  records who viewed which records
"""
