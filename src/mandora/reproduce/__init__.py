"""The experiments of the paper: folds, jobs, results, and what became of each claim."""
