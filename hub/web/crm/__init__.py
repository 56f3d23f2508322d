"""Additions of each kind to `hub.web.base`: one file a kind."""
