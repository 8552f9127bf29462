"""The outbox, the messages and the channels that they go to.

- `outbox`: what is stored and not sent yet.
- `messages`: what messages say.
- `sending`: sends what the outbox holds.
- `services`, `mail`, `http_post`: one try of one message.
- `channel`: a channel of gundog.yaml.
"""
