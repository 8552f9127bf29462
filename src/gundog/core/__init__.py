"""Errors, times, YAML fields, harmless text and plain values: what every package may use.

- `errors`: every error that gundog raises on purpose, with its exit status.
- `times`: half-open UTC intervals, and how people write times and durations.
- `documents`, `fields`, `text_files`: files that people write, read with every problem at once.
- `safe_text`: text from events, made harmless for the place where it is shown.
- `plain_values`, `wording`: values and numbers as JSON and people write them.
- `child`: work that may hang or outgrow memory, in a process that can be killed.
- `appending`, `places`: files that people keep, and who may read new ones.
"""
