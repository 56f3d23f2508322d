"""How many calls a second Hub stores, and how far behind the event: `python -m bench.storing`."""
