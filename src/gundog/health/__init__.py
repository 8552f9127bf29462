"""What was not looked at, and what somebody acknowledged of it.

Plain sums over rows: nothing here opens a database.

- `clock`: nights that are due, sources that age, events ahead of the clock.
- `watch`: what needs a person.
- `drift`: whether records still look as they did.
- `acknowledged`: what is known to be wrong with the data.
"""
