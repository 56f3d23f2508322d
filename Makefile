# Two commands: `make run` and `make test`. Everything else is in CONTRIBUTING.md.
