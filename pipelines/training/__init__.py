"""From a study to a generator, to synthetic images and to a classifier."""
