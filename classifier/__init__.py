"""Classifiers of radiographs: networks, training, prediction and metrics."""
