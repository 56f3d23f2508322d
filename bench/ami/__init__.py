"""Hub's link and tracker beside panoramisk and cacofonisk, on the same stream: `python -m bench.ami`."""
