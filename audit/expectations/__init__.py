"""expectations: rules about events that must come.

evaluate      `apply` sealed events to the rules, `settle` what is overdue: awaited, met, unmet
close         `apply` what came late to what is unmet, `close_more` of what is too much for a step
daily_counts  the same for rules that ask for so many events a day
unmet         `store` what is unmet, with its waivers
rules         `save`, `load`, `dump` and `waive` rules
packs         `seed` the rules that every installation starts with
"""
