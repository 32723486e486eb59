"""What is wrong with a labelled data set."""
