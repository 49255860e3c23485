"""The frozen judge: evaluation, statistics, control arms and the verdict. It never loads generated code."""
