"""What the pages and the API of each kind have beyond `hub.web.base`: one file a kind."""
