"""A class-conditional DCGAN for small sets of radiographs: training and sampling."""
