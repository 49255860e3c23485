"""Executors: how jobs reach worker processes. Local processes first, others behind the same contract."""
