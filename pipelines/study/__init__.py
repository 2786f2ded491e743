"""What lies on disk: the workspace, the manifest, the splits and the images."""
