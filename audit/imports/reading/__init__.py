"""How files and bodies are read: one event after the other, in bounded memory.

values   JSON as a foreign source writes it: numbers that no reader would read back equal stand as text
opening  a file, plain or in gzip, with what was read of it so far
json     a stream of values, arrays and objects that hold events, read value by value
lines    a file of one event a line
pieces   many events at once, cut out unread
"""
