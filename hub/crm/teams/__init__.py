"""Teams: the groups that people belong to and work comes to."""
