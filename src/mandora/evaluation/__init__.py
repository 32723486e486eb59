"""A model tried on a labelled data set, and the page that shows the outcome."""
