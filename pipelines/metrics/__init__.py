"""Scores of images and of predictions: pure functions of arrays, which never print."""
