"""expectations: rules about events that must come.

evaluate      follows the log with the rules: awaited, met, unmet
daily_counts  rules that ask for so many events a day
unmet         stores what is unmet, with its waivers
rules         makes, changes, loads and waives rules
backtest      what a rule would have found in the past
packs         the rules of every installation
"""
