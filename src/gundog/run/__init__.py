"""One run: list, stage, hunt, publish, notify; the ledger.

- `run`: the steps over intervals (`run`, `plan`, `purge`).
- `stage_step`, `hunt_step`: the two long steps.
- `ledger`: what was hunted and what is due.
- `status`: what `gundog status` shows.
- `upgrade`: what changed SQL costs, told before anything is read.
"""
