"""The commands, and the pages that a terminal shows.

Nothing here loads DuckDB, Arrow or Prefect before a command needs it, so that `--help` answers at
once. A program uses the packages below instead.

- `main`: runs one command, as `gundog` does.
- `options`: the parser, whose help is docs/commands.md.
- `run_commands`, `finding_commands`, `project_commands`: what each command does.
- `finding_list`, `finding_page`, `status_page`: what people read.
- `tour`: what `make hunt` shows.
"""
