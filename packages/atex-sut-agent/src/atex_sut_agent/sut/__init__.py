"""The half of the package that travels to the machine under test.

Everything in this folder runs there, from one zip archive, on whatever Python 3.6 or newer the machine has.
It imports nothing but the standard library, and nothing of it may be imported that 3.6 cannot compile.
`framing`, `names` and `durations` are imported by the host too, so that both ends share one rule.
"""
