"""The outbox, the messages and the channels that they go to."""
