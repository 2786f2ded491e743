"""What is asked of images and classifiers once they are there."""
