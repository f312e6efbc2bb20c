"""retention: how long records are kept, what may not be removed, and what is.

approval      `ask`, `decide`, `withdraw`: what one person asks for and a second one approves
purge         `ask`, `run`: remove what is due, in portions, and certify it
policy        floors by category: for how long records are kept at least
legal_holds   holds on what records have: `place`, `ask_release`; whether a record is held
"""
