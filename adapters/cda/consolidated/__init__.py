"""C-CDA R2.1 (and what claims to be): entries become resources by template id, else by section and kind of entry."""
