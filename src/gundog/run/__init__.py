"""One run: list, stage, hunt, publish, notify; the ledger."""
