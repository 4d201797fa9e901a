"""The outbox made into webhooks: signed CloudEvents, in order per job, tried again until they arrive.

This room knows no other. The ledger implements `delivery.Outbox`; the worker runs `notifier.Notifier`.
"""
