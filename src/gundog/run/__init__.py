"""One run: list, stage, hunt, publish, notify; the ledger.

- `run`: the steps over intervals (`run`, `plan`, `purge`).
- `context`, `outcome`: what is asked of a run, and how it went.
- `parts`: what a part of a run is, for callers that show, time or retry the parts.
- `stage_step`, `hunt_step`, `finish_step`: the steps, each of which returns what it found.
- `due`: which intervals of a day are hunted.
- `ledger`: what was hunted and what is due.
- `report_step`: the page of `gundog report`, made by the command and at the end of a run.
- `status`: what `gundog status` shows.
- `upgrade`: what changed SQL costs, reported before anything is read.
"""
