"""Language models as planners. Importing this loads no client library: they are loaded at the first call."""
