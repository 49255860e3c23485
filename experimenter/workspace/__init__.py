"""The workspace: one SQLite truth, run folders, locks and atomic files."""
